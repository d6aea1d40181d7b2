import torch

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.baselines import outcomes
from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.baselines import agreement_table, baseline_table, prototype_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    settings = {**params.settings, "widths": tuple(params.settings["widths"])}
    kernels = sample_of(read_corpus(inputs.corpus)[1], params.sample, params.seeds[0])
    below, minimum_cosine = threshold(k, params.thresholds), params.minimum_cosine
    paths = dict(zip(params.seeds, inputs.autoencoders, strict=True))
    found = list(outcomes(kernels, Settings(**settings), paths, minimum_cosine))
    table = baseline_table(kernels, found, below, minimum_cosine)
    write_table(table, output.baselines, output.baselines_csv)
    write_table(agreement_table(found), output.agreement, output.agreement_csv)
    table = prototype_table(found, k, minimum_cosine)
    write_table(table, output.prototypes, output.prototypes_csv)

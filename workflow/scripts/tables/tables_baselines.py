import torch

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.baselines import outcomes
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.running.kept import is_current, record
from kernelatlas.tables.baselines import agreement_table, baseline_table, prototype_table

with logged(snakemake.log[0]):
    k, inputs, params = int(snakemake.wildcards.k), snakemake.input, snakemake.params
    job = inputs, snakemake.output, dict(params.items())
    if not is_current(*job):
        torch.set_num_threads(snakemake.threads)
        minimum_cosine = params.minimum_cosine
        kernels = sample_of(corpus_kernels(inputs.corpus), params.sample, params.seeds[0])
        paths = dict(zip(params.seeds, inputs.autoencoders, strict=True))
        found = list(outcomes(kernels, Settings(**params.settings), paths, minimum_cosine))
        dissimilarity = threshold(k, params.thresholds)
        write_tables(
            snakemake.output,
            baselines=baseline_table(kernels, found, dissimilarity, minimum_cosine),
            agreement=agreement_table(found),
            prototypes=prototype_table(found, k, minimum_cosine),
        )
        record(*job)

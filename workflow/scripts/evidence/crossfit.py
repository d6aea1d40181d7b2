import torch

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.evidence.crossfit import cross_fit, crossfit_table
from kernelatlas.kernels.corpus import corpus_kernels, corpus_keys
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.running.kept import is_current, record

with logged(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    job = inputs, output, dict(params.items())
    if not is_current(*job):
        torch.set_num_threads(snakemake.threads)
        key, kernels = corpus_keys(inputs[0]), corpus_kernels(inputs[0])
        settings, device = Settings(**params.settings), snakemake.config["device"]
        found = cross_fit(key, kernels, settings, params.seeds, device)
        found.save(output.curves)
        write_frame(crossfit_table(key, kernels, found, params.minimum_cosine), output.labels)
        record(*job)

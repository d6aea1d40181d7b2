import torch

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.stability import stability_table
from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.running.kept import is_current, record

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    job = inputs, snakemake.output, dict(params.items())
    if not is_current(*job):
        torch.set_num_threads(snakemake.threads)
        key, kernels = read_corpus(inputs.corpus)
        curves = [Curve.load(path) for path in inputs.autoencoders]
        table = stability_table(
            key["model"].astype(str).to_numpy(),
            kernels,
            curves,
            Settings(**params.settings),
            threshold(curves[0].k, params.thresholds),
            params.minimum_cosine,
            snakemake.config["device"],
        )
        write_frame(table, *snakemake.output)
        record(*job)

import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.stability import stability_table
from kernelatlas.kernels.corpus import corpus_kernels, corpus_keys
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

COLUMNS = ["fold", "label", "agreement", "dissimilarity"]  # of the cross-fitted labels

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    kernels = corpus_kernels(inputs.corpus)
    curves = [Curve.load(path) for path in inputs.autoencoders]
    table = stability_table(
        corpus_keys(inputs.corpus)["model"],
        kernels,
        curves,
        pd.read_parquet(inputs.crossfit, columns=COLUMNS),
        threshold(curves[0].k, params.thresholds),
        params.minimum_cosine,
    )
    write_frame(table, *snakemake.output)

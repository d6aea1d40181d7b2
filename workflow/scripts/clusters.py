from kernelatlas.clusters import cluster_table
from kernelatlas.contract import write_table
from kernelatlas.corpus import read_corpus
from kernelatlas.curve import Curve
from kernelatlas.job import logged
from kernelatlas.labels import threshold

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    _, kernels = read_corpus(inputs.corpus)
    curves = [Curve.load(path) for path in inputs.autoencoders]
    below = threshold(curves[0].k, params.thresholds)
    table = cluster_table(kernels, curves, below, params.minimum_cosine)
    write_table(table, snakemake.output[0])

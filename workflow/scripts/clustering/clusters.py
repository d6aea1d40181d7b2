from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    kernels = corpus_kernels(inputs.corpus)
    curves = [Curve.load(path) for path in inputs.autoencoders]
    dissimilarity = threshold(curves[0].k, params.thresholds)
    table = cluster_table(kernels, curves, dissimilarity, params.minimum_cosine)
    write_frame(table, snakemake.output[0])

import pyarrow.parquet as pq

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_kernels, threshold, write_labels
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    curves = [Curve.load(path) for path in inputs.autoencoders]
    parts = []
    for path in inputs.clusters:
        with pq.ParquetFile(path) as file:
            clusters = file.read().to_pydict()
        k = clusters["k"][0]
        own = [curve for curve in curves if curve.k == k]
        thresholds = threshold(k, params.thresholds), params.minimum_cosine
        parts.append(label_kernels(inputs.kernels, own, clusters, *thresholds))
    rule = {"thresholds": dict(params.thresholds), "minimum_cosine": params.minimum_cosine}
    write_labels(parts, snakemake.output[0], params.seeds, **rule)

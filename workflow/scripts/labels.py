import pandas as pd
import torch

from kernelatlas.autoencoder import Autoencoder
from kernelatlas.job import logged
from kernelatlas.labels import label_kernels, threshold, write_labels

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    parts = []
    inputs = snakemake.input
    for weights, clusters in zip(inputs.autoencoders, inputs.clusters, strict=True):
        autoencoder = Autoencoder.load(weights)
        below = threshold(autoencoder.k, snakemake.params.thresholds)
        table = pd.read_parquet(clusters)
        parts.append(label_kernels(inputs.kernels, autoencoder, table, below))
    write_labels(parts, snakemake.output[0])

import numpy as np
import pandas as pd
import torch

from kernelatlas.contract import write_table
from kernelatlas.job import logged
from kernelatlas.masterkeys import load
from kernelatlas.replacements import evaluate

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs = snakemake.input
    keys, prototypes = {}, {}
    for path, clusters in zip(inputs.masterkeys, inputs.clusters, strict=True):
        filters = load(path)
        k = filters.shape[1]
        keys[k] = filters.reshape(-1, k * k)
        prototypes[k] = np.stack(pd.read_parquet(clusters)["prototype"])
    table = evaluate(inputs.network, keys, prototypes, pd.read_parquet(inputs.fits))
    table.insert(0, "model", snakemake.wildcards.model)
    write_table(table, snakemake.output[0])

import numpy as np
import pandas as pd
import torch

from kernelatlas.evidence.masterkeys import load
from kernelatlas.evidence.replacements import evaluate
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

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
    write_frame(table, snakemake.output[0])

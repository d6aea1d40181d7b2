import pandas as pd
import torch

from kernelatlas.autoencoder import Autoencoder
from kernelatlas.files import write_frame
from kernelatlas.job import logged
from kernelatlas.nulls import null_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs = snakemake.input
    table = null_table(
        inputs.kernels,
        Autoencoder.load(inputs.autoencoder),
        pd.read_parquet(inputs.clusters),
        snakemake.params.sample,
    )
    write_frame(table, snakemake.output[0])

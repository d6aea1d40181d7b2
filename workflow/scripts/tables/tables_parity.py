import pandas as pd

from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.parity import parity_tables

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    layers = pd.read_parquet(inputs.layers)
    sizes, moves = parity_tables(inputs.parts, layers, params.models, params.resamples)
    write_tables(snakemake.output, sizes=sizes, moves=moves)

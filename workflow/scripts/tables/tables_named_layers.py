import pandas as pd

from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.named_layers import named_layer_table

with logged(snakemake.log[0]):
    composition = pd.read_parquet(snakemake.input[0])
    table = named_layer_table(composition, dict(snakemake.params.architectures))
    write_frame(table, *snakemake.output)

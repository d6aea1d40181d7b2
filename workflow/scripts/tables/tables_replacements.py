import pandas as pd

from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    table = pd.concat([pd.read_parquet(path) for path in snakemake.input], ignore_index=True)
    family = {name: family for name, family, *_ in snakemake.params.models}
    table.insert(0, "family", table["model"].map(family))
    write_frame(table, *snakemake.output)

import pandas as pd

from kernelatlas.figures import nulls, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    tables = [pd.read_parquet(path) for path in snakemake.input]
    params = snakemake.params
    style.save(nulls.draw(*tables, k=params.k, rate=params.rate), *snakemake.output)

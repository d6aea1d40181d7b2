import pandas as pd

from kernelatlas.figures import masterkeys, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    tables = [pd.read_parquet(path) for path in snakemake.input]
    k = int(snakemake.wildcards.k)
    style.save(masterkeys.draw(*tables, k=k), *snakemake.output)

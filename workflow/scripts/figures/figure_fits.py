import pandas as pd

from kernelatlas.figures import fits, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    tables = [pd.read_parquet(path) for path in snakemake.input]
    params = snakemake.params
    style.save(fits.draw(*tables, bound=params.bound), *snakemake.output)

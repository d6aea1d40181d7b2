import pandas as pd

from kernelatlas.figures import models, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    tables = [pd.read_parquet(path) for path in snakemake.input]
    style.save(models.draw(*tables, seed=snakemake.params.seed), *snakemake.output)

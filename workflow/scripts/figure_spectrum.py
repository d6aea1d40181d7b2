import pandas as pd

from kernelatlas.figures import spectrum, style
from kernelatlas.job import logged

with logged(snakemake.log[0]):
    tables = [pd.read_parquet(path) for path in snakemake.input]
    style.save(spectrum.draw(*tables, seed=snakemake.params.seed), *snakemake.output)

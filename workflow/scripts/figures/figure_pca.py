import pandas as pd

from kernelatlas.figures import pca, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    tables = [pd.read_parquet(path) for path in snakemake.input]
    style.save(pca.draw(*tables), *snakemake.output)

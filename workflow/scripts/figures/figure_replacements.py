import pandas as pd

from kernelatlas.figures import replacements, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    style.save(replacements.draw(pd.read_parquet(snakemake.input[0])), *snakemake.output)

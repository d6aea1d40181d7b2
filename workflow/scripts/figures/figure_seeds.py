import pandas as pd

from kernelatlas.figures import seeds, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    table = pd.read_parquet(snakemake.input.seeds)
    style.save(seeds.draw(table, snakemake.params.seed), *snakemake.output)

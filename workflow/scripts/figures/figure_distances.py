import pandas as pd

from kernelatlas.figures import distances, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    table = pd.read_parquet(snakemake.input[0])
    style.save(distances.draw(table, int(snakemake.wildcards.k)), *snakemake.output)

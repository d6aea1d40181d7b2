import pandas as pd

from kernelatlas.figures import style, training
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    table = pd.read_parquet(snakemake.input[0])
    style.save(training.draw(table, k=int(snakemake.wildcards.k)), *snakemake.output)

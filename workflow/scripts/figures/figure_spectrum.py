import pandas as pd

from kernelatlas.figures import spectrum, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    table = pd.read_parquet(snakemake.input.spectrum)
    style.save(spectrum.draw(table, seed=snakemake.params.seed), *snakemake.output)

import pandas as pd

from kernelatlas.figures import data, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs = snakemake.input
    paths = (inputs.seeds, inputs.emergence, inputs.spectra, inputs.samples)
    tables = [pd.read_parquet(path) if path else None for path in paths]
    style.save(data.draw(*tables, snakemake.params.seed), *snakemake.output)

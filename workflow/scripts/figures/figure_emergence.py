import pandas as pd

from kernelatlas.figures import emergence, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs = snakemake.input
    learning = pd.read_parquet(inputs.learning) if inputs.learning else None
    tables = (pd.read_parquet(path) for path in (inputs.emergence, inputs.composition))
    style.save(emergence.draw(*tables, learning, snakemake.params.seed), *snakemake.output)

import importlib

import pandas as pd

from kernelatlas.figures import style
from kernelatlas.running.job import logged


def table(files):
    """Read a table; several files as one, none as None."""
    if isinstance(files, str):
        return pd.read_parquet(files)
    parts = [pd.read_parquet(file) for file in files]
    return pd.concat(parts, ignore_index=True) if parts else None


with logged(snakemake.log[0]):
    module = importlib.import_module(f"kernelatlas.figures.{snakemake.params.figure}")
    tables = {name: table(files) for name, files in snakemake.input.items()}
    of_job = ("script", "code", "figure")  # the other parameters are the figure's
    settings = {k: v for k, v in snakemake.params.items() if k not in of_job}
    style.save(module.draw(**tables, **settings), *snakemake.output)

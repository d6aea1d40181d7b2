import pandas as pd

from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    histories = zip(snakemake.params.seeds, snakemake.input, strict=True)
    parts = [pd.read_parquet(path).assign(seed=seed) for seed, path in histories]
    write_frame(pd.concat(parts, ignore_index=True), *snakemake.output)

from kernelatlas.running.job import logged
from kernelatlas.sources.lock import write_lock

with logged(snakemake.log[0]):
    write_lock(snakemake.output[0], snakemake.input)

from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.limits import limit_table

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    table = limit_table(inputs.fits, inputs.nulls, params.models, params.k, params.r2)
    write_tables(snakemake.output, table=table)

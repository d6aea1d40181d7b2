from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.left_out import left_out_table

with logged(snakemake.log[0]):
    table = left_out_table(snakemake.input, snakemake.params.models)
    write_frame(table, *snakemake.output, schema_version=FIRST_VERSION)

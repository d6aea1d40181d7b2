from kernelatlas.kernels.sizes import size_table_of_others
from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs = snakemake.input
    table = size_table_of_others(inputs.kernels, snakemake.params.models, inputs.sizes)
    write_frame(table, *snakemake.output, schema_version=FIRST_VERSION)

from kernelatlas.kernels.sizes import size_table
from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    params = snakemake.params
    table = size_table(snakemake.input, params.models, params.kernel_sizes, params.minimum)
    write_frame(table, *snakemake.output, schema_version=FIRST_VERSION)

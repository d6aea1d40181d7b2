from kernelatlas.files import write_frame
from kernelatlas.job import logged
from kernelatlas.sizes import size_table

with logged(snakemake.log[0]):
    params = snakemake.params
    table = size_table(snakemake.input, params.models, params.kernel_sizes, params.minimum)
    write_frame(table, *snakemake.output)

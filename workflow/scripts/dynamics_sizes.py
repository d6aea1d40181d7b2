from kernelatlas.files import write_frame
from kernelatlas.job import logged
from kernelatlas.sizes import size_table_of_others

with logged(snakemake.log[0]):
    inputs = snakemake.input
    table = size_table_of_others(inputs.kernels, snakemake.params.models, inputs.sizes)
    write_frame(table, *snakemake.output)

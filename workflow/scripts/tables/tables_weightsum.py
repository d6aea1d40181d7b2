from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.weightsum import weightsum_table

with logged(snakemake.log[0]):
    k = int(snakemake.wildcards.k)
    table = weightsum_table(snakemake.input.kernels, snakemake.input.labels, k)
    write_frame(table, *snakemake.output)

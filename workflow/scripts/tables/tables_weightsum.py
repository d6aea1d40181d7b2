from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.weightsum import weightsum_table

with logged(snakemake.log[0]):
    k = int(snakemake.wildcards.k)
    table = weightsum_table(snakemake.input.kernels, snakemake.input.labels, k)
    write_table(table, *snakemake.output)

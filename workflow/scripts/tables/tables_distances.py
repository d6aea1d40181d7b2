from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.distances import distance_table

with logged(snakemake.log[0]):
    inputs, k = snakemake.input, int(snakemake.wildcards.k)
    table = distance_table(inputs.corpus, inputs.kernels, snakemake.params.models, k)
    write_frame(table, *snakemake.output, schema_version=FIRST_VERSION)

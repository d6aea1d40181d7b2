from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.distances import layer_table

with logged(snakemake.log[0]):
    write_frame(
        layer_table(snakemake.input, snakemake.params.models),
        *snakemake.output,
        schema_version=FIRST_VERSION,
    )

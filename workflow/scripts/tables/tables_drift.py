from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.drift import drift_table

with logged(snakemake.log[0]):
    inputs = snakemake.input
    write_frame(
        drift_table(inputs.labels, inputs.kernels, snakemake.params.models), *snakemake.output
    )

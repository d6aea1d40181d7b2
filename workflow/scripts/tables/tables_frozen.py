from kernelatlas.running.files import FIRST_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.frozen import tables

with logged(snakemake.log[0]):
    inputs = snakemake.input
    accuracies, learning = tables(inputs.weights, inputs.histories, snakemake.params.trainings)
    write_tables(
        snakemake.output, schema_version=FIRST_VERSION, accuracies=accuracies, learning=learning
    )

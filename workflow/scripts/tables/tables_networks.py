from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.dynamics import network_tables

with logged(snakemake.log[0]):
    inputs, output = snakemake.input, snakemake.output
    tables = network_tables(snakemake.params.networks, inputs.weights, inputs.histories)
    write_frame(tables[0], output.networks, output.networks_csv, schema_version=FIRST_VERSION)
    write_frame(tables[1], output.learning, output.learning_csv, schema_version=FIRST_VERSION)

from kernelatlas.running.files import FIRST_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.dynamics import network_tables

with logged(snakemake.log[0]):
    inputs = snakemake.input
    found = network_tables(snakemake.params.networks, inputs.weights, inputs.histories)
    tables = dict(zip(("networks", "learning"), found, strict=True))
    write_tables(snakemake.output, schema_version=FIRST_VERSION, **tables)

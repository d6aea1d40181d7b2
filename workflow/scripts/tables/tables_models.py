from kernelatlas.running.files import LABELS_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.family import all_families

with logged(snakemake.log[0]):
    tables = {name: all_families(paths) for name, paths in snakemake.input.items()}
    write_tables(snakemake.output, schema_version=LABELS_VERSION, **tables)

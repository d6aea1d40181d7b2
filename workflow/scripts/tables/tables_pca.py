from kernelatlas.running.files import LABELS_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.pca import pca_tables

with logged(snakemake.log[0]):
    scores, components = pca_tables(snakemake.input.corpus, snakemake.input.labels)
    tables = {"scores": scores, "components": components}
    write_tables(snakemake.output, schema_version=LABELS_VERSION, **tables)

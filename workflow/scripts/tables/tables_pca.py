from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.pca import pca_tables

with logged(snakemake.log[0]):
    scores, components = pca_tables(snakemake.input.corpus, snakemake.input.labels)
    write_tables(snakemake.output, scores=scores, components=components)

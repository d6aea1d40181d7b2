from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.pca import pca_tables

with logged(snakemake.log[0]):
    output = snakemake.output
    scores, components = pca_tables(snakemake.input.corpus, snakemake.input.labels)
    write_table(scores, output.scores, output.scores_csv)
    write_table(components, output.components, output.components_csv)

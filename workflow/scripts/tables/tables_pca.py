from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.pca import pca_tables

with logged(snakemake.log[0]):
    output = snakemake.output
    scores, components = pca_tables(snakemake.input.corpus, snakemake.input.labels)
    write_frame(scores, output.scores, output.scores_csv)
    write_frame(components, output.components, output.components_csv)

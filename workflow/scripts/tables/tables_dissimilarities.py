from kernelatlas.clustering.labels import threshold
from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.dissimilarities import dissimilarity_tables

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    summary, bins = dissimilarity_tables(
        inputs.labels,
        inputs.crossfit,
        inputs.nulls,
        params.models,
        params.k,
        threshold(params.k, params.thresholds),
    )
    write_tables(snakemake.output, summary=summary, bins=bins)

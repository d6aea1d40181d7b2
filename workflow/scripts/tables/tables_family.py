from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.family import cluster_shares, random_members

with logged(snakemake.log[0]):
    inputs, models = snakemake.input, snakemake.params.models
    write_tables(
        snakemake.output,
        clusters=cluster_shares(inputs.clusters, inputs.labels, models),
        members=random_members(inputs.clusters, inputs.labels, inputs.kernels, models),
    )

from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.family import cluster_shares, random_members

with logged(snakemake.log[0]):
    inputs, output = snakemake.input, snakemake.output
    models = snakemake.params.models
    shares = cluster_shares(inputs.clusters, inputs.labels, models)
    write_table(shares, output.clusters, output.clusters_csv)
    members = random_members(inputs.clusters, inputs.labels, inputs.kernels, models)
    write_table(members, output.members, output.members_csv)

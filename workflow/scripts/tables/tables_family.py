from kernelatlas.running.files import LABELS_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.family import cluster_shares, random_members
from kernelatlas.tables.layers import layer_table, shape_table
from kernelatlas.tables.models import composition_table, model_table

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    labels, models, thresholds = inputs.labels, params.models, params.thresholds
    write_tables(
        snakemake.output,
        clusters=cluster_shares(inputs.clusters, labels, models),
        members=random_members(inputs.clusters, labels, inputs.kernels, models),
    )
    write_tables(
        snakemake.output,
        schema_version=LABELS_VERSION,
        models=model_table(labels, models, thresholds),
        composition=composition_table(labels, models),
        layers=layer_table(labels, models, thresholds),
        shapes=shape_table(labels, models),
    )

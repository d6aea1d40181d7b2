from kernelatlas.running.files import LABELS_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.layers import layer_table, shape_table
from kernelatlas.tables.models import composition_table, model_table

with logged(snakemake.log[0]):
    labels, params = snakemake.input, snakemake.params
    write_tables(
        snakemake.output,
        schema_version=LABELS_VERSION,
        models=model_table(labels, params.models, params.thresholds),
        composition=composition_table(labels, params.models),
        layers=layer_table(labels, params.models, params.thresholds),
        shapes=shape_table(labels, params.models),
    )

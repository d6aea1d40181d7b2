from kernelatlas.running.files import LABELS_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.dynamics import emergence_table, shape_shares, state_composition

with logged(snakemake.log[0]):
    inputs, models = snakemake.input, snakemake.params.models
    composition = state_composition(inputs.labels, models)
    write_tables(
        snakemake.output,
        schema_version=LABELS_VERSION,
        emergence=emergence_table(
            inputs.labels, inputs.kernels, models, snakemake.params.thresholds
        ),
        composition=composition,
        seeds=shape_shares(composition),
    )

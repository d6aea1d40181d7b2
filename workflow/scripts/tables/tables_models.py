from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.models import composition_table, model_table

with logged(snakemake.log[0]):
    models, params = snakemake.params.models, snakemake.params
    output = snakemake.output
    write_table(
        model_table(snakemake.input, models, params.thresholds), output.models, output.models_csv
    )
    write_table(
        composition_table(snakemake.input, models), output.composition, output.composition_csv
    )

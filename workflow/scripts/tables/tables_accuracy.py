import pandas as pd

from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.accuracy import accuracy_table, correlation_table

with logged(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    models = pd.read_parquet(inputs.models)
    accuracy = accuracy_table(models, params.networks, inputs.weights, inputs.imagenet)
    correlations = correlation_table(accuracy, params.resamples)
    write_tables(output, accuracy=accuracy, correlations=correlations)

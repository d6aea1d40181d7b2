import pandas as pd

from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.accuracy import accuracy_table, correlation_table

with logged(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    models = pd.read_parquet(inputs.models)
    accuracy = accuracy_table(models, params.networks, inputs.weights, inputs.imagenet)
    write_table(accuracy, output.accuracy, output.accuracy_csv)
    correlations = correlation_table(accuracy, params.resamples)
    write_table(correlations, output.correlations, output.correlations_csv)

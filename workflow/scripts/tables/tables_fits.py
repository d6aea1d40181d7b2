import torch

from kernelatlas.evidence.fitted import prototype_table
from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.fits import function_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    functions = function_table(inputs.labels, inputs.fits, params.models, params.k, params.r2)
    prototypes = prototype_table(inputs.clusters)
    write_tables(snakemake.output, functions=functions, prototypes=prototypes)

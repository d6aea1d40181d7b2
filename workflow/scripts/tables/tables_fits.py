import torch

from kernelatlas.evidence.fitted import prototype_table
from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.fits import function_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params, output = snakemake.input, snakemake.params, snakemake.output
    functions = function_table(inputs.labels, inputs.fits, params.models, params.k, params.bound)
    write_table(functions, output.functions, output.functions_csv)
    prototypes = prototype_table(inputs.clusters)
    write_table(prototypes, output.prototypes, output.prototypes_csv)

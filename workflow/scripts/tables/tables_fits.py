import torch

from kernelatlas.evidence.fitted import prototype_table
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.fits import function_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params, output = snakemake.input, snakemake.params, snakemake.output
    functions = function_table(inputs.labels, inputs.fits, params.models, params.k, params.bound)
    write_frame(functions, output.functions, output.functions_csv)
    prototypes = prototype_table(inputs.clusters)
    write_frame(prototypes, output.prototypes, output.prototypes_csv)

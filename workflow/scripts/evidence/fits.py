import torch

from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    write_fits(fit_model(snakemake.input[0], snakemake.params.sizes), snakemake.output[0])

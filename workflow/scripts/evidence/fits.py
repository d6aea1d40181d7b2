import gc

import torch

from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.running.device import resolve
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    # A network of few kernels, or a machine without a GPU, has no share of one.
    device = resolve(snakemake.config["device"] if snakemake.resources.gpu_quarters else "cpu")
    table = fit_model(snakemake.input[0], snakemake.params.sizes, device)
    write_fits(table, snakemake.output[0])

# What is left needs no collection, which takes a quarter as long as PyTorch's import.
gc.freeze()

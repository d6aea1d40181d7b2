import torch

from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence.crossfit import CrossFit
from kernelatlas.evidence.nulls import null_table
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params = snakemake.input, snakemake.params
    curves = [Curve.load(path) for path in inputs.autoencoders]
    unseen = CrossFit.load(inputs.crossfit)
    table = null_table(inputs.kernels, unseen, curves, params.minimum_cosine, params.sample)
    write_frame(table, snakemake.output[0])

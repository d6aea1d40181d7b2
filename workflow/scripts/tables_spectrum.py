import torch

from kernelatlas.autoencoder import Autoencoder
from kernelatlas.corpus import read_corpus
from kernelatlas.files import write_frame
from kernelatlas.job import logged
from kernelatlas.tables.spectrum import spectrum_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    _, kernels = read_corpus(snakemake.input.corpus)
    curve = Autoencoder.load(snakemake.input.autoencoder).sample(kernels)
    write_frame(spectrum_table(*curve, snakemake.input.clusters), *snakemake.output)

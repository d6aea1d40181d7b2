import torch

from kernelatlas.autoencoder import Autoencoder
from kernelatlas.clusters import cluster_table
from kernelatlas.corpus import read_corpus
from kernelatlas.files import write_frame
from kernelatlas.job import logged

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    _, kernels = read_corpus(snakemake.input.corpus)
    curve = Autoencoder.load(snakemake.input.autoencoder).sample(kernels)
    params = snakemake.params
    table = cluster_table(*curve, price=params.price, minimum_cosine=params.minimum_cosine)
    write_frame(table, snakemake.output[0])

import torch

from kernelatlas.autoencoder import Autoencoder
from kernelatlas.corpus import read_corpus
from kernelatlas.files import write_frame
from kernelatlas.job import logged
from kernelatlas.masterkeys import save
from kernelatlas.tables.masterkeys import corpus_energies, search_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    _, kernels = read_corpus(inputs.corpus)
    energy = corpus_energies(inputs.kernels, k)
    curve = Autoencoder.load(inputs.autoencoder).curve(params.codes)
    codes, decoded = (values.detach().numpy() for values in curve)
    found, table = search_table(kernels, energy, codes, decoded, params.sample)
    kept = found.kept(params.n_keys)
    known = {"k": k, "codes": codes[kept].tolist(), "kernels": len(kernels), "seed": params.seed}
    save(output.safetensors, decoded[kept].reshape(-1, k, k), known)
    write_frame(table, output.table, output.table_csv)

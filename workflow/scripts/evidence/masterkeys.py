import numpy as np
import torch

from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence.masterkeys import save
from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.masterkeys import corpus_energies, search_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    _, kernels = read_corpus(inputs.corpus)
    energy = corpus_energies(inputs.kernels, k)
    curve = Curve.load(inputs.autoencoder)
    places = np.linspace(0, len(curve.points) - 1, params.codes).round().astype(int)
    codes, decoded = curve.codes[places], curve.points[places]
    found, table = search_table(kernels, energy, codes, decoded, params.sample)
    kept = found.kept(params.n_keys)
    known = {"k": k, "codes": codes[kept].tolist(), "kernels": len(kernels), "seed": params.seed}
    save(output.safetensors, decoded[kept].reshape(-1, k, k), known)
    write_frame(table, output.table, output.table_csv)

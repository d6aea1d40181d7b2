import torch

from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence.masterkeys import save
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.masterkeys import corpus_energies, search_table

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    kernels = corpus_kernels(inputs.corpus)
    energy = corpus_energies(inputs.kernels, k)
    curve = Curve.load(inputs.autoencoder)
    found, table = search_table(kernels, energy, curve, params.codes, params.n_keys, params.sample)
    codes = curve.codes[found.places].tolist()
    known = {"k": k, "codes": codes, "kernels": len(kernels), "seed": params.seed}
    save(output.safetensors, curve.points[found.places].reshape(-1, k, k), known)
    write_frame(table, output.table, output.table_csv)

import numpy as np
import pandas as pd

from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.running.tensors import read_tensors
from kernelatlas.tables.masterkeys import corpus_energies, filter_sets, filter_table, model_table

with logged(snakemake.log[0]):
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    _, kernels = read_corpus(inputs.corpus)
    energy = corpus_energies(inputs.trained, k)
    tensors, metadata = read_tensors(inputs.safetensors, ["keys"])
    keys, codes = tensors["keys"].reshape(-1, k * k), metadata["codes"]
    prototypes = np.stack(pd.read_parquet(inputs.clusters)["prototype"])
    sets, sigmas = filter_sets(keys, prototypes, kernels, params.sample)
    filters = filter_table(keys, codes, sigmas, kernels, energy)
    del kernels
    models = model_table(inputs.kernels, params.models, k, sets)
    write_tables(output, filters=filters, models=models)

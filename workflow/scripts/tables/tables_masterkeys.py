import numpy as np
import pandas as pd

from kernelatlas.evidence.masterkeys import load, metadata_of
from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.masterkeys import corpus_energies, filter_sets, filter_table, model_table

with logged(snakemake.log[0]):
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    _, kernels = read_corpus(inputs.corpus)
    energy = corpus_energies(inputs.trained, k)
    keys, codes = (
        load(inputs.safetensors).reshape(-1, k * k),
        metadata_of(inputs.safetensors)["codes"],
    )
    prototypes = np.stack(pd.read_parquet(inputs.clusters)["prototype"])
    sets, sigmas = filter_sets(keys, prototypes, kernels, params.sample)
    filters = filter_table(keys, codes, sigmas, kernels, energy)
    write_table(filters, output.filters, output.filters_csv)
    del kernels
    models = model_table(inputs.kernels, params.models, k, sets)
    write_table(models, output.models, output.models_csv)

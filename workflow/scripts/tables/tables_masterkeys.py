import numpy as np
import pandas as pd

from kernelatlas.evidence.published import read_published
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.running.tensors import read_tensors
from kernelatlas.tables.key_frequencies import frequency_table
from kernelatlas.tables.masterkeys import corpus_energies, filter_sets, filter_table, model_table

with logged(snakemake.log[0]):
    k = int(snakemake.wildcards.k)
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    published = read_published(inputs.published[0]) if inputs.published else None
    kernels = corpus_kernels(inputs.corpus)
    energy = corpus_energies(inputs.trained, k)
    tensors, metadata = read_tensors(inputs.safetensors, ["keys"])
    keys, codes = tensors["keys"].reshape(-1, k * k), metadata["codes"]
    prototypes = np.stack(pd.read_parquet(inputs.clusters)["prototype"])
    sets, scales = filter_sets(keys, prototypes, kernels, params.sample, published)
    filters = filter_table(sets, codes, scales, kernels, energy)
    del kernels
    known = inputs.kernels, params.models, k, sets
    frequencies = frequency_table(*known, filters)
    write_tables(output, filters=filters, models=model_table(*known), frequencies=frequencies)

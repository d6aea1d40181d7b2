import torch

from kernelatlas.running.files import FIRST_VERSION, write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.data import data_tables
from kernelatlas.training.recipes import read_recipe

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    recipes = {name: read_recipe(path) for name, path in snakemake.params.recipes}
    spectra, samples = data_tables(recipes)
    tables = {"spectra": spectra, "samples": samples}
    write_tables(snakemake.output, schema_version=FIRST_VERSION, **tables)

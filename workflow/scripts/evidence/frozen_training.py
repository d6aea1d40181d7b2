import pandas as pd
import torch

from kernelatlas.evidence import frozen
from kernelatlas.evidence.masterkeys import load
from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged
from kernelatlas.running.kept import is_current, record
from kernelatlas.training.recipes import read_recipe

with logged(snakemake.log[0]):
    inputs, output, wildcards = snakemake.input, snakemake.output, snakemake.wildcards
    job = inputs, output, dict(snakemake.params.items())
    if not is_current(*job):
        torch.set_num_threads(snakemake.threads)
        recipe, seed = read_recipe(inputs.recipe[0]), int(wildcards.seed)
        keys = load(inputs.masterkeys[0]) if inputs.masterkeys else None
        filters = frozen.filters(wildcards.variant, keys, seed)
        assign_from = inputs.learned[0] if inputs.learned else None
        device = snakemake.config["device"]
        trained = frozen.train(recipe, seed, filters, assign_from, device)
        write_frame(pd.DataFrame(trained.history), output.history, schema_version=FIRST_VERSION)
        trained.write_weights(output.weights)
        record(*job)

from pathlib import Path

import pandas as pd
import torch

from kernelatlas.running.files import FIRST_VERSION, write_frame
from kernelatlas.running.job import logged
from kernelatlas.training.architectures import read_recipe
from kernelatlas.training.network import train

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    recipe = read_recipe(snakemake.input.recipe[0])
    params, output = snakemake.params, snakemake.output
    # Not an output: it must outlive a job that was killed.
    resume = Path(output.weights).with_suffix(".resume")
    trained = train(recipe, snakemake.config["device"], resume, params.code)
    trained.write_trajectory(output.trajectory)
    write_frame(pd.DataFrame(trained.history), output.history, schema_version=FIRST_VERSION)
    trained.write_weights(output.weights)

import json

import pandas as pd
import torch
from safetensors.torch import save

from kernelatlas.architectures import read_recipe
from kernelatlas.files import whole, write_frame
from kernelatlas.job import logged
from kernelatlas.network import train

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    recipe = read_recipe(snakemake.input.recipe)
    state, metadata, history = train(recipe, snakemake.params.device)
    text = json.dumps(metadata, sort_keys=True)
    with whole(snakemake.output.weights) as partial:
        partial.write_bytes(save(state, metadata={"kernelatlas": text}))
    write_frame(pd.DataFrame(history), snakemake.output.history)

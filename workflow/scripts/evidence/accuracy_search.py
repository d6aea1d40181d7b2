import json

import pandas as pd
import torch

from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence.accuracy_search import Settings, search, skipped
from kernelatlas.evidence.trials import opened
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.training.pretrained import UnsuitedError

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    model, settings = snakemake.wildcards.model, Settings(**params.settings)
    file = next(iter(inputs.network), None)
    checkpoint = {**json.loads(params.checkpoint), "file": file}
    place = inputs.kernels, params.sizes, config["images"], params.limit, config["device"]
    resume = snakemake.output[0].removesuffix(".parquet")
    code = f"{params.code} {params.pictures}"
    try:
        with opened(model, checkpoint, *place) as trial:
            tables = [
                search(trial, curve, settings, f"{resume}_k{curve.k}.resume", code)
                for curve in map(Curve.load, inputs.autoencoders)
            ]
    except UnsuitedError as reason:
        tables = [skipped(str(reason))]
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "model", model)
    write_frame(table, snakemake.output[0])

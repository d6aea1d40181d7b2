import json
from pathlib import Path

import torch

from kernelatlas.evidence.replacements import evaluate, skipped
from kernelatlas.evidence.trials import opened
from kernelatlas.evidence.variants import Material, variants
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.training.pretrained import UnsuitedError

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    model = snakemake.wildcards.model
    file = next(iter(inputs.network), None)
    checkpoint = {**json.loads(params.checkpoint), "file": file}
    place = inputs.kernels, params.sizes, config["images"], params.limit, config["device"]
    published = next(iter(inputs.published), None)
    files = inputs.masterkeys, inputs.clusters, inputs.baselines, inputs.fits, published
    material = Material.read(*files)
    code = f"{params.code} {params.pictures}"
    try:
        with opened(model, checkpoint, *place) as trial:
            found = variants(trial.kernels, material)
            # Not an output: it must outlive a job that was killed.
            resume = Path(snakemake.output[0]).with_suffix(".resume")
            table = evaluate(trial, found, resume, code)
    except UnsuitedError as reason:
        table = skipped(str(reason))
    table.insert(0, "model", model)
    write_frame(table, snakemake.output[0])

import json

import torch

from kernelatlas.evidence.replacements import evaluate, skipped
from kernelatlas.evidence.trials import opened
from kernelatlas.evidence.variants import Material, variants
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.sources.packages import Packaged
from kernelatlas.training.pretrained import UnsuitedError

with logged(snakemake.log[0]) as terminal:
    torch.set_num_threads(snakemake.threads)
    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    packaged = json.loads(params.packaged)
    checkpoint = {
        "file": next(iter(inputs.network), None),
        "remote": json.loads(params.remote),
        "packaged": Packaged(**packaged) if packaged else None,
        "architecture": params.architecture,
        "key": params.key,
    }
    place = inputs.kernels, params.sizes, config["images"], params.limit, config["device"]
    material = Material.read(inputs.masterkeys, inputs.clusters, inputs.baselines, inputs.fits)
    try:
        with opened(snakemake.wildcards.model, checkpoint, *place) as trial:
            code = f"{params.code} {params.pictures}"
            found = variants(trial.kernels, material)
            table = evaluate(trial, found, params.resume, code, terminal)
    except UnsuitedError as reason:
        table = skipped(str(reason))
    table.insert(0, "model", snakemake.wildcards.model)
    write_frame(table, snakemake.output[0])

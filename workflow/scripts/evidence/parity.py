import json

import torch

from kernelatlas.evidence.parity import no_tests, on_pictures
from kernelatlas.running.device import resolve
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.training.pretrained import UnsuitedError, load

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    file = next(iter(inputs.network), None)
    checkpoint = {**json.loads(params.checkpoint), "file": file}
    try:
        network = load(snakemake.wildcards.model, inputs.kernels, **checkpoint)
        device = resolve(config["device"])
        table = on_pictures(network, config["images"], params.limit, device)
    except UnsuitedError as reason:
        table = no_tests(str(reason))
    write_frame(table, snakemake.output[0])

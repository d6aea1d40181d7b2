import hashlib
import logging

import pandas as pd
import torch

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.running.kept import is_current, record

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    params, outputs = snakemake.params, list(snakemake.output)
    settings = {**params.settings, "widths": tuple(params.settings["widths"])}
    _, kernels = read_corpus(snakemake.input[0])
    digest = hashlib.sha256(kernels.tobytes()).hexdigest()
    made_from = [digest, params.seed, settings, params.code]
    if is_current(outputs, made_from):
        logging.info("kept: kernels, seed, settings and code are the same")
    else:
        # No parameter: another device is no reason to train again.
        device = snakemake.config["device"]
        model, history = fit(kernels, Settings(**settings), params.seed, device, logging.info)
        model.save(snakemake.output.weights, {"seed": params.seed, "kernels": len(kernels)})
        write_frame(pd.DataFrame(history), snakemake.output.history)
        record(outputs, made_from)

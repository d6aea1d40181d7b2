import logging

import pandas as pd
import torch

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.kernels.corpus import read_corpus
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    seed, settings = snakemake.params.seed, dict(snakemake.params.settings)
    settings["widths"] = tuple(settings["widths"])
    _, kernels = read_corpus(snakemake.input[0])
    model, history = fit(
        kernels, Settings(**settings), seed, snakemake.config["device"], logging.info
    )
    model.save(snakemake.output.weights, {"seed": seed, "kernels": len(kernels)})
    write_frame(pd.DataFrame(history), snakemake.output.history)

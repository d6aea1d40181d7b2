import pandas as pd
import torch

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.running.kept import is_current, record

with logged(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    job = snakemake.input, output, dict(params.items())
    if not is_current(*job):
        torch.set_num_threads(snakemake.threads)
        kernels = corpus_kernels(snakemake.input[0])
        # No parameter: another device is no reason to train again.
        device = snakemake.config["device"]
        model, history = fit(kernels, Settings(**params.settings), params.seed, device)
        model.save(output.weights, {"seed": params.seed, "kernels": len(kernels)})
        write_frame(pd.DataFrame(history), output.history)
        record(*job)

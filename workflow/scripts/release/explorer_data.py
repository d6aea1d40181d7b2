from pathlib import Path

from kernelatlas.release.explorer_folder import write_data
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_tables import Network
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    tables = zip(inputs.kernels, inputs.labels, inputs.fits, strict=True)
    write_data(
        Path(snakemake.output[0]).parent,
        [
            Network(*model, *map(Path, paths))
            for model, paths in zip(params.models, tables, strict=True)
        ],
        inputs.clusters,
        inputs.autoencoders,
        Shares(*map(Path, (inputs.models, inputs.shapes, inputs.layers))),
        dict(zip(params.sizes, inputs.nulls, strict=True)),
        params.r2,
    )

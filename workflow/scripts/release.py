from pathlib import Path

from kernelatlas.job import logged
from kernelatlas.release import write_release

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    folder = Path(snakemake.output.manifest).parent
    write_release(
        folder,
        folder.parent,
        inputs.files,
        inputs.kernels,
        params.models,
        params.settings,
        inputs.dictionary,
    )

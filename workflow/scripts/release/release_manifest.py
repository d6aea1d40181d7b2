from pathlib import Path

from kernelatlas.release.release import write_release
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    write_release(
        Path(snakemake.output.manifest).parent,
        inputs.files,
        inputs.kernels,
        params.models,
        params.settings,
        inputs.dictionary,
    )

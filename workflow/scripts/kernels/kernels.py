import json

from kernelatlas.running.job import logged, tell
from kernelatlas.sources.extract import extract
from kernelatlas.sources.packages import Packaged
from kernelatlas.sources.source import Options

with logged(snakemake.log[0]):
    packaged = json.loads(snakemake.params.packaged)
    reason = extract(
        snakemake.output[0],
        snakemake.params.model,
        snakemake.input[0] if snakemake.input else None,
        json.loads(snakemake.params.remote),
        Packaged(**packaged) if packaged else None,
        snakemake.params.architecture,
        Options(**json.loads(snakemake.params.options)),
        # No parameter: it changes nothing of what can be read.
        skip=snakemake.config["missing"] == "skip",
    )
    if reason:
        tell(f"left out: {reason}")

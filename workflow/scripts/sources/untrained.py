from kernelatlas.running.job import logged
from kernelatlas.training import architectures

with logged(snakemake.log[0]):
    architectures.write_untrained(
        snakemake.output[0],
        snakemake.params.architecture,
        snakemake.params.seed,
        dict(snakemake.params.arguments),
    )

from kernelatlas import architectures
from kernelatlas.job import logged

with logged(snakemake.log[0]):
    architectures.write_untrained(
        snakemake.output[0],
        snakemake.params.architecture,
        snakemake.params.seed,
        dict(snakemake.params.arguments),
    )

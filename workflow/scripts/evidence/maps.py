from kernelatlas.running.job import logged
from kernelatlas.training.maps import known_maps, write_maps

with logged(snakemake.log[0]):
    if snakemake.input:
        # Imported only here: torch and timm take seconds.
        from kernelatlas.training.network_maps import of_trained_here

        table = of_trained_here(snakemake.input[0])
    else:
        table = known_maps(snakemake.params.maps)
    write_maps(snakemake.output[0], snakemake.wildcards.model, table)

from kernelatlas.running.job import logged
from kernelatlas.training.maps import of_architecture, of_trained_here, write_maps

with logged(snakemake.log[0]):
    model = snakemake.wildcards.model
    if snakemake.input:
        table = of_trained_here(snakemake.input[0])
    else:
        table = of_architecture(snakemake.params.architecture, model)
    write_maps(snakemake.output[0], model, table)

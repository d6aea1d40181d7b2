from kernelatlas.checkpoints import read_depthwise
from kernelatlas.job import logged
from kernelatlas.kernels import source_of, write_kernels

with logged(snakemake.log[0]):
    path = snakemake.input[0]
    reading = read_depthwise(path)
    write_kernels(
        snakemake.output[0], snakemake.wildcards.model, reading.layers, source_of(path, reading)
    )

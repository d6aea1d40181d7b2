from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.offsets import offset_tables

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    offsets, layers, strides, histogram = offset_tables(
        inputs.fits,
        inputs.labels,
        inputs.kernels,
        dict(zip(params.mapped, inputs.maps, strict=True)),
        params.models,
        params.r2,
    )
    write_tables(
        snakemake.output, offsets=offsets, layers=layers, strides=strides, histogram=histogram
    )

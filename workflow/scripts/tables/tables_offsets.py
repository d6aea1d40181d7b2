from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.offsets import offset_tables

with logged(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    offsets, layers, histogram = offset_tables(
        inputs.fits, inputs.labels, inputs.kernels, params.models, params.r2
    )
    write_frame(offsets, output.offsets, output.offsets_csv)
    write_frame(layers, output.layers, output.layers_csv)
    write_frame(histogram, output.histogram, output.histogram_csv)

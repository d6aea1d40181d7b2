from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.offsets import offset_tables

with logged(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    offsets, layers, histogram = offset_tables(
        inputs.fits, inputs.labels, inputs.kernels, params.models, params.r2
    )
    write_table(offsets, output.offsets, output.offsets_csv)
    write_table(layers, output.layers, output.layers_csv)
    write_table(histogram, output.histogram, output.histogram_csv)

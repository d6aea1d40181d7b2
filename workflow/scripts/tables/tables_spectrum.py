from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.spectrum import spectrum_table

with logged(snakemake.log[0]):
    inputs = snakemake.input
    table = spectrum_table(inputs.corpus, inputs.autoencoder, snakemake.params.minimum_cosine)
    write_frame(table, *snakemake.output)

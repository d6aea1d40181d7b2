from kernelatlas.clustering.labels import threshold
from kernelatlas.running.files import write_tables
from kernelatlas.running.job import logged
from kernelatlas.tables.compared import gather
from kernelatlas.tables.nulls import null_curves, null_shares

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    tables = inputs.labels, inputs.fits, inputs.crossfit, inputs.nulls
    kernels = gather(*tables, params.models, params.k)
    dissimilarity = threshold(params.k, params.thresholds)
    shares = null_shares(kernels, dissimilarity, params.r2, params.rate)
    write_tables(snakemake.output, shares=shares, curves=null_curves(kernels))

from kernelatlas.clustering.labels import threshold
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.nulls import gather, null_curves, null_shares

with logged(snakemake.log[0]):
    inputs, params, output = snakemake.input, snakemake.params, snakemake.output
    kernels = gather(inputs.labels, inputs.fits, inputs.nulls, params.models, params.k)
    below = threshold(params.k, params.thresholds)
    shares = null_shares(kernels, below, params.r2, params.rate)
    write_frame(shares, output.shares, output.shares_csv)
    write_frame(null_curves(kernels), output.curves, output.curves_csv)

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.crossfit import CrossFit
from kernelatlas.evidence.sensitivity import sensitivity_table
from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    table = sensitivity_table(
        inputs.kernels,
        CrossFit.load(inputs.crossfit),
        [Curve.load(path) for path in inputs.autoencoders],
        params.models,
        (threshold(params.k, params.thresholds), params.minimum_cosine),
        params.sample,
    )
    write_frame(table, *snakemake.output)

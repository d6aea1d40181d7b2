import pandas as pd

from kernelatlas.figures import family_clusters, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    family, inputs = snakemake.wildcards.family, snakemake.input
    models = pd.read_parquet(inputs.models).query("family == @family")
    figure = family_clusters.draw(
        pd.concat([pd.read_parquet(path) for path in inputs.clusters], ignore_index=True),
        pd.read_parquet(inputs.shares),
        pd.read_parquet(inputs.members),
        models,
        {"family": family, "seeds": snakemake.params.seeds},
    )
    style.save(figure, *snakemake.output)

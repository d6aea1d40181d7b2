import pandas as pd

from kernelatlas.figures import family_layers, style
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    family = snakemake.wildcards.family
    composition = pd.read_parquet(snakemake.input.composition).query("family == @family")
    figure = family_layers.draw(composition, {"family": family, "seed": snakemake.params.seed})
    style.save(figure, *snakemake.output)

"""The baselines' scores with the seconds that each took, on the corpora in results/.

Prints one table, a row a method: means over the seeds of the config. The project's own
autoencoder is trained before; the seconds of that are those that Snakemake wrote down, if it
did. All on one thread; timings compare within one run only, and with those on the same machine.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
import yaml

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.baselines import outcomes
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.tables.baselines import agreement_table, baseline_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
COLUMNS = {
    "dimensions": "dimensions",
    "clusters": "clusters",
    "mean_dissimilarity": "dissimilarity",
    "mean_dissimilarity_prototype": "to prototype",
    "share_identified": "identified",
    "share_identified_prototype": "by prototype",
    "silhouette": "silhouette",
    "davies_bouldin": "Davies-Bouldin",
    "ari": "ARI of seeds",
    "seconds": "seconds",
}


def training_seconds(k: int, seed: int) -> float:
    """Return what Snakemake measured; NaN without."""
    path = RESULTS / f"benchmarks/autoencoders/k{k}_seed{seed}.tsv"
    return float(pd.read_csv(path, sep="\t")["s"].mean()) if path.is_file() else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("k", nargs="?", type=int, default=7, help="size of the kernels")
    k = parser.parse_args().k
    torch.set_num_threads(1)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    options, seeds = config["autoencoder"], config["seeds"]
    corpus = RESULTS / f"corpora/k{k}.parquet"
    if not corpus.is_file():
        parser.error(f"no {corpus}: run `make` first")
    kernels = sample_of(corpus_kernels(corpus), config["evidence"]["sample"], seeds[0])
    paths = {seed: RESULTS / f"autoencoders/k{k}_seed{seed}.safetensors" for seed in seeds}
    settings = Settings(**{**options, "widths": tuple(options["widths"])})
    minimum_cosine = config["clusters"]["minimum_cosine"]
    found = list(outcomes(kernels, settings, paths, minimum_cosine))
    below = threshold(k, {str(size): value for size, value in config["thresholds"].items()})
    table = baseline_table(kernels, found, below, minimum_cosine)
    table["seconds"] = [
        outcome.seconds
        + (training_seconds(k, outcome.seed) if outcome.method.startswith("autoencoder 1") else 0)
        for outcome in found
    ]
    means = table.groupby("method", sort=False).mean(numeric_only=True)
    agreement = agreement_table(found).query("method == other").set_index("method")
    means["ari"] = agreement["adjusted_rand_index"]
    print(f"{len(kernels)} kernels of {k}x{k}, means over the seeds {seeds}")
    print(means[list(COLUMNS)].rename(columns=COLUMNS).round(3).to_string())


if __name__ == "__main__":
    main()

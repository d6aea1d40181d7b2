"""What it costs in accuracy that baselines, nulls and k-means see a sample of the kernels.

`python benchmarks/sampling.py --results results --k 7` needs what `snakemake all` leaves. Draws
samples of several sizes from the corpus, five of each, and computes on each what tables of
`evidence` give: the share of kernels identified by the first seed's curve; the same of normal
weights with the second moments of the sample's kernels; the share identified by k-means, whose
prototypes are of the sample. Prints a row a size: mean and standard deviation over the samples, in
percent, and CPU seconds of all three. `evidence.sample` in config.yaml is 10,000.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from kernelatlas.clustering.labels import threshold
from kernelatlas.evidence.baselines import Outcome, curve, kmeans
from kernelatlas.evidence.nulls import generate, products
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.tables.baselines import baseline_table

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
COSINE = CONFIG["clusters"]["minimum_cosine"]
SAMPLES, CENTROIDS = 5, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--k", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 3_000, 10_000, 30_000])
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpus = corpus_kernels(given.results / f"corpora/k{given.k}.parquet")
    autoencoder = given.results / f"autoencoders/k{given.k}_seed{CONFIG['seeds'][0]}.safetensors"
    dissimilarity = threshold(given.k, CONFIG["thresholds"])

    def identified(kernels: np.ndarray, found: Outcome) -> float:
        table = baseline_table(kernels, [found], dissimilarity, COSINE)
        return 100 * float(table["share_identified"].iloc[0])

    rows = []
    for n in given.sizes:
        if n > len(corpus):
            continue
        began, shares = time.process_time(), []
        for seed in range(SAMPLES):
            kernels = sample_of(corpus, n, seed)
            null = normalise(generate("covariance", kernels, products(kernels) / n, [seed]))
            shares.append(
                {
                    "curve": identified(kernels, curve(kernels, autoencoder, COSINE)),
                    "covariance null": identified(null, curve(null, autoencoder, COSINE)),
                    f"k-means {CENTROIDS}": identified(kernels, kmeans(kernels, CENTROIDS, 0)),
                }
            )
        table = pd.DataFrame(shares)
        row = {name: f"{table[name].mean():.2f} ± {table[name].std():.2f}" for name in table}
        rows.append({"kernels": n, **row, "s": (time.process_time() - began) / SAMPLES})
        print(pd.DataFrame(rows).round(1).to_string(index=False), "\n", flush=True)


if __name__ == "__main__":
    main()

"""The autoencoder against spherical k-means, on the corpora in results/ (`make benchmark`).

Prints a table: mean dissimilarity with projected codes and with the encoder's codes
beside k-means with 8 and 20 centroids (scikit-learn, 10 starts) on the same kernels, how
many kernels a second each goes through, and the peak memory of a process of its own.
Timings compare within one run only.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from kernelatlas.autoencoder import Settings, fit
from kernelatlas.corpus import read_corpus
from kernelatlas.device import describe, resolve
from kernelatlas.kmeans import dissimilarity, spherical_kmeans

ROOT = Path(__file__).parents[1]


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def row(method: str, losses: list[float], passes: float, seconds: float) -> dict[str, object]:
    return {
        "method": method,
        "mean dissimilarity": " ".join(f"{loss:.4f}" for loss in losses),
        "kernels/s": f"{passes / seconds:,.0f}",
        "seconds": f"{seconds:.1f}",
        "peak MiB": f"{peak_mib():.0f}",
    }


def autoencoders(path: Path, settings: Settings, seeds: list[int], device: str) -> list[dict]:
    _, kernels = read_corpus(path)
    began = time.perf_counter()
    models = [fit(kernels, settings, seed, device)[0] for seed in seeds]
    seconds = time.perf_counter() - began
    data = torch.from_numpy(kernels).to(resolve(device))
    passes = len(seeds) * settings.epochs * len(kernels)
    projected = [model.project(data)[1].mean().item() for model in models]
    encoded = [model.reconstruct(data)[1].mean().item() for model in models]
    return [
        row("autoencoder, projected codes", projected, passes, seconds),
        row("autoencoder, encoder's codes", encoded, passes, seconds),
    ]


def kmeans(path: Path, centroids: int, seeds: list[int]) -> list[dict]:
    _, kernels = read_corpus(path)
    began = time.perf_counter()
    found = [spherical_kmeans(kernels, centroids, seed, n_init=10) for seed in seeds]
    seconds = time.perf_counter() - began
    losses = [float(np.mean(dissimilarity(kernels, prototypes))) for prototypes in found]
    return [row(f"spherical k-means, {centroids}", losses, len(seeds) * len(kernels), seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", nargs="*", type=Path, help="default: results/corpora/*.parquet")
    arguments = parser.parse_args()
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    options = config["autoencoder"]
    settings = Settings(**{**options, "widths": tuple(options["widths"])})
    seeds, device = config["seeds"], config["device"]
    corpora = arguments.corpora or sorted((ROOT / "results/corpora").glob("*.parquet"))
    if not corpora:
        parser.error("no corpora in results/: run `make` first")
    # A process each, so that a peak is one method's alone.
    context = multiprocessing.get_context("spawn")
    for path in corpora:
        rows = []
        for task in (
            (kmeans, (path, 8, seeds)),
            (kmeans, (path, 20, seeds)),
            (autoencoders, (path, settings, seeds, device)),
        ):
            with context.Pool(1) as pool:
                rows += pool.apply(*task)
        kernels = len(read_corpus(path)[0])
        print(
            f"\n{path.name}: {kernels} kernels, seeds {seeds}, {describe(resolve(device))}, "
            f"{torch.get_num_threads()} threads"
        )
        print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()

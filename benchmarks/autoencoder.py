"""The autoencoder against spherical k-means and its own former settings (`make benchmark`).

For each number of kernels one table: mean dissimilarity to the reconstruction, seconds of one
seed on one thread, and the peak memory of a process of its own. k-means (8, 20 and 50 centroids)
is scikit-learn's on unit vectors with the project's rounds on the sphere; its reconstruction is
the nearest centroid. "Former" is the training that the principal curve replaced: a decoder with
24 Fourier features laid on 24 centroids, and 150 epochs (20 above 100,000 kernels, as the old
config advised) of cosine losses at the best and at the encoder's code. Timings compare within one
run only.

Kernels are the corpora in results/ up to their size; larger sets are the 7×7 corpus with noise:
random pairs of kernels mixed, with normal noise of a tenth of their length.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from torch import nn

from kernelatlas.clustering.autoencoder import Settings, cosine_loss, fit, one_cycle, perceptron
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.kmeans import dissimilarity, short_path, spherical_kmeans
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import normalise

ROOT = Path(__file__).parents[1]
SEED = 0
SEEN = 50_000  # kernels that k-means sees at most
SCORED = 50_000  # kernels that are scored at most
CENTROIDS = (8, 20, 50)


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def kernels_of(path: Path, n: int) -> np.ndarray:
    """Return n kernels: the first of a corpus in random order, or more made of them."""
    corpus = corpus_kernels(path)
    rng = np.random.default_rng(SEED)
    if n <= len(corpus):
        return corpus[np.sort(rng.choice(len(corpus), n, replace=False))]
    made = np.empty((n, corpus.shape[1]), np.float32)
    for begin in range(0, n, SEEN):
        rows = min(SEEN, n - begin)
        one, other = (corpus[rng.integers(len(corpus), size=rows)] for _ in range(2))
        share = rng.random((rows, 1), np.float32)
        noise = rng.normal(0, 0.1 / corpus.shape[1] ** 0.5, one.shape)
        made[begin : begin + rows] = normalise(share * one + (1 - share) * other + noise)
    return made


def scored(kernels: np.ndarray) -> np.ndarray:
    return kernels[:: max(len(kernels) // SCORED, 1)]


def ours(kernels: np.ndarray, settings: Settings) -> dict[str, float]:
    model, _ = fit(kernels, settings, SEED, "cpu")
    curve = Curve(model.k, SEED, model.curve().numpy(), model.concentration)
    seen = scored(kernels)
    return {
        "dissimilarity": float(curve.draw(seen).dissimilarity.mean()),
        "encoder's codes": float(model.reconstruct(torch.from_numpy(seen))[1].mean()),
    }


def kmeans(kernels: np.ndarray, n: int) -> dict[str, float]:
    centroids = spherical_kmeans(kernels[:: max(len(kernels) // SEEN, 1)], n, SEED)
    return {"dissimilarity": float(dissimilarity(scored(kernels), centroids).mean())}


class Former(nn.Module):
    """The network of the former training; the encoder's code is a sigmoid."""

    def __init__(self, k: int):
        super().__init__()
        self.k = k
        self.encoder = perceptron(k * k, 256, 256, 1)
        self.decoder = perceptron(48, 256, 256, k * k)
        self.frequencies = torch.pi * torch.arange(1, 25)

    def encode(self, kernels: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.encoder(kernels * self.k).squeeze(1))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        phases = codes[:, None] * self.frequencies
        values = self.decoder(torch.cat([phases.sin(), phases.cos()], dim=1))
        values = values - values.mean(dim=1, keepdim=True)
        return nn.functional.normalize(values, dim=1)


def former(kernels: np.ndarray) -> dict[str, float]:
    torch.manual_seed(SEED)
    k = side(kernels)
    model, data = Former(k), torch.from_numpy(kernels)
    centroids = spherical_kmeans(kernels[:: max(len(kernels) // SEEN, 1)], 24, SEED)
    targets = torch.from_numpy(centroids[short_path(centroids)])
    codes = (torch.arange(24) + 0.5) / 24
    optimiser: torch.optim.Optimizer = torch.optim.Adam(model.decoder.parameters(), lr=3e-3)
    for _ in range(300):
        loss = cosine_loss(model.decode(codes), targets).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    epochs, batch = (150, 256) if len(data) < 100_000 else (20, 8192)
    steps = epochs * -(-len(data) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    rates = one_cycle(optimiser, 2e-3, steps)
    grid = torch.linspace(0, 1, 1024)
    for _ in range(epochs):
        for rows in torch.randperm(len(data)).split(batch):
            x = data[rows]
            with torch.no_grad():
                best = grid[(x @ model.decode(grid).T).argmax(dim=1)]
            encoded = model.encode(x)
            losses = cosine_loss(model.decode(best), x) + cosine_loss(model.decode(encoded), x)
            optimiser.zero_grad()
            (losses.mean() + (encoded - best).square().mean()).backward()
            optimiser.step()
            rates.step()
    seen = torch.from_numpy(scored(kernels))
    with torch.no_grad():
        curve = model.decode(torch.linspace(0, 1, 2048))
        best = torch.cat([(x @ curve.T).max(dim=1).values for x in seen.split(1024)])
        encoded = cosine_loss(model.decode(model.encode(seen)), seen)
    return {
        "dissimilarity": float(1 - best.mean()),
        "encoder's codes": float(encoded.mean()),
    }


def timed(path: Path, n: int, run: Callable[..., dict[str, float]], *arguments: object) -> dict:
    torch.set_num_threads(1)
    kernels = kernels_of(path, n)
    began = time.perf_counter()
    found = run(kernels, *arguments)
    return {**found, "seconds": time.perf_counter() - began, "peak MiB": peak_mib()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, default=ROOT / "results/corpora/k7.parquet")
    parser.add_argument(
        "--kernels", type=int, nargs="+", default=[6_000, 24_000, 200_000, 1_000_000]
    )
    parser.add_argument("--without-former", action="store_true", help="it takes hours at 1 million")
    arguments = parser.parse_args()
    if not arguments.corpus.is_file():
        parser.error(f"no {arguments.corpus}: run `make` first")
    options = yaml.safe_load((ROOT / "config.yaml").read_text())["autoencoder"]
    settings = Settings(**{**options, "widths": tuple(options["widths"])})
    context = multiprocessing.get_context("spawn")  # a process each: a peak is one method's alone
    for n in arguments.kernels:
        tasks: list[tuple[str, tuple]] = [("autoencoder", (ours, settings))]
        tasks += [(f"k-means, {centroids}", (kmeans, centroids)) for centroids in CENTROIDS]
        if not arguments.without_former:
            tasks.append(("autoencoder, former settings", (former,)))
        rows = []
        for method, task in tasks:
            with context.Pool(1) as pool:
                rows.append({"method": method, **pool.apply(timed, (arguments.corpus, n, *task))})
        print(f"\n{n:,} kernels of {arguments.corpus.name}, seed {SEED}, one thread")
        table = pd.DataFrame(rows).round(
            {"dissimilarity": 4, "encoder's codes": 4, "seconds": 1, "peak MiB": 0}
        )
        print(table.to_string(index=False, na_rep=""), flush=True)


if __name__ == "__main__":
    main()

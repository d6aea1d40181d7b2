"""Time and memory of each step by the size of kernels: 7×7 to SLaK's 51×51.

`python benchmarks/large_kernels.py` makes 3,000 kernels of each size (differences of Gaussians and
derivatives with scales up to a sixth of the side, under smooth noise) and takes the steps of the
workflow one after another, each in a process of its own, on one thread, with the settings of
config.yaml. Printed are seconds of a core, and the peak memory in MiB with what Python and its
libraries take.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from scipy.ndimage import gaussian_filter

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_weights
from kernelatlas.clustering.principal import principal_curve
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import baselines, fits, fitted
from kernelatlas.evidence.distances import Coordinates, variance_entropy
from kernelatlas.evidence.idealised import refit
from kernelatlas.evidence.masterkeys import energies
from kernelatlas.evidence.nulls import generate
from kernelatlas.kernels.gaussians import first_derivative, gaussian, second_derivative
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import normalise
from kernelatlas.names import NULLS
from kernelatlas.tables.masterkeys import search_table

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())
SETTINGS = Settings(**CONFIG["autoencoder"])
MINIMUM = CONFIG["clusters"]["minimum_cosine"]
CPU = torch.device("cpu")
NOISE = 0.3  # expected norm, of kernels of norm 1
LAYER = 512  # kernels


def make(k: int, n: int) -> np.ndarray:
    """Return n kernels, (n, k * k) float32."""
    rng = np.random.default_rng(k)
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis, -axis)
    made = np.empty((n, k, k), np.float32)
    for row in made:
        sigma, angle = rng.uniform(0.6, k / 6), rng.uniform(0, 2 * np.pi)
        kind = rng.integers(3)
        if kind == 0:
            values = gaussian(x, y, sigma) - 0.8 * gaussian(x, y, 1.6 * sigma)
        else:
            values = (first_derivative, second_derivative)[kind - 1](x, y, sigma, angle)
        noise = gaussian_filter(rng.standard_normal((k, k)), 1)
        row[:] = values / np.linalg.norm(values) + NOISE * noise / np.linalg.norm(noise)
    return made.reshape(n, -1)


# Steps take the folder with what earlier ones left: kernels.npy and autoencoder.safetensors.


def read(folder: Path) -> np.ndarray:
    return np.load(folder / "kernels.npy")


def curves(folder: Path) -> list[Curve]:
    return [Curve.load(folder / "autoencoder.safetensors")]


def templates(folder: Path) -> None:
    bank(side(read(folder)))


def curve(folder: Path) -> None:
    principal_curve(normalise(read(folder)), SETTINGS, 0, CPU)


def autoencoder(folder: Path) -> None:
    model, _ = fit(normalise(read(folder)), SETTINGS, 0, "cpu")
    model.save(folder / "autoencoder.safetensors", {"seed": 0})


def clusters(folder: Path) -> None:
    table = cluster_table(normalise(read(folder)), curves(folder), 0.3, MINIMUM)
    table.to_parquet(folder / "clusters.parquet")


def labels(folder: Path) -> None:
    table = pd.read_parquet(folder / "clusters.parquet")
    found = label_weights(read(folder), curves(folder) * 3, table, 0.3, MINIMUM)
    print(f"identified: {found['identified'].mean():.1%}", file=sys.stderr)


def analytic_fits(folder: Path) -> None:
    kernels = read(folder)
    found = fits.fit(kernels)
    fitted.fit_labels(found, side(kernels))
    print(f"median R²: {found['r2'].median():.3f}", file=sys.stderr)


def nulls(folder: Path) -> None:
    """The kernels alone: they are labelled and fitted as above."""
    kernels = read(folder)
    units = normalise(kernels).astype(np.float64)
    for name in NULLS:
        generate(name, kernels, units.T @ units / len(units))


def other_methods(folder: Path) -> None:
    path = folder / "autoencoder.safetensors"
    for found in baselines.outcomes(normalise(read(folder)), SETTINGS, {0: path}, MINIMUM):
        print(f"{found.method}: {found.seconds:.1f} s", file=sys.stderr)


def master_keys(folder: Path) -> None:
    kernels, (known,) = read(folder), curves(folder)
    energy, units = energies(kernels), normalise(kernels)
    settings = CONFIG["evidence"]
    search_table(units, energy, known, settings["codes"], settings["keys"], len(units))
    refit(units, side(kernels))


def distances(folder: Path) -> None:
    kernels = normalise(read(folder))
    Coordinates(kernels).histogram(kernels)


def layer_statistics(folder: Path) -> None:
    """Of one layer of 512 channels."""
    variance_entropy(read(folder)[:LAYER])


STEPS: tuple[Callable[[Path], None], ...] = (
    templates, curve, autoencoder, clusters, labels, analytic_fits, nulls, other_methods,
    master_keys, distances, layer_statistics,
)  # fmt: skip


def timed(step: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """Return seconds of a core and peak MiB."""
    torch.set_num_threads(1)
    began = time.process_time()
    step(folder)
    seconds = time.process_time() - began
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[7, 31, 51])
    parser.add_argument("--kernels", type=int, default=3000)
    parser.add_argument("--steps", nargs="+", choices=[step.__name__ for step in STEPS])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")  # a process each: a peak is one step's alone
    rows: dict[str, dict[str, float]] = {}
    for k in arguments.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            np.save(folder / "kernels.npy", make(k, arguments.kernels))
            needed = arguments.steps or [step.__name__ for step in STEPS]
            if set(needed) & {"clusters", "labels", "other_methods", "master_keys"}:
                needed = [*needed, "autoencoder", "clusters"]
            for step in STEPS:
                if step.__name__ in needed:
                    with context.Pool(1) as pool:
                        seconds, peak = pool.apply(timed, (step, folder))
                    name = step.__name__.replace("_", " ")
                    rows.setdefault(name, {}).update({f"{k} s": seconds, f"{k} MiB": peak})
                    print(f"{k}×{k} {name}: {seconds:.1f} s, {peak:.0f} MiB", file=sys.stderr)
    print(f"\n{arguments.kernels:,} kernels of each size, one thread")
    print(pd.DataFrame(rows).T.to_string(float_format="{:.1f}".format, na_rep=""))


if __name__ == "__main__":
    main()

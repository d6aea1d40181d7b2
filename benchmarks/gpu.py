"""The stages that use a GPU, on the CPU and on the GPU of one machine, and whether they agree.

`python benchmarks/gpu.py` needs the corpora that `make` leaves in results/, and a CUDA device; MPS
would do (`--device mps`). All threads of the processor take part, in float32 as in the workflow.
Prints three tables:

- seconds of each stage on both devices, their ratio, and by how much the results differ;
- whether the labels of a corpus agree: kernels with the same shape, and the same word on being
  identified, by curves of seeds 0–2 trained on either device, and by two sets of seeds on the CPU,
  which is what agreement is to be expected;
- what the curve could take at least on this GPU: operations over the rate of a matrix product and
  bytes over that of a copy, both measured here, beside what it takes (fits: `roofline.py`).

Timings compare within one run only. The first call on a device is not timed.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from autoencoder import kernels_of

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold, vote
from kernelatlas.clustering.principal import SAMPLE, principal_curve
from kernelatlas.evidence import fits, jet
from kernelatlas.evidence.crossfit import CrossFit, cross_fit
from kernelatlas.evidence.trials import on_crops
from kernelatlas.kernels.corpus import corpus_kernels, corpus_keys
from kernelatlas.kernels.normalise import normalise
from kernelatlas.running.device import describe, resolve
from kernelatlas.training.architectures import read_recipe
from kernelatlas.training.network import train

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
OPTIONS = CONFIG["autoencoder"]
SETTINGS = Settings(**{**OPTIONS, "widths": tuple(OPTIONS["widths"])})
FITTED = 32_768  # kernels that functions are fitted to
STEPS = 60  # of a training of a network
NETWORK = "convnextv2_mini"
GIGA = 1e9

Run = Callable[[torch.device], Any]


def seconds(run: Run, device: torch.device) -> tuple[float, Any]:
    """Return what a run takes on a device, and what it returns."""
    began = time.perf_counter()
    found = run(device)
    _wait(device)
    return time.perf_counter() - began, found


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def curve_of(model: Any) -> Curve:
    return Curve(model.k, 0, model.curve().cpu().numpy(), model.concentration)


def corpus(folder: Path, k: int) -> tuple[pd.DataFrame, np.ndarray]:
    path = folder / f"k{k}.parquet"
    return corpus_keys(path), corpus_kernels(path)


def stages(folder: Path, kernels: list[int]) -> list[tuple[str, Run, Callable[[Any, Any], str]]]:
    """Return name, run and comparison of each stage."""

    def dissimilarities(held: np.ndarray) -> Callable[[Any, Any], str]:
        def compare(here: Any, there: Any) -> str:
            both = [curve_of(found[0]).draw(held).dissimilarity.mean() for found in (here, there)]
            return "dissimilarity {:.4f}, {:.4f}".format(*both)

        return compare

    def r2(column: str) -> Callable[[Any, Any], str]:
        def compare(here: pd.DataFrame, there: pd.DataFrame) -> str:
            apart = (here[column] - there[column]).abs()
            return f"R² differs by > 0.001 in {(apart > 1e-3).sum()} of {len(apart)}"

        return compare

    def shares(here: Any, there: Any) -> str:
        return "accuracy {:.4f}, {:.4f}".format(*(np.mean(f["accuracy"]) for f in (here, there)))

    def losses(here: Any, there: Any) -> str:
        last = [found.history[-1] for found in (here, there)]
        column = next(name for name in last[0] if "loss" in name)
        return "loss {:.4f}, {:.4f}".format(*(row[column] for row in last))

    def unseen(here: CrossFit, there: CrossFit) -> str:
        both = []
        for found in (here, there):
            fold = found.fold_of(key)
            parts = [
                found.curves[number][0].draw(of_5[fold == number]).dissimilarity
                for number in range(len(found.curves))
            ]
            both.append(np.concatenate(parts).mean())
        return "dissimilarity {:.4f}, {:.4f}".format(*both)

    found: list[tuple[str, Run, Callable[[Any, Any], str]]] = []
    for n in kernels:
        made = kernels_of(folder / "k7.parquet", n)
        found.append(
            (
                f"autoencoder, 7×7, {n:,} kernels",
                lambda device, made=made: fit(made, SETTINGS, 0, str(device)),
                dissimilarities(made[:: max(len(made) // 10_000, 1)]),
            )
        )
    key, of_5 = corpus(folder, 5)
    found.append(
        (
            f"cross-fit, 5×5, {len(of_5):,} kernels",
            lambda device: cross_fit(key, of_5, SETTINGS, CONFIG["seeds"], str(device)),
            unseen,
        )
    )
    for k in (5, 7):
        some = kernels_of(folder / f"k{k}.parquet", FITTED)
        name = f"{k}×{k}, {len(some):,} kernels"
        found += [
            (f"functions, {name}", lambda device, some=some: fits.fit(some, device), r2("r2")),
            (f"jets, {name}", lambda device, some=some: jet.fit(some, device), r2("jet_r2_3")),
        ]
    weights = ROOT / f"resources/zoo/{NETWORK}.safetensors"

    def test(device: torch.device) -> Any:
        return on_crops(weights, [7], str(device)).answers({})

    recipe = read_recipe(ROOT / f"workflow/zoos/recipes/{NETWORK}.yaml")
    recipe["optimiser"]["steps"] = recipe["test"]["every"] = STEPS
    recipe.pop("trajectory", None)
    found += [
        (f"test of {NETWORK}", test, shares),
        (
            f"training of {NETWORK}, {STEPS} steps",
            lambda device: train(recipe, str(device)),
            losses,
        ),
    ]
    return found


def agreement(folder: Path, k: int, device: torch.device) -> dict[str, Any]:
    """Return by how much labels differ between devices, and between sets of seeds."""
    kernels = normalise(corpus(folder, k)[1])
    limit = threshold(k, CONFIG["thresholds"])

    def voted(seeds: list[int], on: str) -> Any:
        curves = [curve_of(fit(kernels, SETTINGS, seed, on, encoder=False)[0]) for seed in seeds]
        return vote(kernels, curves, CONFIG["clusters"]["minimum_cosine"])

    here, there = voted([0, 1, 2], "cpu"), voted([0, 1, 2], str(device))
    others = voted([3, 4, 5], "cpu")
    row: dict[str, Any] = {"k": k, "kernels": len(kernels)}
    for name, votes in {"CPU": here, "GPU": there, "CPU, seeds 3–5": others}.items():
        row[f"identified, {name}"] = votes.identified(limit).mean()
    for name, votes in {"GPU": there, "seeds 3–5": others}.items():
        same = here.names.shape == votes.names.shape
        row[f"same shape, {name}"] = same.mean()
        row[f"same word, {name}"] = (here.identified(limit) == votes.identified(limit)).mean()
    return row


def ceilings(device: torch.device) -> tuple[float, float]:
    """Return operations and bytes a second of a matrix product and of a copy, in float32."""
    n = 8192
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    copied = torch.empty_like(a)

    def fastest(run: Callable[[], Any]) -> float:
        run()
        times = []
        for _ in range(5):
            times.append(seconds(lambda _: run(), device)[0])
        return min(times)

    return 2 * n**3 / fastest(lambda: a @ b), 2 * a.nbytes / fastest(lambda: copied.copy_(a))


def curve_bounds(folder: Path, device: torch.device) -> dict[str, Any]:
    """Return least and measured seconds of the rounds of a curve through `SAMPLE` kernels."""
    kernels = kernels_of(folder / "k7.parquet", SAMPLE)
    m, size = SETTINGS.points, kernels.shape[1]
    # A round: cosines of kernels and points, and weights of points and points. Each is written
    # and read once; a kernel is read twice.
    operations = SETTINGS.rounds * 2 * size * (SAMPLE * m + m * m)
    moved = SETTINGS.rounds * 4 * (2 * SAMPLE * size + 2 * SAMPLE * m + 2 * m * m)
    rounds: list[float] = []

    def run(on: torch.device) -> None:
        rounds.clear()
        principal_curve(kernels, SETTINGS, 0, on, lambda row: rounds.append(time.perf_counter()))

    run(device)
    whole, _ = seconds(run, device)
    return {
        "stage": f"curve, {SAMPLE:,} kernels of 7×7",
        "operations": operations,
        "bytes": moved,
        "seconds": (rounds[-1] - rounds[0]) * len(rounds) / (len(rounds) - 1),
        "with k-means, seconds": whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", type=Path, default=ROOT / "results/corpora", metavar="FOLDER")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--kernels", type=int, nargs="+", default=[6_000, 200_000, 1_000_000])
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5, 7, 9])
    arguments = parser.parse_args()
    device, cpu = resolve(arguments.device), torch.device("cpu")
    print(
        f"{describe(device)} beside {torch.get_num_threads()} threads of {os.cpu_count()} cores,",
        f"torch {torch.__version__}",
        flush=True,
    )
    fit(kernels_of(arguments.corpora / "k7.parquet", 1000), SETTINGS, 0, str(device))
    rows = []
    for name, run, compare in stages(arguments.corpora, arguments.kernels):
        there, on_device = seconds(run, device)
        here, on_cpu = seconds(run, cpu)
        rows.append(
            {
                "stage": name,
                "CPU, s": here,
                "GPU, s": there,
                "CPU / GPU": here / there,
                "results": compare(on_cpu, on_device),
            }
        )
        print(rows[-1], flush=True)
    print(pd.DataFrame(rows).round(2).to_string(index=False), "\n", flush=True)
    agreed = [agreement(arguments.corpora, k, device) for k in arguments.sizes]
    print(pd.DataFrame(agreed).round(4).T.to_string(header=False), "\n", flush=True)
    rate, bandwidth = ceilings(device)
    print(f"{rate / 1e12:.1f} TFLOP/s in float32, {bandwidth / 1e12:.2f} TB/s")
    bounds = curve_bounds(arguments.corpora, device)
    least = max(bounds["operations"] / rate, bounds["bytes"] / bandwidth)
    print(pd.Series({**bounds, "least seconds": least}).to_string())


if __name__ == "__main__":
    main()

"""What a GPU should take for curves and fits: operations and bytes, counted, over a GPU's rates.

`python benchmarks/roofline.py` needs no GPU. It runs each stage on the processor on noisy
templates, few enough to be one block as on a GPU, and counts all operations of PyTorch, those of
gradients too: what they compute in single and in double precision (2mnk for a product of matrices,
1 for each number that is written, or that a sum reads, 0 for a copy), the bytes of the tensors that
they read and write, and how many there are, since a processor starts them one by one. Prints:

- a row a stage: these counts; seconds that bytes and arithmetic take at least at the rates of a
  GPU, by default those of an H100 SXM in NVIDIA's data sheet (3.35 TB/s; 67 and 34 TFLOP/s in
  single and double precision without Tensor Cores); seconds that were measured on an H100
  (docs/benchmarks.md, "A GPU"), and what they are for each operation that is started;
- minutes for the fits of all of timm on a machine with one GPU, which four jobs share, by how many
  kernels a network has at least that uses it, and by cores. Jobs start in the order of the zoo, and
  take what they took in a run of all of timm on 16 cores and an H200, all of them busy;
- what labels take instead: kernels a second on a core, and seconds for all of timm.
"""

import argparse
import heapq
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernelatlas.clustering.autoencoder import Autoencoder, Settings, fit_decoder, train
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.principal import SAMPLE, principal_curve
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import fits, jet
from kernelatlas.kernels.normalise import normalise
from kernelatlas.running.device import SHARED_BY
from kernelatlas.running.resources import FEWEST_ON_GPU
from kernelatlas.sources.registry import sizes_by_architecture
from kernelatlas.sources.zoo import load_zoo

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SETTINGS = Settings(**CONFIG["autoencoder"])
BLOCK = 256  # kernels that are one block in every part of the fits
FITTED = 32_768  # kernels that fits were measured with
STEPS = 20
FACTORS = {"mm": (0, 1), "addmm": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2)}
READING = {"sum", "mean", "max", "min", "amax", "amin", "argmax", "argmin", "any", "all", "prod"}
COPIES = {"_to_copy", "clone", "cat", "stack", "copy_", "fill_", "zero_", "zeros", "ones", "full"}
COPIES |= {"index", "gather", "index_put_", "index_select", "flip", "new_zeros", "zeros_like"}
FREE = {"empty", "empty_like", "detach", "lift_fresh", "_local_scalar_dense"}

# Measured on an H100: seconds of `FITTED` kernels by size.
FUNCTIONS, JETS = {5: 5.8, 7: 5.2}, {5: 3.8, 7: 3.7}
# Measured on an H200 and 16 cores: seconds of a job and of each kernel, least squares over 68 jobs
# of 40,000 kernels or more, four at once on the GPU, and 653 smaller ones on a core each.
ON_GPU, ON_CORE = (26.7, 1.14e-4), (8.3, 1.28e-3)


class Counts(TorchDispatchMode):
    """Counts what the operations of PyTorch compute, read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.single = self.double = self.bytes = self.started = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        read, written = (
            [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
            for tree in ((args, kwargs), found)
        )
        if func.is_view or name in FREE or not read + written:
            return found
        written = written or read  # of an optimiser, which returns nothing
        self.started += 1
        # What is expanded is read once, however large it seems.
        self.bytes += sum(min(t.nbytes, t.untyped_storage().nbytes()) for t in read + written)
        if name in FACTORS:
            one, other = (args[index] for index in FACTORS[name])
            count = 2 * one.numel() * other.shape[-1]
        elif name in COPIES:
            count = 0
        else:
            count = sum(t.numel() for t in (read if name in READING else written))
        if any(t.dtype == torch.float64 for t in read + written):
            self.double += count
        else:
            self.single += count
        return found


def noisy(k: int, n: int) -> np.ndarray:
    random, shapes = np.random.default_rng(0), bank(k).weights
    chosen = shapes[random.integers(len(shapes), size=n)]
    return (chosen + random.normal(0, 0.05, chosen.shape)).astype(np.float32)


def counted(run: Callable[[], object]) -> np.ndarray:
    """Return operations in single and double precision, bytes, and operations started."""
    with Counts() as found:
        run()
    return np.array([found.single, found.double, found.bytes, found.started], float)


def curve() -> np.ndarray:
    """Count the rounds of a curve through as many kernels as it is fitted to."""
    cpu, one = torch.device("cpu"), replace(SETTINGS, rounds=1)
    counts, few = (
        counted(lambda n=n: principal_curve(normalise(noisy(7, n)), one, 0, cpu))
        for n in (SAMPLE, SETTINGS.points)
    )
    counts[3] = few[3]  # of one block, as SAMPLE is on a GPU
    return counts * SETTINGS.rounds


def training() -> np.ndarray:
    """Count the steps of the decoder, and of encoder and decoder, whatever the kernels."""
    points = normalise(noisy(7, SETTINGS.points))
    short = replace(SETTINGS, decoder_steps=STEPS, steps=STEPS)
    model = Autoencoder(7, short)
    model.concentration = 30.0
    kernels = torch.from_numpy(points)
    alone = counted(lambda: fit_decoder(model, kernels, lambda *row: None))
    both = counted(lambda: train(model, kernels, 0, lambda *row: None))
    return (alone * SETTINGS.decoder_steps + both * SETTINGS.steps) / STEPS


def fitting(fit: Callable[[np.ndarray], object], k: int) -> np.ndarray:
    """Count the fits of `FITTED` kernels."""
    kernels = noisy(k, BLOCK)
    fit(kernels[:1])  # dictionaries are made once
    counts = counted(lambda: fit(kernels))
    counts[:3] *= FITTED / BLOCK
    return counts


def roofline(bandwidth: float, single: float, double: float) -> pd.DataFrame:
    """Return counts and seconds of each stage; rates in TB/s and TFLOP/s."""
    stages: list[tuple[str, Callable[[], np.ndarray], float]] = [
        (f"curve of {SAMPLE:,} kernels, 7×7, {SETTINGS.rounds} rounds", curve, 0.03),
        (f"training, {SETTINGS.decoder_steps} + {SETTINGS.steps} steps", training, 3.0),
        *(
            (f"{name}, {k}×{k}, {FITTED:,} kernels", lambda fit=fit, k=k: fitting(fit, k), measured)
            for name, fit, by_size in (
                ("functions", fits.fit, FUNCTIONS),
                ("jets", jet.fit, JETS),
            )
            for k, measured in by_size.items()
        ),
    ]
    rows = []
    for name, count, measured in stages:
        in_single, in_double, moved, started = count()
        rows.append(
            {
                "stage": name,
                "GFLOP, single": in_single / 1e9,
                "GFLOP, double": in_double / 1e9,
                "GB": moved / 1e9,
                "started": started,
                "bytes, s": moved / bandwidth / 1e12,
                "arithmetic, s": in_single / single / 1e12 + in_double / double / 1e12,
                "measured, s": measured,
                "measured, µs each": measured / started * 1e6,
            }
        )
    return pd.DataFrame(rows)


def minutes(networks: list[int], fewest: float, cores: int) -> float:
    """Return minutes until all networks, given by their kernels, are fitted."""
    waiting = []
    for kernels in networks:
        start, each = ON_GPU if kernels >= fewest else ON_CORE
        waiting.append((kernels >= fewest, start + each * kernels))
    now, running, on = 0.0, list[tuple[float, bool]](), 0
    while waiting or running:
        ready = (i for i, (gpu, _) in enumerate(waiting) if not gpu or on < SHARED_BY)
        if len(running) < cores and (index := next(ready, None)) is not None:
            gpu, seconds = waiting.pop(index)
            heapq.heappush(running, (now + seconds, gpu))
            on += gpu
        else:
            now, gpu = heapq.heappop(running)
            on -= gpu
    return now / 60


def kernels_of_timm() -> list[dict[int, int]]:
    """Return the number of kernels of each network, by studied size."""
    registered, sizes = sizes_by_architecture(), CONFIG["kernel_sizes"]
    return [
        {k: n for k in sizes if (n := registered[model.architecture].get((k, k)))}
        for model in load_zoo(ROOT / "workflow/zoos/timm.yaml", True)
        if model.architecture
    ]


def schedule(cores: list[int]) -> pd.DataFrame:
    """Return minutes by the least number of kernels that uses a GPU."""
    networks = [sum(sizes.values()) for sizes in kernels_of_timm()]
    rows = []
    for fewest in (0, 10_000, 20_000, FEWEST_ON_GPU, 40_000, 60_000, np.inf):
        row = {
            "on the GPU from": "none" if fewest == np.inf else f"{fewest:,}",
            "networks": sum(kernels >= fewest for kernels in networks),
        }
        row |= {f"{n} cores": minutes(networks, fewest, n) for n in cores}
        rows.append(row)
    return pd.DataFrame(rows)


def labels() -> pd.DataFrame:
    """Return what labels by three curves take on a core, by size."""
    rows = []
    for k in CONFIG["kernel_sizes"]:
        kernels, m = normalise(noisy(k, FITTED)), SETTINGS.points
        curves = [Curve(k, i, kernels[i * m : (i + 1) * m], 30.0) for i in range(3)]
        vote(kernels[:m], curves, CONFIG["clusters"]["minimum_cosine"])
        began = time.process_time()
        vote(kernels, curves, CONFIG["clusters"]["minimum_cosine"])
        rate = FITTED / (time.process_time() - began)
        every = sum(sizes.get(k, 0) for sizes in kernels_of_timm())
        rows.append({"k": k, "labels/s": rate, "timm": every, "s": every / rate})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bandwidth", type=float, default=3.35, help="TB/s")
    parser.add_argument("--single", type=float, default=67, help="TFLOP/s")
    parser.add_argument("--double", type=float, default=34, help="TFLOP/s")
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 4, 8, 16])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(schedule(given.cores).round(1).to_string(index=False), "\n", flush=True)
    print(labels().round().astype(int).to_string(index=False), "\n", flush=True)
    table = roofline(given.bandwidth, given.single, given.double)
    print(table.to_string(index=False, float_format="{:,.4g}".format))


if __name__ == "__main__":
    main()

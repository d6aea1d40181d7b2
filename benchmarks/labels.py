"""Are the labels right, and do they come out again? (`python benchmarks/labels.py CORPUS …`)

For each corpus (results/corpora/k{k}.parquet) autoencoders are trained with two disjoint sets of
three seeds, and with the first set again under changes that should not matter: noise of 1e-6 on
the kernels, two threads, and the instructions of an older processor. Printed are

right       of kernels that are clear by templates of other formulas than the project's
            (tests/clustering/independent.py): share with that shape, and share with it and
            identified; clear is cosine > 0.9 and margin > 0.1, nearly clear > 0.85 and > 0.05
again       same shape, of kernels identified in both runs; largest difference of the share
            identified of any network
nulls       share identified of the corpus with shuffled pixels, and of white noise
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import Votes, threshold, vote
from kernelatlas.kernels.corpus import corpus_kernels, corpus_keys
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import normalise

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "clustering"))
import independent  # noqa: E402

OLDER = {
    "OPENBLAS_CORETYPE": "Haswell",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX",
}
RUNS = {  # seeds, threads, noise, environment
    "first": ([0, 1, 2], 1, 0.0, {}),
    "other seeds": ([3, 4, 5], 1, 0.0, {}),
    "noise 1e-6": ([0, 1, 2], 1, 1e-6, {}),
    "two threads": ([0, 1, 2], 2, 0.0, {}),
    "older processor": ([0, 1, 2], 1, 0.0, OLDER),
}


def train(corpus: Path, out: Path, seeds: list[int], threads: int, noise: float) -> None:
    """Write the autoencoders of some seeds; in a process of its own, for its environment."""
    import torch

    from kernelatlas.clustering.autoencoder import Settings, fit

    torch.set_num_threads(threads)
    options = yaml.safe_load((ROOT / "config.yaml").read_text())["autoencoder"]
    settings = Settings(**{**options, "widths": tuple(options["widths"])})
    kernels = disturbed(corpus_kernels(corpus), noise)
    for seed in seeds:
        fit(kernels, settings, seed, "cpu")[0].save(out / f"{seed}.safetensors", {"seed": seed})


def disturbed(kernels: np.ndarray, noise: float) -> np.ndarray:
    if not noise:
        return kernels
    return normalise(kernels + noise * np.random.default_rng(0).standard_normal(kernels.shape))


def clearest(kernels: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nearest independent shape, the cosine, and how much more that is than others'."""
    known = independent.every(k)
    index = np.array([names.SHAPES.index(shape) for shape in known.shapes])
    cosines = np.stack(
        [(kernels @ known.kernels[index == i].T).max(axis=1) for i in range(index.max() + 1)],
        axis=1,
    )
    best, second = -np.sort(-cosines, axis=1)[:, :2].T
    return cosines.argmax(axis=1), best, best - second


def labelled(corpus: Path, run: str, kernels: np.ndarray, minimum: float) -> tuple[Votes, list]:
    seeds, threads, noise, environment = RUNS[run]
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*map(str, (corpus, folder, threads, noise)), *map(str, seeds)]
        command = [sys.executable, __file__, "--train", *arguments]
        subprocess.run(command, env={**os.environ, **environment}, check=True)
        curves = [Curve.load(Path(folder) / f"{seed}.safetensors") for seed in seeds]
    return vote(disturbed(kernels, noise), curves, minimum), curves


def main() -> None:
    if sys.argv[1:2] == ["--train"]:
        corpus, out, threads, noise, *seeds = sys.argv[2:]
        train(Path(corpus), Path(out), [int(s) for s in seeds], int(threads), float(noise))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="+", type=Path)
    parser.add_argument("--seeds-alone", action="store_true", help="leave the other changes out")
    arguments = parser.parse_args()
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    minimum = config["clusters"]["minimum_cosine"]
    runs = list(RUNS)[: 2 if arguments.seeds_alone else None]
    right, again, nulls = [], [], []
    for corpus in arguments.corpora:
        key, kernels = corpus_keys(corpus), corpus_kernels(corpus)
        models = key["model"].astype(str).to_numpy()
        k = side(kernels)
        below = threshold(k, config["thresholds"])
        found = {run: labelled(corpus, run, kernels, minimum) for run in runs}
        first, curves = found["first"]
        shapes, identified = first.names.shape, first.identified(below)
        truth, cosine, margin = clearest(kernels, k)
        name = f"{corpus.parents[2].name} {k}×{k}"
        for what, mask in (
            ("clear", (cosine > 0.9) & (margin > 0.1)),
            ("nearly clear", (cosine > 0.85) & (margin > 0.05)),
        ):
            same = (shapes == truth)[mask]
            right.append(
                {
                    "corpus": name,
                    "kernels": what,
                    "number": int(mask.sum()),
                    "right": same.mean(),
                    "right and identified": (same & identified[mask]).mean(),
                }
            )
        for run in runs[1:]:
            other = found[run][0]
            both = identified & other.identified(below)
            changes = [
                abs(identified[models == m].mean() - other.identified(below)[models == m].mean())
                for m in np.unique(models)
            ]
            again.append(
                {
                    "corpus": name,
                    "run": run,
                    "identified": identified.mean(),
                    "in that run": other.identified(below).mean(),
                    "same shape": (shapes == other.names.shape)[both].mean(),
                    "largest change of a network": max(changes),
                    "dissimilarity": other.dissimilarity.mean(),
                }
            )
        rng = np.random.default_rng(0)
        for null, values in (
            ("shuffled", rng.permuted(kernels, axis=1)),
            ("white", rng.standard_normal(kernels.shape)),
        ):
            votes = vote(normalise(values), curves, minimum)
            nulls.append(
                {"corpus": name, "null": null, "identified": votes.identified(below).mean()}
            )
    for title, rows in (("Right", right), ("Again", again), ("Nulls", nulls)):
        print(f"\n{title}\n{pd.DataFrame(rows).round(4).to_string(index=False)}", flush=True)


if __name__ == "__main__":
    main()

"""Memory and time of `snakemake evidence` with millions of kernels of a size.

`python benchmarks/evidence.py [networks]` writes kernel tables of so many networks (160) of 22,000
kernels of 7×7, noisy templates in 22 layers, to a temporary folder, and calls what the scripts of
rules call, a process each on one thread. Curves are fitted to 20,000 of the kernels in a few
rounds: good or bad curves take the same time. Prints a row a rule: peak RSS in MB (2**20 bytes),
of which about 700 are libraries, and CPU seconds. The fits, and what the baselines do with at most
`evidence.sample` kernels, do not grow with the number of networks. Linux only.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.crossfit import CrossFit, crossfit_table, divide
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.evidence.nulls import null_table
from kernelatlas.kernels.corpus import build_corpus, corpus_kernels, corpus_keys, write_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.tables.masterkeys import corpus_energies, search_table

K, LAYERS, KERNELS, NOISE = 7, 22, 22_000, 0.06
SEEDS, FOLDS, SAMPLE, COSINE = (0, 1, 2), 4, 20_000, 0.75
QUICK = Settings(rounds=3, decoder_steps=20, steps=20)


def tables(folder: Path) -> list[Path]:
    return sorted((folder / "kernels").glob("*.parquet"))


def kernels(folder: Path) -> None:
    """Write kernel tables; not a rule that is measured."""
    (folder / "kernels").mkdir()
    random = np.random.default_rng(0)
    weights = bank(K).weights
    for number in range(int((folder / "networks").read_text())):
        chosen = weights[random.integers(len(weights), size=KERNELS)]
        noisy = (chosen + random.normal(0, NOISE, chosen.shape)).astype(np.float32)
        layers = [
            Layer(f"layer{n}", part, None, None)
            for n, part in enumerate(np.array_split(noisy.reshape(-1, K, K), LAYERS))
        ]
        write_kernels(folder / f"kernels/{number:03}.parquet", f"{number:03}", layers, {})


def corpus(folder: Path) -> None:
    write_corpus(build_corpus(tables(folder), K, 200), folder / "corpus.parquet", K)


def crossfit(folder: Path) -> None:
    """Label all kernels by the curves of their fold; the trainings see 50,000 kernels at most."""
    path = folder / "corpus.parquet"
    key, values = corpus_keys(path), corpus_kernels(path)
    few = sample_of(values, SAMPLE, 0)
    models = [fit(few, QUICK, seed, "cpu", encoder=False)[0] for seed in SEEDS]
    curves = tuple(
        Curve(K, seed, model.curve().numpy(), model.concentration)
        for seed, model in zip(SEEDS, models, strict=True)
    )
    found = CrossFit(K, divide(key), (curves,) * FOLDS)
    found.save(folder / "curves.safetensors")
    write_frame(crossfit_table(key, values, found, COSINE), folder / "crossfit.parquet")


def nulls(folder: Path) -> None:
    found = CrossFit.load(folder / "curves.safetensors")
    table = null_table(tables(folder), found, list(found.curves[0]), COSINE, SAMPLE)
    write_frame(table, folder / "nulls.parquet")


def masterkeys(folder: Path) -> None:
    values = corpus_kernels(folder / "corpus.parquet")
    curve = CrossFit.load(folder / "curves.safetensors").curves[0][0]
    search_table(values, corpus_energies(tables(folder), K), curve, 50, 8, SAMPLE)


def fits(folder: Path) -> None:
    """Fit one network."""
    write_fits(fit_model(tables(folder)[0], [K]), folder / "fits.parquet")


RULES: dict[str, Callable[[Path], None]] = {
    rule.__name__: rule for rule in (kernels, corpus, crossfit, nulls, masterkeys, fits)
}


def main() -> None:
    if len(sys.argv) == 3:
        torch.set_num_threads(1)
        name, folder = sys.argv[1], Path(sys.argv[2])
        began = time.process_time()
        RULES[name](folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:12} {peak:7.0f} MB {time.process_time() - began:8.1f} s", flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="kernelatlas-") as temporary:
        (Path(temporary) / "networks").write_text(sys.argv[1] if len(sys.argv) > 1 else "160")
        for name in RULES:
            subprocess.run([sys.executable, __file__, name, temporary], check=True)


if __name__ == "__main__":
    main()

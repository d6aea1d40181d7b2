"""Accuracy of a network whose depthwise kernels are replaced, without retraining."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.evidence.intervals import share
from kernelatlas.evidence.masterkeys import energies
from kernelatlas.evidence.trials import Trial
from kernelatlas.evidence.variants import UNTOUCHED, Replaced, Variant
from kernelatlas.kernels.normalise import degenerate
from kernelatlas.running.progress import Progress
from kernelatlas.running.resume import Finished

SCHEMA = {
    **dict.fromkeys(("measure", "variant"), "object"),
    "seed": "Int16",
    "numbers": "float64",
    **dict.fromkeys(("kernels", "kept"), "Int64"),
    **dict.fromkeys(("mean_r2", "energy_explained", "accuracy", "low", "high"), "float64"),
    **dict.fromkeys(("accuracy_top5", "accuracy_rotation", "accuracy_both"), "float64"),
    "pictures": "Int64",
    "chance": "float64",
    "skipped": "object",
}

log = logging.getLogger(__name__)


def explained(weights: np.ndarray, replaced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R² of each replacement and the kernel's energy ‖w − mean(w)‖², (n,) each.

    Degenerate kernels are left out.
    """
    valid = ~degenerate(weights)
    energy = energies(weights[valid])
    missed = weights[valid].astype(np.float64) - replaced[valid]
    return 1 - (missed**2).sum(axis=1) / energy, energy


def evaluate(
    trial: Trial,
    variants: Sequence[Variant],
    resume: str | Path,
    code: str = "",
) -> pd.DataFrame:
    """Test a network with its own and with replaced depthwise kernels.

    Everything else is kept, including the statistics of batch normalisation.

    Parameters
    ----------
    variants
        As `kernelatlas.evidence.variants.variants` returns them.
    resume
        A file in which the results of finished variants are saved. If it exists, those of the same
        network, test, kernels and `code` are not tested again. It is removed at the end.
    code
        Digest of the code of the test.

    Returns
    -------
    DataFrame
        A row for each variant and seed, columns as in results/README.md.
    """
    done, rows = Finished(resume), []
    total = len(variants) * trial.pictures
    with Progress("tests with replaced kernels", total, "pictures") as progress:
        for number, variant in enumerate(variants, 1):
            replaced = variant.of(trial.kernels)
            key = _key([trial.identity, code, variant.name, variant.seed], replaced)
            row = done.values.get(key)
            if row is None:
                row = _row(trial, replaced, partial(progress.advance, said=variant.name))
                done.save(key, row)
            else:
                progress.skip(trial.pictures)
            rows.append({"variant": variant.name, "seed": variant.seed, **row})
            log.info(
                "%d of %d, %s: %s %.1f %%, mean R² %.3f",
                *(number, len(variants), variant.name, trial.measure, 100 * row["accuracy"]),
                row["mean_r2"],
            )
    done.remove()
    return _table(rows)


def skipped(reason: str) -> pd.DataFrame:
    """Return the table of a network that cannot be tested: one row, empty but for the reason."""
    return _table([{"variant": UNTOUCHED, "skipped": reason}])


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame([{"skipped": "", **row} for row in rows])
    return frame.reindex(columns=list(SCHEMA)).astype(SCHEMA)


def _row(trial: Trial, replaced: Mapping[str, Replaced], progress: Any) -> dict[str, Any]:
    pairs = [explained(trial.kernels[name], part.weights) for name, part in replaced.items()]
    r2, energy = (np.concatenate(values) for values in zip(*pairs, strict=True))
    valid = [~degenerate(trial.kernels[name]) for name in replaced]
    numbers = [part.numbers[of] for part, of in zip(replaced.values(), valid, strict=True)]
    weights = {name: part.weights for name, part in replaced.items()}
    found = trial.answers(weights, progress)
    right = found["accuracy"]
    estimate = share(right.sum(axis=1), np.full(len(right), right.shape[1]))
    n = sum(map(len, weights.values()))
    others = sum(map(len, trial.kernels.values())) - n
    return {
        "measure": trial.measure,
        "numbers": float(np.concatenate(numbers).mean()),
        "kernels": n,
        "kept": trial.kept + others,
        "mean_r2": float(r2.mean()),
        "energy_explained": float(energy @ r2 / energy.sum()),
        **{question: float(answers.mean()) for question, answers in found.items()},
        "low": float(estimate.low),
        "high": float(estimate.high),
        "pictures": trial.pictures,
        "chance": trial.chance,
    }


def _key(identity: Sequence[Any], replaced: Mapping[str, Replaced]) -> str:
    digest = hashlib.sha256(json.dumps(list(identity)).encode())
    for name, part in replaced.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(part.weights))
    return digest.hexdigest()

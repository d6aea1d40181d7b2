"""Accuracies of networks whose depthwise kernels were learned, or frozen up to a scalar."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kernelatlas.running.tensors import read_metadata

COLUMNS = ("parameters", "held_out_crops", "chance", "chance_subject")


def tables(
    weights: Sequence[str | Path],
    histories: Sequence[str | Path],
    trainings: Sequence[tuple[str, int]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gather trainings of one recipe.

    Parameters
    ----------
    weights, histories
        What `kernelatlas.evidence.frozen.train` made, of each training.
    trainings
        Variant and seed of each.

    Returns
    -------
    accuracies : DataFrame
        A row for each training: variant, seed, steps, `COLUMNS` and the accuracies.
    learning : DataFrame
        variant and seed, with the histories.
    """
    rows: list[dict[str, Any]] = []
    parts = []
    for path, history, (variant, seed) in zip(weights, histories, trainings, strict=True):
        known = read_metadata(path)
        steps = known["recipe"]["optimiser"]["steps"]
        own = {column: known[column] for column in COLUMNS}
        rows.append({"variant": variant, "seed": seed, "steps": steps, **own, **known["held_out"]})
        parts.append(pd.read_parquet(history).assign(variant=variant, seed=seed))
    learning = pd.concat(parts, ignore_index=True)
    first = ["variant", "seed"]
    return pd.DataFrame(rows), learning[[*first, *learning.columns.drop(first)]]

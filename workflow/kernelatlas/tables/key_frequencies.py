"""How often each filter of a set explains a kernel best, by network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.evidence.intervals import share
from kernelatlas.evidence.masterkeys import best_filter, random_filters
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import read_square
from kernelatlas.running.progress import tracked
from kernelatlas.tables.masterkeys import PROTOTYPES, RANDOM

NOISE, SEED = 20_000, 0  # kernels of white noise


def frequency_table(
    paths: Sequence[str | Path],
    models: Sequence[Sequence],
    k: int,
    sets: Mapping[str, Sequence[np.ndarray]],
    filters: pd.DataFrame,
) -> pd.DataFrame:
    """Count the kernels of each model that each filter explains best.

    Parameters
    ----------
    paths
        A kernel table for each model.
    models
        name, family, trained and training data of each.
    sets
        As `kernelatlas.tables.masterkeys.filter_sets` returns them; prototypes and random filters
        are left out.
    filters
        Columns filters, number, name and label of these.

    Returns
    -------
    DataFrame
        A row for each model with such kernels and each filter: family, model, trained, k, filters
        (the set), number, name, label, kernels (not degenerate), share, low, high (95 % interval
        over layers), share_positive (of these kernels, with a > 0; empty without any), mean_r2 (of
        these), share_noise (of white noise that it explains best).
    """
    words = {
        (row["filters"], row["number"]): {"name": row["name"], "label": row["label"]}
        for row in filters.to_dict("records")
    }
    noise = random_filters(NOISE, k, SEED)
    chance = {
        name: np.bincount(best_filter(noise, of[0])[0], minlength=len(of[0])) / NOISE
        for name, of in sets.items()
        if name not in (PROTOTYPES, RANDOM)
    }
    rows: list[dict[str, Any]] = []
    of_models = list(zip(paths, models, strict=True))
    for path, (model, family, trained, _) in tracked(of_models, "nearest filters", "networks"):
        table, weights = read_square(path, k)
        live = ~table["degenerate"].to_numpy()
        if not live.any():
            continue
        kernels, layers = normalise(weights[live]), table["layer_index"].to_numpy()[live]
        _, layer, sizes = np.unique(layers, return_inverse=True, return_counts=True)
        for name, of_noise in chance.items():
            index, r2 = best_filter(kernels, sets[name][0])
            a = np.einsum("ij,ij->i", kernels, sets[name][0][index])
            for number, expected in enumerate(of_noise, 1):
                own = index == number - 1
                estimate = share(np.bincount(layer[own], minlength=len(sizes)), sizes)
                rows.append(
                    {
                        **{"family": family, "model": model, "trained": trained, "k": k},
                        **{"filters": name, "number": number, **words[name, number]},
                        "kernels": len(kernels),
                        "share": float(estimate.value),
                        "low": float(estimate.low),
                        "high": float(estimate.high),
                        "share_positive": float((a[own] > 0).mean()) if own.any() else np.nan,
                        "mean_r2": float(r2[own].mean(dtype=float)) if own.any() else np.nan,
                        "share_noise": float(expected),
                    }
                )
    return pd.DataFrame(rows)

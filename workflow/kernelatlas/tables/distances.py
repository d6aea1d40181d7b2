"""Distances between models and families, and the variety of each layer's kernels."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.evidence.distances import (
    Coordinates,
    divergence,
    noise_entropy,
    noise_floor,
    noise_orthogonality,
    orthogonality,
    sparsity,
    variance_entropy,
)
from kernelatlas.kernels.corpus import corpus_kernels
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import count_sizes, read_square
from kernelatlas.running.progress import tracked

LAYER_COLUMNS = (
    *("family", "model", "trained", "k", "layer_index", "layer", "kernels", "sparsity"),
    *("variance_entropy", "variance_entropy_noise", "variance_entropy_max"),
    *("orthogonality", "orthogonality_noise"),
)


def distance_table(
    corpus: str | Path, kernels: Sequence[str | Path], models: Sequence[Sequence], k: int
) -> pd.DataFrame:
    """Compare all sets of k×k kernels: each model's, and each family's trained models'.

    A family with a single trained model is listed as that model only. Degenerate kernels
    are left out.

    Parameters
    ----------
    corpus
        Path of the corpus whose principal components are the coordinates.
    kernels
        Kernel tables of `models`, in their order.
    models
        name, family, trained and training data of the zoo's models.

    Returns
    -------
    DataFrame
        A row for each pair, also of each set with itself: set_a, family_a, trained_a, n_a,
        the same of b, divergence, floor. Sets are sorted by family: the whole family, then trained,
        then untrained models.
    """
    coordinates = Coordinates(corpus_kernels(corpus))
    sets: list[tuple[str, str, bool, np.ndarray]] = []
    known = sorted(zip(models, kernels, strict=True), key=lambda m: (m[0][1], not m[0][2], m[0][0]))
    read = tracked(known, f"histograms of {k}x{k} kernels", "networks")
    for family, members in itertools.groupby(read, key=lambda member: str(member[0][1])):
        parts = []
        for (name, _, is_trained, *_), path in members:
            values = _normalised(path, k)
            if len(values):
                parts.append((str(name), family, bool(is_trained), coordinates.histogram(values)))
        of_trained = [counts for _, _, is_trained, counts in parts if is_trained]
        if len(of_trained) > 1:
            # Names of models have no spaces, so that this cannot be one.
            parts.insert(0, (f"{family} (all trained)", family, True, np.sum(of_trained, axis=0)))
        sets += parts
    rows: list[dict[str, Any]] = []
    pairs = list(itertools.combinations_with_replacement(sets, 2))
    for one, other in tracked(pairs, f"distances of {k}x{k} kernels", "pairs"):
        a, family_a, trained_a, first = one
        b, family_b, trained_b, second = other
        rows.append(
            {
                "set_a": a,
                "family_a": family_a,
                "trained_a": trained_a,
                "n_a": int(first[0].sum()),
                "set_b": b,
                "family_b": family_b,
                "trained_b": trained_b,
                "n_b": int(second[0].sum()),
                "divergence": float(divergence(first, second, coordinates.weights)),
                "floor": noise_floor(first, second, coordinates.weights),
            }
        )
    return pd.DataFrame(rows)


def _normalised(path: str | Path, k: int) -> np.ndarray:
    rows, weights = read_square(path, k)
    return normalise(weights[~rows["degenerate"].to_numpy()])


def layer_table(kernels: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Describe each layer of square kernels, of any size, by the measures of CNN Filter DB.

    Parameters
    ----------
    kernels
        Kernel tables of `models`, in their order.

    Returns
    -------
    DataFrame
        A row for each layer, see results/README.md. Kernels that are not finite are left out.
    """
    rows: list[dict[str, Any]] = []
    of_models = list(zip(models, kernels, strict=True))
    for (name, family, trained, *_), path in tracked(of_models, "statistics of layers", "networks"):
        counts = count_sizes(path)
        for k in counts.loc[counts["kh"] == counts["kw"], "kh"].tolist():
            frame, weights = read_square(path, k)
            finite = np.isfinite(weights).all(axis=1)
            groups = frame[finite].groupby(["layer_index", "layer"], observed=True, sort=True)
            weights = weights[finite]
            for (index, layer), rows_of_layer in groups.indices.items():
                known = {"family": family, "model": name, "trained": trained, "k": k}
                of_layer = {"layer_index": int(index), "layer": str(layer)}
                measures = _describe(weights[rows_of_layer])
                rows.append({**known, **of_layer, **measures})
    table = pd.DataFrame(rows, columns=list(LAYER_COLUMNS))
    return table.sort_values(["family", "model", "layer_index"], kind="stable", ignore_index=True)


def _describe(weights: np.ndarray) -> dict[str, float]:
    kernels, pixels = weights.shape
    several = kernels > 1  # one kernel has no variance
    return {
        "kernels": kernels,
        "sparsity": sparsity(weights),
        "variance_entropy": variance_entropy(weights) if several else np.nan,
        "variance_entropy_noise": noise_entropy(kernels, pixels) if several else np.nan,
        "variance_entropy_max": np.log10(min(kernels - 1, pixels)) if several else np.nan,
        "orthogonality": orthogonality(weights),
        "orthogonality_noise": noise_orthogonality(pixels) if several else np.nan,
    }

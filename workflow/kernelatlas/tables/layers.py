"""Shares identified of each layer, and of each shape in each network, with their intervals."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from kernelatlas.clustering.labels import seed_values, threshold
from kernelatlas.evidence.intervals import independent, share
from kernelatlas.names import DEGENERATE, SHAPES, shape_of

NETWORK = ["family", "model", "trained", "k"]
LAYER = ["layer_index", "layer"]


def network_table(
    paths: Sequence[str | Path], models: Sequence[Sequence], thresholds: Mapping[str, float]
) -> pd.DataFrame:
    """Return intervals of the shares identified of networks, over their layers and the seeds.

    Parameters
    ----------
    paths
        Label tables.
    models
        name, family, trained and training data of the zoo's models.
    thresholds
        Of the dissimilarity, by kernel size.

    Returns
    -------
    DataFrame
        model, k, low and high; empty for a network of one layer of the size.
    """
    rows = []
    for known, labels, by_seed in _by_size(paths, models):
        layer, sizes = _layers(labels)
        found = share(np.bincount(layer, labels["identified"], minlength=len(sizes)), sizes)
        alone = _alone(by_seed, threshold(known["k"], thresholds))
        found = found.over_seeds(alone).within(0, 1)
        same = {"model": known["model"], "k": known["k"]}
        rows.append({**same, "low": float(found.low), "high": float(found.high)})
    return pd.DataFrame(rows, columns=["model", "k", "low", "high"])


def layer_table(
    paths: Sequence[str | Path], models: Sequence[Sequence], thresholds: Mapping[str, float]
) -> pd.DataFrame:
    """Return the share identified of each layer, with an interval over its kernels and the seeds.

    Returns
    -------
    DataFrame
        The columns of `NETWORK` and `LAYER`, kernels, identified, share_identified, low and high.
        The interval is Wilson's of independent kernels and of the seeds
        (`kernelatlas.evidence.intervals`).
    """
    rows = []
    for known, labels, by_seed in _by_size(paths, models):
        limit = threshold(known["k"], thresholds)
        for (index, layer), part in labels.groupby(LAYER, observed=True, sort=True):
            hits, n = int(part["identified"].sum()), len(part)
            alone = _alone(by_seed[part.index], limit)
            found = independent(np.array(hits), np.array(n)).over_seeds(alone)
            found = found.within(0, 1)
            place = {"layer_index": int(str(index)), "layer": str(layer)}
            numbers = {"kernels": n, "identified": hits, "share_identified": float(found.value)}
            limits = {"low": float(found.low), "high": float(found.high)}
            rows.append({**known, **place, **numbers, **limits})
    columns = [*NETWORK, *LAYER, "kernels", "identified", "share_identified", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values([*NETWORK, "layer_index"], ignore_index=True)


def shape_table(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Return the share of each network's kernels identified as each shape.

    Returns
    -------
    DataFrame
        The columns of `NETWORK`, shape, kernels (all of the network and size), identified, share,
        low and high: an interval over the layers, empty for a network of one layer.
    """
    rows = []
    for known, labels, _ in _by_size(paths, models):
        shapes = labels["label"].astype(str).map(shape_of).where(labels["identified"], DEGENERATE)
        layer, sizes = _layers(labels)
        for shape in SHAPES:
            here = (shapes == shape).to_numpy()
            if not here.any():
                continue
            found = share(np.bincount(layer, here, minlength=len(sizes)), sizes)
            numbers = {"kernels": len(labels), "identified": int(here.sum())}
            limits = {"low": float(found.low), "high": float(found.high)}
            rows.append({**known, "shape": shape, **numbers, "share": float(found.value), **limits})
    columns = [*NETWORK, "shape", "kernels", "identified", "share", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(NETWORK, kind="stable", ignore_index=True)


def _by_size(
    paths: Sequence[str | Path], models: Sequence[Sequence]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, np.ndarray]]:
    """Yield what is known of a network and size, its labels, and dissimilarities by single seeds.

    Those are of shape (kernels, seeds), NaN where a seed alone gives no name.
    """
    known = {name: (family, trained) for name, family, trained, _ in models}
    for path in paths:
        table = pq.read_table(
            path, columns=["model", *LAYER, "k", "label", "identified", "by_seed"]
        )
        by_seed = seed_values(table["by_seed"])
        labels = table.drop_columns("by_seed").to_pandas()
        for (model, k), part in labels.groupby(["model", "k"], observed=True, sort=True):
            family, trained = known[str(model)]
            same = {"family": family, "model": str(model), "trained": trained, "k": int(k)}
            yield same, part.reset_index(drop=True), by_seed[part.index]


def _layers(labels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each kernel's layer, and how many kernels each has."""
    layer = labels.groupby(LAYER, observed=True, sort=False).ngroup().to_numpy()
    return layer, np.bincount(layer)


def _alone(by_seed: np.ndarray, limit: float) -> np.ndarray:
    """Return the share that each seed alone identifies, (seeds,)."""
    found: np.ndarray = (by_seed < limit).mean(axis=0)
    return found

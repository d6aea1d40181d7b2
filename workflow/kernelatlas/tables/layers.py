"""Shares identified of each layer, and of each shape in each network, with their intervals."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.clustering.labels import seed_values, threshold
from kernelatlas.evidence.intervals import independent, share
from kernelatlas.names import SHAPES, shape_of
from kernelatlas.running.progress import tracked

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
    for known, labels in _by_size(paths, models, ["layer_index", "identified", "by_seed"]):
        layer, sizes = _layers(labels["layer_index"].to_numpy())
        found = share(np.bincount(layer, labels["identified"].to_numpy()), sizes)
        alone = _alone(seed_values(labels["by_seed"]), threshold(known["k"], thresholds))
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
    parts = []
    for known, labels in _by_size(paths, models, [*LAYER, "identified", "by_seed"]):
        index, first, layer, sizes = np.unique(
            labels["layer_index"], return_index=True, return_inverse=True, return_counts=True
        )
        hits = np.bincount(layer, labels["identified"].to_numpy()).astype(np.int64)
        below = seed_values(labels["by_seed"]) < threshold(known["k"], thresholds)
        alone = np.stack([np.bincount(layer, of_seed) for of_seed in below.T], axis=-1)
        found = independent(hits, sizes).over_seeds(alone / sizes[:, None]).within(0, 1)
        numbers = {"kernels": sizes, "identified": hits, "share_identified": found.value}
        names = labels["layer"].take(first).to_pylist()
        place = pd.DataFrame({"layer_index": index.astype(np.int64), "layer": names})
        parts.append(place.assign(**known, **numbers, low=found.low, high=found.high))
    columns = [*NETWORK, *LAYER, "kernels", "identified", "share_identified", "low", "high"]
    table = pd.concat(parts or [pd.DataFrame(columns=columns)])[columns]
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
    for known, labels in _by_size(paths, models, ["layer_index", "label", "identified"]):
        # By category: there are few labels, and as many kernels as rows.
        label = labels["label"].combine_chunks()
        names, codes = label.dictionary.to_pylist(), label.indices.to_numpy()
        named = labels["identified"].to_numpy()
        layer, sizes = _layers(labels["layer_index"].to_numpy())
        for shape in SHAPES:
            mine = np.array([shape_of(name) == shape for name in names], bool)
            here = mine[codes] & named
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
    paths: Sequence[str | Path], models: Sequence[Sequence], columns: Sequence[str]
) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """Yield what is known of a network and size, and columns of its labels."""
    known = {name: (family, trained) for name, family, trained, _ in models}
    for path in tracked(paths, "layers of label tables", "networks"):
        table = pq.read_table(path, columns=["model", "k", *columns])
        k = table["k"].to_numpy()
        for size in np.unique(k).tolist():
            own = table.filter(k == size) if (k != size).any() else table
            model = str(own["model"][0])
            family, trained = known[model]
            yield {"family": family, "model": model, "trained": trained, "k": size}, own


def _layers(layer_index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each kernel's layer, in their order, and how many kernels each has."""
    layer = np.unique(layer_index, return_inverse=True)[1]
    return layer, np.bincount(layer)


def _alone(by_seed: np.ndarray, limit: float) -> np.ndarray:
    """Return the share that each seed alone identifies, (seeds,)."""
    found: np.ndarray = (by_seed < limit).mean(axis=0)
    return found

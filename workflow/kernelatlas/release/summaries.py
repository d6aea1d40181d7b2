"""What the labels and fits of one network show: shares of shapes, and typical kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.clustering.shares import UNIDENTIFIED
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.names import DEGENERATE, SHAPES, shape_of
from kernelatlas.release.classification import Release


def shape_table(table: pd.DataFrame) -> pd.DataFrame:
    """Count the identified kernels by size and shape.

    Parameters
    ----------
    table
        The table that `Release.classify` returned.

    Returns
    -------
    DataFrame
        k, shape (or "not identified" and why), kernels and share (of all kernels of the size);
        with fits r2 (the median), function (the most frequent) and agrees (share of the kernels
        whose fit has the shape of the label, among those where both have one).
    """
    shape = table["label"].astype(str).map(shape_of)
    failed = ~table["identified"] & ~table["degenerate"]
    shape = shape.where(~failed, table["reason"].astype(object).map(UNIDENTIFIED))
    order = [*SHAPES, *UNIDENTIFIED.values(), DEGENERATE]
    groups = table.assign(shape=pd.Categorical(shape, order)).groupby(["k", "shape"], observed=True)
    measured: dict[str, Any] = {"kernels": ("channel", "size")}
    if "function" in table:
        measured |= {
            "r2": ("r2", "median"),
            "function": ("function", lambda values: next(iter(values.mode()), "")),
            "agrees": ("fit_agrees", lambda values: values.astype("Float64").mean()),
        }
    found = groups.agg(**measured).reset_index()
    total = table.groupby("k").size()
    found.insert(3, "share", found["kernels"] / found["k"].map(total))
    return found.astype({"shape": "str"})


def typical(table: pd.DataFrame, layers: Sequence[Layer], release: Release, n: int) -> pd.DataFrame:
    """Return the identified kernels of each size and label that are closest to their prototype.

    Parameters
    ----------
    table
        The table that `release.classify` returned for `layers`.
    n
        Maximum number of kernels of each label.

    Returns
    -------
    DataFrame
        Rows of `table`, with cosine (to the prototype of the kernel's cluster), rank (from 0)
        and weights (raw, k·k).
    """
    parts = [table.head(0).assign(cosine=0.0, weights=None)]
    identified = table[table["identified"]]
    for k in sorted(set(identified["k"])):
        # Labels that no network of the release has belong to no cluster.
        rows = identified[(identified["k"] == k) & (identified["cluster"] >= 0)]
        if rows.empty:
            continue
        prototypes = np.stack(list(release.clusters(k)["prototype"]))
        keys = zip(rows["layer_index"], rows["channel"], strict=True)
        weights = np.stack([layers[index].weights[channel].ravel() for index, channel in keys])
        nearest = prototypes[rows["cluster"].to_numpy(int)]
        cosine = (normalise(weights) * nearest).sum(axis=1)
        parts.append(rows.assign(cosine=cosine, weights=list(weights)))
    found = pd.concat(parts[1:] or parts)
    found = found.sort_values(
        ["k", "label", "cosine"], ascending=[True, True, False], kind="stable"
    )
    found = found.assign(rank=found.groupby(["k", "label"]).cumcount())
    return found[found["rank"] < n].reset_index(drop=True)

"""The clusters of one family: their shares in each model, and random members."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.kernels.table import read_square
from kernelatlas.tables.models import MODEL, read_labels

N_MEMBERS = 12
SEED = 0


def cluster_shares(
    clusters: Sequence[str | Path], labels: Sequence[str | Path], models: Sequence[Sequence]
) -> pd.DataFrame:
    """Count each model's kernels in each cluster.

    Parameters
    ----------
    clusters, labels
        Paths of cluster tables (one a kernel size) and of the family's label tables.

    Returns
    -------
    DataFrame
        `share` is identified kernels in all kernels of the model and size.
    """
    rows = read_labels(labels, models)
    totals = rows.groupby(MODEL).size().rename("total").reset_index()
    counts = (
        rows.dropna(subset="cluster")
        .groupby([*MODEL, "cluster"])
        .agg(kernels=("identified", "size"), identified=("identified", "sum"))
        .reset_index()
    )
    known = pd.concat([pd.read_parquet(path) for path in clusters], ignore_index=True)
    every = totals.merge(known[["k", "cluster", "label", "template_cosine"]], on="k")
    table = every.merge(counts, how="left", on=[*MODEL, "cluster"])
    for column in ("kernels", "identified"):
        table[column] = table[column].fillna(0).astype("int64")
    table["share"] = table["identified"] / table["total"]
    return table.drop(columns="total").sort_values(["k", "cluster", "model"], ignore_index=True)


def random_members(
    clusters: Sequence[str | Path],
    labels: Sequence[str | Path],
    kernels: Sequence[str | Path],
    models: Sequence[Sequence],
) -> pd.DataFrame:
    """Draw up to 12 kernels of each cluster from the family's trained models.

    From clusters with a name, identified kernels are drawn first.

    Returns
    -------
    DataFrame
        `weights` are as stored in the checkpoint.
    """
    rows = read_labels(labels, models)
    # A family of untrained networks has no members.
    parts = [rows.iloc[:0].assign(rank=0, weights=pd.Series(dtype="object"))]
    for path in clusters:
        k = int(pd.read_parquet(path, columns=["k"])["k"].iloc[0])
        weights = np.concatenate([read_square(kernel, k)[1] for kernel in kernels])
        of_size = rows[rows["k"] == k].reset_index(drop=True)
        trained = of_size[of_size["trained"]].dropna(subset="cluster")
        rng = np.random.default_rng(SEED)
        for _, members in trained.groupby("cluster"):
            n = min(N_MEMBERS, len(members))
            shuffled = members.loc[rng.permutation(members.index)]
            drawn = shuffled.sort_values("identified", ascending=False, kind="stable").iloc[:n]
            parts.append(drawn.assign(rank=np.arange(n), weights=list(weights[drawn.index])))
    columns = [
        "k",
        "cluster",
        "label",
        "rank",
        "model",
        "layer",
        "channel",
        "direction",
        "agreement",
        "dissimilarity",
        "identified",
        "weights",
    ]
    return pd.concat(parts, ignore_index=True)[columns]

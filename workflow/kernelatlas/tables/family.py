"""The clusters of one family, their shares and random members; and tables of all families."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.kernels.table import read_square
from kernelatlas.tables.models import KNOWN, MODEL, each_network, with_model

N_MEMBERS = 12
SEED = 0
LABELLED = [
    *("k", "cluster", "label", "layer", "channel"),
    *("direction", "agreement", "dissimilarity", "identified"),
]
COLUMNS = [
    *("k", "cluster", "label", "rank", "model", "layer", "channel"),
    *("direction", "agreement", "dissimilarity", "identified", "weights"),
]


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
    totals, counts = [], []
    for rows in each_network(labels, models, ["k", "cluster", "identified"]):
        totals.append(rows.groupby(MODEL).size().rename("total").reset_index())
        counted = rows.dropna(subset="cluster").groupby([*MODEL, "cluster"])
        sums = counted.agg(kernels=("identified", "size"), identified=("identified", "sum"))
        counts.append(sums.reset_index())
    known = pd.concat([pd.read_parquet(path) for path in clusters], ignore_index=True)
    shapes = known[["k", "cluster", "label", "template_cosine"]]
    every = pd.concat(totals, ignore_index=True).merge(shapes, on="k")
    table = every.merge(pd.concat(counts), how="left", on=[*MODEL, "cluster"])
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
    drawn = _drawn(clusters, labels, models)
    known = pd.DataFrame(models, columns=list(KNOWN))
    parts = []
    for number, (path, source) in enumerate(zip(labels, kernels, strict=True)):
        rows = pd.read_parquet(path, columns=["model", *LABELLED])
        # A family of untrained networks has no members. A slice would keep all rows in memory.
        none = with_model(rows.iloc[[]], known)
        parts.append(none.assign(rank=0, weights=pd.Series(dtype="object")))
        for k, mine in drawn[drawn["network"] == number].groupby("k"):
            own = with_model(rows[rows["k"] == k].iloc[mine["place"]], known)
            weights = read_square(source, int(str(k)))[1][mine["place"]]
            own = own.set_index(mine.index)
            parts.append(own.assign(rank=mine["rank"], weights=list(weights)))
    return pd.concat(parts).sort_index(ignore_index=True)[COLUMNS]


def all_families(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return tables of families, in their order, as one. Families without rows change no type."""
    tables = [pd.read_parquet(path) for path in paths]
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def _drawn(
    clusters: Sequence[str | Path], labels: Sequence[str | Path], models: Sequence[Sequence]
) -> pd.DataFrame:
    """Draw members, in the order of their table: network, k, place among its kernels of k, rank."""
    columns = ["k", "cluster", "identified"]
    rows = pd.concat(
        [
            own[[*columns, "trained"]].assign(
                network=np.int16(number), place=own.groupby("k").cumcount().astype("int32")
            )
            for number, own in enumerate(each_network(labels, models, columns))
        ],
        ignore_index=True,
    )
    parts = [rows.iloc[:0].assign(rank=0)]
    for path in clusters:
        k = int(pd.read_parquet(path, columns=["k"])["k"].iloc[0])
        of_size = rows[rows["k"] == k].reset_index(drop=True)
        trained = of_size[of_size["trained"]].dropna(subset="cluster")
        rng = np.random.default_rng(SEED)
        for _, members in trained.groupby("cluster"):
            n = min(N_MEMBERS, len(members))
            shuffled = members.loc[rng.permutation(members.index)]
            chosen = shuffled.sort_values("identified", ascending=False, kind="stable").iloc[:n]
            parts.append(chosen.assign(rank=np.arange(n)))
    return pd.concat(parts, ignore_index=True)

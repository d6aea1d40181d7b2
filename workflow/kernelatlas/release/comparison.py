"""Networks that were classified beside each other, and beside the release's own kernels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.clustering.reasons import COUNTS
from kernelatlas.evidence.intervals import Estimate, share
from kernelatlas.names import (
    ALL_FAMILIES,
    ALL_NETWORKS,
    NULLS,
    SHAPES,
    TRAINED,
    UNTRAINED,
    shape_of,
)
from kernelatlas.release.classification import Release

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
SETS = (TRAINED, UNTRAINED, *NULLS)


@dataclass(frozen=True)
class Reference:
    """What a release says of the k×k kernels that its curves were fitted to.

    Attributes
    ----------
    networks, kernels
        The trained networks with such kernels, and how many kernels they have; all trained
        networks and 0 where the release does not tell.
    shares : DataFrame
        share, low and high of the kernels identified in each set that the release has: trained,
        untrained and the nulls, labelled by curves that have not seen them. May be empty.
    medians : Series
        Median dissimilarity of the kernels of each of the networks.
    unseen : bool
        Whether `medians` are by curves that have not seen the network.
    """

    networks: list[str]
    kernels: int
    shares: pd.DataFrame
    medians: pd.Series
    unseen: bool


def reference(release: Release, k: int) -> Reference:
    """Return what a release says of its own k×k kernels; what it lacks stays empty."""
    counts = release.table("models")
    networks = [model["name"] for model in release.manifest["models"] if model["trained"]]
    kernels, medians, unseen = 0, pd.Series(dtype=float), False
    if counts is not None:
        own = counts[counts["trained"] & (counts["k"] == k)].set_index("model")
        networks, kernels = list(own.index), int(own["kernels"].sum())
        medians = own["median_dissimilarity"].dropna()
    stability = release.table(f"stability_k{k}")
    if stability is not None:
        rows = stability[stability["kind"] == "network"].set_index("model")
        held_out = rows["median_dissimilarity_crossfit"].dropna()
        if len(held_out):
            medians, unseen = held_out, True
    shares = pd.DataFrame(columns=["share", "low", "high"], dtype=float)
    nulls = release.table(f"nulls_k{k}")
    if nulls is not None:
        chosen = (nulls["family"] == ALL_FAMILIES) & (nulls["rule"] == "identified")
        chosen &= nulls["model"] == ALL_NETWORKS
        shares = nulls[chosen].set_index("set")[["share", "low", "high"]].dropna(subset="share")
    return Reference(networks, kernels, shares, medians, unseen)


def identified(table: pd.DataFrame, threshold: float) -> Estimate:
    """Return the share of kernels identified, with an interval over layers and seeds.

    Parameters
    ----------
    table
        Rows of one kernel size that `Release.classify` returned.
    """
    layers = table.groupby("layer_index")["identified"].agg(["sum", "size"])
    known = table["by_seed"].dropna()
    found = share(layers["sum"].to_numpy(), layers["size"].to_numpy())
    if len(known):
        alone = (np.stack(known.tolist()) < threshold).sum(axis=0) / len(table)
        found = found.over_seeds(alone)
    return found.within(0, 1)


def beyond(table: pd.DataFrame, limit: float) -> Estimate:
    """Return the share of the kernels with a shape whose dissimilarity is above a limit.

    The interval is over layers; of one layer, as of independent kernels. NaN without kernels or
    a limit.
    """
    rows = table[~table["degenerate"]]
    if rows.empty or np.isnan(limit):
        nothing = np.array(np.nan)
        return Estimate(nothing, nothing, nothing)
    far = rows["dissimilarity"].astype(float) > limit
    layers = rows["layer_index"].to_numpy()
    units = layers if len(set(layers)) > 1 else np.arange(len(rows))
    counts = far.groupby(units).agg(["sum", "size"])
    return share(counts["sum"].to_numpy(), counts["size"].to_numpy())


def compare(
    tables: Mapping[str, pd.DataFrame], release: Release, references: Mapping[int, Reference]
) -> pd.DataFrame:
    """Summarise networks beside each other, and beside the release.

    Parameters
    ----------
    tables
        By name, what `Release.classify` returned.
    references
        Of each kernel size of the release.

    Returns
    -------
    DataFrame
        A row for each kernel size and network; results/README.md describes the columns.
    """
    rows = []
    for k in release.sizes:
        for name, table in tables.items():
            mine = table[table["k"] == k]
            if len(mine):
                rows.append(_row(name, mine, k, release.threshold(k), references[k]))
    return pd.DataFrame(rows)


def _row(
    name: str, table: pd.DataFrame, k: int, threshold: float, known: Reference
) -> dict[str, Any]:
    found = identified(table, threshold)
    shapes = table.loc[table["identified"], "label"].astype(str).map(shape_of).value_counts()
    dissimilarity = table["dissimilarity"].dropna().astype(float)
    row: dict[str, Any] = {
        "network": name,
        "k": k,
        "layers": table["layer_index"].nunique(),
        "kernels": len(table),
        "degenerate": int(table["degenerate"].sum()),
        "identified": int(table["identified"].sum()),
        **{column: int((table["reason"] == reason).sum()) for column, reason in COUNTS.items()},
        "share_identified": float(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "threshold": threshold,
        **{
            shape.replace("-", "_"): int(shapes.get(shape, 0))
            for shape in SHAPES
            if shape != "other"
        },
        "mean_agreement": float(table["agreement"].astype(float).mean()),
        **{f"dissimilarity_{q}": dissimilarity.quantile(at) for q, at in QUANTILES.items()},
    }
    if "r2" in table:
        row["median_r2"] = float(table["r2"].median())
    for kind, share_of in known.shares.reindex(SETS).iterrows():
        row[f"release_{kind}"] = share_of["share"]
        row |= {f"release_{kind}_{end}": share_of[end] for end in ("low", "high")}
    row["release_least_median"] = known.medians.min()
    row["release_greatest_median"] = known.medians.max()
    far = beyond(table, row["release_greatest_median"])
    row |= {"beyond": float(far.value), "beyond_low": float(far.low)}
    row["beyond_high"] = float(far.high)
    row["farther"] = bool(row["beyond_low"] > 0.5)
    return row

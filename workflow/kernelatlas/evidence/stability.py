"""Stability of labels: between seeds, and on curves that have not seen the network."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import named_by_most, vote
from kernelatlas.names import NO_FOLD, shape_of
from kernelatlas.running.progress import tracked

COLUMNS = {
    "kind": "str",
    "seed": "Int64",
    "other": "Int64",
    "model": "str",
    "kernels": "int64",
    "share_identified": "float64",
    "share_identified_crossfit": "float64",
    "agreement": "float64",
    "adjusted_rand_index": "float64",
    "mean_dissimilarity": "float64",
    "mean_dissimilarity_crossfit": "float64",
    "median_dissimilarity": "float64",
    "median_dissimilarity_crossfit": "float64",
}


def stability_table(
    models: Sequence[str] | pd.Series,
    kernels: np.ndarray,
    curves: Sequence[Curve],
    crossfit: pd.DataFrame,
    threshold: float,
    minimum_cosine: float,
) -> pd.DataFrame:
    """Compare seeds, and the labels of each network with those by curves that have not seen it.

    Parameters
    ----------
    models : sequence of n str
        Network of each kernel.
    kernels : ndarray of shape (n, k * k), float32
        A corpus, normalised.
    curves
        One for each seed, trained on this corpus.
    crossfit
        Of this corpus, as `kernelatlas.evidence.crossfit.crossfit_table` returns it.
    threshold, minimum_cosine
        As `kernelatlas.clustering.labels.label_weights` takes them.

    Returns
    -------
    DataFrame
        Rows of the kinds pair, seed, vote and network; see results/README.md.
    """
    votes = vote(kernels, curves, minimum_cosine)
    mean = votes.dissimilarity
    named = votes.seed_shapes != names.SHAPES.index(names.OTHER)
    alone = named & (votes.dissimilarities < threshold)
    rows: list[dict[str, Any]] = []
    for i, j in combinations(range(len(curves)), 2):
        both = alone[:, i] & alone[:, j]
        one, other = votes.seed_shapes[:, i], votes.seed_shapes[:, j]
        rows.append(
            {
                "kind": "pair",
                "seed": curves[i].seed,
                "other": curves[j].seed,
                "agreement": share((one == other)[both]),
                "adjusted_rand_index": adjusted_rand_score(one, other),
            }
        )
    for i, curve in enumerate(curves):
        rows.append(
            {
                "kind": "seed",
                "seed": curve.seed,
                "share_identified": share(alone[:, i]),
                "mean_dissimilarity": votes.dissimilarities[:, i].mean(dtype=float),
            }
        )
    identified = votes.identified(threshold)
    rows.append(
        {
            "kind": "vote",
            "share_identified": share(identified),
            "agreement": votes.agreement.mean(dtype=float),
            "mean_dissimilarity": mean.mean(dtype=float),
        }
    )
    held_out = crossfit["fold"].to_numpy() != NO_FOLD
    again = named_by_most(crossfit["label"], crossfit["agreement"].to_numpy())
    again &= crossfit["dissimilarity"].to_numpy() < threshold
    shaped = [name for name in names.LABELS if name != names.DEGENERATE]
    of_label = {name: names.SHAPES.index(shape_of(name)) for name in shaped}
    same = crossfit["label"].map(of_label).to_numpy(float) == votes.names.shape
    of_model = pd.Series(models, dtype="category")
    found = sorted(of_model.groupby(of_model, observed=True).indices.items())
    for model, mine in tracked(found, "stability of networks", "networks"):
        own = mean[mine]
        row = {
            "kind": "network",
            "model": model,
            "kernels": len(mine),
            "share_identified": share(identified[mine]),
            "mean_dissimilarity": own.mean(dtype=float),
            "median_dissimilarity": float(np.median(own)),
        }
        if held_out[mine].all():
            both = mine[identified[mine] & again[mine]]
            row |= {
                "share_identified_crossfit": share(again[mine]),
                "agreement": share(same[both]),
                "mean_dissimilarity_crossfit": crossfit["dissimilarity"].iloc[mine].mean(),
                "median_dissimilarity_crossfit": crossfit["dissimilarity"].iloc[mine].median(),
            }
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table["kernels"] = table["kernels"].fillna(len(kernels))
    return table.astype(COLUMNS)


def share(chosen: np.ndarray) -> float:
    """Return the share of true values, NaN for none."""
    return float(chosen.mean()) if chosen.size else float("nan")

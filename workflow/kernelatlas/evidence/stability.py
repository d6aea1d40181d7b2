"""Stability of labels: between seeds, and of networks on curves fitted to other networks."""

import logging
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from kernelatlas import names
from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import Votes, vote

log = logging.getLogger(__name__)

FOLDS = 4  # of networks, at most: each is labelled by curves of the other folds
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
}


def stability_table(
    models: np.ndarray,
    kernels: np.ndarray,
    curves: Sequence[Curve],
    settings: Settings,
    threshold: float,
    minimum_cosine: float,
    device: str = "auto",
) -> pd.DataFrame:
    """Compare seeds, and the labels of each network with those by curves fitted to other networks.

    Parameters
    ----------
    models : ndarray of shape (n,), str
        Network of each kernel.
    kernels : ndarray of shape (n, k * k), float32
        A corpus, normalised.
    curves
        One for each seed, trained on this corpus.
    settings
        Those of their training.
    threshold, minimum_cosine
        As `kernelatlas.clustering.labels.label_weights` takes them.

    Returns
    -------
    DataFrame
        Rows of the kinds pair, seed, vote and network; see results/README.md.
    """
    votes = vote(kernels, curves, minimum_cosine)
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
            "mean_dissimilarity": votes.dissimilarity.mean(dtype=float),
        }
    )
    seeds = [curve.seed for curve in curves]
    held_out = cross_fit(models, kernels, settings, seeds, minimum_cosine, device)
    for model in np.unique(models):
        mine = models == model
        row = {
            "kind": "network",
            "model": model,
            "kernels": int(mine.sum()),
            "share_identified": share(identified[mine]),
            "mean_dissimilarity": votes.dissimilarity[mine].mean(dtype=float),
        }
        if model in held_out:
            found = held_out[model]
            again = found.identified(threshold)
            both = identified[mine] & again
            row |= {
                "share_identified_crossfit": share(again),
                "agreement": share((votes.names.shape[mine] == found.names.shape)[both]),
                "mean_dissimilarity_crossfit": found.dissimilarity.mean(dtype=float),
            }
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table["kernels"] = table["kernels"].fillna(len(kernels))
    return table.astype(COLUMNS)


def share(chosen: np.ndarray) -> float:
    """Return the share of true values, NaN for none."""
    return float(chosen.mean()) if chosen.size else float("nan")


def cross_fit(
    models: np.ndarray,
    kernels: np.ndarray,
    settings: Settings,
    seeds: Sequence[int],
    minimum_cosine: float,
    device: str,
) -> dict[str, Votes]:
    """Label each network's kernels with autoencoders trained on those of other networks.

    Networks are assigned to at most `FOLDS` folds in the order of their names. Empty for a single
    network.

    Parameters
    ----------
    models, kernels, settings, minimum_cosine, device
        As `stability_table` takes them.
    seeds
        Of the trainings of each fold.
    """
    every = np.unique(models)
    found: dict[str, Votes] = {}
    if len(every) < 2:
        return found
    folds = min(FOLDS, len(every))
    for fold in range(folds):
        mine = every[fold::folds]
        rest = kernels[~np.isin(models, mine)]
        curves = []
        for seed in seeds:
            log.info("fold %d of %d, seed %d: %d kernels", fold + 1, folds, seed, len(rest))
            model, _ = fit(rest, settings, seed, device)
            points = model.curve().cpu().numpy()
            curves.append(Curve(model.k, seed, points, model.concentration))
        for name in mine:
            found[name] = vote(kernels[models == name], curves, minimum_cosine)
    return found

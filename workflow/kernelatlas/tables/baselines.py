"""Scores of the baselines, how well they agree, and their prototypes."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, davies_bouldin_score, silhouette_score

from kernelatlas import names
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.baselines import UNCLUSTERED, Outcome, to_prototypes
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.sampling import sample_of

SHOWN = 5000  # kernels for silhouettes, at most: they need all pairs
SEED = 0


def baseline_table(
    kernels: np.ndarray, found: Sequence[Outcome], threshold: float, minimum_cosine: float
) -> pd.DataFrame:
    """Score each outcome.

    A kernel is identified (arXiv 2401.14469) if its dissimilarity to its reconstruction is
    below `threshold` and the prototype of its cluster matches a template.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k)
        Normalised.
    found
        Outcomes of the methods for these kernels.
    threshold
        Threshold of the dissimilarity.
    minimum_cosine
        Smallest cosine to the most similar template at which a prototype has a name.

    Returns
    -------
    DataFrame
        A row for each outcome, columns as in results/README.md.
    """
    k = side(kernels)
    rows = sample_of(np.arange(len(kernels)), SHOWN, SEED)
    distances = np.clip(1 - kernels[rows] @ kernels[rows].T, 0, 2)
    np.fill_diagonal(distances, 0)
    table = []
    for outcome in found:
        close = outcome.dissimilarity < threshold
        row: dict[str, Any] = {
            "method": outcome.method,
            "seed": outcome.seed,
            "dimensions": outcome.dimensions,
            "mean_dissimilarity": outcome.dissimilarity.mean(dtype=float),
            "share_below": close.mean(),
            "threshold": threshold,
        }
        if outcome.clusters is not None and outcome.prototypes is not None:
            clusters, prototypes = outcome.clusters, outcome.prototypes
            named = bank(k).name(prototypes, minimum_cosine).label != names.OTHER
            inside = clusters != UNCLUSTERED
            # The last entry is for unclustered kernels.
            has_name = np.append(named, False)[clusters]
            to_prototype = to_prototypes(kernels, clusters, prototypes)
            present = np.unique(clusters[inside])
            row |= {
                "clusters": len(present),
                "named": int(named[present].sum()),
                "share_unclustered": (~inside).mean(),
                "mean_dissimilarity_prototype": to_prototype.mean(dtype=float),
                "share_identified": (close & has_name).mean(),
                "share_identified_prototype": ((to_prototype < threshold) & has_name).mean(),
                "silhouette": silhouette(distances, clusters[rows]),
                "davies_bouldin": davies_bouldin(kernels[inside], clusters[inside]),
            }
        table.append(row)
    columns = {
        "method": "str",
        "seed": "Int64",
        "dimensions": "Int16",
        "clusters": "Int16",
        "named": "Int16",
        "share_unclustered": "float64",
        "mean_dissimilarity": "float64",
        "mean_dissimilarity_prototype": "float64",
        "share_below": "float64",
        "share_identified": "float64",
        "share_identified_prototype": "float64",
        "silhouette": "float64",
        "davies_bouldin": "float64",
        "threshold": "float64",
    }
    return pd.DataFrame(table).reindex(columns=list(columns)).astype(columns)


def silhouette(distances: np.ndarray, clusters: np.ndarray) -> float:
    """Return the mean silhouette of clustered points from distances, (n, n); NaN without any."""
    inside = np.flatnonzero(clusters != UNCLUSTERED)
    clusters = clusters[inside]
    if not 2 <= len(np.unique(clusters)) < len(clusters):
        return np.nan
    return float(
        silhouette_score(distances[np.ix_(inside, inside)], clusters, metric="precomputed")
    )


def davies_bouldin(kernels: np.ndarray, clusters: np.ndarray) -> float:
    """Return the Davies–Bouldin index of clustered kernels; NaN where there is none."""
    if not 2 <= len(np.unique(clusters)) < len(clusters):
        return np.nan
    return float(davies_bouldin_score(kernels, clusters))


def agreement_table(found: Sequence[Outcome]) -> pd.DataFrame:
    """Compare the clusters of methods by the adjusted Rand index (Hubert & Arabie, 1985).

    Kernels that a method leaves unclustered count as one cluster of it.

    Returns
    -------
    DataFrame
        A row for each ordered pair of methods with clusters: method, other, adjusted_rand_index
        (a mean) and pairs (of outcomes in this mean). A method is compared with itself between
        its seeds, empty for one seed; two methods are compared by their first seeds.
    """
    by_method: dict[str, list[np.ndarray]] = {}
    for outcome in found:
        if outcome.clusters is not None:
            by_method.setdefault(outcome.method, []).append(outcome.clusters)
    table = []
    for method, mine in by_method.items():
        for other, theirs in by_method.items():
            pairs = list(combinations(mine, 2)) if other == method else [(mine[0], theirs[0])]
            indices = [adjusted_rand_score(a, b) for a, b in pairs]
            mean = float(np.mean(indices)) if indices else np.nan
            table.append((method, other, mean, len(pairs)))
    return pd.DataFrame(table, columns=["method", "other", "adjusted_rand_index", "pairs"])


def prototype_table(found: Sequence[Outcome], k: int, minimum_cosine: float) -> pd.DataFrame:
    """Describe the prototypes of each method's first seed; of equal sets only the first.

    Returns
    -------
    DataFrame
        A row for each prototype: method, cluster, label, template_cosine, members, prototype.
    """
    parts: list[pd.DataFrame] = []
    seen: list[np.ndarray] = []
    for outcome in _first_seeds(found):
        prototypes = outcome.prototypes
        if prototypes is None or outcome.clusters is None:
            continue
        if any(np.array_equal(prototypes, other) for other in seen):
            continue
        seen.append(prototypes)
        found_names = bank(k).name(prototypes, minimum_cosine)
        inside = outcome.clusters[outcome.clusters != UNCLUSTERED]
        part = pd.DataFrame(
            {
                "method": outcome.method,
                "cluster": np.arange(len(prototypes), dtype=np.int16),
                "label": found_names.label.astype(str),
                "template_cosine": found_names.cosine,
                "members": np.bincount(inside, minlength=len(prototypes)),
                "prototype": list(prototypes),
            }
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _first_seeds(found: Sequence[Outcome]) -> list[Outcome]:
    first: dict[str, Outcome] = {}
    for outcome in found:
        first.setdefault(outcome.method, outcome)
    return list(first.values())

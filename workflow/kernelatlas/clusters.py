"""Cut the decoded curve into clusters and name each after its best template.

The cut is the best there is (dynamic programming, as in Fisher's optimal
partitions): it minimises the mean dissimilarity of the curve, weighted by how many
kernels lie where, to one prototype a segment, plus a fixed price for each segment.
"""

import numpy as np
import pandas as pd

from kernelatlas.templates import bank

FLOOR = 0.02  # share of the weight spread evenly, so that empty stretches are cut too
CELLS = 512  # places where a cut may be


def cut(curve: np.ndarray, counts: np.ndarray, price: float) -> np.ndarray:
    """Return where the segments of a curve begin.

    Parameters
    ----------
    curve : ndarray of shape (m, k * k)
        Unit vectors along the curve.
    counts : ndarray of shape (m,)
        Kernels whose best code is there.
    price : float
        Dissimilarity, averaged over all kernels, that one more segment must save.

    Returns
    -------
    ndarray of shape (n_segments,), int
        First index of each segment; the first is 0.
    """
    m = len(curve)
    share = weights(counts)
    # Σ w (1 − cos) to the best prototype, the direction of the sum, is Σ w − ‖Σ w p‖.
    mass = np.concatenate([[0.0], np.cumsum(share)])
    sums = np.concatenate([np.zeros((1, curve.shape[1])), np.cumsum(share[:, None] * curve, 0)])
    edges = np.unique(np.linspace(0, m, min(CELLS, m) + 1).round().astype(int))
    best = np.full(len(edges), np.inf)
    best[0] = 0.0
    previous = np.zeros(len(edges), dtype=int)
    for j in range(1, len(edges)):
        end, starts = edges[j], edges[:j]
        cost = mass[end] - mass[starts] - np.linalg.norm(sums[end] - sums[starts], axis=1)
        total = best[:j] + cost + price
        previous[j] = int(total.argmin())
        best[j] = total[previous[j]]
    begins = []
    j = len(edges) - 1
    while j > 0:
        j = previous[j]
        begins.append(edges[j])
    return np.array(begins[::-1])


def weights(counts: np.ndarray) -> np.ndarray:
    """Return counts as shares that sum to one, a little of it spread evenly."""
    share = counts / max(counts.sum(), 1)
    return (1 - FLOOR) * share + FLOOR / len(counts)


def cluster_table(
    codes: np.ndarray, curve: np.ndarray, counts: np.ndarray, price: float, minimum_cosine: float
) -> pd.DataFrame:
    """Return the clusters of a decoded curve.

    Parameters
    ----------
    codes : ndarray of shape (m,)
        Equally spaced in [0, 1].
    curve : ndarray of shape (m, k * k)
        What they decode to, unit vectors.
    counts : ndarray of shape (m,)
        Kernels of the corpus whose best code is there.
    price
        See `cut`.
    minimum_cosine
        Clusters whose best template is farther are named "other".

    Returns
    -------
    DataFrame
        Columns as in results/README.md, in the order of the code.
    """
    k = int(round(curve.shape[1] ** 0.5))
    templates = bank(k)
    begins = cut(curve, counts, price)
    ends = np.append(begins[1:], len(curve))
    # A cut lies half way between two samples.
    bounds = (codes[begins[1:] - 1] + codes[begins[1:]]) / 2
    prototypes = np.stack(
        [weights(counts)[a:b] @ curve[a:b] for a, b in zip(begins, ends, strict=True)]
    )
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    index, cosine = templates.match(prototypes)
    return pd.DataFrame(
        {
            "k": np.int16(k),
            "cluster": np.arange(len(begins), dtype=np.int16),
            "code_low": np.append(0.0, bounds).astype(np.float32),
            "code_high": np.append(bounds, 1.0).astype(np.float32),
            "label": templates.name(prototypes, minimum_cosine)[0],
            "template": [templates.parameters[i] for i in index],
            "template_label": [templates.labels[i] for i in index],
            "template_cosine": cosine,
            "members": [int(counts[a:b].sum()) for a, b in zip(begins, ends, strict=True)],
            "prototype": list(prototypes.astype(np.float32)),
            "template_weights": list(templates.weights[index]),
        }
    )


def assign(codes: np.ndarray, clusters: pd.DataFrame) -> np.ndarray:
    """Return the cluster of each code, (n,), int16."""
    return np.searchsorted(clusters["code_high"].to_numpy()[:-1], codes, side="right").astype(
        np.int16
    )

"""The clusters of the kernels of one size, and prototypes of kernels without a name.

A cluster is a label: all kernels of a corpus with that name, wherever they lie on the curves.
Its prototype is their mean direction; squares are mirrored to one corner first.
Kernels without a name are split by spherical k-means, to show what they look like.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.kmeans import spherical_kmeans
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.sampling import sample_of

UNNAMED = 8  # prototypes of kernels without a name, at most
KERNELS_PER_PROTOTYPE = 20  # at least
SAMPLE = 50_000  # kernels without a name for k-means, at most
SEED = 0


def cluster_table(
    kernels: np.ndarray, curves: Sequence[Curve], threshold: float, minimum_cosine: float
) -> pd.DataFrame:
    """Return the clusters of a corpus.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    curves
        One for each seed.
    threshold, minimum_cosine
        As `kernelatlas.clustering.labels.label_weights` takes them.

    Returns
    -------
    DataFrame
        Columns as in results/README.md, in the order of `kernelatlas.names.LABELS`, then those
        without a name, the most frequent first.
    """
    votes = vote(kernels, curves, minimum_cosine)
    label = pd.Categorical(votes.names.label, names.LABELS)
    identified = votes.identified(threshold)
    groups = [(name, label == name) for name in names.LABELS if (label == name).any()]
    groups = [(name, rows) for name, rows in groups if name != names.OTHER]
    groups += [(names.OTHER, rows) for rows in _unnamed(kernels, label == names.OTHER)]
    prototypes = np.stack(
        [
            (
                one_corner(kernels[rows], votes.names.template[rows], curves[0].k)
                if name in names.SQUARES
                else kernels[rows]
            ).mean(axis=0, dtype=float)
            for name, rows in groups
        ]
    )
    prototypes /= np.maximum(np.linalg.norm(prototypes, axis=1, keepdims=True), 1e-12)
    templates = bank(curves[0].k)
    found = templates.name(prototypes, -1)
    places = _places(curves, minimum_cosine)
    return pd.DataFrame(
        {
            "k": np.int16(curves[0].k),
            "cluster": np.arange(len(groups), dtype=np.int16),
            "label": [name for name, _ in groups],
            "template": [templates.parameters[i] for i in found.template],
            "template_label": found.label.astype(str),
            "template_cosine": found.cosine,
            "members": [int(rows.sum()) for _, rows in groups],
            "identified": [int(identified[rows].sum()) for _, rows in groups],
            "places": [places.get(name, []) for name, _ in groups],
            "prototype": list(prototypes.astype(np.float32)),
            "template_weights": list(templates.weights[found.template]),
        }
    )


def one_corner(kernels: np.ndarray, template: np.ndarray, k: int) -> np.ndarray:
    """Mirror squares to one corner: otherwise their mean would be a centre.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k)
        Normalised.
    template : ndarray of shape (n,)
        Index of each one's template in the bank.

    Returns
    -------
    ndarray of shape (n, k * k)
        The one of each kernel's four mirror images that is nearest to the most frequent template.
    """
    most_frequent = bank(k).weights[np.bincount(template).argmax()]
    images = kernels.reshape(-1, k, k)
    mirrored = [images, images[:, ::-1], images[:, :, ::-1], images[:, ::-1, ::-1]]
    stack = np.stack([image.reshape(-1, k * k) for image in mirrored])
    return stack[(stack @ most_frequent).argmax(axis=0), np.arange(len(kernels))]


def _unnamed(kernels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Split the rows, (n,) bool, by prototype, the most frequent first."""
    n = int(rows.sum())
    if not n:
        return []
    here = kernels[rows]
    prototypes = min(UNNAMED, max(1, n // KERNELS_PER_PROTOTYPE))
    nearest = np.zeros(n, int)
    if prototypes > 1:
        centroids = spherical_kmeans(sample_of(here, SAMPLE, SEED), prototypes, SEED)
        nearest = (here @ centroids.T).argmax(axis=1)
    parts = []
    for number in np.argsort(-np.bincount(nearest, minlength=prototypes), kind="stable"):
        part = rows.copy()
        part[rows] = nearest == number
        if part.any():
            parts.append(part)
    return parts


def _places(curves: Sequence[Curve], minimum_cosine: float) -> dict[str, list[dict[str, float]]]:
    """Return the intervals of each curve by label: seed, code_low, code_high."""
    found: dict[str, list[dict[str, float]]] = {}
    for curve in curves:
        labels = name_points(curve, minimum_cosine)
        begins = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
        for begin, end in zip(begins, np.append(begins[1:], len(labels)), strict=True):
            interval = {
                "seed": curve.seed,
                "code_low": begin / len(labels),
                "code_high": end / len(labels),
            }
            found.setdefault(labels[begin], []).append(interval)
    return found


def name_points(curve: Curve, minimum_cosine: float) -> np.ndarray:
    """Return the label that one seed alone gives to each point of its curve, (m,) str."""
    drawn = curve.draw(curve.points).mean
    return bank(curve.k).name(drawn, minimum_cosine).label.astype(str)

"""Spherical k-means, and an order of its centroids along a short path."""

import numpy as np
from sklearn.cluster import KMeans

from kernelatlas.errors import KernelAtlasError

ROUNDS = 20


def spherical_kmeans(kernels: np.ndarray, n: int, seed: int, n_init: int = 4) -> np.ndarray:
    """Return n unit centroids that maximise the mean cosine to their kernels.

    scikit-learn's k-means on unit vectors, then rounds of the same with centroids
    kept on the sphere (Dhillon & Modha, Machine Learning 42, 2001).

    Parameters
    ----------
    kernels : ndarray of shape (m, k * k)
        Normalised.

    Returns
    -------
    ndarray of shape (n, k * k), float32

    Raises
    ------
    KernelAtlasError
        If there are fewer kernels than centroids.
    """
    if len(kernels) < n:
        raise KernelAtlasError(
            f"{len(kernels)} kernels are fewer than the {n} centroids to start from: "
            "add models or lower `centroids`"
        )
    centroids = KMeans(n, n_init=n_init, random_state=seed).fit(kernels).cluster_centers_
    for _ in range(ROUNDS):
        centroids = centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
        nearest = (kernels @ centroids.T).argmax(axis=1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, kernels)
        empty = ~sums.any(axis=1)
        centroids = np.where(empty[:, None], centroids, sums)
    return (centroids / np.linalg.norm(centroids, axis=1, keepdims=True)).astype(np.float32)


def dissimilarity(kernels: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Return 1 − the cosine of each kernel, (m, d), to the most similar prototype of (n, d)."""
    return 1 - (kernels @ prototypes.T).max(axis=1)


def short_path(points: np.ndarray) -> np.ndarray:
    """Return an order of unit vectors, (n, d), in which neighbours are similar.

    Nearest neighbours, then 2-opt on the open path's total dissimilarity.
    """
    # In float64, so that rounding is never taken for an improvement.
    vectors = points.astype(np.float64)
    distance = 1 - vectors @ vectors.T
    n = len(vectors)
    order = [0]
    left = set(range(1, n))
    while left:
        nearest = min(left, key=lambda j: (distance[order[-1], j], j))
        order.append(nearest)
        left.remove(nearest)

    def gap(i: int, j: int) -> float:
        return distance[order[i], order[j]] if i >= 0 and j < n else 0.0

    improved = True
    while improved:
        improved = False
        for i in range(n - 1):
            for j in range(i + 1, n):
                before = gap(i - 1, i) + gap(j, j + 1)
                after = gap(i - 1, j) + gap(i, j + 1)
                if after < before - 1e-9:
                    order[i : j + 1] = order[i : j + 1][::-1]
                    improved = True
    return np.array(order)

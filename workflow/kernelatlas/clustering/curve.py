"""A decoded curve of kernels, and the reconstruction of a kernel from it.

A kernel's code is that of the most similar point of the curve. Which point that is depends on
where the points of one training happen to lie, so the reconstruction is a weighted mean of all
points, with the weight exp(κ cos): the posterior of a von Mises–Fisher mixture with equal weights
(Banerjee et al., J. Mach. Learn. Res. 6, 2005). The concentration κ is the one that best
reconstructs held-out kernels (`kernelatlas.clustering.principal`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernelatlas.running.tensors import read_tensors

BLOCK = 1024  # kernels per matrix product, so that a block of cosines stays in the cache
# Logarithm of weights, at least: smaller ones add nothing in single precision, and subnormal
# numbers take ten times as long.
LEAST = np.float32(-75)


@dataclass(frozen=True)
class Drawn:
    """The reconstructions of n kernels.

    Attributes
    ----------
    point : ndarray of shape (n,), int
        Index of the most similar point.
    dissimilarity : ndarray of shape (n,), float32
        1 − cos to it.
    mean : ndarray of shape (n, k * k), float32
        Weighted mean direction of the points; unit vectors.
    """

    point: np.ndarray
    dissimilarity: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class Curve:
    """What the decoder of one training returns for equally spaced codes.

    Attributes
    ----------
    k, seed
        Of the training.
    points : ndarray of shape (m, k * k), float32
        Unit vectors, at the middles of m equal intervals of the code.
    concentration
        κ.
    """

    k: int
    seed: int
    points: np.ndarray
    concentration: float

    @property
    def codes(self) -> np.ndarray:
        """Codes of the points, (m,), float32."""
        return middles(len(self.points))

    def draw(self, kernels: np.ndarray) -> Drawn:
        """Reconstruct normalised kernels, (n, k * k)."""
        point = np.empty(len(kernels), np.int64)
        dissimilarity = np.empty(len(kernels), np.float32)
        mean = np.empty((len(kernels), self.points.shape[1]), np.float32)
        # Blocks share their memory: pages that are new to the process take a fifth of the time.
        memory = np.empty((min(BLOCK, len(kernels)), len(self.points)), np.float32)
        for begin in range(0, len(kernels), BLOCK):
            rows = slice(begin, begin + BLOCK)
            block = kernels[rows]
            cosines = np.matmul(block, self.points.T, out=memory[: len(block)])
            nearest = cosines.argmax(axis=1)
            best = cosines[np.arange(len(block)), nearest]
            point[rows], dissimilarity[rows] = nearest, 1 - best
            cosines -= best[:, None]
            cosines *= np.float32(self.concentration)
            if 2 * self.concentration > -LEAST:
                np.maximum(cosines, LEAST, out=cosines)
            np.matmul(np.exp(cosines, out=cosines), self.points, out=mean[rows])
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        return Drawn(point, dissimilarity, mean)

    @classmethod
    def load(cls, path: str | Path) -> "Curve":
        """Read the curve of an autoencoder that `Autoencoder.save` wrote; needs no torch."""
        tensors, content = read_tensors(path, ["curve"])
        return cls(content["k"], content["seed"], tensors["curve"], content["concentration"])


def middles(m: int) -> np.ndarray:
    """Return the middles of m equal intervals of [0, 1], float32."""
    return ((np.arange(m) + 0.5) / m).astype(np.float32)

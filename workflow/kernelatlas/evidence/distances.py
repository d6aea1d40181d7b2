"""How far sets of kernels are from each other, and how varied the kernels of a layer are.

After CNN Filter DB (Gavrikov & Keuper, CVPR 2022, arXiv 2203.15331), whose measures for
3×3 kernels are defined here for any size. Where the paper leaves something open, the statistics of
layers follow the authors' library torchconvquality.
"""

from functools import cache

import numpy as np
from scipy.special import gammaln
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from kernelatlas.kernels.blocks import at_once

BINS = 70  # as in the paper
PSEUDO = 0.5  # kernels added to every bin: Jeffreys' prior of a multinomial distribution
FLOOR_DRAWS = 20
FLOAT_ZERO = (
    1e-9  # of explained variance: the component that centring removes is not exactly 0 in float32
)
BLOCK = 1 << 15  # kernels at once, or fewer if they are large
NOISE_LAYERS = 5


class Coordinates:
    """Principal components of a corpus, and histograms of sets of kernels along them.

    The bins of a component are of equal width from the least to the greatest coordinate of
    the corpus; coordinates beyond are counted in the outermost bins. So bins do not depend on the
    sets that are compared.

    Attributes
    ----------
    weights : ndarray of shape (components,)
        Explained variance ratios.
    """

    def __init__(self, corpus: np.ndarray) -> None:
        """Find the components of a corpus of normalised kernels, (n, k·k)."""
        pca = PCA(min(corpus.shape), svd_solver="covariance_eigh").fit(corpus)
        kept = pca.explained_variance_ratio_ > FLOAT_ZERO
        self.weights = pca.explained_variance_ratio_[kept].astype(np.float64)
        self._mean, self._axes = pca.mean_, pca.components_[kept].T
        ranges = []
        for rows in gen_batches(len(corpus), at_once(corpus.shape[1], BLOCK)):
            scores = self._scores(corpus[rows])
            ranges.append((scores.min(axis=0), scores.max(axis=0)))
        lows, highs = zip(*ranges, strict=True)
        self._low, self._high = np.min(lows, axis=0), np.max(highs, axis=0)

    def _scores(self, kernels: np.ndarray) -> np.ndarray:
        return (kernels - self._mean) @ self._axes

    def histogram(self, kernels: np.ndarray) -> np.ndarray:
        """Count normalised kernels, (n, k·k), in each bin: (components, BINS) int64."""
        components = len(self.weights)
        counts = np.zeros(components * BINS, np.int64)
        start = np.arange(components) * BINS
        for rows in gen_batches(len(kernels), at_once(kernels.shape[1], BLOCK)):
            position = (self._scores(kernels[rows]) - self._low) / (self._high - self._low)
            bins = np.clip((position * BINS).astype(np.int64), 0, BINS - 1)
            counts += np.bincount((bins + start).ravel(), minlength=len(counts))
        return counts.reshape(components, BINS)


def divergence(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted symmetric Kullback–Leibler divergence of histograms, in nats.

    Σᵢ aᵢ Σₓ (Pᵢ(x) − Qᵢ(x)) ln(Pᵢ(x) / Qᵢ(x)), which is KL(P‖Q) + KL(Q‖P) of each component i
    weighted by the variance ratio aᵢ that it explains. P(x) is (n(x) + ½) / Σ (n + ½).

    Parameters
    ----------
    first, second : ndarray of shape (…, components, bins)
        Counts; other axes are broadcast.
    weights : ndarray of shape (components,)
    """
    p, q = (_smoothed(counts) for counts in (first, second))
    return ((p - q) * np.log(p / q)).sum(axis=-1) @ weights


def _smoothed(counts: np.ndarray) -> np.ndarray:
    counts = counts + PSEUDO
    return counts / counts.sum(axis=-1, keepdims=True)


def noise_floor(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> float:
    """Return the mean divergence between samples of two sizes from one distribution.

    That distribution is of both sets together; a divergence near this value shows no difference.

    Parameters
    ----------
    first, second : ndarray of shape (components, bins)
        Counts of the two sets.
    """
    pool = first + second
    shares = pool / pool.sum(axis=1, keepdims=True)
    a, b = (
        rng.multinomial(counts[0].sum(), shares, size=(FLOOR_DRAWS, len(shares)))
        for counts in (first, second)
    )
    return float(divergence(a, b, weights).mean())


def variance_entropy(weights: np.ndarray) -> float:
    """Return the entropy of how a layer's variance is spread over its singular vectors.

    −Σ r log₁₀ r with the ratios r of the squared singular values of the kernels, (n, k·k), as
    stored, less their mean kernel. 0 if all kernels are multiples of one kernel; at most
    log₁₀ min(n − 1, k²).
    """
    values = weights.astype(np.float64)
    # Scaled, so that squares of weights in single precision cannot vanish or overflow.
    values = values / max(float(np.abs(values).max()), np.finfo(np.float64).tiny)
    energy = np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2
    energy = energy[energy > np.finfo(np.float64).eps * float(energy.sum())]
    ratios = energy / float(energy.sum())
    return max(0.0, -float((ratios * np.log10(ratios)).sum()))


@cache
def noise_entropy(kernels: int, pixels: int) -> float:
    """Return the mean variance entropy of layers of white Gaussian noise of one shape.

    It generalises the paper's random threshold for 3×3 kernels to any size.
    """
    rng = np.random.default_rng((kernels, pixels))
    layers = (rng.standard_normal((kernels, pixels)) for _ in range(NOISE_LAYERS))
    return float(np.mean([variance_entropy(layer) for layer in layers]))


def sparsity(weights: np.ndarray) -> float:
    """Return the share of kernels whose weights are all below 1 % of the layer's largest.

    In absolute value. 1 for a layer of zeros.
    """
    peaks = np.abs(weights).max(axis=1)
    return float(((peaks < float(peaks.max()) / 100) | (peaks == 0)).mean())


def orthogonality(weights: np.ndarray) -> float:
    """Return 1 − Σ |cos(wᵢ, wⱼ)| / n(n − 1) over the pairs i ≠ j of a layer's n kernels.

    Kernels of zeros count as orthogonal to all. NaN for one kernel.
    """
    n = len(weights)
    if n < 2:
        return float("nan")
    values = weights.astype(np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    units = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    cosines = sum(_total(units[at : at + 1024] @ units.T) for at in range(0, n, 1024))
    return float(1 - (cosines - (norms > 0).sum()) / (n * (n - 1)))


def _total(cosines: np.ndarray) -> float:
    return float(np.abs(cosines, out=cosines).sum())  # in place: half of the time is for memory


def noise_orthogonality(pixels: int) -> float:
    """Return the orthogonality expected of white Gaussian noise.

    The mean |cos| of random directions in d dimensions is Γ(d/2) / (√π Γ((d+1)/2)).
    """
    return float(1 - np.exp(gammaln(pixels / 2) - gammaln((pixels + 1) / 2)) / np.sqrt(np.pi))

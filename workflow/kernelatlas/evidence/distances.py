"""How far sets of kernels are from each other, and how varied the kernels of a layer are.

After CNN Filter DB (Gavrikov & Keuper, CVPR 2022, arXiv 2203.15331), whose measures for
3×3 kernels are defined here for any size. Where the paper leaves something open, the statistics of
layers follow the authors' library torchconvquality.
"""

from functools import cache

import numpy as np
from scipy.special import gammaln
from scipy.stats import binom
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from kernelatlas.kernels.blocks import at_once

BINS = 70  # as in the paper
PSEUDO = 0.5  # kernels added to every bin: Jeffreys' prior of a multinomial distribution
NODES = 512  # between which moments are interpolated: floors are exact to 1e-4 of them
SUMMED = 200  # kernels: mean of a bin up to which its moments are sums
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


def noise_floor(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Return the expected divergence between samples of two sizes from one distribution.

    That distribution is of both sets together; a divergence near this value shows no difference.
    The counts of a bin are binomial, and the samples are independent, so that with means m = E P
    and m' = E Q, u = P / m and u' = Q / m',
    E (P − Q) ln(P / Q) = (m − m') ln(m / m') + m (E u ln u − E ln u') + m' (E u' ln u' − E ln u).

    Parameters
    ----------
    first, second : ndarray of shape (components, bins)
        Counts of the two sets.
    """
    pool = first + second
    shares = pool / pool.sum(axis=1, keepdims=True)
    sizes = [int(counts[0].sum()) for counts in (first, second)]
    (p, p_excess, p_log), (q, q_excess, q_log) = (_expected(n, shares) for n in sizes)
    terms = (p - q) * np.log(p / q) + p * (p_excess - q_log) + q * (q_excess - p_log)
    return float(terms.sum(axis=1) @ weights)


def _expected(n: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean m of the smoothed share P of a bin of n kernels, E u ln u and E ln u."""
    means = n * shares
    grid, excess, logarithm = _moments(n)
    where = np.log1p(means)
    smoothed = (means + PSEUDO) / (n + BINS * PSEUDO)
    return smoothed, np.interp(where, grid, excess), np.interp(where, grid, logarithm)


@cache
def _moments(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ln(1 + mean), E u ln u and E ln u for u = (X + ½) / (mean + ½), X binomial of n.

    Sums over X up to a mean of SUMMED, above it the series in the central moments to the fourth.
    """
    grid = np.linspace(0, np.log1p(n), NODES)
    mean = np.minimum(np.expm1(grid), n)
    share, scale = mean / n, mean + PSEUDO
    second = mean * (1 - share) / scale**2
    third = second * (1 - 2 * share) / scale
    fourth = second * (1 + (3 * n - 6) * share * (1 - share)) / scale**2
    excess = second / 2 - third / 6 + fourth / 12
    logarithm = -second / 2 + third / 3 - fourth / 4
    few = mean <= SUMMED
    x = np.arange(min(n, 2 * SUMMED) + 1)  # at least 14 standard deviations above the mean, or all
    u = (x + PSEUDO) / scale[few, None]
    chance = binom.pmf(x, n, share[few, None])
    excess[few] = (chance * u * np.log(u)).sum(axis=1)
    logarithm[few] = (chance * np.log(u)).sum(axis=1)
    return grid, excess, logarithm


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

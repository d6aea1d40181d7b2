"""Confidence intervals of shares of kernels, where the kernels of one layer are alike.

Layers are what is sampled, a few of them and of unequal sizes; the share is Σ hits / Σ sizes.
Resampling few layers gives intervals that are too short, and none for shares of 0 and 1. So the
interval is Wilson's score interval (J. Am. Stat. Assoc. 22, 1927) of an effective number of
kernels (Korn & Graubard, Survey Methodology 24, 1998): p(1 − p) over the share's variance, less
(z/t)² for the degrees of freedom of that variance.

The variance is that of the layers' residuals, made unbiased for layers in which two kernels
correlate by `CORRELATION`, with the degrees of freedom of the same model (Bell & McCaffrey, Survey
Methodology 28, 2002). The model's own variance counts as `PRIOR` degrees of freedom more, and
the variance is never less than that of independent kernels: this gives a width to what layers
agree on, shares of 0 and 1 among it. 0.1 is our choice: trained kernels of the embedded networks
correlate by up to 0.12.

The ends of a difference of two shares are recovered from those of both (Newcombe, Stat. Med. 17,
1998, method 10).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

CORRELATION = 0.1
PRIOR = 1.0
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares, with its interval; arrays if there are several.

    Attributes
    ----------
    value, low, high
        From 0 to 1, of a difference from −1; low and high are NaN where there is none.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def minus(self, other: "Estimate") -> "Estimate":
        """Return the difference to an independent share."""
        value = self.value - other.value
        down = np.hypot(self.value - self.low, other.high - other.value)
        up = np.hypot(self.high - self.value, other.value - other.low)
        return Estimate(value, value - down, value + up)


def share(hits: np.ndarray, sizes: np.ndarray) -> Estimate:
    """Estimate a share of kernels from those of each layer, with its 95 % interval.

    Parameters
    ----------
    hits, sizes : ndarray of shape (..., layers)
        How many kernels of each layer are counted, and how many there are, at least one.

    Returns
    -------
    Estimate
        Without the axis of layers. Of one layer there is no interval.
    """
    hits, sizes = np.asarray(hits, dtype=float), np.asarray(sizes, dtype=float)
    total = sizes.sum(axis=-1)
    value = hits.sum(axis=-1) / total
    if sizes.shape[-1] < 2:
        return Estimate(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    # Of no or all kernels the variance is taken as if half a kernel were otherwise.
    smooth = (hits.sum(axis=-1) + 0.5) / (total + 1)
    unit = smooth * (1 - smooth)
    residuals = (hits - value[..., None] * sizes) / total[..., None]
    expected, freedom = _working_model(sizes)
    variance = (residuals**2).sum(axis=-1) * expected[0] / expected[1]
    model = unit * expected[0]
    variance = (freedom * variance + PRIOR * model) / (freedom + PRIOR)
    variance = np.maximum(variance, unit / total)
    z, t = ndtri((1 + LEVEL) / 2), stdtrit(freedom + PRIOR, (1 + LEVEL) / 2)
    return Estimate(value, *_wilson(value, unit / variance * (z / t) ** 2, z))


def _working_model(sizes: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return what a model of equally correlated kernels expects of shares and residuals.

    Returns
    -------
    expected : tuple of ndarray of shape (...)
        Variance of the share, and the sum of the squared residuals, both over p(1 − p).
    freedom : ndarray of shape (...)
        Satterthwaite's degrees of freedom of that sum, tr(C)² / tr(C²) of the residuals'
        covariance C = D − w dᵀ − d wᵀ + (Σ d) w wᵀ: w are the layers' shares of all kernels, d the
        variances of their hits, D the diagonal matrix of d. m − 1 of m equal layers.
    """
    total = sizes.sum(axis=-1, keepdims=True)
    w, d = sizes / total, sizes * (1 + (sizes - 1) * CORRELATION) / total**2
    s, ww, wd, dd = (product.sum(axis=-1) for product in (d, w * w, w * d, d * d))
    trace = s - 2 * wd + s * ww
    diagonal = (d * (s[..., None] * w**2 - 2 * w * d)).sum(axis=-1)
    square = dd + 2 * diagonal + 2 * (ww * dd + wd**2) - 4 * s * ww * wd + (s * ww) ** 2
    return (s, trace), trace**2 / square


def _wilson(p: np.ndarray, n: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    middle = p + z**2 / (2 * n)
    reach = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (middle - reach) / (1 + z**2 / n), (middle + reach) / (1 + z**2 / n)
    # Exactly 0 and 1 where the share is, whatever rounding leaves.
    return np.where(p > 0, low.clip(0, 1), 0.0), np.where(p < 1, high.clip(0, 1), 1.0)

"""Confidence intervals of shares of kernels: of one layer they are alike, and seeds differ.

The sample is of layers, few of them and of unequal sizes; the share is Σ hits / Σ sizes. A
percentile bootstrap over few layers gives intervals that are too short, of zero width at shares of
0 and 1. Here the interval is Wilson's score interval (J. Am. Stat. Assoc. 22, 1927) for an
effective number of kernels (Korn & Graubard, Survey Methodology 24, 1998): p(1 − p) divided by the
variance of the share, times (z/t)² with t of that variance's degrees of freedom.

The variance is estimated from the residuals of layers. Its bias and its degrees of freedom are
those under a working model (Bell & McCaffrey, Survey Methodology 28, 2002), in which two kernels
of a layer have the correlation `CORRELATION`. The variance under the model itself is averaged in as
`PRIOR` more degrees of freedom, and the variance is at least that of independent kernels, so that
the interval keeps a width where all layers agree. 0.1 is our choice: in the trained embedded
networks this correlation is between 0 and 0.12.

Labels are by vote of a few seeds of the autoencoder, and others would give another share. The vote
is taken for a mean over the seeds, so that its variance is that of the shares by single seeds over
their number, with one degree of freedom less than there are seeds. Half the width of a t-interval
with it and that over layers are added in quadrature (the method of variance estimates recovery: Zou
& Donner, Stat. Med. 27, 2008). Likewise the interval of a difference of independent shares is
computed from those of both (Newcombe, Stat. Med. 17, 1998, method 10, of which it is the general
form).

Coverage and widths by simulation: `benchmarks/intervals.py`.
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
        """Return the difference to a share of independent kernels."""
        value = self.value - other.value
        down = np.hypot(self.value - self.low, other.high - other.value)
        up = np.hypot(self.high - self.value, other.value - other.low)
        return Estimate(value, value - down, value + up)

    def over_seeds(self, alone: np.ndarray) -> "Estimate":
        """Return the same value with an interval that includes seeds.

        Parameters
        ----------
        alone : ndarray of shape (..., seeds)
            The value by each seed alone. Of a difference these are differences: seeds that raise
            both shares hardly change it. Of one seed nothing is known of others, and the interval
            stays as it is.
        """
        alone = np.asarray(alone, dtype=float)
        n = alone.shape[-1]
        if n < 2:
            return self
        reach = stdtrit(n - 1, (1 + LEVEL) / 2) * alone.std(axis=-1, ddof=1) / np.sqrt(n)
        down, up = np.hypot(self.value - self.low, reach), np.hypot(self.high - self.value, reach)
        return Estimate(self.value, self.value - down, self.value + up)

    def within(self, least: float, most: float) -> "Estimate":
        """Return the same with an interval that ends where values do."""
        return Estimate(self.value, self.low.clip(least, most), self.high.clip(least, most))


def independent(hits: np.ndarray, kernels: np.ndarray) -> Estimate:
    """Estimate shares of independent kernels, as those of one layer, with Wilson's 95 % interval.

    Parameters
    ----------
    hits, kernels : ndarray of shape (...)
        How many are counted, and how many there are, at least one.
    """
    value = np.asarray(hits, dtype=float) / kernels
    z = ndtri((1 + LEVEL) / 2)
    return Estimate(value, *_wilson(value, np.asarray(kernels, dtype=float), z))


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
    # Half a hit and half a miss more, so that p(1 − p) is positive.
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
    # Exactly 0 and 1 at shares of 0 and 1, without rounding errors.
    return np.where(p > 0, low.clip(0, 1), 0.0), np.where(p < 1, high.clip(0, 1), 1.0)

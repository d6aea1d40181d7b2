"""Normal noise whose directions have given second moments.

Let z be normal with variances λ along orthogonal axes. Its direction z/‖z‖ follows an angular
central Gaussian distribution (Tyler, Biometrika 74, 1987), of which the second moments are those of
a ratio of quadratic forms; with ∫ exp(−t‖z‖²) dt = 1/‖z‖² (Magnus, Ann. Econ. Stat. 4, 1986)

    E_i = E[z_i²/‖z‖²] = ∫_0^∞ λ_i/(1 + 2tλ_i) Π_j (1 + 2tλ_j)^(−1/2) dt.

They are flatter than λ. The λ with which E is a given spectrum m is the fixed point of
λ_i ← λ_i · m_i/E_i.
"""

import numpy as np

STEP = 0.25  # of the quadrature in ln t: the trapezoidal rule errs by exp(−2π²/STEP)
DECAY = 40.0  # where the integrand is exp(−DECAY) of its maximum it is cut off
SMALLEST = 1e-9  # of the sum of a spectrum: below it, rounding errors of kernels
TOLERANCE = 1e-8  # of E, relative
ROUNDS = 500


def direction_moments(values: np.ndarray) -> np.ndarray:
    """Return E[z_i²/‖z‖²] of normal z with these variances, (d,).

    Parameters
    ----------
    values : ndarray of shape (d,)
        Not negative, and not all zero.
    """
    moments = np.zeros(len(values))
    positive = values > 0
    own = values[positive]
    if len(own) == 1:
        moments[positive] = 1
        return moments
    # The integrand over ln t rises as t, and falls at least as t^(−1) from 1/λ of the least λ on.
    begin = -np.log(2 * own.max()) - DECAY
    end = -np.log(2 * own.min()) + DECAY
    t = np.exp(np.arange(begin, end, STEP))[:, None]
    damped = 1 + 2 * t * own
    common = t * np.exp(-0.5 * np.log(damped).sum(axis=1, keepdims=True))
    moments[positive] = own * STEP * (common / damped).sum(axis=0)
    return moments


def matched(moments: np.ndarray) -> np.ndarray:
    """Return variances of normal noise whose directions have these second moments.

    Parameters
    ----------
    moments : ndarray of shape (d,)
        Eigenvalues of E[u uᵀ]; those below `SMALLEST` of their sum count as zero, and noise has
        nothing along their axes.

    Returns
    -------
    ndarray of shape (d,)
        Of the sum 1.
    """
    target = np.where(moments > SMALLEST * moments.sum(), moments, 0.0)
    target = target / target.sum()
    values = target.copy()
    for _ in range(ROUNDS):
        found = direction_moments(values)
        ratio = np.divide(target, found, out=np.ones_like(target), where=target > 0)
        values = values * ratio / (values * ratio).sum()
        if np.abs(ratio - 1).max() < TOLERANCE:
            break
    return values

"""Gaussians and their derivatives: sampled at points, and discrete.

Lengths are in pixels; x runs to the right and y upwards. Functions take NumPy arrays, and those
that fits need torch tensors as well, for which they call torch: the two differ in the last bits.

The discrete Gaussian is T(n; σ) = exp(−σ²) I_n(σ²) with the modified Bessel functions I_n
(Lindeberg, PAMI 12, 1990), and has the Fourier transform exp(σ² (cos u − 1)). Differences stand
for its derivatives.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # labels need no torch
    from torch import Tensor

Values = TypeVar("Values", np.ndarray, "Tensor")

_erf = np.vectorize(math.erf, otypes=[float])  # labels do without SciPy, whose import is slow


def _of(function: str, values: Values) -> Values:
    """Call a function by name: torch has it as a method, NumPy as a function."""
    method = getattr(values, function, None)
    return method() if method else getattr(np, function)(values)


def bell(t: Values, sigma: "float | Values") -> Values:
    """Return exp(−t² / 2σ²), which is 1 at 0."""
    return _of("exp", -(t**2) / (2 * sigma**2))


def profiles(t: Values, sigma: Values, order: int) -> list[Values]:
    """Return exp(−t² / 2σ²) / √(2πσ²) and its derivatives up to an order."""
    variance = sigma**2
    found = [bell(t, sigma) / _of("sqrt", 2 * math.pi * variance)]
    for n in range(order):  # the recurrence of Hermite polynomials
        below = n * found[n - 1] if n else 0
        found.append(-(t * found[n] + below) / variance)
    return found


def box(
    t: Values, low: "float | Values", high: "float | Values", sigma: "float | Values"
) -> Values:
    """Return a box of height 1 from low to high, smoothed by a Gaussian."""
    edge = math.sqrt(2) * sigma
    before, after = (t - low) / edge, (t - high) / edge
    if isinstance(t, np.ndarray):
        return (_erf(before) - _erf(after)) / 2
    return (before.erf() - after.erf()) / 2


def gaussian(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(−(x² + y²) / 2σ²) / (2πσ²)."""
    return np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def first_derivative(x: np.ndarray, y: np.ndarray, sigma: float, angle: float) -> np.ndarray:
    """Return the derivative of a Gaussian, increasing in the direction `angle` (radians)."""
    along = x * np.cos(angle) + y * np.sin(angle)
    return along / sigma**2 * gaussian(x, y, sigma)


def second_derivative(x: np.ndarray, y: np.ndarray, sigma: float, angle: float) -> np.ndarray:
    """Return the second derivative of a Gaussian along `angle` (radians): a dark ridge."""
    along = x * np.cos(angle) + y * np.sin(angle)
    return (along**2 / sigma**4 - 1 / sigma**2) * gaussian(x, y, sigma)


def discrete_profiles(k: int, sigma: float) -> np.ndarray:
    """Return T, δ⁺T, δ⁻T, δT and δ²T along one axis, (5, k): itself and its differences.

    Forward, backward, central and second ones. The centre is that of k pixels; between two of
    them, of even k, neighbours are averaged (our choice).
    """
    from scipy.special import ive  # as above

    reach = k // 2 + 2
    smooth = ive(np.abs(np.arange(-reach, reach + 1)), sigma**2)
    after, before = np.roll(smooth, -1), np.roll(smooth, 1)
    rows = np.stack(
        [
            smooth,
            after - smooth,
            smooth - before,
            (after - before) / 2,
            after - 2 * smooth + before,
        ]
    )
    if k % 2 == 0:
        rows = (rows[:, 1:] + rows[:, :-1]) / 2
    margin = (rows.shape[1] - k) // 2
    return rows[:, margin : margin + k]


def discrete_transform(u: Values, sigma: Values) -> Values:
    """Return the Fourier transform of T, (m, n), at frequencies (m,) for scales (n,)."""
    return _of("exp", (_of("cos", u) - 1)[:, None] * sigma**2)


def discrete_series(t: Values, u: Values, weight: Values) -> tuple[Values, Values, Values]:
    """Return the Fourier series of T, δT (central) and δ²T, (k, m) each.

    Their products with `discrete_transform` are the values at places t.

    Parameters
    ----------
    t : array of shape (k,)
    u, weight : array of shape (m,)
        Frequencies and the weights of their waves, m of them from 0 to π.
    """
    phase = t[:, None] * u
    even, odd = weight * _of("cos", phase), weight * _of("sin", phase)
    return even, -_of("sin", u) * odd, (2 * _of("cos", u) - 2) * even

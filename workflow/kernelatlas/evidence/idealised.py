"""The eight master key filters as difference operators on a discrete Gaussian.

After arXiv 2509.12746: T(m, n; σx, σy) = T(m; σx) T(n; σy) with T(n; σ) = exp(−σ²) I_n(σ²), x to
the right and y upwards; δ⁺ and δ⁻ are the forward and backward difference, δ the central one, ∇²
the five-point Laplacian and 1 the unit impulse.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kernelatlas.kernels.gaussians import discrete_profiles
from kernelatlas.kernels.normalise import degenerate, normalise

OPERATORS = ("δy⁺T", "δx⁻T", "δy⁻T", "δx⁺T", "δxT", "δyT", "1 − γ∇²T", "T")
CENTRE_SURROUND = OPERATORS[6]
SMALLEST, TRIED = 0.3, 30  # pixels; scales that `refit` chooses from


@dataclass(frozen=True)
class Scales:
    """Scales of the eight filters.

    Attributes
    ----------
    sigmas : tuple of (float, float)
        σx and σy in pixels for each of `OPERATORS`.
    gamma
        γ of the seventh.
    """

    sigmas: tuple[tuple[float, float], ...]
    gamma: float


def _round(sigmas: tuple[float, ...], gamma: float) -> Scales:
    return Scales(tuple((sigma, sigma) for sigma in sigmas), gamma)


L1, L2 = (0.654, 0.522), (0.675, 0.526)  # σ and γ of the seventh filter by the norm of the fit
# What the authors fitted to the eight filters of ConvNeXt V2-Tiny, 7×7 pixels, by the names of
# github.com/tonylindeberg/masterfiltmodel (experiments/modify_models; γ from model-fitting):
# A, B   σx and σy from the weighted spatial variances of each filter, by the formulas of continuous
#        Gaussian derivatives (A), or such that the discrete model has them (B);
# C, D   least absolute (C) or squared (D) differences: 1 with σx and σy, 2 with one σ a filter.
# The seventh is fitted by differences in all of them.
SETS: Mapping[str, Scales] = {
    "A": Scales(
        (
            *((0.580, 0.558), (0.559, 0.580), (0.617, 0.601), (0.642, 0.424)),
            *((1.075, 0.800), (0.771, 1.003), (L2[0], L2[0]), (0.552, 0.545)),
        ),
        L2[1],
    ),
    "B": Scales(
        (
            *((0.644, 0.583), (0.586, 0.644), (0.690, 0.674), (0.756, 0.460)),
            *((1.107, 0.945), (0.900, 0.889), (L2[0], L2[0]), (0.609, 0.601)),
        ),
        L2[1],
    ),
    "C1": Scales(
        (
            *((0.360, 0.510), (0.555, 0.453), (0.701, 0.655), (0.563, 0.384)),
            *((1.309, 0.875), (0.973, 1.171), (L1[0], L1[0]), (0.637, 0.587)),
        ),
        L1[1],
    ),
    "C2": _round((0.458, 0.448, 0.671, 0.420, 1.387, 1.090, L1[0], 0.611), L1[1]),
    "D1": Scales(
        (
            *((0.491, 0.722), (0.581, 0.519), (0.483, 0.503), (0.500, 0.000)),
            *((1.300, 1.004), (0.984, 1.074), (L2[0], L2[0]), (0.615, 0.608)),
        ),
        L2[1],
    ),
    "D2": _round((0.644, 0.558, 0.495, 0.380, 1.193, 1.038, L2[0], 0.612), L2[1]),
}
DEFAULT = "D2"


def idealised(k: int, scales: str | Scales = DEFAULT) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the eight idealised filters on k×k pixels.

    For even k the centre lies between pixels: neighbours are averaged (our choice).

    Parameters
    ----------
    scales
        A name of `SETS`, or other scales.

    Returns
    -------
    names : tuple of str
        Those of `OPERATORS` that are not constant on k×k pixels; all of them from 3×3.
    filters : ndarray of shape (len(names), k·k), float32
        Normalised.
    """
    known = SETS[scales] if isinstance(scales, str) else scales
    pairs = zip(OPERATORS, known.sigmas, strict=True)
    stack = np.stack([_operator(name, k, *sigmas, known.gamma) for name, sigmas in pairs])
    valid = ~degenerate(stack)
    names = tuple(name for name, kept in zip(OPERATORS, valid, strict=True) if kept)
    return names, normalise(stack[valid])


def _operator(name: str, k: int, sigma_x: float, sigma_y: float, gamma: float) -> np.ndarray:
    x, forward_x, backward_x, central_x, second_x = discrete_profiles(k, sigma_x)
    y, forward_y, backward_y, central_y, second_y = discrete_profiles(k, sigma_y)
    if name == CENTRE_SURROUND:
        impulse = discrete_profiles(k, 0.0)[0]
        laplacian = np.outer(second_y, x) + np.outer(y, second_x)
        return (np.outer(impulse, impulse) - gamma * laplacian).ravel()
    along_x, along_y = {
        "δy⁺T": (x, forward_y),
        "δx⁻T": (backward_x, y),
        "δy⁻T": (x, backward_y),
        "δx⁺T": (forward_x, y),
        "δxT": (central_x, y),
        "δyT": (x, central_y),
        "T": (x, y),
    }[name]
    # Rows run downwards, y upwards.
    return np.outer(along_y[::-1], along_x).ravel()


def refit(kernels: np.ndarray, k: int) -> Scales:
    """Choose the scales with which the idealised filters explain most of kernels.

    Coordinate ascent of the mean R² from the default set, over a geometric sequence of scales up
    to k/2, one a filter and with the same γ (our choice).

    Parameters
    ----------
    kernels : ndarray of shape (n, k·k), float32
        Normalised.
    """
    begin = SETS[DEFAULT]
    scales = np.geomspace(SMALLEST, k / 2, TRIED).round(2).tolist()
    flat = np.stack(
        [_operator(name, k, sigma, sigma, begin.gamma) for name in OPERATORS for sigma in scales]
    )
    valid = ~degenerate(flat)
    filters = np.zeros(flat.shape, np.float32)
    filters[valid] = normalise(flat[valid])
    r2 = ((filters @ kernels.T) ** 2).reshape(len(OPERATORS), len(scales), -1)
    chosen = [int(np.abs(np.subtract(scales, sigma)).argmin()) for sigma, _ in begin.sigmas]
    improved = True
    while improved:
        improved = False
        for number in range(len(OPERATORS)):
            others = [r2[i, at] for i, at in enumerate(chosen) if i != number]
            means = np.maximum(r2[number], np.max(others, axis=0)).mean(axis=1, dtype=np.float64)
            if means.max() > means[chosen[number]]:
                chosen[number] = int(means.argmax())
                improved = True
    return _round(tuple(scales[at] for at in chosen), begin.gamma)

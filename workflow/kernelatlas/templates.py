"""Analytic kernels that clusters are named after.

All are functions of x (to the right) and y (upwards), in pixels from the kernel's
centre, sampled at the pixel centres and then normalised like any kernel. With the
Gaussian g(x, y; σ) = exp(−(x² + y²) / 2σ²) / (2πσ²):

centre   g(σ) − γ·g(ρσ), a difference of Gaussians: Marr & Hildreth, Proc. R. Soc. B
         207 (1980), take ρ = 1.6; γ is the weight of the surround. "on" has a bright
         centre, "off" is its negative, as of retinal ganglion cells.
cross    a(x)·b(y) + b(x)·a(y), where a is a narrow and b a wide one-dimensional
         Gaussian: a horizontal and a vertical bar (our choice: the paper shows
         crosses and gives no formula).
square   s(x)·s(y), where s is a box of width d smoothed by a Gaussian,
         s(t) = ½ [erf((t + d/2) / √2σ) − erf((t − d/2) / √2σ)], also about the
         corner of four pixels, where a centre moved by half a pixel is a 2×2 square
         (our choice, as above).
first    the directional derivative (x cos θ + y sin θ)/σ² · g of a Gaussian, of which
         the sign is chosen so that it increases in the direction θ (steerable:
         Freeman & Adelson, PAMI 13, 1991).
second   ± ((x cos θ + y sin θ)²/σ⁴ − 1/σ²) · g, the second directional derivative.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from kernelatlas import names
from kernelatlas.normalise import degenerate, normalise

CENTRE_SIGMAS = (0.5, 0.7, 1.0, 1.4, 2.0)
SURROUNDS = ((1.6, 0.0), (1.6, 0.9), (1.6, 1.0), (3.0, 1.0))  # (ρ, γ)
CROSS_SIGMAS = ((0.4, 1.0), (0.4, 1.5), (0.5, 2.5), (0.8, 2.0), (0.8, 3.0))  # (a, b)
SQUARE_WIDTHS = (2.0, 3.0, 4.0)
SQUARE_SIGMA = 0.3
DERIVATIVE_SIGMAS = (0.5, 0.7, 1.0, 1.4, 2.0)


@dataclass(frozen=True)
class Bank:
    """Templates of one kernel size.

    Attributes
    ----------
    labels : tuple of n str
        Names as in `kernelatlas.names.LABELS`.
    parameters : tuple of n str
        The formula's parameters, lengths in pixels.
    weights : ndarray of shape (n, k * k), float32
        Normalised, row-major.
    """

    labels: tuple[str, ...]
    parameters: tuple[str, ...]
    weights: np.ndarray

    def match(self, kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the index of the best template of each normalised kernel, and the cosine.

        Parameters
        ----------
        kernels : ndarray of shape (m, k * k)

        Returns
        -------
        index : ndarray of shape (m,), int
        cosine : ndarray of shape (m,), float32
        """
        cosines = np.asarray(kernels, dtype=np.float32) @ self.weights.T
        index = cosines.argmax(axis=1)
        return index, cosines[np.arange(len(cosines)), index]

    def name(self, kernels: np.ndarray, minimum_cosine: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the label of each normalised kernel's best template, and the cosine, (m,) each.

        It is "other" where the cosine is below the minimum.
        """
        index, cosine = self.match(kernels)
        labels = np.array(self.labels, dtype=object)[index]
        return np.where(cosine >= minimum_cosine, labels, names.OTHER), cosine


def bank(k: int) -> Bank:
    """Return every template that a k×k kernel can tell from a constant."""
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis, -axis)
    labels, parameters, weights = zip(*_templates(x, y), strict=True)
    stack = np.stack(weights).reshape(len(weights), -1)
    keep = ~degenerate(stack)
    return Bank(
        tuple(label for label, kept in zip(labels, keep, strict=True) if kept),
        tuple(text for text, kept in zip(parameters, keep, strict=True) if kept),
        normalise(stack[keep]),
    )


def _templates(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    for sign, polarity in ((1, "on"), (-1, "off")):
        for sigma in CENTRE_SIGMAS:
            for ratio, weight in SURROUNDS:
                values = gaussian(x, y, sigma) - weight * gaussian(x, y, ratio * sigma)
                text = f"DoG σ={sigma:g} ρ={ratio:g} γ={weight:g}" if weight else f"g σ={sigma:g}"
                yield f"{polarity}-centre", text, sign * values
        for narrow, wide in CROSS_SIGMAS:
            values = cross(x, y, narrow, wide)
            yield f"{polarity}-cross", f"cross σ={narrow:g}, {wide:g}", sign * values
        for width in SQUARE_WIDTHS:
            # A square of odd (even) width is centred on a pixel (a corner) of an odd kernel.
            on_corner = (width % 2 == 0) == (len(x) % 2 == 1)
            for dx in (-0.5, 0.5) if on_corner else (0.0,):
                for dy in (-0.5, 0.5) if on_corner else (0.0,):
                    values = square(x - dx, y - dy, width, SQUARE_SIGMA)
                    text = f"square d={width:g} at ({dx:g}, {dy:g})"
                    yield f"{polarity}-square", text, sign * values
    for sigma in DERIVATIVE_SIGMAS:
        for direction in range(0, 360, 45):
            values = first_derivative(x, y, sigma, np.deg2rad(direction))
            yield names.first_derivative(direction), f"∂g σ={sigma:g}", values
        for direction in range(0, 180, 45):
            values = second_derivative(x, y, sigma, np.deg2rad(direction))
            for sign in (1, -1):
                yield names.second_derivative(direction, sign), f"∂²g σ={sigma:g}", sign * values


def gaussian(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(−(x² + y²) / 2σ²) / (2πσ²)."""
    return np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def cross(x: np.ndarray, y: np.ndarray, narrow: float, wide: float) -> np.ndarray:
    """Return the sum of a horizontal and a vertical bar of Gaussian profile."""

    def profile(t: np.ndarray, sigma: float) -> np.ndarray:
        return np.exp(-(t**2) / (2 * sigma**2))

    return profile(x, narrow) * profile(y, wide) + profile(x, wide) * profile(y, narrow)


def square(x: np.ndarray, y: np.ndarray, width: float, sigma: float) -> np.ndarray:
    """Return a square of that width, its edges smoothed by a Gaussian of that σ."""

    def box(t: np.ndarray) -> np.ndarray:
        edge = np.sqrt(2) * sigma
        return 0.5 * (erf((t + width / 2) / edge) - erf((t - width / 2) / edge))

    return box(x) * box(y)


def first_derivative(x: np.ndarray, y: np.ndarray, sigma: float, angle: float) -> np.ndarray:
    """Return the derivative of a Gaussian, increasing in the direction `angle` (radians)."""
    along = x * np.cos(angle) + y * np.sin(angle)
    return along / sigma**2 * gaussian(x, y, sigma)


def second_derivative(x: np.ndarray, y: np.ndarray, sigma: float, angle: float) -> np.ndarray:
    """Return the second derivative of a Gaussian along `angle` (radians): a dark ridge."""
    along = x * np.cos(angle) + y * np.sin(angle)
    return (along**2 / sigma**4 - 1 / sigma**2) * gaussian(x, y, sigma)

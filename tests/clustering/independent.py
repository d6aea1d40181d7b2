"""Kernels of the eight shapes by formulas that share nothing with the library's templates.

All but the discrete Gaussians are drawn on a grid `FINE` times as fine as the pixels, with
`scipy.ndimage` or hard edges, and averaged over each pixel.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special, stats

FINE = 9  # an odd number, so that a pixel has a middle
MARGIN = 2  # pixels around the kernel, so that no filter sees the border
CLEAR = 0.9  # cosine to other shapes, below which a kernel's shape is beyond doubt
SHAPES = ("on-centre", "off-centre", "on-cross", "off-cross", "on-square", "off-square",
          "first-derivative", "second-derivative")  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """Kernels, (n, k * k), unit vectors without a mean; shape, degrees (NaN: none) of each."""

    kernels: np.ndarray
    shapes: np.ndarray
    degrees: np.ndarray

    def at(self, rows: np.ndarray) -> "Planted":
        return Planted(self.kernels[rows], self.shapes[rows], self.degrees[rows])


def gaussian(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    return stats.norm.pdf(x, scale=sigma) * stats.norm.pdf(y, scale=sigma)


def first_derivative(x: np.ndarray, y: np.ndarray, sigma: float, angle: float) -> np.ndarray:
    """Return the derivative against the direction, so that it increases along it."""
    along = np.cos(angle) * x + np.sin(angle) * y
    return along / sigma**2 * gaussian(x, y, sigma)


def second_derivative(x: np.ndarray, y: np.ndarray, sigma: float, angle: float) -> np.ndarray:
    along = np.cos(angle) * x + np.sin(angle) * y
    return ((along / sigma) ** 2 - 1) / sigma**2 * gaussian(x, y, sigma)


def unit(kernels: np.ndarray) -> np.ndarray:
    flat = kernels.reshape(len(kernels), -1).astype(float)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def pixels(fine: np.ndarray, k: int) -> np.ndarray:
    """Average a fine picture over pixels, and cut the margin off."""
    n = k + 2 * MARGIN
    means = fine.reshape(n, FINE, n, FINE).mean(axis=(1, 3))
    return means[MARGIN:-MARGIN, MARGIN:-MARGIN]


def axes(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x, to the right, and y, upwards, of the fine grid, in pixels from the middle."""
    n = (k + 2 * MARGIN) * FINE
    axis = (np.arange(n) - (n - 1) / 2) / FINE
    return np.meshgrid(axis, -axis)


def blob(k: int, sigma: float) -> np.ndarray:
    """Return an impulse in the middle of the fine grid, blurred."""
    n = (k + 2 * MARGIN) * FINE
    fine = np.zeros((n, n))
    middle = slice((n - 1) // 2, n // 2 + 1)
    fine[middle, middle] = 1
    return ndimage.gaussian_filter(fine, sigma * FINE, mode="constant")


def discrete(k: int, t: float) -> np.ndarray:
    """Return the discrete Gaussian of variance t (Lindeberg), odd k only."""
    row = special.ive(np.abs(np.arange(k) - k // 2), t)
    return np.outer(row, row)


def centres(k: int) -> list[np.ndarray]:
    found = [pixels(blob(k, sigma), k) for sigma in (0.35, 0.5, 0.7, 0.9, 1.2, 0.25 * k)]
    found += [pixels(blob(k, s) - 0.8 * blob(k, 1.6 * s), k) for s in (0.5, 0.7, 0.9)]
    found += [
        pixels(-ndimage.gaussian_laplace(blob(k, 0.1), sigma * FINE, mode="constant"), k)
        for sigma in (0.6, 0.8, 1.0)
    ]
    if k % 2:
        found += [discrete(k, t) for t in (0.2, 0.5, 1.0)]
    return found


def crosses(k: int) -> list[np.ndarray]:
    x, y = axes(k)
    found = []
    for width in (0.8, 1.0, 1.3):
        for length in range(3, k + 2 * MARGIN + 1, 2):
            across, along = width / 2, length / 2
            fine = ((abs(x) <= across) & (abs(y) <= along)) | (
                (abs(y) <= across) & (abs(x) <= along)
            )
            found.append(pixels(ndimage.gaussian_filter(fine.astype(float), 0.2 * FINE), k))
    return found


def squares(k: int) -> list[np.ndarray]:
    x, y = axes(k)
    found = []
    for width in range(2, min(k, 6)):
        middles = (-0.5, 0.5) if (width - k) % 2 else (0.0,)
        for across in middles:
            for up in middles:
                for blur in (0.1, 0.25):
                    fine = (abs(x - across) <= width / 2) & (abs(y - up) <= width / 2)
                    found.append(pixels(ndimage.gaussian_filter(fine * 1.0, blur * FINE), k))
    return found


def steered(k: int, sigma: float, degrees: float, order: int) -> np.ndarray:
    """Return a difference of blurred impulses, moved along a direction: ∂ or ∂² of a Gaussian."""
    angle, step = np.deg2rad(degrees), 0.2 * FINE
    move = step * np.array([-np.sin(angle), np.cos(angle)])  # rows run downwards
    fine = blob(k, sigma)
    ahead, behind = (ndimage.shift(fine, sign * move, order=3) for sign in (1, -1))
    return pixels(ahead - behind if order == 1 else ahead - 2 * fine + behind, k)


def sigmas(k: int) -> np.ndarray:
    return np.geomspace(0.5, max(0.22 * k, 0.8), 4)


def every(k: int, angles: int = 24, seed: int = 0) -> Planted:
    """Return kernels of all shapes; the directions of derivatives are drawn at random."""
    rng = np.random.default_rng(seed)
    kernels, shapes, directions = [], [], []

    def add(shape: str, kernel: np.ndarray, degrees: float = np.nan) -> None:
        kernels.append(kernel)
        shapes.append(shape)
        directions.append(degrees)

    for name, drawn in (("centre", centres(k)), ("cross", crosses(k)), ("square", squares(k))):
        for kernel in drawn:
            add(f"on-{name}", kernel)
            add(f"off-{name}", -kernel)
    for sigma in sigmas(k):
        for degrees in rng.uniform(0, 360, angles):
            add("first-derivative", steered(k, sigma, degrees, 1), degrees)
            sign = rng.choice([-1, 1])
            add("second-derivative", sign * steered(k, sigma, degrees, 2), degrees % 180)
    return Planted(unit(np.stack(kernels)), np.array(shapes), np.array(directions))


def clear(k: int) -> Planted:
    """Return those that look like no other shape."""
    known = every(k)
    cosines = known.kernels @ known.kernels.T
    others = np.where(known.shapes[:, None] == known.shapes, -1, cosines).max(axis=1)
    return known.at(np.flatnonzero(others < CLEAR))


def plant(known: Planted, n: int, noise: float, seed: int) -> tuple[Planted, np.ndarray]:
    """Draw n kernels, each shape as often, with noise of this expected length added.

    Returns the kernels as drawn and the rows of `known` that they come from.
    """
    rng = np.random.default_rng(seed)
    shapes = np.unique(known.shapes)
    rows = np.array(
        [rng.choice(np.flatnonzero(known.shapes == shape)) for shape in rng.choice(shapes, n)]
    )
    d = known.kernels.shape[1]
    noisy = known.kernels[rows] + rng.normal(0, noise / d**0.5, (n, d))
    return Planted(noisy, known.shapes[rows], known.degrees[rows]), rows


def ideal(known: Planted, kernels: np.ndarray, noise: float) -> np.ndarray:
    """Return the likeliest shape of kernels that `plant` has drawn, knowing its noise."""
    d = known.kernels.shape[1]
    centred = kernels - kernels.mean(axis=1, keepdims=True)
    squared = (centred**2).sum(axis=1)[:, None] - 2 * centred @ known.kernels.T + 1
    likelihood = -squared / (2 * noise**2 / d)
    shapes = np.unique(known.shapes)
    posterior = np.stack(
        [
            special.logsumexp(likelihood[:, known.shapes == shape], axis=1)
            - np.log((known.shapes == shape).sum())
            for shape in shapes
        ],
        axis=1,
    )
    return shapes[posterior.argmax(axis=1)]

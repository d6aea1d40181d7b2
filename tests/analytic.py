"""The analytic functions that kernels are fitted by, written once more from their definitions."""

import numpy as np
from independent import first_derivative, gaussian, second_derivative
from scipy.special import erf, ive


def difference(values: np.ndarray, axis: int) -> np.ndarray:
    return np.gradient(values, axis=axis)


def discrete(sigma: float, n: int) -> np.ndarray:
    """The discrete Gaussian on n pixels about the centre, or between two."""
    t = np.arange(n) - (n - 1) / 2
    if n % 2:
        return ive(np.abs(t), sigma**2)
    return (ive(np.abs(t - 0.5), sigma**2) + ive(np.abs(t + 0.5), sigma**2)) / 2


def formula(name: str, form: str, k: int, p: dict[str, float]) -> np.ndarray:
    """A function from its definition, one kernel, row by row; no discrete ellipses."""
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis, -axis)
    s = p["sigma"]
    if form == "continuous":
        match name:
            case "gaussian":
                return gaussian(x, y, s)
            case "dog":
                outer = gaussian(x, y, p["ratio"] * s)
                return gaussian(x, y, s) - p["surround"] * outer
            case "elongated":
                along = x * np.cos(p["angle"]) + y * np.sin(p["angle"])
                across = y * np.cos(p["angle"]) - x * np.sin(p["angle"])
                distance = (along / p["aspect"]) ** 2 + across**2
                wide = 1.6 * s
                inner = np.exp(-distance / (2 * s**2)) / s**2
                return inner - p["surround"] * np.exp(-distance / (2 * wide**2)) / wide**2
            case "first":
                return first_derivative(x, y, s, p["angle"])
            case "second":
                return second_derivative(x, y, s, p["angle"])
            case "cross":
                wide = p["ratio"] * s
                one = np.exp(-(x**2) / (2 * s**2) - y**2 / (2 * wide**2))
                return np.maximum(one, one.T[::-1, ::-1])
            case "square":
                return _smooth_box(x - p["x"], p["width"], s) * _smooth_box(
                    y - p["y"], p["width"], s
                )
            case "gabor":
                wave = p["frequency"] * (x * np.cos(p["angle"]) + y * np.sin(p["angle"]))
                return gaussian(x, y, s) * np.cos(wave - p["phase"])
        x, y = x - p["x"], y - p["y"]
        match name:
            case "shifted dog":
                return gaussian(x, y, s) - p["surround"] * gaussian(x, y, 1.6 * s)
            case "shifted first":
                return first_derivative(x, y, s, p["angle"])
            case "shifted second":
                return second_derivative(x, y, s, p["angle"])
            case _:
                return gaussian(x, y, s)
    # One pixel more on every side for differences; rows from the top, so that y falls.
    g = discrete(s, k + 2)
    plane, inside = np.outer(g, g), np.s_[1:-1, 1:-1]
    match name:
        case "gaussian":
            return plane[inside]
        case "dog":
            wide = discrete(p["ratio"] * s, k)
            return plane[inside] - p["surround"] * np.outer(wide, wide)
        case "first":
            slope = np.cos(p["angle"]) * difference(plane, 1)
            return -(slope - np.sin(p["angle"]) * difference(plane, 0))[inside]
        case "second":
            cos, sin = np.cos(p["angle"]), np.sin(p["angle"])
            bend = np.convolve(g, [1, -2, 1], "same")
            mixed = -difference(difference(plane, 1), 0)
            pure = cos**2 * np.outer(g, bend) + sin**2 * np.outer(bend, g)
            return (pure + 2 * cos * sin * mixed)[inside]
        case "cross":
            narrow, wide = discrete(s, k), discrete(p["ratio"] * s, k)
            return np.maximum(np.outer(narrow, wide), np.outer(wide, narrow))
        case "gabor":
            wave = p["frequency"] * (x * np.cos(p["angle"]) + y * np.sin(p["angle"]))
            return plane[inside] * np.cos(wave - p["phase"])
        case "square":
            return np.outer(_box(-axis, p["y"], p["width"], s), _box(axis, p["x"], p["width"], s))
    # A Gaussian that moved by a part of a pixel is a mean of two neighbours.
    wide = np.arange(k + 2) - (k + 1) / 2

    def moved(scale: float) -> np.ndarray:
        return np.outer(
            *(
                np.interp(axis - centre, range(-3 * k, 3 * k + 1), ive(abs(lags), scale**2))
                for axis, centre in ((-wide, p["y"]), (wide, p["x"]))
                for lags in [np.arange(-3 * k, 3 * k + 1)]
            )
        )

    plane = moved(s)
    along_x, along_y = difference(plane, 1), -difference(plane, 0)
    match name:
        case "shifted dog":
            return (plane - p["surround"] * moved(1.6 * s))[inside]
        case "shifted first":
            return -(np.cos(p["angle"]) * along_x + np.sin(p["angle"]) * along_y)[inside]
        case "shifted second":
            cos, sin = np.cos(p["angle"]), np.sin(p["angle"])
            bend = [
                np.roll(plane, 1, axis) + np.roll(plane, -1, axis) - 2 * plane for axis in (1, 0)
            ]
            mixed = -difference(along_x, 0)
            return (cos**2 * bend[0] + sin**2 * bend[1] + 2 * cos * sin * mixed)[inside]
        case _:
            return plane[inside]


def _smooth_box(t: np.ndarray, width: float, sigma: float) -> np.ndarray:
    return erf((t + width / 2) / np.sqrt(2) / sigma) - erf((t - width / 2) / np.sqrt(2) / sigma)


def _box(axis: np.ndarray, centre: float, width: float, sigma: float) -> np.ndarray:
    low, high = centre - width / 2, centre + width / 2
    covered = np.minimum(high, axis + 0.5) - np.maximum(low, axis - 0.5)
    return ive(np.abs(axis[:, None] - axis), sigma**2) @ covered.clip(0)

"""Analytic fits of kernels against scipy.optimize.least_squares from the same start.

`python benchmarks/fits.py [k] [name …]` needs the corpus that `make` leaves in results/. Every
function in both forms and every sum of derivatives is fitted to 1,000 kernels, by both on one core
(seconds of the processor); our rate is that of 8,192 kernels at once. scipy's residuals are written
in NumPy for one kernel, from formulas of their own (Bessel functions for the discrete Gaussian),
with the amplitude in closed form as well, the same limits, and scipy's defaults else. What ours
solves before it begins, an angle or a phase, begins at the best of 32 values.
"""

import functools
import sys
import time
from collections.abc import Iterator
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.polynomial.hermite_e import hermeval
from scipy.optimize import least_squares
from scipy.special import erf, ive

from kernelatlas.evidence import fits, formulas, functions, jet, newton
from kernelatlas.evidence.grid import RATIO, Grid
from kernelatlas.kernels.corpus import corpus_kernels

N = 1000
AT_ONCE = 8192
TOLERANCE = 1e-3


class Plain:
    """The functions of `kernelatlas.evidence.formulas` for one kernel, in double precision."""

    def __init__(self, k: int, discrete: bool):
        self.k, self.discrete = k, discrete
        self.axis = np.arange(k) - (k - 1) / 2
        self.x, self.y = np.meshgrid(self.axis, -self.axis)
        n = 2 * k + 5
        grid = np.fft.fftfreq(n) * 2 * np.pi
        u, v = (t.ravel() for t in np.meshgrid(grid, grid))
        self.u, self.v = u, v
        centred = np.cos(u / 2) * np.cos(v / 2) if k % 2 == 0 else 1.0
        self.waves = np.cos(np.outer(self.x.ravel(), u) + np.outer(self.y.ravel(), v))
        self.waves *= centred / n**2

    def bessel(self, t: np.ndarray, sigma: float) -> np.ndarray:
        return ive(np.abs(t), sigma**2)

    def profile(self, t: np.ndarray, sigma: float) -> np.ndarray:
        if not self.discrete:
            return np.exp(-(t**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
        if self.k % 2:
            return self.bessel(t, sigma)
        return (self.bessel(t - 0.5, sigma) + self.bessel(t + 0.5, sigma)) / 2

    def slope(self, t: np.ndarray, sigma: float) -> np.ndarray:
        if not self.discrete:
            return -t / sigma**2 * self.profile(t, sigma)
        return (self.profile(t + 1, sigma) - self.profile(t - 1, sigma)) / 2

    def bend(self, t: np.ndarray, sigma: float) -> np.ndarray:
        if not self.discrete:
            return (t**2 / sigma**4 - 1 / sigma**2) * self.profile(t, sigma)
        p = self.profile
        return p(t + 1, sigma) - 2 * p(t, sigma) + p(t - 1, sigma)

    def box(self, t: np.ndarray, centre: float, width: float, sigma: float) -> np.ndarray:
        low, high = centre - width / 2, centre + width / 2
        if not self.discrete:
            return (erf((t - low) / np.sqrt(2) / sigma) - erf((t - high) / np.sqrt(2) / sigma)) / 2
        covered = np.minimum(high, t + 0.5) - np.maximum(low, t - 0.5)
        return self.bessel(t[:, None] - t[None, :], sigma) @ np.maximum(covered, 0)

    def separable(self, name: str, p: np.ndarray) -> np.ndarray:
        a, up = self.axis, self.axis[::-1]
        match name:
            case "gaussian":
                return np.outer(self.profile(up, p[0]), self.profile(a, p[0]))
            case "dog":
                inner, outer = self.profile(a, p[0]), self.profile(a, p[0] * p[1])
                return np.outer(inner, inner) - p[2] * np.outer(outer, outer)
            case "first":
                g = self.profile(a, p[0])
                return -np.cos(p[1]) * np.outer(g, self.slope(a, p[0])) - np.sin(p[1]) * np.outer(
                    self.slope(up, p[0]), g
                )
            case "second":
                c, s = np.cos(p[1]), np.sin(p[1])
                g, bend = self.profile(a, p[0]), self.bend(a, p[0])
                mixed = np.outer(self.slope(up, p[0]), self.slope(a, p[0]))
                return c * c * np.outer(g, bend) + 2 * c * s * mixed + s * s * np.outer(bend, g)
            case "cross":
                narrow, wide = self.profile(a, p[0]), self.profile(a, p[0] * p[1])
                return np.maximum(np.outer(narrow, wide), np.outer(wide, narrow))
            case "square":
                return np.outer(self.box(up, p[3], p[1], p[0]), self.box(a, p[2], p[1], p[0]))
            case "shifted":
                return self.moved(0, 0, p[0], p[1], p[2])
            case "shifted dog":
                inner, outer = (self.moved(0, 0, s * p[0], p[2], p[3]) for s in (1, RATIO))
                return inner - p[1] * outer
            case "shifted first":
                c, s = np.cos(p[1]), np.sin(p[1])
                return -c * self.moved(1, 0, p[0], *p[2:]) - s * self.moved(0, 1, p[0], *p[2:])
            case "shifted second":
                c, s = np.cos(p[1]), np.sin(p[1])
                x, mixed, y = (self.moved(2 - i, i, p[0], *p[2:]) for i in range(3))
                return c * c * x + 2 * c * s * mixed + s * s * y
            case _:  # gabor
                wave = p[1] * (self.x * np.cos(p[2]) + self.y * np.sin(p[2]))
                g = np.outer(self.profile(up, p[0]), self.profile(a, p[0]))
                return g * np.cos(wave - p[3])

    def moved(self, i: int, j: int, sigma: float, x: float, y: float) -> np.ndarray:
        """The derivative of order i along x and j along y of a Gaussian about (x, y)."""
        a, up = self.axis, self.axis[::-1]
        return np.outer(self.derivative(up - y, sigma, j), self.derivative(a - x, sigma, i))

    def derivative(self, t: np.ndarray, sigma: float, order: int) -> np.ndarray:
        if not self.discrete:
            hermite = hermeval(t / sigma, [0] * order + [1]) / (-sigma) ** order
            return hermite * np.exp(-(t**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
        if order == 2:
            p = self.between
            return p(t + 1, sigma) - 2 * p(t, sigma) + p(t - 1, sigma)
        if order == 1:
            return (self.between(t + 1, sigma) - self.between(t - 1, sigma)) / 2
        return self.between(t, sigma)

    def between(self, t: np.ndarray, sigma: float) -> np.ndarray:
        below = np.floor(t)
        share = t - below
        return (1 - share) * self.bessel(below, sigma) + share * self.bessel(below + 1, sigma)

    def parts(self, name: str, p: np.ndarray) -> np.ndarray:
        """The parts of a sum of derivatives, (q, k·k)."""
        sigma, x, y = p[0], p[-2], p[-1]
        d = functools.partial(self.moved, sigma=sigma, x=x, y=y)

        def along(angle: float, n: int) -> np.ndarray:
            c, s = np.cos(angle), np.sin(angle)
            return sum(comb(n, j) * c ** (n - j) * s**j * d(n - j, j) for j in range(n + 1))

        match name:
            case "hessian":
                found = [d(2, 0), d(1, 1), d(0, 2)]
            case "ridge":
                found = [d(0, 0), along(p[1], 2)]
            case "edge":
                found = [along(p[1], 1), along(p[1], 3)]
            case "gauge":
                found = [d(0, 0), *(along(p[1], n) for n in (1, 2, 3)), along(p[1] + np.pi / 2, 2)]
            case _:
                orders = range(int(name[-1]) + 1)
                found = [d(n - j, j) for n in orders for j in range(n + 1)]
        return np.stack([part.ravel() for part in found])

    def elongated(self, p: np.ndarray) -> np.ndarray:
        (sigma, surround, aspect, angle), ratio = p, RATIO
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, -s], [s, c]])
        covariance = turn @ np.diag([(aspect * sigma) ** 2, sigma**2]) @ turn.T
        if self.discrete:
            exponent = -(
                covariance[0, 0] * (1 - np.cos(self.u))
                + covariance[1, 1] * (1 - np.cos(self.v))
                + covariance[0, 1] * np.sin(self.u) * np.sin(self.v)
            )
            return self.waves @ (np.exp(exponent) - surround * np.exp(ratio**2 * exponent))
        inverse = np.linalg.inv(covariance)
        exponent = -0.5 * (
            inverse[0, 0] * self.x**2
            + 2 * inverse[0, 1] * self.x * self.y
            + inverse[1, 1] * self.y**2
        )
        return np.exp(exponent) - surround / ratio**2 * np.exp(exponent / ratio**2)

    def unit(self, name: str, p: np.ndarray) -> np.ndarray:
        values = self.elongated(p) if name == "elongated" else self.separable(name, p)
        values = values.ravel() - values.mean()
        return values / np.linalg.norm(values)


def scipy_fit(plain: Plain, name: str, kernel: np.ndarray, start: np.ndarray, limits) -> float:
    def residuals(p: np.ndarray) -> np.ndarray:
        if name in jet.sums(plain.k):
            parts = plain.parts(name, p)
            parts = parts - parts.mean(axis=1, keepdims=True)
            basis = np.linalg.qr((parts / np.linalg.norm(parts, axis=1, keepdims=True)).T)[0]
            return kernel - basis @ (basis.T @ kernel)
        shape = plain.unit(name, p)
        return kernel - (kernel @ shape) * shape

    found = least_squares(residuals, start, bounds=limits)
    return 1 - 2 * found.cost


def with_closed(
    plain: Plain, name: str, function: Any, kernels: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Return starts with the best of some values of an angle or phase that ours has solved for."""
    values = np.arange(-16, 16) * np.pi / 16
    at = function.parameters.index(function.closed)
    found = starts.copy()
    for kernel, start in zip(kernels, found, strict=True):
        tried = [np.where(np.arange(len(start)) == at, value, start) for value in values]
        start[at] = values[np.argmax([kernel @ plain.unit(name, p) for p in tried])]
    return found


def searches(k: int) -> Iterator[tuple[str, str, Any, Any, Grid]]:
    """Yield name and form, the function, what begins its search, and its grid."""
    for name, function in functions.functions(k).items():
        for form in formulas.FORMS:
            grid = formulas.grid_of(k, name, form, torch.device("cpu"))
            yield name, form, function, fits.begin, grid
    for name, total in jet.sums(k).items():
        yield name, "sum", total, jet.begin, Grid(k, False, torch.device("cpu"), torch.float64)


def main() -> None:
    k = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    chosen_names = sys.argv[2:]
    torch.set_num_threads(1)
    corpus = corpus_kernels(f"results/corpora/k{k}.parquet")
    chosen = np.random.default_rng(0).choice(len(corpus), N, replace=False)
    everything = np.resize(np.concatenate([corpus[chosen], corpus]), (AT_ONCE, k * k))
    everything = torch.from_numpy(everything)
    sample = torch.from_numpy(corpus[chosen])
    kernels = sample.double().numpy()
    rows = []
    for name, form, function, begin, grid in searches(k):
        if chosen_names and name not in chosen_names:
            continue
        beginning = 0.0
        if form != "discrete":  # which begins where the continuous form ended
            begin(sample, k, name)  # makes the dictionary
            began = time.process_time()
            starts, _ = begin(everything, k, name)
            beginning = time.process_time() - began
        began = time.process_time()
        parameters, cosines = newton.refine(everything, function, grid, starts)
        ours = (time.process_time() - began + beginning) / len(everything)
        start, r2 = starts[:N], (cosines[:N] ** 2).numpy()
        starts = parameters
        plain = Plain(k, form == "discrete")
        low, high = np.array(function.limits).T
        begun = start.double().numpy()
        if function.closed in ("angle", "phase"):
            begun = with_closed(plain, name, function, kernels, begun)
        inside = np.clip(begun, low + 1e-9, high - 1e-9)
        began = time.process_time()
        theirs = [
            scipy_fit(plain, name, kernel, p, (low, high))
            for kernel, p in zip(kernels, inside, strict=True)
        ]
        scipys = (time.process_time() - began) / N
        worse = np.array(theirs) - r2
        rows.append(
            {
                "function": name,
                "form": form,
                "mean R²": r2.mean(),
                "scipy's": np.mean(theirs),
                "worst": worse.max(),
                f"worse by > {TOLERANCE:g}": (worse > TOLERANCE).sum(),
                f"better by > {TOLERANCE:g}": (worse < -TOLERANCE).sum(),
                "kernels/s": 1 / ours,
                "scipy's/s": 1 / scipys,
                "×": scipys / ours,
            }
        )
        print(f"{name} {form}: ×{scipys / ours:.0f}", file=sys.stderr)
    table = pd.DataFrame(rows)
    print(f"{N:,} kernels of {k}×{k}, one core; {len(everything):,} at once for our rate")
    print(table.to_string(index=False, float_format=lambda value: f"{value:,.4g}"))
    for word, part in (("functions", table["form"] != "sum"), ("sums", table["form"] == "sum")):
        ours, scipys = (1 / table.loc[part, name] for name in ("kernels/s", "scipy's/s"))
        print(
            f"all {word}: {1 / ours.sum():,.0f} kernels/s, scipy {1 / scipys.sum():,.2f}, "
            f"×{scipys.sum() / ours.sum():,.0f}"
        )


if __name__ == "__main__":
    main()

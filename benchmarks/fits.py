"""Analytic fits of kernels against scipy.optimize.least_squares from the same start.

`python benchmarks/fits.py [k]` needs the corpus that `make` leaves in results/. Every function
in both forms is fitted to 1,000 kernels, by both on one core; our rate is that of a full batch,
the corpus over and over. scipy's residuals are written
in NumPy for one kernel, from formulas of their own (Bessel functions for the discrete Gaussian),
with the amplitude in closed form as well, the same limits, and scipy's defaults else.
"""

import sys
import time

import numpy as np
import pandas as pd
import torch
from scipy.optimize import least_squares
from scipy.special import erf, ive

from kernelatlas.evidence import fits, functions, newton
from kernelatlas.evidence.grid import RATIO
from kernelatlas.kernels.corpus import read_corpus

N = 1000
TOLERANCE = 1e-3


class Plain:
    """The functions of `kernelatlas.evidence.functions` for one kernel, in double precision."""

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
            case _:
                if self.discrete:
                    return np.outer(self.box(up, p[2], 1.0, p[0]), self.box(a, p[1], 1.0, p[0]))
                return np.outer(self.profile(up - p[2], p[0]), self.profile(a - p[1], p[0]))

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
        shape = plain.unit(name, p)
        return kernel - (kernel @ shape) * shape

    found = least_squares(residuals, start, bounds=limits)
    return 1 - 2 * found.cost


def main() -> None:
    k = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    torch.set_num_threads(1)
    _, corpus = read_corpus(f"results/corpora/k{k}.parquet")
    chosen = np.random.default_rng(0).choice(len(corpus), N, replace=False)
    everything = torch.from_numpy(np.resize(corpus, (fits.BATCH, k * k)))
    sample = torch.from_numpy(corpus[chosen])
    rows = []
    for name, function in functions.functions(k).items():
        fits.begin(sample, k, name)  # makes the dictionary
        began = time.perf_counter()
        starts = fits.begin(everything, k, name)
        beginning = time.perf_counter() - began
        for form in functions.FORMS:
            grid = functions.grid_of(k, name, form, sample.device)
            # The dictionary's time is the continuous form's.
            began = time.perf_counter()
            parameters, cosines = newton.refine(everything, function, grid, starts)
            ours = (time.perf_counter() - began + beginning) / len(everything)
            start, r2 = starts[chosen], (cosines[chosen] ** 2).numpy()
            starts, beginning = parameters, 0.0
            plain = Plain(k, form == "discrete")
            low, high = np.array(function.limits).T
            inside = np.clip(start.double().numpy(), low + 1e-9, high - 1e-9)
            kernels = sample.double().numpy()
            began = time.perf_counter()
            theirs = [
                scipy_fit(plain, name, kernel, p, (low, high))
                for kernel, p in zip(kernels, inside, strict=True)
            ]
            scipys = (time.perf_counter() - began) / N
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
    ours, scipys = (1 / table[name] for name in ("kernels/s", "scipy's/s"))
    print(f"{N:,} kernels of {k}×{k}, one core; {len(everything):,} at once for our rate")
    print(table.to_string(index=False, float_format=lambda value: f"{value:,.4g}"))
    print(
        f"all of them: {1 / ours.sum():,.0f} kernels/s, scipy {1 / scipys.sum():,.2f}, "
        f"×{scipys.sum() / ours.sum():,.0f}"
    )


if __name__ == "__main__":
    main()

"""Analytic functions that kernels are fitted by, and where their parameters are searched.

A kernel w is modelled as a·f(θ) + b, where f is centred and has unit norm. For any
shape parameters θ the best a = ⟨w, f⟩ and b = mean(w) are known, and so is the weight γ of a
surround, so that only the others are searched (variable projection: Golub & Pereyra, SIAM J. Numer.
Anal. 10, 1973), and R² = cos²(w − mean(w), f).

x runs to the right and y upwards, in pixels from the kernel's centre; angles are in
radians, anticlockwise from x. With the Gaussian g of standard deviation σ the functions are

gaussian   g(σ)
dog        g(σ) − γ·g(ρσ), isotropic
elongated  the same of an elliptic g, σ across and aspect·σ along the angle, with ρ = 1.6 (Marr &
           Hildreth, Proc. R. Soc. B 207, 1980): more parameters are not identifiable
first      −∂g/∂x cos θ − ∂g/∂y sin θ, which increases in the direction θ
second     the second derivative of g along θ
cross      max(g(x; σ)·g(y; ρσ), g(x; ρσ)·g(y; σ)), the union of two bars, as of templates
square     a box of some width about (x, y), smoothed by g(σ)
shifted    g(σ) about (x, y)

each in two forms. The continuous one is sampled at the pixels' centres. The discrete one is
built from the discrete Gaussian T(n; σ) = exp(−σ²) I_n(σ²) (Lindeberg, PAMI 12, 1990) with
central differences δ for ∂, δxx for ∂²/∂x²; of an ellipse from the kernel of the discrete
affine scale-space (Lindeberg, JMIV 2017), of transform exp(−C_xx(1 − cos u) − C_yy(1 − cos v)
− C_xy sin u sin v); boxes and shifted centres cover pixels by shares. T and the ellipses are
evaluated by their Fourier series on a ring of pixels a few times as wide as the kernel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.grid import Grid
from kernelatlas.names import SMALLEST_FIT

FORMS = ("continuous", "discrete")
FREE = 3  # degrees of freedom that a fit must leave, at least
SURROUND = (0.0, 1.5)  # limits of its weight
PARAMETERS = ("sigma", "ratio", "surround", "aspect", "angle", "width", "x", "y")
SCALES = ("sigma", "ratio", "aspect", "width")  # searched by their logarithms

# A separable function is Σ y_r(y)·x_r(x): the factors along y and along x, each (r, k, n).
Factors = tuple[Tensor, Tensor]


def _gaussian(grid: Grid, sigma: Tensor) -> Factors:
    profile = grid.gaussian(sigma)
    return profile, profile


def _dog(grid: Grid, sigma: Tensor, ratio: Tensor) -> Factors:
    both = torch.cat([grid.gaussian(sigma), grid.gaussian(ratio * sigma)])
    return both, both


def elongated(grid: Grid, sigma: Tensor, aspect: Tensor, angle: Tensor) -> Tensor:
    matrix = covariance(grid, sigma, aspect, angle)
    return grid.ellipse(matrix, matrix.new_zeros(1, 3))[:, :, 0]


def covariance(grid: Grid, sigma: Tensor, aspect: Tensor, angle: Tensor) -> Tensor:
    """Return xx, xy and yy of an ellipse's covariance, of its inverse if continuous, (3, n)."""
    along, across = (aspect * sigma) ** 2, sigma**2
    if not grid.discrete:
        along, across = 1 / along, 1 / across
    mean, half = (along + across) / 2, (along - across) / 2
    cos, sin = torch.cos(2 * angle), torch.sin(2 * angle)
    return torch.stack([mean + half * cos, half * sin, mean - half * cos])


def _first(grid: Grid, sigma: Tensor, angle: Tensor) -> Factors:
    zeroth, first = grid.gaussian(sigma, 1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([zeroth, -sin * first]), torch.stack([-cos * first, zeroth])


def _second(grid: Grid, sigma: Tensor, angle: Tensor) -> Factors:
    zeroth, first, second = grid.gaussian(sigma, 2)
    cos, sin = torch.cos(angle), torch.sin(angle)
    along_x = torch.stack([cos**2 * second, 2 * cos * sin * first, zeroth])
    return torch.stack([zeroth, first, sin**2 * second]), along_x


def _cross(grid: Grid, sigma: Tensor, ratio: Tensor) -> Tensor:
    # The greater of g(x; σ)·g(y; ρσ) and g(x; ρσ)·g(y; σ): the narrow bar's axis is the nearer.
    narrow, wide = grid.gaussian(sigma)[0], grid.gaussian(ratio * sigma)[0]
    near, far = grid.nearer_and_farther
    return (narrow[near] * wide[far])[None]


def _square(grid: Grid, sigma: Tensor, width: Tensor, x: Tensor, y: Tensor) -> Factors:
    # Finite differences at a limit must not evaluate values beyond it.
    width = width.clamp(1, grid.k - 1)
    along_y, along_x = grid.box(torch.stack([y, x]), width, sigma).unbind(1)
    return along_y[None], along_x[None]


def _shifted(grid: Grid, sigma: Tensor, x: Tensor, y: Tensor) -> Factors:
    along_y, along_x = grid.shifted(torch.stack([y, x]), sigma).unbind(1)
    return along_y[None], along_x[None]


@dataclass(frozen=True)
class Function:
    """An analytic function: how to evaluate it, and where to search.

    Attributes
    ----------
    parameters
        Names of `PARAMETERS`, in the order of the arguments of `evaluate` after the grid;
        `evaluate` does not take the weight of a surround, which has a closed form.
    limits
        Lowest and highest value of each parameter; lengths in pixels.
    starts
        Values of each parameter; the dictionary has all their combinations.
    trusted, again
        A second search starts with the values `again` where σ of the first start is outside
        the range `trusted`: R² may have another maximum there.
    """

    evaluate: Callable[..., Factors | Tensor]
    parameters: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    starts: tuple[tuple[float, ...], ...]
    trusted: tuple[float, float] = (0.0, math.inf)
    again: tuple[tuple[str, float], ...] = ()

    @cached_property
    def shape(self) -> list[int]:
        """Indices of the parameters that `evaluate` takes."""
        return [i for i, name in enumerate(self.parameters) if name != "surround"]

    @cached_property
    def _scales(self) -> list[int]:
        """Indices, among these, of those that are searched by their logarithms."""
        names = [self.parameters[i] for i in self.shape]
        return [i for i, name in enumerate(names) if name in SCALES]

    def search(self, parameters: Tensor) -> Tensor:
        """Return the searched parameters, kernels last, of all parameters (n, p)."""
        values = parameters.T[self.shape]
        values[self._scales] = values[self._scales].log()
        return values

    def natural(self, searched: Tensor) -> Tensor:
        """Undo the logarithms."""
        values = searched.clone()
        values[self._scales] = values[self._scales].exp()
        return values

    def restore(self, searched: Tensor, surround: Tensor) -> Tensor:
        """Return parameters, (n, p), within their limits."""
        values = torch.empty(len(self.parameters), *surround.shape).to(searched)
        values[[i for i in range(len(values)) if i not in self.shape]] = surround
        values[self.shape] = self.natural(searched)
        low, high = torch.tensor(self.limits).to(values).T
        return torch.clamp(values.T, low, high)


def _geometric(low: float, high: float, n: int) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, n).tolist())


def _turns(n: int, whole: float) -> tuple[float, ...]:
    return tuple(whole * i / n for i in range(n))


@cache
def functions(k: int) -> dict[str, Function]:
    """Return the functions that can be fitted to k×k kernels, by name.

    Raises
    ------
    KernelAtlasError
        If k is below 3.
    """
    if k < SMALLEST_FIT:
        raise KernelAtlasError(
            f"{k}×{k} kernels have too few pixels for analytic fits: fit those from 3×3"
        )
    widest = k / 2
    sigma, ratio = (0.2, widest), (1.1, 4.0)
    any_angle, shift = (-math.inf, math.inf), (-1.5, 1.5)
    fine, sigmas, few = (_geometric(0.25, widest, n) for n in (32, 16, 8))
    ratios, shares = (1.2, 1.5, 2.0, 2.7, 3.7), (0.0, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5)
    widths = tuple(np.arange(1.5, min(k - 0.5, 6.5), 0.5).tolist())
    shifts = tuple(np.linspace(-1.5, 1.5, 13).tolist())
    coarse = tuple(np.linspace(-1.5, 1.5, 9).tolist())
    every = {
        "gaussian": Function(_gaussian, ("sigma",), (sigma,), (_geometric(0.2, widest, 100),)),
        "dog": Function(
            _dog,
            ("sigma", "ratio", "surround"),
            (sigma, ratio, SURROUND),
            (sigmas, ratios, shares),
            (0.4, math.inf),
            (("sigma", 0.6), ("ratio", 1.2)),
        ),
        "elongated": Function(
            elongated,
            ("sigma", "surround", "aspect", "angle"),
            ((0.2, widest / 2), SURROUND, (1.0, 4.0), any_angle),
            (
                _geometric(0.3, widest / 2, 7),
                shares,
                (1.3, 1.8, 2.6, 3.6),
                _turns(12, math.pi),
            ),
        ),
        "first": Function(
            _first, ("sigma", "angle"), (sigma, any_angle), (fine, _turns(32, math.pi))
        ),
        "second": Function(
            _second, ("sigma", "angle"), (sigma, any_angle), (fine, _turns(32, math.pi))
        ),
        "cross": Function(
            _cross, ("sigma", "ratio"), (sigma, (1.2, 8.0)), (fine, _geometric(1.2, 8.0, 12))
        ),
        "square": Function(
            _square,
            ("sigma", "width", "x", "y"),
            ((0.1, 1.0), (1.0, k - 1.0), shift, shift),
            ((0.1, 0.5, 1.0), widths, coarse, coarse),
            (0.35, 0.6),
            (("sigma", 0.5),),
        ),
        "shifted": Function(
            _shifted, ("sigma", "x", "y"), (sigma, shift, shift), (few, shifts, shifts)
        ),
    }
    return {
        name: function
        for name, function in every.items()
        if k * k - len(function.parameters) - 2 >= FREE
    }


def grid_of(k: int, name: str, form: str, device: torch.device) -> Grid:
    """Return the pixels on which a function is evaluated in one of `FORMS`."""
    # The difference of two similar Gaussians needs more digits.
    double = name == "dog" or (name, form) == ("elongated", "continuous")
    return Grid(k, form == "discrete", device, torch.float64 if double else torch.float32)


def unit(values: Tensor) -> Tensor:
    """Return rows centred and scaled to unit norm."""
    values = values - values.mean(dim=-1, keepdim=True)
    return values / values.norm(dim=-1, keepdim=True).clamp_min(1e-30)


def evaluate(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return a function of parameters, (n, p), on the grid: centred, unit norm, (n, k·k)."""
    values = function.evaluate(grid, *parameters.T[function.shape])
    if isinstance(values, Tensor):
        parts = torch.cat([values, values[:, : grid.k**2 // 2].flip(1)], 1)
    else:
        parts = (values[0][:, :, None] * values[1][:, None]).flatten(1, 2)
    if "surround" in function.parameters:
        surround = parameters[:, function.parameters.index("surround")]
        image = parts[0] - surround * parts[1]
    else:
        image = parts.sum(0)
    return unit(image.T).unflatten(1, (grid.k, grid.k)).flip(1).flatten(1)

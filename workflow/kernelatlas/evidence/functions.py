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
from functools import cache, cached_property, partial

import numpy as np
import torch
from torch import Tensor

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.grid import RATIO, Grid
from kernelatlas.names import SMALLEST_FIT

FORMS = ("continuous", "discrete")
FREE = 3  # degrees of freedom that a fit must leave, at least
SURROUND = (0.0, 1.5)  # limits of its weight
PARAMETERS = (
    "sigma", "ratio", "surround", "aspect", "frequency", "phase", "angle", "width", "x", "y",
)  # fmt: skip
SCALES = ("sigma", "ratio", "aspect", "width", "frequency")  # searched by their logarithms
CLOSED = ("surround", "phase")  # parameters whose best value has a closed form

# Factors along y and along x, each (d, k, n), of the products that separable functions consist of.
Factors = tuple[Tensor, Tensor]
Mix = Callable[..., Tensor]  # from parameters, (n,) each, to weights of products, (q, r, n)


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


def _derivatives(grid: Grid, sigma: Tensor, angle: Tensor, *, order: int) -> Factors:
    profiles = grid.gaussian(sigma, order)
    return profiles, profiles


def _moved(
    grid: Grid, sigma: Tensor, angle: Tensor, x: Tensor, y: Tensor, *, order: int
) -> Factors:
    along_y, along_x = grid.moved(torch.stack([y, x]), sigma, order).unbind(2)
    return along_y, along_x


def along(angle: Tensor, order: int) -> Tensor:
    """Return the weights of ∂ⁿ/∂xⁿ, ∂ⁿ/∂xⁿ⁻¹∂y, …, ∂ⁿ/∂yⁿ in the derivative along an angle."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack(
        [math.comb(order, i) * cos ** (order - i) * sin**i for i in range(order + 1)]
    )


def products(*orders: int) -> tuple[tuple[int, int], ...]:
    """Return the derivatives of these orders as places of their factors along y and along x."""
    return tuple((i, order - i) for order in orders for i in range(order + 1))


def _first(sigma: Tensor, angle: Tensor, *place: Tensor) -> Tensor:
    return -along(angle, 1)[None]


def _second(sigma: Tensor, angle: Tensor, *place: Tensor) -> Tensor:
    return along(angle, 2)[None]


def _waves(sigma: Tensor, *wave: Tensor) -> Tensor:
    """Weights of the cosine and the sine of the sum of two phases."""
    rows = sigma.new_tensor([[1, -1, 0, 0], [0, 0, 1, 1]])
    return rows[:, :, None].expand(-1, -1, len(sigma))


def _gabor(grid: Grid, sigma: Tensor, frequency: Tensor, angle: Tensor) -> Factors:
    profile = grid.gaussian(sigma)
    phases = [
        grid.axis[:, None] * (frequency * part) for part in (torch.sin(angle), torch.cos(angle))
    ]
    along_y, along_x = (profile * torch.stack([phase.cos(), phase.sin()]) for phase in phases)
    return along_y, along_x


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
    along_y, along_x = grid.moved(torch.stack([y, x]), sigma).unbind(2)
    return along_y, along_x


def _shifted_dog(grid: Grid, sigma: Tensor, x: Tensor, y: Tensor) -> Factors:
    both = [_shifted(grid, scale * sigma, x, y) for scale in (1, RATIO)]
    along_y, along_x = (torch.cat(parts) for parts in zip(*both, strict=True))
    return along_y, along_x


@dataclass(frozen=True)
class Search:
    """Where the parameters of an analytic function are searched.

    Attributes
    ----------
    parameters
        Names of `PARAMETERS`.
    limits
        Lowest and highest value of each parameter; lengths in pixels.
    starts
        Values of each parameter; the dictionary has all their combinations.
    trusted, again
        A second search starts with the values `again` where σ of the first start is outside
        the range `trusted`: R² may have another maximum there.
    """

    parameters: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    starts: tuple[tuple[float, ...], ...]
    trusted: tuple[float, float] = (0.0, math.inf)
    again: tuple[tuple[str, float], ...] = ()

    @cached_property
    def shape(self) -> list[int]:
        """Indices of the parameters that are searched."""
        return [i for i, name in enumerate(self.parameters) if name not in CLOSED]

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

    def restore(self, searched: Tensor, closed: Tensor) -> Tensor:
        """Return parameters, (n, p), within their limits."""
        values = torch.empty(len(self.parameters), *closed.shape).to(searched)
        values[[i for i in range(len(values)) if i not in self.shape]] = closed
        values[self.shape] = self.natural(searched)
        low, high = torch.tensor(self.limits).to(values).T
        return torch.clamp(values.T, low, high)


@dataclass(frozen=True, kw_only=True)
class Function(Search):
    """An analytic function.

    Attributes
    ----------
    evaluate
        Takes the grid and the searched parameters.
    terms
        The products, as places of their factors along y and along x; else one of each pair.
    mix
        Weights of the products in each component of the function; else they are summed, or, of
        a function with a surround, are components themselves.
    """

    evaluate: Callable[..., Factors | Tensor]
    terms: tuple[tuple[int, int], ...] = ()
    mix: Mix | None = None

    def products(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of each product from the distinct ones."""
        if not self.terms:
            return y, x
        along_y, along_x = map(list, zip(*self.terms, strict=True))
        return y[along_y], x[along_x]


def _geometric(low: float, high: float, n: int) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, n).tolist())


def _turns(n: int, whole: float) -> tuple[float, ...]:
    return tuple(whole * i / n for i in range(n))


def check_size(k: int) -> None:
    """Refuse kernels that are too small for fits."""
    if k < SMALLEST_FIT:
        raise KernelAtlasError(
            f"{k}×{k} kernels have too few pixels for analytic fits: fit those from 3×3"
        )


@cache
def functions(k: int) -> dict[str, Function]:
    """Return the functions that can be fitted to k×k kernels, by name.

    Raises
    ------
    KernelAtlasError
        If k is below 3.
    """
    check_size(k)
    widest = k / 2
    sigma, ratio = (0.2, widest), (1.1, 4.0)
    any_angle, shift = (-math.inf, math.inf), (-1.5, 1.5)
    fine, sigmas, few = (_geometric(0.25, widest, n) for n in (32, 16, 8))
    broad = _geometric(0.5, widest, 7)  # narrower ones hardly depend on their place
    ratios, shares = (1.2, 1.5, 2.0, 2.7, 3.7), (0.0, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5)
    widths = tuple(np.arange(1.5, min(k - 0.5, 6.5), 0.5).tolist())
    shifts = tuple(np.linspace(-1.5, 1.5, 13).tolist())
    coarse, places = (tuple(np.linspace(-1.5, 1.5, n).tolist()) for n in (9, 7))
    every = {
        "gaussian": Function(
            ("sigma",), (sigma,), (_geometric(0.2, widest, 100),), evaluate=_gaussian
        ),
        "dog": Function(
            ("sigma", "ratio", "surround"),
            (sigma, ratio, SURROUND),
            (sigmas, ratios, shares),
            (0.4, math.inf),
            (("sigma", 0.6), ("ratio", 1.2)),
            evaluate=_dog,
        ),
        "elongated": Function(
            ("sigma", "surround", "aspect", "angle"),
            ((0.2, widest / 2), SURROUND, (1.0, 4.0), any_angle),
            (
                _geometric(0.3, widest / 2, 7),
                shares,
                (1.3, 1.8, 2.6, 3.6),
                _turns(12, math.pi),
            ),
            evaluate=elongated,
        ),
        "first": Function(
            ("sigma", "angle"),
            (sigma, any_angle),
            (fine, _turns(32, math.pi)),
            terms=products(1),
            mix=_first,
            evaluate=partial(_derivatives, order=1),
        ),
        "second": Function(
            ("sigma", "angle"),
            (sigma, any_angle),
            (fine, _turns(32, math.pi)),
            terms=products(2),
            mix=_second,
            evaluate=partial(_derivatives, order=2),
        ),
        "cross": Function(
            ("sigma", "ratio"),
            (sigma, (1.2, 8.0)),
            (fine, _geometric(1.2, 8.0, 12)),
            evaluate=_cross,
        ),
        "square": Function(
            ("sigma", "width", "x", "y"),
            ((0.1, 1.0), (1.0, k - 1.0), shift, shift),
            ((0.1, 0.5, 1.0), widths, coarse, coarse),
            (0.35, 0.6),
            (("sigma", 0.5),),
            evaluate=_square,
        ),
        "shifted": Function(
            ("sigma", "x", "y"), (sigma, shift, shift), (few, shifts, shifts), evaluate=_shifted
        ),
    }
    if k > SMALLEST_FIT:  # on nine pixels they describe four of five kernels of white noise
        every |= {
            "shifted dog": Function(
                ("sigma", "surround", "x", "y"),
                ((0.2, widest / 2), SURROUND, shift, shift),
                (_geometric(0.4, widest / 2, 6), (0.4, 0.8, 1.1, 1.5), coarse, coarse),
                (0.4, math.inf),
                (("sigma", 0.7),),
                evaluate=_shifted_dog,
            ),
            "shifted first": Function(
                ("sigma", "angle", "x", "y"),
                (sigma, any_angle, shift, shift),
                (broad, _turns(12, math.pi), places, places),
                (0.4, math.inf),
                (("sigma", 0.7),),
                terms=products(1),
                mix=_first,
                evaluate=partial(_moved, order=1),
            ),
            "shifted second": Function(
                ("sigma", "angle", "x", "y"),
                (sigma, any_angle, shift, shift),
                (broad, _turns(12, math.pi), places, places),
                (0.5, math.inf),
                (("sigma", 0.8),),
                terms=products(2),
                mix=_second,
                evaluate=partial(_moved, order=2),
            ),
            "gabor": Function(
                ("sigma", "frequency", "angle", "phase"),
                (sigma, (0.3, math.pi), any_angle, any_angle),
                (few, _geometric(0.5, 3.0, 8), _turns(16, math.pi), (0.0,)),
                terms=((0, 0), (1, 1), (1, 0), (0, 1)),
                mix=_waves,
                evaluate=_gabor,
            ),
        }
    return {
        name: function
        for name, function in every.items()
        if k * k - len(function.parameters) - 2 >= FREE
    }


def grid_of(k: int, name: str, form: str, device: torch.device) -> Grid:
    """Return the pixels on which a function is evaluated in one of `FORMS`."""
    # The difference of two similar Gaussians or waves needs more digits.
    double = name in ("dog", "shifted dog", "gabor") or (name, form) == ("elongated", "continuous")
    return Grid(k, form == "discrete", device, torch.float64 if double else torch.float32)


def unit(values: Tensor) -> Tensor:
    """Return rows centred and scaled to unit norm."""
    values = values - values.mean(dim=-1, keepdim=True)
    return values / values.norm(dim=-1, keepdim=True).clamp_min(1e-30)


def components(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return the components of a function of parameters, (n, p), on the grid, (n, q, k·k)."""
    shape = parameters.T[function.shape]
    values = function.evaluate(grid, *shape)
    if isinstance(values, Tensor):
        parts = torch.cat([values, values[:, : grid.k**2 // 2].flip(1)], 1)
    else:
        along_y, along_x = function.products(*values)
        parts = (along_y[:, :, None] * along_x[:, None]).flatten(1, 2)
    if function.mix:
        parts = (function.mix(*shape)[:, :, None] * parts).sum(1)
    elif "surround" not in function.parameters:
        parts = parts.sum(0, keepdim=True)
    return parts.permute(2, 0, 1).unflatten(2, (grid.k, grid.k)).flip(2).flatten(2)


def evaluate(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return a function of parameters, (n, p), on the grid: centred, unit norm, (n, k·k)."""
    parts = components(function, grid, parameters)
    if "surround" in function.parameters:
        surround = parameters[:, function.parameters.index("surround"), None]
        return unit(parts[:, 0] - surround * parts[:, 1])
    if "phase" in function.parameters:
        phase = parameters[:, function.parameters.index("phase"), None]
        return unit(phase.cos() * parts[:, 0] + phase.sin() * parts[:, 1])
    return unit(parts[:, 0])

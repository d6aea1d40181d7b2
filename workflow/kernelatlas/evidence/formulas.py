"""Formulas of the analytic functions that kernels are fitted by.

What they are, and where their parameters are searched, is in `kernelatlas.evidence.functions`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kernelatlas.evidence.grid import RATIO, Grid

FORMS = ("continuous", "discrete")
SURROUND = (0.0, 1.5)  # limits of its weight
PARAMETERS = (
    "sigma", "ratio", "surround", "aspect", "frequency", "phase", "angle", "width", "x", "y",
)  # fmt: skip
SCALES = ("sigma", "ratio", "aspect", "width", "frequency")  # searched by their logarithms
TOUCHING = (
    1e-3  # distance from a limit, in pixels or logarithms: more than rounding, less than known
)

# Factors along y and along x, each (d, k, n), of the products that separable functions consist of.
Factors = tuple[Tensor, Tensor]
Mix = Callable[..., Tensor]  # from parameters, (n,) each, to weights of products, (q, r, n)


def gaussian(grid: Grid, sigma: Tensor) -> Factors:
    profile = grid.gaussian(sigma)
    return profile, profile


def dog(grid: Grid, sigma: Tensor, ratio: Tensor) -> Factors:
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


def derivatives(grid: Grid, sigma: Tensor, *angle: Tensor, order: int) -> Factors:
    profiles = grid.gaussian(sigma, order)
    return profiles, profiles


def moved(grid: Grid, sigma: Tensor, *angle_and_place: Tensor, order: int) -> Factors:
    x, y = angle_and_place[-2:]
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


def first(sigma: Tensor, *place: Tensor) -> Tensor:
    """Weights of both first derivatives in those that increase to the right and upwards."""
    return -torch.eye(2).to(sigma)[:, :, None].expand(-1, -1, len(sigma))


def second(sigma: Tensor, angle: Tensor, *place: Tensor) -> Tensor:
    return along(angle, 2)[None]


def waves(sigma: Tensor, *wave: Tensor) -> Tensor:
    """Weights of the cosine and the sine of the sum of two phases."""
    rows = sigma.new_tensor([[1, -1, 0, 0], [0, 0, 1, 1]])
    return rows[:, :, None].expand(-1, -1, len(sigma))


def gabor(grid: Grid, sigma: Tensor, frequency: Tensor, angle: Tensor) -> Factors:
    profile = grid.gaussian(sigma)
    phases = [
        grid.axis[:, None] * (frequency * part) for part in (torch.sin(angle), torch.cos(angle))
    ]
    along_y, along_x = (profile * torch.stack([phase.cos(), phase.sin()]) for phase in phases)
    return along_y, along_x


def cross(grid: Grid, sigma: Tensor, ratio: Tensor) -> Tensor:
    # The greater of g(x; σ)·g(y; ρσ) and g(x; ρσ)·g(y; σ): the narrow bar's axis is the nearer.
    narrow, wide = grid.gaussian(sigma)[0], grid.gaussian(ratio * sigma)[0]
    near, far = grid.nearer_and_farther
    return (narrow[near] * wide[far])[None]


def square(grid: Grid, sigma: Tensor, width: Tensor, x: Tensor, y: Tensor) -> Factors:
    # Finite differences at a limit must not evaluate values beyond it.
    width = width.clamp(1, grid.k - 1)
    along_y, along_x = grid.box(torch.stack([y, x]), width, sigma).unbind(1)
    return along_y[None], along_x[None]


def shifted(grid: Grid, sigma: Tensor, x: Tensor, y: Tensor) -> Factors:
    along_y, along_x = grid.moved(torch.stack([y, x]), sigma).unbind(2)
    return along_y, along_x


def shifted_dog(grid: Grid, sigma: Tensor, x: Tensor, y: Tensor) -> Factors:
    both = [shifted(grid, scale * sigma, x, y) for scale in (1, RATIO)]
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
    closed
        The parameter whose best value has a closed form, if any.
    delicate
        A parameter and the range, if any, in which a search goes on in double precision from
        where it ended.
    """

    parameters: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    starts: tuple[tuple[float, ...], ...]
    trusted: tuple[float, float] = (0.0, math.inf)
    again: tuple[tuple[str, float], ...] = ()
    closed: str = ""
    delicate: tuple[str, float, float] | None = None

    @cached_property
    def shape(self) -> list[int]:
        """Indices of the parameters that are searched."""
        return [i for i, name in enumerate(self.parameters) if name != self.closed]

    @cached_property
    def _scales(self) -> list[int]:
        """Indices, among these, of those that are searched by their logarithms."""
        names = [self.parameters[i] for i in self.shape]
        return [i for i, name in enumerate(names) if name in SCALES]

    def is_delicate(self, parameters: Tensor) -> Tensor:
        """Return for which parameters, (n, p), a search goes on in double precision, (n,)."""
        if self.delicate is None:
            return torch.zeros(len(parameters), dtype=torch.bool, device=parameters.device)
        name, low, high = self.delicate
        values = parameters[:, self.parameters.index(name)]
        return (low <= values) & (values <= high)

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

    def at_limits(self, parameters: Tensor) -> np.ndarray:
        """Name the parameters, (n, p), that ended at a limit of the search.

        There R² grows only beyond the limit, or it is hardly changed by the parameter.

        Returns
        -------
        ndarray of shape (n,), object
            Such as `greatest sigma, least x`; None where every parameter is within its limits.
        """
        ends = torch.zeros(parameters.shape, dtype=torch.int8)
        for at, (name, limits) in enumerate(zip(self.parameters, self.limits, strict=True)):
            values = parameters[:, at].double().cpu()
            for end, limit in zip((-1, 1), limits, strict=True):
                away = (values / limit).log() if name in SCALES else values - limit
                ends[away.abs() <= TOUCHING, at] = end
        kinds, kind = np.unique(ends.numpy(), axis=0, return_inverse=True)
        texts = np.empty(len(kinds), object)
        texts[:] = [
            ", ".join(
                f"{'least' if end < 0 else 'greatest'} {name}"
                for name, end in zip(self.parameters, row, strict=True)
                if end
            )
            or None
            for row in kinds
        ]
        return texts[kind.ravel()]

    def restore(self, searched: Tensor, closed: Tensor) -> Tensor:
        """Return parameters, (n, p), within their limits."""
        values = torch.empty(len(self.parameters), *closed.shape).to(searched)
        values[[i for i in range(len(values)) if i not in self.shape]] = closed
        values[self.shape] = self.natural(searched)
        low, high = torch.tensor(self.limits).to(values).T
        values = torch.clamp(values.T, low, high)
        if "aspect" in self.parameters:  # along the longer axis, whichever it became
            at = [self.parameters.index(name) for name in ("sigma", "aspect", "angle")]
            sigma, aspect, angle = values.T[at]
            turned = torch.stack([aspect * sigma, 1 / aspect, angle + math.pi / 2], 1)
            values[:, at] = torch.where((aspect < 1)[:, None], turned, values[:, at])
        return values


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


def grid_of(k: int, name: str, form: str, device: torch.device) -> Grid:
    """Return the pixels on which a function is evaluated in one of `FORMS`."""
    # The difference of two similar Gaussians needs more digits.
    double = name == "dog" or (form == "continuous" and name == "elongated")
    dtype = torch.float64 if double else torch.float32
    return Grid(k, form == "discrete", device, dtype)


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
    elif function.closed != "surround":
        parts = parts.sum(0, keepdim=True)
    return parts.permute(2, 0, 1).unflatten(2, (grid.k, grid.k)).flip(2).flatten(2)


def evaluate(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return a function of parameters, (n, p), on the grid: centred, unit norm, (n, k·k)."""
    parts = components(function, grid, parameters)
    if not function.closed:
        return unit(parts[:, 0])
    closed = parameters[:, function.parameters.index(function.closed), None]
    if function.closed == "surround":
        return unit(parts[:, 0] - closed * parts[:, 1])
    return unit(closed.cos() * parts[:, 0] + closed.sin() * parts[:, 1])

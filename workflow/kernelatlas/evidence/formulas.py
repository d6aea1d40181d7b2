"""Formulas of the analytic functions that kernels are fitted by.

What they are, and where their parameters are searched, is in `kernelatlas.evidence.functions`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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

Mix = Callable[..., Tensor]  # from parameters, (m, n) each, to weights of products, (q, r, m, n)


class Points(NamedTuple):
    """A parameter at several points of the search of each of n kernels.

    Attributes
    ----------
    values : Tensor of shape (r, n)
        Distinct ones.
    of : Tensor of shape (m,)
        Which of them each point has.
    """

    values: Tensor
    of: Tensor

    @property
    def each(self) -> Tensor:
        """At each point, (m, n)."""
        return self.values[self.of]


# Factors of products: (d, k, m, n) if they are the same along y and x, else (d, k, m, 2, n), along
# y first; a place is that along y and that along x, (m, 2, n). What depends on fewer parameters
# than the rest is made of their distinct values.


def gaussian(grid: Grid, sigma: Points) -> Tensor:
    return derivatives(grid, sigma, 0)


def dog(grid: Grid, sigma: Points, ratio: Points) -> Tensor:
    return torch.cat([gaussian(grid, sigma), grid.gaussian(ratio.each * sigma.each)])


def derivatives(grid: Grid, sigma: Points, order: int) -> Tensor:
    return grid.gaussian(sigma.values, order).index_select(2, sigma.of)


def moved(grid: Grid, sigma: Points, place: Points, order: int = 0) -> Tensor:
    return grid.moved(place.each, sigma.values, order, sigma.of)


def moved_dog(grid: Grid, sigma: Points, place: Points) -> Tensor:
    wide = sigma._replace(values=RATIO * sigma.values)
    return torch.cat([moved(grid, scale, place) for scale in (sigma, wide)])


def gabor(grid: Grid, sigma: Points, frequency: Points, angle: Points) -> Tensor:
    """The cosine and the sine of a wave along each axis."""
    across = torch.stack([angle.each.sin(), angle.each.cos()], 1)
    phase = grid.axis[:, None, None, None] * (frequency.each[:, None] * across)
    return gaussian(grid, sigma)[..., None, :] * torch.stack([phase.cos(), phase.sin()])


def square(grid: Grid, sigma: Points, width: Points, place: Points) -> Tensor:
    # Finite differences at a limit must not evaluate values beyond it.
    width = width._replace(values=width.values.clamp(1, grid.k - 1))
    return grid.box(place.each, width.each[:, None], sigma.values, sigma.of)[None]


# Functions that are no products, on half of the pixels, (r, half, m, n).


def elongated(grid: Grid, sigma: Points, aspect: Points, angle: Points) -> Tensor:
    matrix = covariance(grid, sigma.each, aspect.each, angle.each)
    values = grid.ellipse(matrix.flatten(1), matrix.new_zeros(1, 3))[:, :, 0]
    return values.unflatten(2, matrix.shape[1:])


def cross(grid: Grid, sigma: Points, ratio: Points) -> Tensor:
    # The greater of g(x; σ)·g(y; ρσ) and g(x; ρσ)·g(y; σ): the narrow bar's axis is the nearer.
    narrow, wide = dog(grid, sigma, ratio)
    near, far = grid.nearer_and_farther
    return (narrow[near] * wide[far])[None]


def covariance(grid: Grid, sigma: Tensor, aspect: Tensor, angle: Tensor) -> Tensor:
    """Return xx, xy and yy of an ellipse's covariance, of its inverse if continuous, (3, n)."""
    along, across = (aspect * sigma) ** 2, sigma**2
    if not grid.discrete:
        along, across = 1 / along, 1 / across
    mean, half = (along + across) / 2, (along - across) / 2
    cos, sin = torch.cos(2 * angle), torch.sin(2 * angle)
    return torch.stack([mean + half * cos, half * sin, mean - half * cos])


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
    return -torch.eye(2).to(sigma)[:, :, None, None]


def second(sigma: Tensor, angle: Tensor, *place: Tensor) -> Tensor:
    return along(angle, 2)[None]


def waves(sigma: Tensor, *wave: Tensor) -> Tensor:
    """Weights of the cosine and the sine of the sum of two phases."""
    rows = sigma.new_tensor([[1, -1, 0, 0], [0, 0, 1, 1]])
    return rows[:, :, None, None]


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
        Takes the grid and parameters, as `Points`, and returns factors of products, or, without
        `terms`, components on half of the pixels, (q, half, m, n).
    of
        The parameters that factors along y depend on. Those along x depend on x instead of y.
    terms
        The products, as places of their factors along y and along x.
    mix
        Weights of the products in each component of the function; else they are summed, or, of
        a function with a surround, are components themselves.
    symmetry
        A name of `symmetric` if every member of the function has it, in both forms.
    """

    evaluate: Callable[..., Tensor]
    of: tuple[str, ...]
    terms: tuple[tuple[int, int], ...] = ()
    mix: Mix | None = None
    symmetry: str = ""

    @cached_property
    def axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Indices of the parameters of factors along y and along x, among those searched."""
        searched = [self.parameters[i] for i in self.shape]
        along_y = tuple(searched.index(name) for name in self.of)
        along_x = tuple(searched.index("x" if name == "y" else name) for name in self.of)
        return along_y, along_x

    def at(self, grid: Grid, values: Tensor, of: Sequence[Tensor]) -> Tensor:
        """Evaluate factors, or components, at values of the searched parameters, (p, r, n).

        `of` tells which of r values of each parameter in `self.of` each point has, (m,).
        """
        both = zip(*self.axes, strict=True)
        given = [values[i] if i == j else values[[i, j]].transpose(0, 1) for i, j in both]
        return self.evaluate(grid, *map(Points, given, of))


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


def symmetric(kernels: Tensor, k: int) -> dict[str, Tensor]:
    """Return the energy of kernels' parts of each symmetry, (n,) each.

    No function that has a symmetry has more of a kernel's energy, for it has no scalar product
    with the rest: `even` or `odd` under a half turn, or `square`, as it was under quarter turns
    and mirrors.
    """
    images = kernels.unflatten(1, (k, k))
    even = (images + images.flip(1, 2)) / 2
    square = (even + even.flip(1)) / 2
    square = (square + square.mT) / 2
    parts = {"even": even, "odd": images - even, "square": square}
    return {name: part.square().sum((1, 2)) for name, part in parts.items()}


def components(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return the components of a function of parameters, (n, p), on the grid, (n, q, k·k)."""
    shape = parameters.T[function.shape, None]
    here = torch.zeros(1, dtype=torch.int64, device=parameters.device)
    values = function.at(grid, shape, [here] * len(function.of))[:, :, 0]
    if function.terms:
        y, x = values.unbind(2) if values.ndim == 4 else (values, values)
        rows, columns = map(list, zip(*function.terms, strict=True))
        parts = (y[rows][:, :, None] * x[columns][:, None]).flatten(1, 2)
    else:
        parts = torch.cat([values, values[:, : grid.k**2 // 2].flip(1)], 1)
    if function.mix:
        parts = (function.mix(*shape) * parts).sum(1)
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

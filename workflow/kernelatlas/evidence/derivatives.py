"""R² of sums of derivatives of one moved Gaussian, with its exact gradient and Hessian.

A sum of derivatives is a polynomial in X = ∂/∂x and Y = ∂/∂y applied to the Gaussian g, and so
are its own derivatives by the parameters: −X and −Y for a move of the centre, σ²(X² + Y²) for the
logarithm of the scale (the diffusion equation), and for a turn of the axes the map that takes X
to Y and Y to −X.

A derivative YⁱXʲ g is a product of one along y and one along x, and so is its scalar product with
another one: the number of pixels does not matter once there are those along each axis. Weights of
derivatives, and values of each, are arrays (i, j, n) of n kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from kernelatlas.evidence.formulas import Search
from kernelatlas.evidence.grid import Grid
from kernelatlas.evidence.projection import backward, cholesky, forward


@dataclass(frozen=True, kw_only=True)
class Sum(Search):
    """A sum of derivatives up to `order`, each part with a coefficient of its own.

    Attributes
    ----------
    parts
        The derivatives that each part consists of, as their orders along y and along x.
    weights
        Returns the weights of the derivatives of all parts, one after another, (t, n), from
        angles, (n,). Without it all are 1.
    """

    order: int
    parts: tuple[tuple[tuple[int, int], ...], ...]
    weights: Callable[[Tensor], Tensor] | None = None


def count(order: int) -> int:
    """Return the number of derivatives up to an order."""
    return (order + 1) * (order + 2) // 2


@cache
def _places(function: Sum, device: torch.device) -> Tensor:
    """Return the order along y, that along x and the part of each derivative, (3, t)."""
    every = [(*place, q) for q, part in enumerate(function.parts) for place in part]
    return torch.tensor(every, device=device).T.contiguous()


class _Parts:
    """The parts of a sum, at parameters, (p, n), of n kernels."""

    def __init__(self, function: Sum, parameters: Tensor):
        self._sizes = [len(part) for part in function.parts]
        self._down, self._across, self._of = _places(function, parameters.device)
        self._weights = function.weights(parameters[1]) if function.weights else None

    def of(self, values: Tensor) -> Tensor:
        """Return values of parts, (q, ..., n), from those of derivatives, (..., i, j, n)."""
        at = self._down * values.shape[-2] + self._across
        return self._added(values.flatten(-3, -2).index_select(-2, at).movedim(-2, 0))

    def derivatives(self, coefficients: Tensor, order: int) -> Tensor:
        """Return weights of derivatives, (i, j, n), from those of parts, (q, n)."""
        every = coefficients.index_select(0, self._of)
        if self._weights is not None:
            every = every * self._weights
        found = every.new_zeros((order + 1) ** 2, every.shape[1])
        found.index_add_(0, self._down * (order + 1) + self._across, every)
        return found.unflatten(0, (order + 1, order + 1))

    def products(self, *axes: tuple[Tensor, Tensor]) -> Tensor:
        """Return the parts, (q, k, l, n), of which derivatives are products along y and x.

        The sum of them for several `axes`, each (i, k, n) and (j, l, n).
        """
        y, x = axes[0]
        found = y.new_zeros(len(self._sizes), y.shape[1], *x.shape[1:])
        for y, x in axes:
            down, across = y.index_select(0, self._down), x.index_select(0, self._across)
            if self._weights is not None:
                down = down * self._weights[:, None]
            pairs = zip(down.split(self._sizes), across.split(self._sizes), strict=True)
            for part, both in zip(found, pairs, strict=True):
                for rows, columns in zip(*both, strict=True):
                    part.addcmul_(rows[:, None], columns)
        return found

    def _added(self, values: Tensor) -> Tensor:
        """Add values of derivatives, (t, ..., n), to those of parts."""
        if self._weights is None:
            return values
        weights = self._weights.view(-1, *[1] * (values.ndim - 2), values.shape[-1])
        weighted = (weights * values).split(self._sizes)
        return torch.stack([part.sum(0) for part in weighted])


def _profiles(grid: Grid, parameters: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return a Gaussian and its derivatives along y and x, (order + 1, k, n), from below."""
    centre = torch.stack([parameters[-1], parameters[-2]])
    one = torch.zeros(1, dtype=torch.int64, device=grid.device)
    y, x = grid.moved(centre[None], parameters[:1], order, one)[:, :, 0].unbind(2)
    return y, x


def images(function: Sum, grid: Grid, parameters: Tensor) -> Tensor:
    """Return the parts of a sum at parameters, (p, n), on the grid, from above, (n, q, k·k)."""
    profiles = _profiles(grid, parameters, function.order)
    parts = _Parts(function, parameters).products(profiles)
    return parts.flip(1).flatten(1, 2).permute(2, 0, 1).contiguous()


def expand(
    kernels: Tensor, function: Sum, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return cosine and zeros, (n,), and of cos²/2 the gradient, (p, n), and minus the Hessian.

    Parameters
    ----------
    kernels : Tensor of shape (k, k, n)
        From below, centred.
    parameters : Tensor of shape (p, n)
        Searched ones: the scale by its logarithm.

    With w the kernel, m = Σ c_q φ_q the sum and r = w − m, F(θ, c) = ⟨w, m⟩ − ⟨m, m⟩/2 has its
    greatest value over c at cos²/2; there F_θ = ⟨r, m_θ⟩, and the Hessian is
    F_θθ − F_θc F_cc⁻¹ F_cθ.
    """
    natural, d = function.natural(parameters), function.order + 1
    parts = _Parts(function, natural)
    y, x = _profiles(grid, natural, function.order + 4)
    inner = _products(y, _products(x, kernels))  # ⟨w, derivative⟩
    axes = _Axes(y, x, d + 2)  # orders of m_θ are at most by 2 higher
    factor = cholesky(parts.of(parts.products(*axes.pairs(d))))
    shares = forward(factor, parts.of(inner))
    model = parts.derivatives(torch.stack(backward(factor, shares)), function.order)
    rest = inner - axes.between(model, 0, 0, len(y))  # ⟨r, derivative⟩
    maps = [_Map(name, natural[0]) for name in function.parameters]
    # ⟨m_θ, derivative⟩ − ⟨r, derivative_θ⟩
    slopes = rest.new_empty(len(maps), d + 2, d + 2, rest.shape[2])
    for by, slope in zip(maps, slopes, strict=True):
        torch.sub(by.between(model, axes, d + 2), by.raised(rest, d + 2), out=slope)
    gradient = torch.stack([(model * by.raised(rest, d)).sum((0, 1)) for by in maps])
    curvature = gradient.new_empty(len(maps), *gradient.shape)
    for row, by in enumerate(maps):  # maps commute in this order
        found = (model * by.raised(slopes[row:], d)).sum((1, 2))
        curvature[row, row:] = curvature[row:, row] = found
    curvature[0, 0] -= 2 * gradient[0]  # the factor σ² too depends on the scale
    for share in forward(factor, parts.of(slopes)):
        curvature.addcmul_(share[:, None], share, value=-1)
    # A move of the centre is one of the kernel to the other side.
    for values in (gradient[-2:], curvature[-2:], curvature[:, -2:]):
        values.neg_()
    cosine = torch.stack(shares).square().sum(0).sqrt()
    return cosine, torch.zeros_like(cosine), gradient, curvature


def _products(some: Tensor, others: Tensor) -> Tensor:
    """Return scalar products of vectors, (i, k, n) and (j, k, n), as (i, j, n)."""
    found = some[:, None, 0] * others[:, 0]
    for pixel in range(1, some.shape[1]):
        found.addcmul_(some[:, None, pixel], others[:, pixel])
    return found


class _Axes:
    """Scalar products of derivatives along each axis, of profiles (i, k, n).

    Of the first `size` with all. A product of y_i and x_j, less its mean, is the product of
    y_i less its mean and x_j, and of the mean of y_i and x_j less its mean: so no difference of
    nearly equal numbers is taken where both hardly change.
    """

    def __init__(self, y: Tensor, x: Tensor, size: int):
        self._mean, self._sum = y.mean(1), y.sum(1)
        self._means, means_x = (t.mean(1)[:size, None] * t.sum(1) for t in (y, x))
        self._y, self._x_less = (
            _products(t[:size], t) for t in (axis - axis.mean(1, keepdim=True) for axis in (y, x))
        )
        self._x = self._x_less + means_x

    def pairs(self, size: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return what products are sums of products of, along y and x."""
        both = (self._y, self._x), (self._means, self._x_less)
        return tuple((y[:, :size], x[:, :size]) for y, x in both)

    def between(self, weights: Tensor, down: int, across: int, size: int) -> Tensor:
        """Return scalar products with a sum of derivatives, less its mean, (i, j, n).

        Parameters
        ----------
        weights : Tensor of shape (d, d, n)
            Of orders that are together below d, if both are raised by `down` and `across`.
        size
            Of i and j.
        """
        d = len(weights)
        y, mean = self._y[down : down + d, :size], self._mean[down : down + d]
        x, less = (t[across : across + d, :size] for t in (self._x, self._x_less))
        half = weights[:, 0, None] * x[0]
        for order in range(1, d):
            half[: d - order].addcmul_(weights[: d - order, order, None], x[order])
        found = y[0, :, None] * half[0]
        for order in range(1, d):
            found.addcmul_(y[order, :, None], half[order])
        row = ((weights * mean[:, None]).sum(0)[:, None] * less).sum(0)
        return found.addcmul_(self._sum[:size, None], row)


class _Map:
    """What the derivative by a parameter makes of derivatives of orders i along y and j along x.

    By a place, it is that of the kernel.
    """

    def __init__(self, name: str, sigma: Tensor):
        self._name, self._variance = name, sigma**2

    def raised(self, values: Tensor, size: int) -> Tensor:
        """Return values of what it makes of those below `size`, from values of derivatives.

        Both are of shape (..., i, j, n).
        """
        match self._name:
            case "x":
                return values[..., :size, 1 : size + 1, :]
            case "y":
                return values[..., 1 : size + 1, :size, :]
            case "sigma":
                across = values[..., :size, 2 : size + 2, :]
                return self._variance * (across + values[..., 2 : size + 2, :size, :])
        orders = self._orders(size)
        found = values.new_zeros(*values.shape[:-3], size, size, values.shape[-1])
        found[..., 1:, :] = orders * values[..., 1 : size + 1, : size - 1, :]
        found[..., 1:, :, :] -= orders[:, None] * values[..., : size - 1, 1 : size + 1, :]
        return found

    def between(self, weights: Tensor, axes: _Axes, size: int) -> Tensor:
        """Return scalar products with what it makes of a sum of derivatives, as `_Axes` does."""
        match self._name:
            case "x":
                return axes.between(weights, 0, 1, size)
            case "y":
                return axes.between(weights, 1, 0, size)
            case "sigma":
                both = [axes.between(weights, *raised, size) for raised in ((0, 2), (2, 0))]
                return self._variance * sum(both)
        orders = self._orders(len(weights))
        down = axes.between(orders * weights[:-1, 1:], 1, 0, size)
        return down - axes.between(orders[:, None] * weights[1:, :-1], 0, 1, size)

    def _orders(self, size: int) -> Tensor:
        like = self._variance
        return torch.arange(1, size, dtype=like.dtype, device=like.device)[:, None]

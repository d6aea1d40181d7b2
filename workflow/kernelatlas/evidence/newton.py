"""Damped Newton steps on R² of analytic functions, thousands of kernels at once.

Levenberg, Q. Appl. Math. 2 (1944); Marquardt, J. SIAM 11 (1963).
"""

import itertools
import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from kernelatlas.evidence.derivatives import Sum, expand
from kernelatlas.evidence.formulas import Function, covariance, elongated
from kernelatlas.evidence.grid import Grid
from kernelatlas.evidence.projection import backward, combine, forward, less
from kernelatlas.kernels.blocks import at_once

BLOCK = 2048  # kernels evaluated at once, or fewer: few enough for a processor's cache
STEPS = 30
GAIN = 2e-5  # of 1 − R²: the search ends where R²/2 would grow by less in the next step
LONGEST = 0.4  # largest step, in pixels, radians or logarithms
DAMPING = 1e-3  # at first
LEAST = 0.02  # pivot, as a share of its row, of matrices scaled to a diagonal of one, at first
MOVE = 1e-3  # of finite differences, in the same units
WIDE = 0.02  # the same of discrete forms, some of which have kinks


def refine(
    kernels: Tensor, function: Function | Sum, grid: Grid, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Improve parameters by damped Newton steps on R² within the function's limits.

    Parameters
    ----------
    kernels : Tensor of shape (n, k·k)
        Normalised.
    start : Tensor of shape (n, p)

    Returns
    -------
    parameters : Tensor of shape (n, p)
    cosine : Tensor of shape (n,)
        Of each kernel and the function, of either sign; R² is its square.
    """
    if not len(kernels):
        return start, kernels.sum(1)
    parameters, cosine = _climb(kernels, function, grid, start)
    low, high = function.trusted
    rows = ((start[:, 0] < low) | (start[:, 0] > high)).nonzero()[:, 0]
    if len(rows):
        again = start[rows]
        for name, value in function.again:
            again[:, function.parameters.index(name)] = value
        # Well within the limits, at some of which a search would stay.
        least, most = torch.tensor(function.limits).to(again).T
        margin = torch.nan_to_num((most - least) / 10, posinf=0.0)  # angles have no limits
        again = torch.clamp(again, least + margin, most - margin)
        other, found = _climb(kernels[rows], function, grid, again)
        better = found**2 > cosine[rows] ** 2
        parameters[rows[better]], cosine[rows[better]] = other[better], found[better]
    rows = function.is_delicate(parameters).nonzero()[:, 0]
    if len(rows):
        other, found = _climb(kernels[rows], function, grid.double, parameters[rows])
        parameters[rows], cosine[rows] = other.to(parameters), found.to(cosine)
    return parameters, cosine


def _climb(
    kernels: Tensor, function: Function | Sum, grid: Grid, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Search from one start, as `refine` does."""
    # Kernels are the last axis: short sums run over whole vectors.
    kernels = kernels.T.unflatten(0, (grid.k, grid.k)).flip(0).to(grid.dtype).contiguous()
    limits = torch.tensor(function.limits, device=kernels.device, dtype=torch.float64)
    low, high = function.search(limits.T).unbind(1)
    low, high = low[:, None], high[:, None]
    here = torch.clamp(function.search(start.double()), low, high)
    cosine, closed, gradient, curvature = _expand(kernels, function, grid, here)
    found = torch.empty(len(here) + 2, len(cosine)).to(here)
    rows = torch.arange(kernels.shape[2], device=kernels.device)
    damping = torch.full_like(gradient[0], DAMPING)
    for _ in range(STEPS):
        trial, promised = _step(here, gradient, curvature, damping, low, high)
        going = (promised * (1 + damping) > GAIN * (1 - cosine**2).clamp_min(0.01)) & (
            damping < 100
        )
        if not going.all():
            found[:, rows] = torch.cat([here, closed[None], cosine[None]])
            left = going.nonzero()[:, 0]
            rows, kernels, here, trial = (_kept(t, left) for t in (rows, kernels, here, trial))
            damping, closed, cosine, gradient, curvature = (
                _kept(t, left) for t in (damping, closed, cosine, gradient, curvature)
            )
        if not len(rows):
            break
        new = _expand(kernels, function, grid, trial)
        better = new[0] ** 2 > cosine**2
        here = torch.where(better, trial, here)
        cosine, closed, gradient, curvature = (
            torch.where(better, t, old)
            for t, old in zip(new, (cosine, closed, gradient, curvature), strict=True)
        )
        damping = torch.where(better, damping * 0.3, (damping * 8).clamp_min(0.05)).clamp_min(1e-6)
    found[:, rows] = torch.cat([here, closed[None], cosine[None]])
    return function.restore(found[:-2], found[-2]), found[-1]


def _step(
    here: Tensor, gradient: Tensor, curvature: Tensor, damping: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Return parameters within limits, (p, n), and half the gain of R² expected without limits."""
    # A parameter at its limit stays there while R² grows only beyond it.
    free = ~(((here <= low) & (gradient < 0)) | ((here >= high) & (gradient > 0)))
    step = _limited(_solve(curvature, gradient, damping, free))
    promised = (step * gradient).sum(0) / 2
    trial = torch.clamp(here + step, low, high)
    # Parameters that would pass their limit stop there; the step of the others is solved again.
    beyond = free & (trial != here + step)
    rows = beyond.any(0).nonzero()[:, 0]
    if len(rows):
        here, gradient, curvature, damping, free, beyond, stopped = (
            _kept(t, rows) for t in (here, gradient, curvature, damping, free, beyond, trial)
        )
        fixed = (stopped - here) * beyond
        rest = gradient - (curvature * fixed).sum(1)
        step = _limited(_solve(curvature, rest, damping, free & ~beyond))
        trial[:, rows] = torch.where(beyond, stopped, torch.clamp(here + step, low, high))
    return trial, promised


def _kept(values: Tensor, rows: Tensor) -> Tensor:
    """Return values of some kernels, which are the last axis: much faster than by an index."""
    return values.gather(-1, rows.expand(*values.shape[:-1], -1))


def _limited(step: Tensor) -> Tensor:
    return step * (LONGEST / step.abs().amax(0)).clamp_max(1)


def _expand(
    kernels: Tensor, function: Function | Sum, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return cosine and closed parameter, (n,), and of cos²/2 the gradient, (p, n), and −Hessian.

    By central differences, but for sums of derivatives: in so few dimensions the Hessian is
    cheap, and where R² is far from 1 Gauss and Newton's approximation of it converges slowly.
    """
    p, n = parameters.shape
    # Made before the blocks' own values, whose memory the next block can use then.
    found = (
        *parameters.new_empty(2, n),
        kernels.new_empty(p, n, dtype=torch.float32),  # steps need few digits
        kernels.new_empty(p, p, n, dtype=torch.float32),
    )
    most = BLOCK
    if isinstance(function, Function):
        # Double precision, and values in the plane, take more of the cache.
        large = grid.dtype == torch.float64 or not function.terms
        most = BLOCK // 2 if large else BLOCK
    rows = at_once(grid.k**2, most, grid.device.type)
    blocks = (values.split(rows, -1) for values in (kernels, parameters, *found))
    for block, values, *places in zip(*blocks, strict=True):
        if isinstance(function, Sum):
            parts = expand(block, function, grid, values)
        elif function.evaluate is elongated:
            parts = _expand_ellipse(block, function, grid, values)
        else:
            parts = _expand_block(block, function, grid, values)
        for place, part in zip(places, parts, strict=True):
            place.copy_(part)
    return found


def _expand_block(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    fine = grid.dtype == torch.float64 and "ratio" not in function.parameters
    h = MOVE if fine else WIDE
    ends = h * torch.tensor([0.0, 1.0, -1.0]).to(parameters)  # as `_Moves` numbers them
    values = function.natural(parameters[:, None] + ends[:, None]).to(grid.dtype)  # (p, 3, n)
    moves = _moves(function, grid.device)
    factors = function.at(grid, values, moves.factors)
    if function.terms:
        sums = _sums_of_products(kernels, function, factors, moves)
    else:
        sums = _sums_of_halves(kernels, factors, grid)
    if function.mix:
        weights = function.mix(*(t[of] for t, of in zip(values, moves.every, strict=True)))
        sums = _mixed(weights, *sums)
    cosine, closed = combine(function, *sums, grid.k**2)
    gradient, curvature = _differentiate(cosine.double() ** 2 / 2, h)
    return cosine[0].double(), closed[0].double(), gradient, curvature


def _sums_of_products(
    kernels: Tensor, function: Function, factors: Tensor, moves: "_Moves"
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `combine` takes, of products of factors at their distinct moves."""
    y, x = factors.unbind(3) if factors.ndim == 5 else (factors, factors)
    # Sums over pixels are products of sums along y and x.
    along_x = kernels[:, 0, None] * x[:, None, 0]
    for column in range(1, len(kernels)):
        along_x.addcmul_(kernels[:, column, None], x[:, None, column])
    along_y, across = _spread(y, moves.y), _spread(along_x, moves.x)
    inner = [(along_y[i] * across[j]).sum(0) for i, j in function.terms]
    sums_y, sums_x = _spread(y.sum(1), moves.y), _spread(x.sum(1), moves.x)
    total = [sums_y[i] * sums_x[j] for i, j in function.terms]
    own_y = _own(y, moves.y)
    own_x = own_y if x is y else _own(x, moves.x)
    square = [
        own_y[min(i, m), max(i, m)] * own_x[min(j, n), max(j, n)]
        for (i, j), (m, n) in itertools.product(function.terms, repeat=2)
    ]
    q = len(function.terms)
    return (
        _spread(torch.stack(inner), moves.each),
        _spread(torch.stack(square), moves.each).unflatten(0, (q, q)),
        _spread(torch.stack(total), moves.each),
    )


def _own(factors: Tensor, of: Tensor | None) -> dict[tuple[int, int], Tensor]:
    """Return the scalar products of factors, (m, n), at the rows of their moves."""
    d = len(factors)
    pairs = itertools.combinations_with_replacement(range(d), 2)
    return {(i, j): _spread((factors[i] * factors[j]).sum(0), of) for i, j in pairs}


def _spread(values: Tensor, of: Tensor | None) -> Tensor:
    """Return values, (..., m, n), at rows of m; as they are without rows."""
    return values if of is None else values.index_select(-2, of)


def _mixed(
    weights: Tensor, inner: Tensor, square: Tensor, total: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same of components, with the weights of products in them, (q, r, m, n)."""
    half = (weights[:, None] * square).sum(2)  # (q, r, ...): square is symmetric
    return (
        (weights * inner).sum(1),
        (half[:, None] * weights).sum(2),
        (weights * total).sum(1),
    )


def _sums_of_halves(kernels: Tensor, values: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same for point-symmetric functions on half of the pixels, (r, half, m, n)."""
    weight, folded = _folded(kernels, grid)
    weighted = values * weight[..., None]
    inner, total = (values * folded[:, None]).sum(1), weighted.sum(1)
    own = (weighted * values).sum(1)
    if len(values) == 1:
        return inner, own[None], total
    both = (weighted[0] * values[1]).sum(0)
    square = torch.stack([own[0], both, both, own[1]]).unflatten(0, (2, 2))
    return inner, square, total


def _sums_of_ellipses(
    kernels: Tensor, here: Tensor, moved: Tensor, grid: Grid
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same for products of (2, half, n) and (2, half, m): products of matrices."""
    weight, folded = _folded(kernels, grid)
    inner, total = (moved.mT @ (here * one) for one in (folded, weight))
    square = (moved[:, None] * moved).mT @ (here[:, None] * here * weight)
    return inner, square, total


def _folded(kernels: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return weights of half of the pixels, (half, 1), and sums of kernels there, (half, n)."""
    weight = torch.full((grid.half, 1), 2.0, device=kernels.device, dtype=kernels.dtype)
    weight[grid.half - grid.k % 2 :] = 1.0  # of an odd kernel's centre
    flat = kernels.flatten(0, 1)
    return weight, (flat + flat.flip(0))[: grid.half] * (weight / 2)


def _expand_ellipse(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do the same for ellipses, by a quadratic in the matrix, in which the exponent is linear."""
    stencil = _stencil(3).to(parameters)
    h = 0.03 if grid.discrete else 0.01  # pixels² or their inverse
    fine = 1e-3
    moved = parameters[:, None] + fine * stencil.T[:, :, None]
    matrix = covariance(grid, *function.natural(moved))
    given = matrix[:, 0].to(grid.dtype), (h * stencil).to(grid.dtype)
    if grid.discrete:
        sums = _sums_of_halves(kernels, grid.ellipse(*given), grid)
    else:
        sums = _sums_of_ellipses(kernels, *grid.ellipse_factors(*given), grid)
    cosine, surround = combine(function, *sums, grid.k**2)
    gradient, curvature = _differentiate(cosine.double() ** 2 / 2, h)
    away = matrix - matrix[:, :1]
    slope = gradient[:, None] - (curvature[:, :, None] * away).sum(1) / 2
    gradient, curvature = _differentiate((away * slope).sum(0), fine)
    return cosine[0].double(), surround[0].double(), gradient, curvature


class _Moves(NamedTuple):
    """Where a function is evaluated for the moves of `_stencil`, each (m,) of as many.

    Attributes
    ----------
    every, factors : list of Tensor
        Of each parameter, or of those of the factors along an axis, which of its three values it
        takes: as it is, moved up, or moved down.
    y, x : Tensor, or None if it is a range
        Which of the moves of factors each move of products is, along y and along x.
    each : Tensor, or None if it is a range
        Which of the moves of products each of all moves is.
    """

    every: list[Tensor]
    factors: list[Tensor]
    y: Tensor | None
    x: Tensor | None
    each: Tensor | None


@cache
def _moves(function: Function, device: torch.device) -> _Moves:
    """Return the moves of a function that differ: what they leave as it is is shared."""
    every = _stencil(len(function.shape)).int() % 3

    def places(values: Iterable[int]) -> Tensor:
        return torch.tensor(list(values), device=device)

    def unless_range(values: list[int]) -> Tensor | None:
        return None if values == list(range(len(values))) else places(values)

    def distinct(at: Iterable[int]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        rows = [tuple(row) for row in every[:, list(at)].tolist()]
        return list(dict.fromkeys(rows)), rows

    along_y, along_x = function.axes
    products, of_products = distinct({*along_y, *along_x})
    first = [of_products.index(row) for row in products]
    (factors, of_y), (_, of_x) = (distinct(at) for at in (along_y, along_x))
    return _Moves(
        [places(column) for column in every.T.tolist()],
        [places(column) for column in zip(*factors, strict=True)],
        unless_range([factors.index(of_y[at]) for at in first]),
        unless_range([factors.index(of_x[at]) for at in first]),
        unless_range([products.index(row) for row in of_products]),
    )


@cache
def _stencil(p: int) -> Tensor:
    """Moves of p parameters: none, each up, each down, each two of them up."""
    one = torch.eye(p)
    both = [one[i] + one[j] for i, j in itertools.combinations(range(p), 2)]
    return torch.stack([torch.zeros(p), *one, *-one, *both])


def _differentiate(f: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """Return the gradient and minus the Hessian of values, (m, n), at the moves of `_stencil`."""
    p = math.isqrt(2 * len(f)) - 1  # of 1 + 2p + p(p − 1)/2 moves
    up, down = f[1 : p + 1], f[p + 1 : 2 * p + 1]
    hessian = f.new_empty(p, p, *f.shape[1:])
    hessian.diagonal().copy_((2 * f[0] - up - down).T)
    for index, (i, j) in enumerate(itertools.combinations(range(p), 2), start=2 * p + 1):
        hessian[i, j] = hessian[j, i] = up[i] + up[j] - f[0] - f[index]
    # In a valley along an axis, a move to either side leads upwards: take the better one.
    slope = torch.where(
        up + down > 2 * f[0], torch.where(up > down, up - f[0], f[0] - down).mul(2), up - down
    )
    return slope / (2 * h), hessian / h**2


def _solve(curvature: Tensor, gradient: Tensor, damping: Tensor, free: Tensor) -> Tensor:
    """Solve (H + λ D) step = gradient for many small H at once, by Cholesky's method.

    Parameters that are not free keep their value.

    H is scaled to a diagonal of about one first, so that a parameter that is known very well does
    not hold the others back; D is then the sum of |H| along its rows and of |gradient|: with a
    large λ the sum is positive and the step below 1 / λ.

    Where a pivot is not positive, its absolute value is taken, so that the step leads upwards
    (Gill, Murray & Wright, Practical Optimization, 1981, 4.4.2.2). It is at least `LEAST`, or less
    where λ has fallen: along a ridge that hardly bends steps grow while they lead upwards. A
    library takes matrices one by one on a CPU, which would cost more than everything else for all
    of them.
    """
    p = len(gradient)
    diagonal = torch.stack([curvature[i, i].abs() for i in range(p)])
    scale = (diagonal + gradient.abs() + 1e-6).rsqrt() * free
    h, gradient = curvature * scale[:, None] * scale, gradient * scale
    size = h.abs().sum(0) + gradient.abs() + 1e-6
    least = LEAST * (damping / DAMPING).clamp(0.01, 1)
    factor: list[list[Tensor]] = [[] for _ in range(p)]
    for i in range(p):
        for j in range(i):
            factor[i].append(less(h[i, j], factor[i], factor[j][:j]) / factor[j][j])
        rest = less(h[i, i] + damping * size[i], factor[i], factor[i])
        steep = torch.maximum(rest.abs(), least * size[i])
        factor[i].append(torch.where(rest > 1e-3 * size[i], rest, steep).sqrt())
    return torch.stack(backward(factor, forward(factor, gradient))) * scale

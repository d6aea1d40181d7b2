"""Damped Newton steps on R² of analytic functions, thousands of kernels at once.

Levenberg, Q. Appl. Math. 2 (1944); Marquardt, J. SIAM 11 (1963).
"""

import itertools
import math
from functools import cache

import torch
from torch import Tensor

from kernelatlas.evidence.derivatives import Sum, expand
from kernelatlas.evidence.formulas import Function, covariance, elongated
from kernelatlas.evidence.grid import Grid
from kernelatlas.evidence.projection import backward, combine, forward
from kernelatlas.kernels.blocks import at_once

BLOCK = 1024  # kernels evaluated at once, or fewer: few enough for a processor's cache
STEPS = 30
GAIN = 2e-5  # of 1 − R²: the search ends where R²/2 would grow by less in the next step
LONGEST = 0.4  # largest step, in pixels, radians or logarithms
LEAST = 0.02  # pivot, as a share of its row, of matrices scaled to a diagonal of one
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
    found = torch.cat([here, closed[None], cosine[None]])
    rows = torch.arange(kernels.shape[2], device=kernels.device)
    damping = torch.full_like(cosine, 1e-3)
    for _ in range(STEPS):
        trial, promised = _step(here, gradient, curvature, damping, low, high)
        going = (promised * (1 + damping) > GAIN * (1 - cosine**2).clamp_min(0.01)) & (
            damping < 100
        )
        if not going.all():
            rows, kernels, here, trial, damping, cosine, gradient, curvature = (
                t[..., going]
                for t in (rows, kernels, here, trial, damping, cosine, gradient, curvature)
            )
        if not len(rows):
            break
        new = _expand(kernels, function, grid, trial)
        better = new[0] ** 2 > cosine**2
        found[:, rows[better]] = torch.cat([trial, new[1][None], new[0][None]])[:, better]
        here = torch.where(better, trial, here)
        cosine = torch.where(better, new[0], cosine)
        gradient = torch.where(better, new[2], gradient)
        curvature = torch.where(better, new[3], curvature)
        damping = torch.where(better, damping * 0.1, (damping * 8).clamp_min(0.05)).clamp_min(1e-6)
    return function.restore(found[:-2], found[-2]), found[-1]


def _step(
    here: Tensor, gradient: Tensor, curvature: Tensor, damping: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Return parameters within limits, (p, n), and half the gain of R² expected without limits."""
    # A parameter at its limit stays there while R² grows only beyond it.
    free = ~(((here <= low) & (gradient < 0)) | ((here >= high) & (gradient > 0)))
    step = _solve(curvature * (free[:, None] & free[None]), gradient * free, damping)
    step = step * (LONGEST / step.abs().amax(0)).clamp_max(1)
    promised = (step * gradient).sum(0) / 2
    trial = torch.clamp(here + step, low, high)
    # Parameters that would pass their limit stop there; the step of the others is solved again.
    beyond = free & (trial != here + step)
    if beyond.any():
        fixed = (trial - here) * beyond
        free = free & ~beyond
        rest = (gradient - (curvature * fixed).sum(1)) * free
        step = _solve(curvature * (free[:, None] & free[None]), rest, damping)
        step = step * (LONGEST / step.abs().amax(0)).clamp_max(1)
        trial = torch.where(beyond, trial, torch.clamp(here + step, low, high))
    return trial, promised


def _expand(
    kernels: Tensor, function: Function | Sum, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return cosine and closed parameter, (n,), and of cos²/2 the gradient, (p, n), and −Hessian.

    By central differences, but for sums of derivatives: in so few dimensions the Hessian is
    cheap, and where R² is far from 1 Gauss and Newton's approximation of it converges slowly.
    """
    if isinstance(function, Sum):
        return expand(kernels, function, grid, parameters)
    local = _expand_ellipse if function.evaluate is elongated else _expand_block
    rows = at_once(grid.k**2, BLOCK, grid.device.type)
    blocks = zip(kernels.split(rows, 2), parameters.split(rows, 1), strict=True)
    parts = [local(block, function, grid, values) for block, values in blocks]
    cosine, surround, gradient, curvature = (torch.cat(t, -1) for t in zip(*parts, strict=True))
    return cosine, surround, gradient, curvature


def _expand_block(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    fine = grid.dtype == torch.float64 and "ratio" not in function.parameters
    h = MOVE if fine else WIDE
    moves = h * _stencil(len(parameters)).to(parameters)
    moved = parameters[:, None] + moves.T[:, :, None]
    m, n = moved.shape[1:]
    shape = function.natural(moved.flatten(1)).to(grid.dtype)
    values = function.evaluate(grid, *shape)
    if isinstance(values, Tensor):
        sums = _sums_of_halves(kernels, values.unflatten(2, (m, n)), grid)
    else:
        y, x = (t.unflatten(2, (m, n)) for t in values)
        sums = _sums_of_products(kernels, function, y, x)
    if function.mix:
        sums = _mixed(function.mix(*shape).unflatten(2, (m, n)), *sums)
    cosine, closed = combine(function, *sums, grid.k**2)
    gradient, curvature = _differentiate(cosine.double() ** 2 / 2, h)
    return cosine[0].double(), closed[0].double(), gradient, curvature


def _sums_of_products(
    kernels: Tensor, function: Function, y: Tensor, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `combine` takes, of products of factors that are (d, k, m, n)."""
    # Sums over pixels are products of sums along y and x.
    along_x = kernels[:, 0, None] * x[:, None, 0]
    for column in range(1, len(kernels)):
        along_x.addcmul_(kernels[:, column, None], x[:, None, column])
    along_y, across = function.products(y, along_x)
    inner = (along_y * across).sum(1)
    first, second = function.products(y.sum(1), x.sum(1))
    own = [(t[:, None] * t).sum(2) for t in (y, x)]
    return inner, _square(function, *own), first * second


def _square(function: Function, y: Tensor, x: Tensor) -> Tensor:
    """Return the scalar products of all products, from those of their factors, (d, d, ...)."""
    along_y, along_x = function.products(y, x)
    if not function.terms:
        return along_y * along_x
    return torch.stack(
        [
            torch.mul(*function.products(rows, columns))
            for rows, columns in zip(along_y, along_x, strict=True)
        ]
    )


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
    weight = torch.full((grid.half, 1, 1), 2.0, device=values.device, dtype=values.dtype)
    weight[grid.half - grid.k % 2 :] = 1.0  # of an odd kernel's centre
    flat = kernels.flatten(0, 1)
    folded = (flat + flat.flip(0))[: grid.half, None] * (weight / 2)
    inner, total = (values * folded).sum(1), (values * weight).sum(1)
    weighted = values * weight
    own = (weighted * values).sum(1)
    if len(values) == 1:
        return inner, own[None], total
    both = (weighted[0] * values[1]).sum(0)
    square = torch.stack([own[0], both, both, own[1]]).unflatten(0, (2, 2))
    return inner, square, total


def _expand_ellipse(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do the same for ellipses, by a quadratic in the matrix, in which the exponent is linear."""
    stencil = _stencil(3).to(parameters)
    h = 0.03 if grid.discrete else 0.01  # pixels² or their inverse
    fine = 1e-3
    moved = parameters[:, None] + fine * stencil.T[:, :, None]
    matrix = covariance(grid, *function.natural(moved))
    values = grid.ellipse(matrix[:, 0].to(grid.dtype), (h * stencil).to(grid.dtype))
    inner, square, total = _sums_of_halves(kernels, values, grid)
    cosine, surround = combine(function, inner, square, total, grid.k**2)
    gradient, curvature = _differentiate(cosine.double() ** 2 / 2, h)
    away = matrix - matrix[:, :1]
    slope = gradient[:, None] - (curvature[:, :, None] * away).sum(1) / 2
    gradient, curvature = _differentiate((away * slope).sum(0), fine)
    return cosine[0].double(), surround[0].double(), gradient, curvature


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
    hessian = torch.diag_embed((2 * f[0] - up - down).T).permute(1, 2, 0).contiguous()
    for index, (i, j) in enumerate(itertools.combinations(range(p), 2), start=2 * p + 1):
        hessian[i, j] = hessian[j, i] = up[i] + up[j] - f[0] - f[index]
    # In a valley along an axis, a move to either side leads upwards: take the better one.
    slope = torch.where(
        up + down > 2 * f[0], torch.where(up > down, up - f[0], f[0] - down).mul(2), up - down
    )
    return slope / (2 * h), hessian / h**2


def _solve(curvature: Tensor, gradient: Tensor, damping: Tensor) -> Tensor:
    """Solve (H + λ D) step = gradient for many small H at once, by Cholesky's method.

    H is scaled to a diagonal of about one first, so that a parameter that is known very well does
    not hold the others back; D is then the sum of |H| along its rows and of |gradient|: with a
    large λ the sum is positive and the step below 1 / λ.

    Where a pivot is not positive, its absolute value is taken, so that the step leads upwards
    (Gill, Murray & Wright, Practical Optimization, 1981, 4.4.2.2). A library takes matrices one
    by one on a CPU, which would cost more than everything else for all of them.
    """
    p = len(gradient)
    diagonal = torch.stack([curvature[i, i].abs() for i in range(p)])
    scale = (diagonal + gradient.abs() + 1e-6).rsqrt()
    h, gradient = curvature * scale[:, None] * scale, gradient * scale
    size = h.abs().sum(0) + gradient.abs() + 1e-6
    factor: list[list[Tensor]] = [[] for _ in range(p)]
    for i in range(p):
        for j in range(i):
            rest = h[i, j] - sum(factor[i][m] * factor[j][m] for m in range(j))
            factor[i].append(rest / factor[j][j])
        rest = h[i, i] + damping * size[i] - sum(value**2 for value in factor[i])
        steep = torch.maximum(rest.abs(), LEAST * size[i])
        factor[i].append(torch.where(rest > 1e-3 * size[i], rest, steep).sqrt())
    return torch.stack(backward(factor, forward(factor, gradient))) * scale

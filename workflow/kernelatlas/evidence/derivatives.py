"""R² of sums of derivatives of one moved Gaussian, with its exact gradient and Hessian.

A sum of derivatives is a polynomial in X = ∂/∂x and Y = ∂/∂y applied to the Gaussian g, and so
are its own derivatives by the parameters: −X and −Y for a move of the centre, σ²(X² + Y²) for the
logarithm of the scale (the diffusion equation), and for a turn of the axes the
map that takes X to Y and Y to −X.

Polynomials are rows of coefficients of YⁱXʲ by their degree i + j, as `products` lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from kernelatlas.evidence.formulas import Search, products
from kernelatlas.evidence.grid import Grid
from kernelatlas.evidence.projection import backward, cholesky, forward
from kernelatlas.kernels.blocks import at_once

ROWS = 512  # kernels at once, or fewer: few enough for a processor's cache


@dataclass(frozen=True, kw_only=True)
class Sum(Search):
    """A sum of derivatives up to `order`, each part with a coefficient of its own.

    Attributes
    ----------
    parts
        Returns the polynomials of the parts, (n, q, r), from angles, (n,).
    """

    order: int
    parts: Callable[[Tensor], Tensor]

    def polynomials(self, parameters: Tensor) -> Tensor:
        """Return the polynomials of the parts at parameters, (p, n)."""
        turned = "angle" in self.parameters
        return self.parts(parameters[1] if turned else parameters[0])


def count(order: int) -> int:
    """Return the number of derivatives up to an order."""
    return (order + 1) * (order + 2) // 2


@cache
def _places(order: int, device: torch.device) -> Tensor:
    return torch.tensor(products(*range(order + 1)), device=device).T


@cache
def _maps(order: int, device: torch.device) -> dict[str, Tensor]:
    """Return what takes a polynomial's row to that of its derivative by a parameter, (r, r)."""
    known = {place: at for at, place in enumerate(products(*range(order + 1)))}
    maps = {name: torch.zeros(2 * [len(known)], dtype=torch.float64) for name in "xysa"}
    for (i, j), at in known.items():
        terms = (
            ("x", i, j + 1, -1.0),
            ("y", i + 1, j, -1.0),
            ("s", i, j + 2, 1.0),
            ("s", i + 2, j, 1.0),
            ("a", i + 1, j - 1, j),
            ("a", i - 1, j + 1, -i),
        )
        for name, down, across, weight in terms:
            if weight and (down, across) in known:
                maps[name][at, known[down, across]] += weight
    by_parameter = {"x": "x", "y": "y", "sigma": "s", "angle": "a"}
    return {name: maps[letter].to(device) for name, letter in by_parameter.items()}


def _profiles(grid: Grid, centre: Tensor, sigma: Tensor, order: int) -> Tensor:
    """Return a Gaussian and its derivatives about a centre, (2, n), as (2, n, order + 1, k)."""
    one = torch.zeros(1, dtype=torch.int64, device=grid.device)
    return grid.moved(centre[None], sigma[None], order, one)[:, :, 0].permute(2, 3, 0, 1)


def images(function: Sum, grid: Grid, parameters: Tensor) -> Tensor:
    """Return the parts of a sum at parameters, (p, n), on the grid, from above, (n, q, k·k)."""
    centre = torch.stack([parameters[-1], parameters[-2]])
    y, x = _profiles(grid, centre, parameters[0], function.order)
    down, across = _places(function.order, grid.device)
    every = (y[:, down, :, None] * x[:, across, None]).flip(2).flatten(2)
    return function.polynomials(parameters) @ every


def expand(
    kernels: Tensor, function: Sum, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return cosine and zeros, (n,), and of cos²/2 the gradient, (p, n), and minus the Hessian.

    Parameters
    ----------
    kernels : Tensor of shape (k, k, n)
        From below.
    parameters : Tensor of shape (p, n)
        Searched ones: the scale by its logarithm.

    With w the kernel, m = Σ c_q φ_q the sum and r = w − m, F(θ, c) = ⟨w, m⟩ − ⟨m, m⟩/2 has its
    greatest value over c at cos²/2; there F_θ = ⟨r, m_θ⟩, and the Hessian is
    F_θθ − F_θc F_cc⁻¹ F_cθ.
    """
    rows = at_once(grid.k**2, ROWS, grid.device.type)
    blocks = zip(kernels.split(rows, 2), parameters.split(rows, 1), strict=True)
    parts = [_expand(block, function, grid, values) for block, values in blocks]
    cosine, gradient, curvature = (torch.cat(t, -1) for t in zip(*parts, strict=True))
    return cosine, torch.zeros_like(cosine), gradient, curvature


def _expand(
    kernels: Tensor, function: Sum, grid: Grid, searched: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    natural = function.natural(searched)
    polynomials = function.polynomials(natural)
    few, more = count(function.order), count(function.order + 2)
    centre = torch.stack([natural[-1], natural[-2]])
    y, x = _profiles(grid, centre, natural[0], function.order + 4).contiguous()
    down, across = _places(function.order + 4, grid.device)
    every = (y[:, down[:more], :, None] * x[:, across[:more], None]).flatten(2)
    parts = _centred(polynomials @ every[:, :few])
    images = kernels.permute(2, 0, 1)
    factor = cholesky((parts @ parts.mT).permute(1, 2, 0))
    shares = forward(factor, (parts @ images.flatten(1)[:, :, None])[:, :, 0].T)
    coefficients = torch.stack(backward(factor, shares), 1)[:, None]
    residual = images - (coefficients @ parts).view_as(images)
    rest = (y @ residual @ x.mT).flatten(1)[:, down * y.shape[1] + across]  # ⟨r, derivative⟩
    model = torch.nn.functional.pad((coefficients @ polynomials)[:, 0], (0, len(down) - few))

    maps = _maps(function.order + 4, grid.device)
    names = [name for name in function.parameters if name in maps]
    raised = torch.stack([model @ maps[name] for name in names], 1)  # m_θ, (n, p, r)
    pulled = torch.stack([rest @ maps[name].T for name in names], 1)
    for values in (raised, pulled):
        values[:, 0] *= natural[0, :, None] ** 2
    gradient = (raised @ rest[:, :, None])[:, :, 0]
    second = (raised @ pulled.mT).triu()  # ⟨r, m_θθ⟩: maps commute in this order
    second = second + second.triu(1).mT
    second[:, 0, 0] += 2 * gradient[:, 0]  # the factor σ² too depends on the scale
    slopes = _centred(raised[:, :, :more] @ every)  # m_θ, (n, p, k·k)
    mixed = pulled[:, :, :few] @ polynomials.mT - slopes @ parts.mT
    solved = torch.stack(forward(factor, mixed.permute(2, 1, 0)))  # (q, p, n)
    curvature = (slopes @ slopes.mT - second).permute(1, 2, 0)
    curvature = curvature - (solved[:, :, None] * solved[:, None]).sum(0)
    return torch.stack(shares).norm(dim=0), gradient.T, curvature


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(2, keepdim=True)

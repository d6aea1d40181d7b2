"""The best coefficients of a function's components, given their scalar products.

For thousands of kernels at once, in closed form.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kernelatlas.evidence.formulas import SURROUND, Function

FLOOR = 1e-10  # of the square of a component: what hardly differs from earlier ones counts less
ROUNDED = 1e3  # times the rounding of two squares: their difference is known to a thousandth


def combine(
    function: Function, inner: Tensor, square: Tensor, total: Tensor, pixels: int
) -> tuple[Tensor, Tensor]:
    """Return the cosine of kernels and function, and the parameter that has a closed form.

    Parameters
    ----------
    inner, total : Tensor of shape (q, ...)
        ⟨w, f_q⟩ and Σ f_q of the components f_q and normalised kernels w.
    square : Tensor of shape (q, q, ...)
        ⟨f_q, f_s⟩.
    pixels
        Of a kernel.

    Returns
    -------
    cosine, closed : Tensor of shape (...)
        The weight of a surround, or an angle or a phase, in radians; else 0.
    """
    square = square - total[:, None] * total / pixels
    if function.closed in ("angle", "phase"):
        factor = cholesky(square)
        parts = forward(factor, inner)
        along, across = backward(factor, parts)
        return torch.hypot(*parts), torch.atan2(across, along)
    if function.closed == "surround":
        return _surround(inner, square)
    floor = 1e-60 if square.dtype == torch.float64 else 1e-30
    norm = square.sum((0, 1)).clamp_min(floor).sqrt()
    return inner.sum(0) / norm, torch.zeros_like(norm)


def _surround(inner: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """With a = ⟨w, f⟩ and G = ⟨f, f⟩ of centred f, return the best weight γ within its limits.

    (a₁ − γ a₂)² / (G₁₁ − 2γ G₁₂ + γ² G₂₂) has one greatest value, at
    γ = (a₁ G₁₂ − a₂ G₁₁) / (a₁ G₂₂ − a₂ G₁₂), or at a limit. A difference that is as small as the
    rounding of its terms counts less.
    """
    (a, b), (aa, ab, bb) = inner, (square[0, 0], square[0, 1], square[1, 1])
    low, high = SURROUND
    floor = max(FLOOR, ROUNDED * torch.finfo(square.dtype).eps)
    weight = torch.nan_to_num((a * ab - b * aa) / (a * bb - b * ab)).clamp(low, high)
    cosine = torch.zeros_like(weight)
    for value in (weight, low, high):
        whole = aa + value**2 * bb
        norm = torch.maximum(whole - 2 * value * ab, floor * whole).clamp_min(1e-30)
        other = (a - value * b) * norm.rsqrt()
        better = other.abs() > cosine.abs()
        cosine = torch.where(better, other, cosine)
        if value is not weight:
            weight = torch.where(better, value, weight)
    return cosine, weight


def less(value: Tensor, some: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Take the products of two lists of tensors off a value."""
    for one, other in zip(some, others, strict=True):
        value = torch.addcmul(value, one, other, value=-1)
    return value


def cholesky(square: Tensor) -> list[list[Tensor]]:
    """Return the lower triangle of Cholesky's factor of scalar products, (q, q, ...)."""
    factor: list[list[Tensor]] = []
    for i in range(len(square)):
        row: list[Tensor] = []
        for j in range(i):
            row.append(less(square[i, j], row, factor[j][:j]) / factor[j][j])
        least = (FLOOR * square[i, i]).clamp_min(1e-60)
        row.append(torch.maximum(less(square[i, i], row, row), least).sqrt())
        factor.append(row)
    return factor


def forward(factor: list[list[Tensor]], inner: Tensor) -> list[Tensor]:
    """Orthonormalise components one after another (Gram and Schmidt).

    Parameters
    ----------
    factor
        As `cholesky` returns it.
    inner : Tensor of shape (q, ...)
        Scalar products of components with a kernel.

    Returns
    -------
    list of q tensors
        The kernel's scalar product with what each component adds to the earlier ones: its square
        is the share of the kernel's energy that it adds.
    """
    parts: list[Tensor] = []
    for i, row in enumerate(factor):
        parts.append(less(inner[i], row[:i], parts) / row[i])
    return parts


def backward(factor: list[list[Tensor]], parts: list[Tensor]) -> list[Tensor]:
    """Return the coefficient of each component from what `forward` returns."""
    q = len(parts)
    found: list[Tensor] = [torch.empty(0)] * q
    for i in reversed(range(q)):
        below = [row[i] for row in factor[i + 1 :]]
        found[i] = less(parts[i], below, found[i + 1 :]) / factor[i][i]
    return found

"""Where searches begin: the best entry of a dictionary."""

import torch
from torch import Tensor

from kernelatlas.kernels.blocks import at_once

ROWS = 64  # kernels compared with a dictionary at once: few enough for a processor's cache


def orthonormal(components: Tensor) -> Tensor:
    """Return orthonormal bases of the spans of centred components, (q, n, pixels).

    Parameters
    ----------
    components : Tensor of shape (n, q, pixels)
    """
    centred = components - components.mean(dim=2, keepdim=True)
    scaled = centred / centred.norm(dim=2, keepdim=True).clamp_min(1e-60)
    return torch.linalg.qr(scaled.mT)[0].permute(2, 0, 1)


def best_entry(kernels: Tensor, starts: Tensor, bases: Tensor) -> Tensor:
    """Return the parameters of the entry that has most of a kernel's energy, (n, p).

    Parameters
    ----------
    kernels : Tensor of shape (n, pixels)
        Normalised.
    starts : Tensor of shape (m, p)
    bases : Tensor of shape (q, m, pixels)
        Orthonormal.
    """
    q, m, pixels = bases.shape
    flat = bases.reshape(q * m, pixels).T.contiguous()
    best = [
        _energy((block @ flat).square_().view(len(block), q, m)).argmax(dim=1)
        for block in kernels.split(at_once(pixels, ROWS, kernels.device.type))
    ]
    return starts[torch.cat(best)]


def _energy(shares: Tensor) -> Tensor:
    """Add shares, (n, q, m), without a copy of them."""
    energy = shares[:, 0]
    for share in shares.unbind(1)[1:]:
        energy += share
    return energy

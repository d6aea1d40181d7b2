"""Where searches begin: the best entry of a dictionary."""

import torch
from torch import Tensor

from kernelatlas.kernels.blocks import at_once

ROWS = 128  # kernels compared with a dictionary at once: few enough for a processor's cache


def orthonormal(components: Tensor) -> Tensor:
    """Return orthonormal bases of the spans of centred components, (q, n, pixels).

    Parameters
    ----------
    components : Tensor of shape (n, q, pixels)
    """
    centred = components - components.mean(dim=2, keepdim=True)
    scaled = centred / centred.norm(dim=2, keepdim=True).clamp_min(1e-60)
    return torch.linalg.qr(scaled.mT)[0].permute(2, 0, 1)


def best_entry(kernels: Tensor, starts: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parameters of the entry that has most of a kernel's energy, and its share.

    Parameters
    ----------
    kernels : Tensor of shape (n, pixels)
        Normalised.
    starts : Tensor of shape (m, p)
    bases : Tensor of shape (q, m, pixels)
        Orthonormal.

    Returns
    -------
    parameters : Tensor of shape (n, p)
    share : Tensor of shape (n,)
        Of the energy, R² of the entry.
    """
    n, entries = len(kernels), bases.shape[1]
    rows = min(n, at_once(bases.shape[2], ROWS, kernels.device.type))
    best = torch.empty(n, dtype=torch.int64, device=kernels.device)
    most = kernels.new_empty(n)
    # Memory that all blocks share: a new page costs more than the numbers in it.
    energies, shares = kernels.new_empty(2, rows, entries)
    columns = bases.mT.contiguous()
    blocks = (values.split(rows) for values in (kernels, best, most))
    for block, found, value in zip(*blocks, strict=True):
        energy, share = energies[: len(block)], shares[: len(block)]
        torch.mm(block, columns[0], out=energy).square_()
        for column in columns[1:]:
            torch.mm(block, column, out=share)
            energy.addcmul_(share, share)
        torch.argmax(energy, 1, out=found)
        torch.gather(energy, 1, found[:, None], out=value[:, None])
    return starts[best], most

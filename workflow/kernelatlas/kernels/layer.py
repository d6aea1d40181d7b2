"""One depthwise weight tensor, which tensors are depthwise, and the side of a kernel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernelatlas.errors import KernelAtlasError


@dataclass(frozen=True, eq=False)
class Layer:
    """One depthwise weight tensor.

    Attributes
    ----------
    name
        The parameter's name without `.weight` and without a leading `module.`.
    weights : ndarray of shape (channels, kh, kw), float32
        As stored, upcast from half precision or cast from double.
    stride, dilation
        In pixels, alike in both directions; None where unknown: no checkpoint tells them.
    inferred
        Whether it is perhaps not depthwise: its weight has such a shape, but what is around it does
        not tell (`kernelatlas.sources.depthwise`).
    quantised
        Whether the weights were stored as integers with a scale.
    """

    name: str
    weights: np.ndarray
    stride: int | None = None
    dilation: int | None = None
    inferred: bool = False
    quantised: bool = False


def depthwise_shape(shape: Sequence[int]) -> bool:
    """Tell whether a weight of this shape may be depthwise: several kernels of several weights."""
    return len(shape) == 4 and shape[0] > 1 and shape[1] == 1 and shape[2] * shape[3] > 1


def side(kernels: np.ndarray) -> int:
    """Return k of flattened k×k kernels, (n, k·k), or of one, (k·k,).

    Raises
    ------
    KernelAtlasError
        If they are not square.
    """
    n = kernels.shape[-1]
    k = math.isqrt(n)
    if k * k != n:
        raise KernelAtlasError(f"kernels of {n} weights are not square: give rows of k·k weights")
    return k

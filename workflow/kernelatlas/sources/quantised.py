"""Weights that are stored as integers with a scale."""

import numpy as np

from kernelatlas.sources.source import Damaged, Refused, short

VALUES_LIMIT = 32 << 20  # of a quantised layer: as float32, and once more while computing


def check_values(name: str, values: np.ndarray) -> None:
    """Refuse a layer that needs much memory besides its own."""
    if values.size > VALUES_LIMIT:
        raise Refused(
            f"layer {short(name)} has {values.size} quantised weights (limit {VALUES_LIMIT}): "
            "check that it is the right file"
        )


def nibbles(data: bytes | memoryview | np.ndarray, count: int, signed: bool) -> np.ndarray:
    """Return numbers of four bits, of which each byte holds two, the low one first."""
    pairs = np.frombuffer(data, np.uint8)
    if len(pairs) != (count + 1) // 2:
        raise Damaged(f"{len(pairs)} bytes are not {count} numbers of four bits")
    values = np.stack([pairs & 15, pairs >> 4], axis=1).ravel()[:count]
    return (values ^ 8).view(np.int8) - np.int8(8) if signed else values


def dequantised(
    name: str,
    integers: np.ndarray,
    scale: np.ndarray,
    zero: np.ndarray | None,
    axis: int,
) -> np.ndarray:
    """Return scale · (integers − zero), in the scale's precision.

    Parameters
    ----------
    name
        Of the layer, for messages.
    integers : ndarray of at most 16 bits
    scale, zero : ndarray of one element, or as many as `integers` has along `axis`
    """
    if integers.dtype.kind not in "iu" or integers.dtype.itemsize > 2:
        raise Refused(
            f"layer {short(name)} is quantised to {integers.dtype}, only integers of at most 16 "
            "bits are read: export the network in floating point"
        )
    check_values(name, integers)
    values = integers.astype(np.float32)  # without loss, also after the difference
    if zero is not None:
        values -= along(name, zero, integers.shape, axis).astype(np.float32)
    values = values.astype(scale.dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        values *= along(name, scale, integers.shape, axis)
    return values


def along(name: str, values: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Return one value, or a value per place along an axis, so that it broadcasts to a shape."""
    if values.size == 1:
        return values.reshape(())
    if values.ndim != 1 or not -len(shape) <= axis < len(shape) or values.size != shape[axis]:
        raise Refused(
            f"layer {short(name)} of shape {shape} has scales or zero points of shape "
            f"{values.shape[:8]} along axis {axis}, only one per tensor or per channel is read: "
            "export the network in floating point"
        )
    return values.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])

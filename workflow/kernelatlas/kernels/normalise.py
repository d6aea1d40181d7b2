"""Centred and scaled kernels, and the distance between them."""

import numpy as np

BLOCK = 512  # kernels
RELATIVE_FLOOR, ABSOLUTE_FLOOR = 1e-6, 1e-12
DEAD = 1e-4  # largest absolute weight of a kernel that does next to nothing


def degenerate(weights: np.ndarray) -> np.ndarray:
    """Tell which kernels have no shape: constant, zero or not finite.

    A kernel w is degenerate if ‖w − mean(w)‖ ≤ 1e-6 · max(‖w‖, 1e-12), or not finite.

    Parameters
    ----------
    weights : ndarray of shape (n, k)

    Returns
    -------
    ndarray of shape (n,), bool
    """
    # In blocks: a layer's weights in double precision, thrice, would be its greatest memory.
    blocks = (weights[begin : begin + BLOCK] for begin in range(0, len(weights), BLOCK))
    return np.concatenate([np.empty(0, bool), *map(_degenerate, blocks)])


def _degenerate(weights: np.ndarray) -> np.ndarray:
    values = np.asarray(weights, dtype=np.float64)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    values = np.where(finite[:, None], values, 0.0)
    centred = np.linalg.norm(values - values.mean(axis=1, keepdims=True), axis=1)
    floor = RELATIVE_FLOOR * np.maximum(np.linalg.norm(values, axis=1), ABSOLUTE_FLOOR)
    return ~finite | (centred <= floor)


def live(weights: np.ndarray) -> np.ndarray:
    """Tell which kernels have some absolute weight above `DEAD`.

    The rule by which the code of arXiv 2509.12746 drops kernels. A dead kernel can have a shape,
    and a constant one can be live.

    Parameters
    ----------
    weights : ndarray of shape (n, k)

    Returns
    -------
    ndarray of shape (n,), bool
    """
    return np.abs(weights).max(axis=1, initial=0) > DEAD


def normalise(weights: np.ndarray) -> np.ndarray:
    """Return (w − mean(w)) / ‖w − mean(w)‖ for each row ("center_norm", arXiv 2401.14469).

    Parameters
    ----------
    weights : ndarray of shape (n, k)
        No row may be degenerate.

    Returns
    -------
    ndarray of shape (n, k), float32
    """
    found = np.empty(np.shape(weights), np.float32)
    for begin in range(0, len(weights), BLOCK):
        values = np.asarray(weights[begin : begin + BLOCK], dtype=np.float64)
        centred = values - values.mean(axis=1, keepdims=True)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        found[begin : begin + BLOCK] = centred / length
    return found

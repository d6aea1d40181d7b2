"""Kernels as text, for a terminal."""

import numpy as np

from kernelatlas.figures import style

NARROW, WIDE = 2, 4  # characters for a weight; half of them are its lines, as letters are tall
LARGE = 12  # side from which kernels are drawn narrow


def coloured(weights: np.ndarray) -> str:
    """Draw a kernel in the colours of the figures, with ANSI escape codes of 24-bit colours.

    Parameters
    ----------
    weights : ndarray of shape (kh, kw)
        Finite.
    """
    values = weights.astype(float) - weights.mean(dtype=float)
    values /= max(float(np.abs(values).max()), 1e-12)
    pixels = style.KERNEL_MAP(values / 2 + 0.5, bytes=True)[..., :3]
    wide = NARROW if max(weights.shape) >= LARGE else WIDE
    lines = []
    for row in pixels:
        line = "".join("\x1b[48;2;{};{};{}m".format(*colour) + " " * wide for colour in row)
        lines += [f"{line}\x1b[0m"] * (wide // 2)
    return "\n".join(lines)


def numbers(weights: np.ndarray) -> str:
    """Write the weights of a kernel, (kh, kw), in rows."""
    texts = [[f"{value:.4g}" for value in row] for row in weights]
    wide = max(len(text) for row in texts for text in row)
    return "\n".join("  ".join(text.rjust(wide) for text in row) for row in texts)

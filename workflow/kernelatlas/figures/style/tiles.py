"""Kernels as images."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from kernelatlas.figures.style.looks import despine
from kernelatlas.figures.style.theme import INK

CANVAS = 300  # pixels an inch of images that are put together from kernels
# Red is positive, blue negative: distinct with all common kinds of colour blindness.
KERNEL_MAP = matplotlib.colormaps["RdBu_r"]


def show_kernel(
    ax: Axes,
    weights: Any,
    k: int,
    extent: tuple[float, float, float, float] | None = None,
    faint: bool = False,
) -> None:
    """Show a kernel, its colours symmetrical about zero, in a thin frame.

    Parameters
    ----------
    weights
        k·k weights, row by row.
    extent
        left, right, bottom, top in the axes' units; the whole axes without it.
    faint
        Dashed frame, for kernels that are not identified.
    """
    image = np.asarray(weights, dtype=float).reshape(k, k)
    limit = max(float(np.abs(image).max()), 1e-12)
    colours: dict[str, Any] = {"cmap": KERNEL_MAP, "vmin": -limit, "vmax": limit}
    if extent is None:
        ax.imshow(image, interpolation="nearest", **colours)
        ax.set(xticks=[], yticks=[])
        extent = (-0.5, k - 0.5, k - 0.5, -0.5)
        despine(ax, left=True, bottom=True)
    else:
        ax.set_autoscale_on(False)
        ax.imshow(image, interpolation="nearest", extent=extent, aspect="auto", **colours)
    left, right, bottom, top = extent
    frame = Rectangle(
        (left, bottom),
        right - left,
        top - bottom,
        fill=False,
        edgecolor=INK,
        linewidth=0.5,
        linestyle=(0, (2, 2)) if faint else "-",
        clip_on=False,
    )
    ax.add_patch(frame)


def kernel_pixels(kernels: Any, k: int) -> np.ndarray:
    """Return kernels as colours, (n, k, k, 3) uint8: centred, each symmetrical about zero."""
    values = np.stack([np.asarray(kernel, dtype=float) for kernel in kernels])
    values = values - values.mean(axis=1, keepdims=True)
    values /= np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12)
    colours: np.ndarray = KERNEL_MAP(values / 2 + 0.5, bytes=True)
    return colours[..., :3].reshape(len(values), k, k, 3)


def show_kernels(
    page: Axes,
    kernels: Sequence[Any],
    k: int,
    lefts: Sequence[float],
    upper: float,
    tile: float,
    faint: Sequence[bool] | None = None,
) -> None:
    """Show a row of kernels as one image, with frames as one or two lines: few artists, for speed.

    Parameters
    ----------
    page
        Axes in inches, downwards.
    kernels
        k·k weights each, shown as by `kernel_pixels`.
    lefts
        Left edge of each.
    upper, tile
        Upper edge, and side, of all.
    faint
        Whether each has a dashed frame.
    """
    if not len(kernels):
        return
    left, right = min(lefts), max(lefts) + tile
    canvas = np.full((round(tile * CANVAS), round((right - left) * CANVAS), 3), 255, dtype=np.uint8)
    down = np.arange(len(canvas)) * k // len(canvas)
    for pixels, start in zip(kernel_pixels(kernels, k), lefts, strict=True):
        begin = round((start - left) * CANVAS)
        part = canvas[:, begin : begin + len(canvas)]
        part[:] = pixels[down][:, down[: part.shape[1]]]
    page.set_autoscale_on(False)
    page.imshow(
        canvas,
        interpolation="nearest",
        extent=(left, right, upper + tile, upper),
        aspect="auto",
        zorder=1,
    )
    dashed = np.zeros(len(kernels), bool) if faint is None else np.asarray(faint, bool)
    for looks, chosen in (("-", ~dashed), ((0, (2, 2)), dashed)):
        boxes = [
            [(x, upper), (x + tile, upper), (x + tile, upper + tile), (x, upper + tile)]
            for x, wanted in zip(lefts, chosen, strict=True)
            if wanted
        ]
        if boxes:
            frames = PolyCollection(
                boxes,
                facecolors="none",
                edgecolors=INK,
                linewidths=0.5,
                linestyles=[looks],
                clip_on=False,
                zorder=2,
            )
            page.add_collection(frames, autolim=False)

"""Fitted offsets of the centres of kernels by label, with the half-pixel lattice."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.figures import style
from kernelatlas.tables.offsets import CENTRED, EDGES, SHARES, TOGETHER

PANEL, GAP, ROW = 1.5, 0.3, 1.15  # inches: side, between panels, under a panel
LEFT = 0.65
LINE = 0.125
WORDS = {"centred": "no shift", "half_one": "½ in one axis", "half_both": "½ in both axes"}


def draw(offsets: pd.DataFrame, histogram: pd.DataFrame, r2: float) -> Figure:
    """Draw a two-dimensional histogram of fitted offsets for each kernel size and label.

    Parameters
    ----------
    offsets, histogram
        As `kernelatlas.tables.offsets.offset_tables` returns them.
    r2
        Least R² of the fits, for the caption.
    """
    title = "Offsets of the centres of kernels"
    sizes = sorted(int(k) for k in offsets.loc[offsets["kernels"] > 0, "k"].unique())
    if not sizes:
        figure = style.new_figure(7.0, 1.2, title)
        text = f"No identified kernel with a centre is fitted with an R² of {r2:g} or more."
        figure.text(0.5, 0.4, text, ha="center")
        style.caption(figure, _caption(r2))
        return figure
    shown = [label for label in CENTRED if label in set(histogram["label"])]
    width = LEFT + (len(shown) + 1) * (PANEL + GAP)
    height = 0.7 + len(sizes) * (PANEL + ROW)
    figure = style.new_figure(max(width, 6.5), height, title, fixed=True)
    bottom = style.caption(figure, _caption(r2))
    for (row, k), (column, label) in itertools.product(
        enumerate(sizes), enumerate([TOGETHER, *shown])
    ):
        counted = offsets[(offsets["k"] == k) & (offsets["label"] == label)]
        kernels = int(counted["kernels"].sum())
        if not kernels:
            continue
        of_label = (histogram["label"] == label) | (label == TOGETHER)
        bins = histogram[(histogram["k"] == k) & of_label]
        left = LEFT + column * (PANEL + GAP)
        low = bottom + height - 0.7 - row * (PANEL + ROW) - PANEL
        ax = style.axes_at(figure, left, low, PANEL, PANEL)
        _panel(ax, bins)
        ax.set_title(label if label != TOGETHER else f"{k}×{k}: all")
        _numbers(ax, counted, kernels)
        if column:
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel("y, pixels")
    return figure


def _panel(ax: Axes, bins: pd.DataFrame) -> None:
    counts, _, _ = np.histogram2d(
        bins["x"], bins["y"], [EDGES, EDGES], weights=bins["kernels"].astype(float)
    )
    extent = (EDGES[0], EDGES[-1], EDGES[0], EDGES[-1])
    limit = max(float(counts.max()), 1.0)
    image = np.sqrt(counts.T / limit)  # linear colours would leave all but the fullest bin white
    ax.imshow(image, cmap="Greys", vmin=0, vmax=1.15, origin="lower", extent=extent)
    for x, y in itertools.product((-0.5, 0.0, 0.5), repeat=2):
        colour = ("#0072B2", "#EFA02A", "#C44E00")[(x != 0) + (y != 0)]
        ax.plot(x, y, marker="s", markersize=7, markerfacecolor="none", markeredgecolor=colour)
    ax.set(xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))
    ax.set_xticklabels(["−1", "−½", "0", "½", "1"])
    ax.set_yticklabels(["−1", "−½", "0", "½", "1"])
    style.despine(ax)


def _numbers(ax: Axes, counted: pd.DataFrame, kernels: int) -> None:
    """Write below the panel how many kernels are on the lattice, and how many by chance."""
    near, reached = (int(counted[name].sum()) for name in ("near", "at_limit"))
    text = f"{style.count(kernels, 'kernel')}, {near:,} near, {reached:,} at a limit"
    lines = [(text, style.INK)]
    colours = dict(zip(SHARES, ("#0072B2", "#B87400", "#C44E00"), strict=True))
    for share in SHARES if near else ():
        # All strides together.
        found = (counted[f"share_{share}"].fillna(0) * counted["near"]).sum() / near
        by_chance = counted[f"chance_{share}"].iloc[0]
        text = f"{WORDS[share]}: {100 * found:.0f} %"
        if not np.isnan(by_chance):
            text += f" ({100 * by_chance:.0f} %)"
        lines.append((text, colours[share]))
    for number, (text, colour) in enumerate(lines):
        place = -(0.28 + LINE * (number + 0.5)) / PANEL
        ax.text(0, place, text, size=style.SMALL, color=colour, va="center", transform=ax.transAxes)


def _caption(r2: float) -> str:
    return (
        "Where the Gaussian that fits a kernel best has its centre, in pixels from the kernel's "
        "centre (x to the right, y upwards), for identified kernels of trained networks with a "
        f"centre of which the fit has R² ≥ {r2:g}; strides together. Bins of a tenth of a pixel, "
        "darkness goes with the square root of their number. The boxes are the half-pixel "
        "lattice. Beneath: how many of the kernels are within 0.6 pixels of no shift along both "
        "axes (near), and of how many the fit ended at a limit of the search (a centre 1.5 pixels "
        "away, or the least or greatest width); of those near, the share within a tenth of a pixel "
        "of its points and, in brackets, what it would be by chance: for Gaussians of uniform "
        "random offsets up to 0.6 pixels whose best template has this label."
    )

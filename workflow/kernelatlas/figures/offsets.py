"""Fitted offsets of the centres of kernels by label, with the half-pixel lattice."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.tables.offsets import CENTRED, EDGES, SHARES, TOGETHER

PANEL, GAP, ROW = 1.1, 0.29, 1.36  # inches: side, between panels, under a panel
LEFT, HEAD = 0.6, 0.85
WORDS = {"centred": "no shift", "half_one": "½ in one axis", "half_both": "½ in both axes"}
LINE = 0.125
LATTICE = dict(zip(WORDS, ("#0072B2", "#B87400", "#C44E00"), strict=True))  # also of texts


def draw(offsets: pd.DataFrame, histogram: pd.DataFrame, r2: float) -> list[Figure]:
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
        return [figure]
    shown = [label for label in CENTRED if label in set(histogram["label"])]
    width = max(LEFT + (len(shown) + 1) * (PANEL + GAP), 6.5)
    room = style.SHORT - HEAD - style.caption_height(_caption(r2), width)
    pages = style.split([PANEL + ROW] * len(sizes), room)
    figures = []
    for number, page in enumerate(pages):
        height = HEAD + len(page) * (PANEL + ROW)
        heading = style.numbered(title, number, len(pages))
        figure = style.new_figure(width, height, heading, fixed=True)
        bottom = style.caption(figure, _caption(r2))
        style.legend_above(figure, _handles())
        for row, place in enumerate(page):
            low = bottom + height - HEAD - row * (PANEL + ROW) - PANEL
            _row(figure, sizes[place], shown, offsets, histogram, low)
        figures.append(figure)
    return figures


def _handles() -> list[Line2D]:
    return [Line2D([], [], label=WORDS[share], **_box(share)) for share in SHARES]


def _box(share: str) -> dict[str, Any]:
    edge = LATTICE[share]
    return {"marker": "s", "markersize": 6, "markerfacecolor": "none", "markeredgecolor": edge,
            "linestyle": ""}  # fmt: skip


def _row(
    figure: Figure,
    k: int,
    shown: list[str],
    offsets: pd.DataFrame,
    histogram: pd.DataFrame,
    low: float,
) -> None:
    """Draw the panels of a kernel size."""
    for column, label in enumerate([TOGETHER, *shown]):
        counted = offsets[(offsets["k"] == k) & (offsets["label"] == label)]
        kernels = int(counted["kernels"].sum())
        if not kernels:
            continue
        of_label = (histogram["label"] == label) | (label == TOGETHER)
        bins = histogram[(histogram["k"] == k) & of_label]
        ax = style.axes_at(figure, LEFT + column * (PANEL + GAP), low, PANEL, PANEL)
        _panel(ax, bins)
        ax.set_title(label if label != TOGETHER else f"{k}×{k}: all")
        _numbers(ax, counted, kernels)
        if column:
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel("y, pixels")


def _panel(ax: Axes, bins: pd.DataFrame) -> None:
    counts, _, _ = np.histogram2d(
        bins["x"], bins["y"], [EDGES, EDGES], weights=bins["kernels"].astype(float)
    )
    extent = (EDGES[0], EDGES[-1], EDGES[0], EDGES[-1])
    limit = max(float(counts.max()), 1.0)
    image = np.sqrt(counts.T / limit)  # linear colours would leave all but the fullest bin white
    ax.imshow(image, cmap="Greys", vmin=0, vmax=1.15, origin="lower", extent=extent)
    for x, y in itertools.product((-0.5, 0.0, 0.5), repeat=2):
        ax.plot(x, y, **_box(SHARES[(x != 0) + (y != 0)]))
    ax.set(xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))
    ax.set_xticklabels(["−1", "−½", "0", "½", "1"])
    ax.set_yticklabels(["−1", "−½", "0", "½", "1"])
    style.despine(ax)


def _numbers(ax: Axes, counted: pd.DataFrame, kernels: int) -> None:
    """Write below the panel how many kernels are on the lattice, and how many by chance."""
    near, reached = (int(counted[name].sum()) for name in ("near", "at_limit"))
    counts = (style.count(kernels, "kernel"), f"{near:,} near", f"{reached:,} at a limit")
    lines = [(text, style.INK) for text in counts]
    for share in SHARES if near >= style.FEW else ():
        # All strides together.
        found = (counted[f"share_{share}"].fillna(0) * counted["near"]).sum() / near
        by_chance = counted[f"chance_{share}"].iloc[0]
        text = f"{WORDS[share]}: {100 * found:.0f} %"
        if not np.isnan(by_chance):
            text += f" ({100 * by_chance:.0f} %)"
        lines.append((text, LATTICE[share]))
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
        "random offsets up to 0.6 pixels whose best template has this label. No percentages where "
        f"fewer than {style.FEW} kernels are near."
    )

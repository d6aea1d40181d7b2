"""Colours of shapes, bars of shares, axes and legends that figures have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from kernelatlas.clustering.shares import PARTS, UNIDENTIFIED
from kernelatlas.figures.style.theme import FAINT, GRID, INK
from kernelatlas.names import DEGENERATE, NO_NAME, OTHER, SEEDS_DISAGREE, TOO_FAR, shape_of

# After Okabe and Ito: the "on" kind of a shape is dark, the "off" kind light.
_COLOURS = {
    "on-centre": "#0072B2",
    "off-centre": "#8FCBF2",
    "on-cross": "#C44E00",
    "off-cross": "#EFA02A",
    "on-square": "#00634A",
    "off-square": "#35AD80",
    "first-derivative": "#B0508C",
    "second-derivative": "#F0E442",
    OTHER: "#D2D2D2",
    DEGENERATE: "#3A3A3A",
    # What is not identified is light: white where it is too far, dotted where seeds disagree.
    UNIDENTIFIED[TOO_FAR]: "#FAFAFA",
    UNIDENTIFIED[NO_NAME]: "#D2D2D2",
    UNIDENTIFIED[SEEDS_DISAGREE]: "#F0F0F0",
}
_HATCHES = {DEGENERATE: "////", UNIDENTIFIED[SEEDS_DISAGREE]: "......"}
# Of single kernels that are not identified, by reason.
_MARKERS = {
    UNIDENTIFIED[TOO_FAR]: "o",
    UNIDENTIFIED[NO_NAME]: "+",
    UNIDENTIFIED[SEEDS_DISAGREE]: "x",
}


# For captions of figures that show why kernels are not identified.
WHY = (
    " Of kernels that are not identified the first reason is given that holds: they are too far "
    "from their reconstruction, it has no name, or the seeds disagree on its shape."
)


def palette(labels: Iterable[str]) -> dict[str, str]:
    """Return the colour of each label: that of its shape, the same in every figure."""
    return {label: _COLOURS[shape_of(label)] for label in labels}


def part_style(part: str) -> dict[str, Any]:
    """Return the patch properties of a part of a stacked bar (one of `PARTS`)."""
    return {
        "facecolor": _COLOURS[part],
        "hatch": _HATCHES.get(part),
        "edgecolor": FAINT if part in (DEGENERATE, *UNIDENTIFIED.values()) else "white",
        "linewidth": 0.4,
    }


def marker_style(part: str) -> dict[str, Any]:
    """Return the properties of the marker of a single kernel of a part that is not identified."""
    return {
        "marker": _MARKERS[part],
        "markersize": 3.2,
        "markerfacecolor": "none",
        "markeredgecolor": FAINT,
        "markeredgewidth": 0.5,
        "linestyle": "",
    }


def control_style() -> dict[str, Any]:
    """Return the patch properties of a bar of an untrained control."""
    return {"facecolor": "#EFEFEF", "edgecolor": FAINT, "hatch": "/////", "linewidth": 0.4}


def despine(ax: Axes, left: bool = False, bottom: bool = False) -> None:
    """Hide the upper and the right edge of axes, and others on request."""
    hidden = {"top": True, "right": True, "left": left, "bottom": bottom}
    ax.spines[[side for side, wanted in hidden.items() if wanted]].set_visible(False)


def bars(
    ax: Axes,
    places: Any,
    sizes: Any,
    starts: Any = 0.0,
    wide: Any = 0.8,
    horizontal: bool = False,
    **looks: Any,
) -> None:
    """Draw bars of one look as a single patch: few artists, for speed.

    The axes' limits stay as they are. Bars of no size are left out.

    Parameters
    ----------
    places, sizes, starts, wide
        Middle, length, lower end and width of each bar, in the axes' units.
    looks
        Properties of the patch.
    """
    middle, size, start, half = np.broadcast_arrays(places, sizes, starts, np.divide(wide, 2))
    shown = size != 0
    middle, size, start, half = middle[shown], size[shown], start[shown], half[shown]
    low, high = middle - half, middle + half
    corners = [(low, start), (high, start), (high, start + size), (low, start + size)]
    vertices = np.array(corners, dtype=float).transpose(2, 0, 1)  # bar, corner, x and y
    if horizontal:
        vertices = vertices[:, :, ::-1]
    if len(vertices):
        patch = PathPatch(Path.make_compound_path_from_polys(vertices), snap=True, **looks)
        ax.add_artist(patch)  # `add_patch` would look for limits in every curve of its path


def stacked_bars(
    ax: Axes, places: Sequence[float], shares: pd.DataFrame, horizontal: bool = False
) -> None:
    """Draw a bar of `PARTS` at each place, one for each row of `shares`."""
    start = np.zeros(len(shares))
    for part in PARTS:
        size = shares[part].to_numpy(dtype=float)
        bars(ax, places, size, start, horizontal=horizontal, **part_style(part))
        start = start + size


def part_handles(parts: Iterable[str]) -> list[Patch]:
    """Return legend entries for those of `PARTS` given, in their order."""
    present = set(parts)
    return [Patch(label=part, **part_style(part)) for part in PARTS if part in present]


def trained_handles(trained: bool, control: bool, colour: str = INK) -> list[Patch]:
    """Return legend entries for the bars of trained networks and untrained controls."""
    handles = []
    if trained:
        handles.append(Patch(facecolor=colour, label="trained network"))
    if control:
        handles.append(Patch(label="untrained control", **control_style()))
    return handles


def legend(figure: Figure, handles: Sequence[Any], title: str | None = None) -> Legend:
    """Put a legend to the right of all axes."""
    return figure.legend(
        handles=list(handles), title=title, loc="outside right upper", alignment="left"
    )


def percent_axis(ax: Axes, text: str) -> None:
    """Make x run from 0 to 100 % with a light grid."""
    ax.set(xlim=(0, 100), xlabel=text)
    ax.xaxis.grid(True, color=GRID, linewidth=0.5)
    ax.set_axisbelow(True)

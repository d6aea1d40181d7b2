"""Share of identified kernels against accuracy: a point for each network and kernel size."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.figures.style import spread

NAMED = 36  # maximal number of points whose names fit beside the panel
LEFT, SIDE, GAP = 0.65, 3.6, 0.45  # inches
LINE = 0.13
MARKERS = "osD^vP*X"
ERROR: dict[str, Any] = {"color": style.FAINT, "zorder": 2.5}
LINES: dict[str, Any] = {"color": style.FAINT, "linewidth": 0.7}


def draw(accuracy: pd.DataFrame, correlations: pd.DataFrame) -> list[Figure]:
    """Draw a page for each measure of accuracy, with the rank correlations beneath.

    Parameters
    ----------
    accuracy, correlations
        As `kernelatlas.tables.accuracy` makes them.
    """
    title = "Share of identified kernels and accuracy of trained networks"
    if accuracy.empty:
        figure = style.new_figure(7.0, 1.2, title)
        figure.text(0.5, 0.4, "The accuracy of no network of the zoo is known.", ha="center")
        style.caption(figure, _caption())
        return [figure]
    measures = accuracy["measure"].unique()
    sizes = sorted(accuracy["k"].unique())
    along = np.linspace(0, 1, len(sizes) + 2)[1:-1]
    colours = dict(zip(sizes, matplotlib.colormaps["viridis"](along), strict=True))
    figures = []
    for number, measure in enumerate(measures):
        rows = accuracy[accuracy["measure"] == measure]
        names = _names(rows)
        lines = _lines(correlations, measure)
        below = 0.55 + LINE * len(lines) + 0.1
        words = max((style.text_width(text, style.SMALL) for text in names), default=0.0)
        needed = [style.text_width(text, style.SMALL) + LEFT + 0.2 for text in lines]
        width = max(6.5, LEFT + SIDE + (GAP + words if words else 0.0) + 0.2, *needed)
        heading = style.numbered(title, number, len(measures))
        figure = style.new_figure(width, 0.75 + SIDE + below, heading, fixed=True)
        bottom = style.caption(figure, _caption())
        ax = style.axes_at(figure, LEFT, bottom + below, SIDE, SIDE)
        _panel(ax, rows, colours, names)
        ax.set_title(measure)
        for line, text in enumerate(lines):
            place = -(0.5 + LINE * (line + 0.5)) / SIDE
            ax.text(0, place, text, size=style.SMALL, transform=ax.transAxes, va="center")
        figures.append(figure)
    return figures


def _panel(ax: Axes, rows: pd.DataFrame, colours: dict[int, tuple], names: list[str]) -> None:
    rows = rows[rows["kernels"] >= style.FEW]
    x, y, left, right, low, high = (
        100 * rows[column].to_numpy()
        for column in (
            "share_identified",
            "accuracy",
            "low",
            "high",
            "accuracy_low",
            "accuracy_high",
        )
    )
    ax.hlines(y, left, right, linewidth=0.7, **ERROR)
    ax.vlines(x, low, high, linewidth=0.7, **ERROR)
    for number, (k, colour) in enumerate(colours.items()):
        here = (rows["k"] == k).to_numpy()
        if here.any():
            looks: dict[str, Any] = {
                "s": 22,
                "color": colour,
                "edgecolor": "white",
                "linewidth": 0.5,
            }
            marker = MARKERS[number % len(MARKERS)]
            ax.scatter(x[here], y[here], marker=marker, label=f"{k}×{k}", zorder=3, **looks)
    pad = max(0.05 * float(np.ptp([low, high])), 1.0) if len(y) else 1.0
    ends = (low.min(initial=100) - pad, min(high.max(initial=0) + pad, 100.5))
    ax.set(xlim=(-2, 102), ylim=ends if len(y) else (0, 100))
    ax.set(xlabel="kernels identified, %", ylabel="accuracy, %")
    handles = [*ax.get_legend_handles_labels()[0], Line2D([], [], label="95 % interval", **LINES)]
    ax.legend(handles=handles, title="kernels", loc="best")
    ax.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax)
    if not names:
        return
    bottom, top = ax.get_ylim()
    order = np.lexsort((x, y))
    places = bottom + (top - bottom) * spread((y[order] - bottom) / (top - bottom), LINE / SIDE)
    for row, place in zip(order, places, strict=True):
        ax.plot(
            [x[row], 102, 102 + 100 * (GAP - 0.08) / SIDE],
            [y[row], y[row], place],
            color=style.CONTROL,
            linewidth=0.5,
            clip_on=False,
            zorder=2,
        )
        at = 102 + 104 * (GAP - 0.04) / SIDE
        ax.text(at, place, names[row], size=style.SMALL, va="center")


def _names(rows: pd.DataFrame) -> list[str]:
    """Return the text beside each point; none if there are more than `NAMED`."""
    rows = rows[rows["kernels"] >= style.FEW]
    if len(rows) > NAMED:
        return []
    return [f"{row.model}, {row.k}×{row.k}" for row in style.rows_of(rows[["model", "k"]])]


def _lines(correlations: pd.DataFrame, measure: str) -> list[str]:
    texts = []
    for row in style.rows_of(correlations[correlations["measure"] == measure]):
        # pandas reads an integer column with missing values as floats.
        size = "all sizes" if pd.isna(row.k) else f"{row.k:.0f}×{row.k:.0f}"
        networks = style.count(int(row.networks), "network")
        if pd.isna(row.rho):
            texts.append(f"{size}: {networks}, no correlation to tell")
        else:
            texts.append(
                f"{size}: ρ = {row.rho:.2f}, 95 % interval {row.low:.2f} to {row.high:.2f}, "
                f"p = {row.p:.2g} ({networks})".replace("-", "−")
            )
    return texts


def _caption() -> str:
    return (
        "Share of a trained network's kernels of a size that are identified, against its accuracy: "
        "of this repository's networks the share of held-out crops of which the subject is "
        "named rightly, of timm's the top-1 accuracy on ImageNet's validation set. "
        "Grey lines are 95 % intervals: of the share over the network's layers and the seeds, of "
        "the accuracy over independent pictures (the four rotations of a place count as one). "
        f"Points of fewer than {style.FEW} kernels are not drawn. "
        "ρ is Spearman's rank correlation over networks (over all sizes each counts once, with all "
        "its kernels), its interval a percentile bootstrap over networks, p of a permutation test. "
        "Networks of one family are not independent of each other."
    )

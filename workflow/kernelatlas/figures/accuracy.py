"""Share of identified kernels against accuracy: a point for each network and kernel size."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.figures import style
from kernelatlas.figures.style import spread

NAMED = 36  # maximal number of points whose names fit beside the panel
LEFT, SIDE, GAP = 0.65, 3.6, 0.45  # inches
LINE = 0.13
MARKERS = "osD^vP*X"


def draw(accuracy: pd.DataFrame, correlations: pd.DataFrame) -> Figure:
    """Draw a panel for each measure of accuracy, with the rank correlations beneath.

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
        return figure
    measures = accuracy["measure"].unique()
    sizes = sorted(accuracy["k"].unique())
    along = np.linspace(0, 1, len(sizes) + 2)[1:-1]
    colours = dict(zip(sizes, matplotlib.colormaps["viridis"](along), strict=True))
    lines = {measure: _lines(correlations, measure) for measure in measures}
    names = {measure: _names(accuracy[accuracy["measure"] == measure]) for measure in measures}
    words = {
        measure: max((style.text_width(text, style.SMALL) for text in texts), default=0.0)
        for measure, texts in names.items()
    }
    below = 0.55 + LINE * max(map(len, lines.values())) + 0.1
    pages = [LEFT + SIDE + (GAP + words[m] if words[m] else 0.0) + 0.2 for m in measures]
    needed = [
        style.text_width(text, style.SMALL) + LEFT + 0.2 for t in lines.values() for text in t
    ]
    pages = [max(page, *needed) for page in pages]
    figure = style.new_figure(max(sum(pages), 6.5), 0.75 + SIDE + below, title, fixed=True)
    bottom = style.caption(figure, _caption())
    left = LEFT
    for measure, page in zip(measures, pages, strict=True):
        ax = style.axes_at(figure, left, bottom + below, SIDE, SIDE)
        rows = accuracy[accuracy["measure"] == measure]
        _panel(ax, rows, colours, names[measure])
        ax.set_title(measure)
        for number, text in enumerate(lines[measure]):
            place = -(0.5 + LINE * (number + 0.5)) / SIDE
            ax.text(0, place, text, size=style.SMALL, transform=ax.transAxes, va="center")
        left += page
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, colours: dict[int, tuple], names: list[str]) -> None:
    x, y = (100 * rows[column].to_numpy() for column in ("share_identified", "accuracy"))
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
    pad = max(0.08 * float(np.ptp(y)), 1.0)
    ax.set(xlim=(-2, 102), ylim=(y.min() - pad, min(y.max() + pad, 100.5)))
    ax.set(xlabel="kernels identified, %", ylabel="accuracy, %")
    ax.legend(title="kernels", loc="best")
    ax.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax)
    if not names:
        return
    low, high = ax.get_ylim()
    order = np.lexsort((x, y))
    places = low + (high - low) * spread((y[order] - low) / (high - low), LINE / SIDE)
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
                f"p = {row.p:.2g} ({networks})"
            )
    return texts


def _caption() -> str:
    return (
        "Share of a trained network's kernels of a size that are identified, against its accuracy: "
        "of this repository's networks the share of held-out crops of which the subject is "
        "named rightly, of timm's the top-1 accuracy on ImageNet's validation set. "
        "ρ is Spearman's rank correlation over networks (over all sizes each counts once, with all "
        "its kernels), its interval a percentile bootstrap over networks, p of a permutation test. "
        "Networks of one family are not independent of each other."
    )

"""Squares and moved centres by layer of stride 2, beside what the padding makes one expect."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style

ROWS = 60  # layers shown, those with the most kernels
ROW, PANEL, GAP = 0.17, 1.65, 0.3  # inches
OVER, UNDER = 0.62, 0.45
SQUARE, MOVE = "#00634A", "#0072B2"
REACH = 1.1  # pixels


def draw(layers: pd.DataFrame, r2: float) -> list[Figure]:
    """Draw the share of squares and the median moves of each layer of stride 2 or more.

    Parameters
    ----------
    layers
        As `kernelatlas.tables.offsets.layer_moves` returns them.
    r2
        Least R² of the fits, for the caption.
    """
    title = "Squares and moved centres in layers of stride 2"
    strided = layers[layers["stride"].fillna(1) > 1]
    if strided.empty:
        figure = style.new_figure(7.0, 1.2, title)
        figure.text(
            0.5, 0.4, "No layer of a trained network is known to have stride 2.", ha="center"
        )
        style.caption(figure, _caption(r2, 0, 0))
        return [figure]
    kept = strided.nlargest(ROWS, "kernels").sort_values(["k", "family", "model", "layer_index"])
    ones = layers[layers["stride"] == 1]
    others = [(f"{k}×{k}, stride 1", part) for k, part in ones.groupby("k") if k in set(kept["k"])]
    names = [_name(row) for row in style.rows_of(kept)]
    below = [f"{name} ({style.count(len(part), 'layer')})" for name, part in others]
    parts = [part for _, part in others]
    left = max(style.text_width(name, style.SMALL) for name in [*names, *below]) + 0.3
    width = max(left + 3 * (PANEL + GAP), 7.0)
    text = _caption(r2, len(kept), len(strided))
    room = style.SHORT - OVER - UNDER - style.caption_height(text, width)
    pages = style.split([ROW] * len(names), room - ROW * (len(below) + 1.2))
    figures = []
    for number, page in enumerate(pages):
        here, lines = kept.iloc[page], [*(names[index] for index in page), *below]
        tall = ROW * (len(lines) + 0.6)
        heading = style.numbered(title, number, len(pages))
        figure = style.new_figure(width, OVER + tall + UNDER, heading, fixed=True)
        low = style.caption(figure, text) + UNDER
        style.legend_above(figure, _handles())
        axes = [
            style.axes_at(figure, left + column * (PANEL + GAP), low, PANEL, tall)
            for column in range(3)
        ]
        _squares(axes[0], here, parts)
        for ax, axis, words in zip(axes[1:], "xy", ("to the right", "upwards"), strict=True):
            _moves(ax, here, parts, axis)
            ax.set_xlabel(f"centres, pixels {words}")
        for ax in axes:
            ax.set(ylim=(len(lines) - 0.2, -0.8), yticks=range(len(lines)))
            ax.tick_params(axis="y", labelleft=ax is axes[0], length=0)
            ax.axhline(len(here) - 0.5, color=style.FAINT, linewidth=0.5)
            ax.grid(True, axis="x", color=style.GRID, linewidth=0.5)
            ax.set_axisbelow(True)
            style.despine(ax, left=True)
        axes[0].set_yticklabels(lines)
        figures.append(figure)
    return figures


def _handles() -> list[Line2D]:
    found: dict[str, Any] = {"color": MOVE, "marker": "o", "markersize": 4, "linestyle": "none"}
    return [
        Line2D([], [], **{**found, "color": SQUARE}, label="squares"),
        Line2D([], [], **found, label="median of fitted centres"),
        Line2D([], [], **_expected(), linestyle="none", label="expected from the padding"),
        Line2D([], [], color=MOVE, linewidth=1, label="95 % interval"),
        Line2D([], [], color=style.CONTROL, linewidth=2.5, label="spread of layers of stride 1"),
    ]


def _expected() -> dict[str, Any]:
    return {"marker": "s", "markersize": 7, "markerfacecolor": "none", "color": "#C44E00"}


def _name(row: Any) -> str:
    size = f", map {int(row.width)}" if not pd.isna(row.width) else ""
    return f"{row.model}, layer {row.layer_index}: {row.k}×{row.k}{size}"


def _squares(ax: Axes, kept: pd.DataFrame, others: list[pd.DataFrame]) -> None:
    for place, row in enumerate(style.rows_of(kept)):
        if row.kernels < style.FEW:
            continue
        ax.plot([100 * row.low, 100 * row.high], [place] * 2, color=SQUARE, linewidth=1)
        ax.plot(100 * row.share_squares, place, marker="o", markersize=4, color=SQUARE)
    for place, part in enumerate(others, len(kept)):
        shares = 100 * part["share_squares"].to_numpy()
        ax.plot([shares.min(), shares.max()], [place] * 2, color=style.CONTROL, linewidth=2.5)
        pooled = 100 * part["squares"].sum() / part["kernels"].sum()
        ax.plot(pooled, place, marker="o", markersize=4, color=SQUARE)
    ax.set(xlim=(-3, 103), xlabel="squares, % of the kernels")


def _moves(ax: Axes, kept: pd.DataFrame, others: list[pd.DataFrame], axis: str) -> None:
    columns = [f"median_{axis}", f"{axis}_low", f"{axis}_high", f"expected_{axis}"]
    for place, row in enumerate(kept[columns].to_numpy(dtype=float)):
        median, low, high, expected = row
        if not np.isnan(expected):
            ax.plot(expected, place, **_expected())
        if not np.isnan(median):
            span = np.clip([low, high], -REACH, REACH)
            ax.plot(span, [place] * 2, color=MOVE, linewidth=1)
            ax.plot(np.clip(median, -REACH, REACH), place, marker="o", markersize=4, color=MOVE)
    for place, part in enumerate(others, len(kept)):
        known = part[part["centred"] > 0]
        medians = np.clip(known[f"median_{axis}"].to_numpy(dtype=float), -REACH, REACH)
        if len(medians):
            ax.plot(
                np.quantile(medians, [0.1, 0.9]), [place] * 2, color=style.CONTROL, linewidth=2.5
            )
            middle = np.average(medians, weights=known["centred"])
            ax.plot(middle, place, marker="o", markersize=4, color=MOVE)
    ax.set(xlim=(-REACH - 0.05, REACH + 0.05), xticks=(-1, -0.5, 0, 0.5, 1))
    ax.set_xticklabels(["−1", "−½", "0", "½", "1"])


def _caption(r2: float, shown: int, all_of_them: int) -> str:
    text = (
        "Layers of stride 2 or more of trained networks. Left: kernels that are identified as "
        "squares, with 95 % intervals. Right: medians of the centres of shifted Gaussians fitted "
        "to identified centres, crosses and squares (R² ≥ "
        f"{r2:g}), with 95 % intervals, beside half the difference of the layer's paddings, which "
        "keeps its outputs symmetrical on the map. Below the line: all layers of stride 1; grey "
        "from the least to the greatest share, and from the first to the last decile of the "
        "layers' medians. No shares of fewer than "
        f"{style.FEW} kernels."
    )
    return text if shown == all_of_them else f"{text} {shown} of {all_of_them} layers are shown."

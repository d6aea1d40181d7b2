"""Shapes in networks of one recipe and different seeds."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style

PANEL = 2.6  # inches
DOT: dict[str, Any] = {"marker": "o", "markersize": 3.3, "color": style.INK, "markeredgewidth": 0}


def draw(seeds: pd.DataFrame, seed: int | None = None) -> list[Figure]:
    """Draw the share of each shape in each network, with mean and spread, by family and size.

    Parameters
    ----------
    seeds
        Columns family, network, k, shape, share, mean, sd (in [0, 1]), networks. Families of one
        network are drawn only if there are no others.
    seed
        First of those whose vote labels are; None keeps the vote out of the caption.
    """
    several = seeds[seeds["networks"] > 1]
    shown = several if len(several) else seeds
    panels = list(shown.groupby(["family", "k"], sort=False))
    text = _caption(shown, seed)
    room = style.SHORT - 0.5 - style.caption_height(text, 9.5)
    pages = style.split([PANEL] * len(panels), room)
    figures = []
    for number, page in enumerate(pages):
        title = "Shapes in networks trained from different seeds"
        title = style.numbered(title, number, len(pages))
        figure = style.new_figure(9.5, 0.5 + PANEL * len(page), title)
        axes = figure.subplots(len(page), 1, squeeze=False)[:, 0]
        for ax, index in zip(axes, page, strict=True):
            (family, k), rows = panels[index]
            _panel(ax, rows)
            names = style.listed(rows["network"].unique())
            ax.set_title("\n".join(style.wrap(f"{family}, {k}×{k} kernels: {names}", 8.5, 8.5)))
        handles = [Line2D([], [], label="network", linestyle="", **DOT)]
        if (shown["networks"] > 1).any():
            bar: dict[str, Any] = {"color": style.INK, "linewidth": 0.9, "marker": "|"}
            handles.append(Line2D([], [], label="± 1 SD", **bar))
        style.legend(figure, handles)
        style.caption(figure, text)
        figures.append(figure)
    return figures


def _caption(seeds: pd.DataFrame, seed: int | None) -> str:
    return (
        "Share of all depthwise kernels of a network, at the end of its training, that are "
        "identified as a shape (directions and signs taken together), or are not. The networks of "
        "a panel were trained by the same recipe from different seeds of their weights and of "
        "their crops. Each dot is a network; bars are means, with ± one standard deviation of the "
        "sample beside the dots and in the labels."
        + style.WHY
        + ("" if seed is None else " Labels are by vote of the seeds of the autoencoder.")
    )


def _under(part: str) -> str:
    """Return the name of a part in lines, to stand under its bar."""
    return part.replace("-derivative", "\nderivative").replace(
        "not identified: ", "not\nidentified:\n"
    )


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    present = [part for part in style.PARTS if rows.loc[rows["shape"] == part, "share"].any()]
    means = rows.drop_duplicates("shape").set_index("shape").loc[present]
    places = np.arange(len(present))
    for place, part in zip(places, present, strict=True):
        ax.bar(place, 100 * means["mean"][part], width=0.7, **style.part_style(part))
        shares = 100 * rows.loc[rows["shape"] == part, "share"].to_numpy()
        spread = np.linspace(-0.16, 0.16, len(shares)) if len(shares) > 1 else np.zeros(1)
        ax.plot(place + spread, shares, linestyle="", zorder=3, **DOT)
        mean, sd = 100 * means["mean"][part], 100 * means["sd"][part]
        text = f"{mean:.1f}"
        if np.isfinite(sd):
            ax.errorbar(place + 0.27, mean, sd, color=style.INK, linewidth=0.9, capsize=2)
            text += f" ± {sd:.1f}"
        top = max(shares.max(), mean + (sd if np.isfinite(sd) else 0))
        ax.annotate(
            text, (place, top), (0, 4), textcoords="offset points", ha="center", size=style.SMALL
        )
    ax.set_xticks(places, [_under(part) for part in present])
    ax.tick_params(axis="x", length=0)
    ax.set(ylabel="kernels of the network, %", xlim=(-0.6, max(len(present), 4) - 0.4))
    ax.margins(y=0.15)
    ax.set_ylim(bottom=0)
    ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax)

"""Networks on pictures of other sizes, and with their paddings moved."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.figures.emergence import COLOURS

MOST = 12  # networks with a colour each; if there are more, families have colours
NAMES = 2.0  # inches of names in the legend, at most


def draw(sizes: pd.DataFrame, moves: pd.DataFrame) -> Figure:
    """Draw the likelihood of the true class against alignment, and against the size of pictures.

    Parameters
    ----------
    sizes, moves
        As `kernelatlas.tables.parity.parity_tables` returns them.
    """
    title = "Do networks mind half a pixel?"
    if sizes.empty:
        figure = style.new_figure(7.0, 1.2, title)
        figure.text(0.5, 0.4, "No network that was tested has a layer of stride 2.", ha="center")
        style.caption(figure, _caption(0))
        return figure
    models = list(dict.fromkeys(sizes["model"]))
    by = "model" if len(models) <= MOST else "family"
    shown = list(dict.fromkeys(sizes[by]))
    known = dict(zip(sizes["model"], sizes[by], strict=True))
    colours = {model: COLOURS[shown.index(known[model]) % len(COLOURS)] for model in models}
    figure = style.new_figure(9.5, 4.2, title)
    left, right = figure.subplots(1, 2)
    _moves(left, moves, colours)
    _sizes(right, sizes, colours)
    for ax in (left, right):
        ax.grid(True, color="#E5E5E5", linewidth=0.5)
        ax.set_axisbelow(True)
        style.despine(ax)
    dots: dict[str, Any] = {"color": style.INK, "linestyle": "none", "markersize": 4.5}
    texts = style.distinct(shown, NAMES, style.SMALL)
    handles = [
        Line2D([], [], color=COLOURS[place % len(COLOURS)], label=text)
        for place, text in enumerate(texts)
    ]
    handles += [
        Line2D([], [], marker="o", label="even map", **dots),
        Line2D([], [], marker="o", label="odd map", markerfacecolor="white", **dots),
        Line2D([], [], color=style.INK, linewidth=0.9, label="95 % interval"),
    ]
    style.legend(figure, handles)
    style.caption(figure, _caption(int(sizes["pictures"].min())))
    return figure


def _dot(ax: Axes, x: float, y: float, low: float, high: float, of: int, colour: str) -> None:
    ax.plot([x, x], [low, high], color=colour, linewidth=0.9)
    face = "white" if of % 2 else colour
    ax.plot(x, y, marker="o", markersize=4.5, color=colour, markerfacecolor=face)


def _moves(ax: Axes, moves: pd.DataFrame, colours: dict[str, str]) -> None:
    own = moves[moves["moved"] == 0].set_index(["model", "layer", "size"])["missed"]
    for row in style.rows_of(moves[moves["moved"] != 0]):
        nearer = row.missed - own[row.model, row.layer, row.size]
        limits = (row.gain_low, row.gain_high)
        _dot(ax, nearer, row.gain, *limits, int(row.map), colours[row.model])
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    ax.axvline(0, color=style.FAINT, linewidth=0.8)
    ax.set(xlabel="pixels farther from where the kernels should look")
    ax.set_ylabel("change of the mean log-likelihood")
    ax.set_title("paddings moved by a pixel")


def _sizes(ax: Axes, sizes: pd.DataFrame, colours: dict[str, str]) -> None:
    for model, run in sizes.groupby("model", sort=False):
        known = run[run["excess"].notna()].sort_values("size")
        ax.plot(known["size"], known["excess"], color=colours[str(model)], linewidth=0.9)
        for row in style.rows_of(known):
            limits = (row.excess_low, row.excess_high)
            _dot(ax, row.size, row.excess, *limits, int(row.map), colours[row.model])
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    ax.set(xlabel="side of the pictures, pixels")
    ax.set_ylabel("mean log-likelihood over that of the sizes beside")
    ax.set_title("networks as they are")


def _caption(pictures: int) -> str:
    return (
        f"Mean log-likelihood of the true class of {style.count(pictures, 'picture')} or more. "
        "Left: a layer of stride 2 pads a pixel more on one side and one less on the other; "
        "across, by how much that brings its kernels farther from (positive) or nearer to the "
        "places that are symmetrical on the map, given where their fitted centres are. Right: "
        "the network as it is, minus the mean of the two sizes beside, at which the map of its "
        "last layer of stride 2 has the other parity. Bars are 95 % intervals over pictures."
    )

"""R² of local jets by order, and what the jet of order 2 consists of: trained kernels and nulls."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.figures.nulls import LOOKS, WORDS
from kernelatlas.names import ALL_FAMILIES, TRAINED

ORDERS = (0, 1, 2, 3)
FAMILY: dict[str, Any] = {**LOOKS[TRAINED], "linewidth": 0.7, "alpha": 0.5}
PARTS = {
    "gaussian": ("Gaussian", "#4D4D4D"),
    "laplacian": ("Laplacian", "#A6A6A6"),
    "first": ("first derivatives", "#0072B2"),
    "oriented": ("oriented second derivatives", "#E69F00"),
}


def draw(table: pd.DataFrame, k: int) -> Figure:
    """Draw both.

    Parameters
    ----------
    table
        Table jet_k{k}.
    k
        Side of the kernels.
    """
    whole = table[table["model"] == ""]
    every = whole[whole["family"] == ALL_FAMILIES].set_index("set")
    present = [name for name in LOOKS if name in every.index]
    figure = style.new_figure(style.LONG, 5.2, f"Local jets of {k}×{k} kernels")
    left, right = figure.subplots(1, 2)
    _by_order(left, every.loc[present], whole[whole["family"] != ALL_FAMILIES])
    _parts(right, every.loc[present])
    handles = left.get_legend_handles_labels()[0]
    handles.append(Line2D([], [], label="trained, one family", **FAMILY))
    handles += right.get_legend_handles_labels()[0]
    style.legend(figure, handles)
    style.caption(figure, _caption(every, k))
    return figure


def _caption(every: pd.DataFrame, k: int) -> str:
    trained = every.loc[TRAINED].to_dict()
    orders = [
        f"{order} for {trained[f'share_order_{order}']:.0%}"
        for order in ORDERS
        if trained[f"share_order_{order}"] > 0
    ]
    return (
        "Left: mean R² of the sum of a moved Gaussian's derivatives up to an order, with 5, 7, 10 "
        "and 14 numbers a kernel. Right: what the parts of the jet of order 2 add one after "
        "another, from left to right, in per cent of all that it explains. Of "
        f"{style.count(int(trained['kernels']), 'trained kernel')} of {k}×{k} the Bayesian "
        f"information criterion selects order {style.listed(orders)}."
    )


def _by_order(ax: Axes, every: pd.DataFrame, families: pd.DataFrame) -> None:
    columns = [f"mean_r2_{order}" for order in ORDERS]
    for _, row in families[families["set"] == TRAINED].iterrows():
        ax.plot(ORDERS, row[columns].astype(float), **FAMILY)
    for name, row in every.iterrows():
        look, word = LOOKS[str(name)], WORDS[str(name)]
        ax.plot(ORDERS, row[columns].astype(float), marker="o", label=word, **look)
    ax.set(xlabel="order of the jet", ylabel="mean R²", ylim=(0, 1.02), xticks=ORDERS)
    ax.set_title("Described by a jet")
    style.despine(ax)


def _parts(ax: Axes, every: pd.DataFrame) -> None:
    places, begin = np.arange(len(every)), np.zeros(len(every))
    for name, (word, colour) in PARTS.items():
        shares = 100 * every[f"share_{name}"].to_numpy(float)
        ax.barh(places, shares, left=begin, color=colour, height=0.7, label=word)
        for place, (start, share) in enumerate(zip(begin, shares, strict=True)):
            if share >= 5:
                ax.text(
                    start + share / 2, place, f"{share:.0f}", ha="center", va="center_baseline",
                    size=style.SMALL, color="white" if name in ("gaussian", "first") else style.INK,
                )  # fmt: skip
        begin = begin + shares
    ax.set_yticks(places, [WORDS[str(name)] for name in every.index])
    ax.set_ylim(len(every) - 0.5, -0.5)
    ax.set(xlabel="share of what the jet of order 2 explains, %", xlim=(0, 100))
    ax.set_title("What it consists of")
    ax.tick_params(axis="y", length=0)
    style.despine(ax)

"""Prototypes beside the analytic functions fitted to them, and functions by label."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.figures import style
from kernelatlas.names import FUNCTIONS, LABELS, OTHER

COLUMNS = 10  # prototypes in a row
CELL, GAP, TEXT = (
    0.72,
    0.22,
    0.5,
)  # inches: side of a kernel, space between kernels, three lines of text
LEFT, RIGHT = 1.0, 0.3


def draw(functions: pd.DataFrame, prototypes: pd.DataFrame, r2: float) -> Figure:
    """Draw prototypes over their fits, and the functions that are selected for each label.

    Parameters
    ----------
    functions, prototypes
        Tables functions_k{k} and prototype_fits_k{k}.
    r2
        Minimum R² of a function that describes a kernel.
    """
    shown = prototypes.reset_index(drop=True)
    k = int(shown["k"].iloc[0])
    rows = -(-len(shown) // COLUMNS)
    band = 2 * CELL + 0.08 + TEXT
    trained = functions[functions["trained"]]
    shares = _by_label(trained[trained["identified"]])
    table = max(len(shares), 4) * 0.2 + 0.9
    width = LEFT + COLUMNS * (CELL + GAP) + RIGHT
    height = 0.5 + rows * band + 0.45 + table
    title = f"Analytic functions of {k}×{k} kernels"
    figure = style.new_figure(width, height, title, fixed=True)
    bottom = style.caption(figure, _caption(trained, shown, k, r2))
    for index, row in enumerate(style.rows_of(shown)):
        top = bottom + height - 0.55 - (index // COLUMNS) * band
        left = LEFT + (index % COLUMNS) * (CELL + GAP)
        _pair(figure, row, k, left, top, first=index % COLUMNS == 0)
    heat = style.axes_at(figure, 2.1, bottom + 0.75, 4.0, table - 0.9)
    _heat(heat, shares)
    bars = style.axes_at(figure, 7.3, bottom + 0.75, width - 7.3 - RIGHT, table - 0.9)
    _described(bars, functions)
    return figure


def _caption(trained: pd.DataFrame, shown: pd.DataFrame, k: int, r2: float) -> str:
    kernels, described = int(trained["kernels"].sum()), int(trained["described"].sum())
    discrete = trained.loc[trained["form"] == "discrete", "kernels"].sum() / kernels
    return (
        f"Top: the prototypes of the {style.count(len(shown), 'cluster')} with their labels, "
        "below each the analytic function that the extended Bayesian information criterion "
        "selects, and R². Left: identified kernels of trained networks by label and by the "
        "function selected for the kernel itself, per cent of the label. Right: share of all "
        f"kernels whose selected function has R² of at least {r2:g}, trained and untrained "
        f"networks by function. Of {style.count(kernels, 'trained kernel')} "
        f"{described / kernels:.1%} are "
        f"described; for {discrete:.0%} the discrete form of the function fits better."
    )


def _pair(figure: Figure, row: Any, k: int, left: float, top: float, first: bool) -> None:
    for place, (weights, word) in enumerate(((row.prototype, "prototype"), (row.fitted, "fit"))):
        ax = style.axes_at(figure, left, top - (place + 1) * (CELL + 0.04), CELL, CELL)
        style.show_kernel(ax, weights, k)
        if first:
            ax.set_ylabel(word, rotation=0, ha="right", va="center")
    lines = [
        style.shorten(
            str(row.label)
            .replace("first-derivative", "1st der.")
            .replace("second-derivative", "2nd der."),
            CELL + GAP - 0.03,
            style.SMALL,
        ),
        f"{row.function}{'*' if row.form == 'discrete' else ''}",
        f"R² {row.r2:.2f}",
    ]
    ax.set_xlabel("\n".join(lines), size=style.SMALL, labelpad=2)


def _by_label(identified: pd.DataFrame) -> pd.DataFrame:
    """Return per label the percentage of its kernels with each function."""
    counts = identified.pivot_table(
        index="label", columns="function", values="kernels", aggfunc="sum", observed=True
    )
    order = [label for label in LABELS if label in counts.index and label != OTHER]
    counts = counts.reindex(index=order, columns=list(FUNCTIONS)).fillna(0)
    return 100 * counts.div(counts.sum(axis=1), axis=0)


def _heat(ax: Axes, shares: pd.DataFrame) -> None:
    ax.set_title("Identified kernels: label and function")
    if shares.empty:
        ax.text(0.5, 0.5, "no kernel is identified", ha="center", transform=ax.transAxes)
        ax.axis("off")
        return
    sns.heatmap(
        shares,
        ax=ax,
        cmap="Greys",
        vmin=0,
        vmax=130,  # so that black numbers are readable in every cell
        cbar=False,
        annot=shares.map(lambda share: f"{share:.0f}" if share >= 0.5 else ""),
        fmt="",
        annot_kws={"size": style.SMALL},
        linewidths=0.4,
        linecolor="white",
    )
    ax.set(xlabel="function", ylabel="")
    ax.tick_params(axis="both", length=0, labelsize=style.SMALL)
    ax.tick_params(axis="x", rotation=35)
    for text in ax.get_xticklabels():
        text.set_horizontalalignment("right")


def _described(ax: Axes, functions: pd.DataFrame) -> None:
    totals = functions.groupby("trained")["kernels"].sum()
    counts = functions.pivot_table(
        index="function", columns="trained", values="described", aggfunc="sum"
    )
    shares = 100 * counts.div(totals, axis=1).reindex(FUNCTIONS).fillna(0)
    places = np.arange(len(FUNCTIONS))
    if True in shares:
        ax.barh(places - 0.18, shares[True], height=0.36, facecolor=style.INK)
    if False in shares:
        ax.barh(places + 0.18, shares[False], height=0.36, **style.control_style())
    ax.set_yticks(places, FUNCTIONS)
    ax.set_ylim(len(FUNCTIONS) - 0.4, -0.6)
    ax.set(title="Described kernels", xlabel="share of all kernels, %")
    # Under the axis, where no bar can be, however the shares are.
    handles = style.trained_handles(True in shares, False in shares)
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    ax.tick_params(axis="y", length=0)
    style.despine(ax)

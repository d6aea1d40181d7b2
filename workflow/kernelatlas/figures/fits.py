"""Prototypes beside the analytic functions fitted to them, functions by label, limits reached."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kernelatlas.figures import style
from kernelatlas.figures.nulls import WORDS
from kernelatlas.names import (
    ALL_FAMILIES,
    ALL_NETWORKS,
    FUNCTIONS,
    LABELS,
    OTHER,
    TRAINED,
    UNTRAINED,
)
from kernelatlas.tables.limits import ANY, SELECTED

COLUMNS = 10  # prototypes in a row
CELL, GAP, TEXT = (
    0.72,
    0.22,
    0.5,
)  # inches: side of a kernel, space between kernels, three lines of text
LEFT, RIGHT = 1.0, 0.3
DISCRETE, REACHED = "*", "†"
MARKS = f"{DISCRETE} the discrete form fits better    {REACHED} a parameter ended at a limit"
MOST_LIMITS = 12  # shown, those at which most fits end
LIMIT_HATCH = "xxxxx"


def draw(
    functions: pd.DataFrame, prototypes: pd.DataFrame, limits: pd.DataFrame, r2: float
) -> Figure:
    """Draw prototypes over their fits, functions selected for each label, and limits reached.

    Parameters
    ----------
    functions, prototypes, limits
        Tables functions_k{k}, prototype_fits_k{k} and limits_k{k}.
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
    sets, ends = _sets(limits), _ends(limits)
    ending = max(len(sets), ends["limit"].nunique(), 4) * 0.17 + 0.95
    width = LEFT + COLUMNS * (CELL + GAP) + RIGHT
    height = 0.7 + rows * band + 0.45 + table + ending
    title = f"Analytic functions of {k}×{k} kernels"
    figure = style.new_figure(width, height, title, fixed=True)
    bottom = style.caption(figure, _caption(trained, shown, sets, k, r2))
    across, high = figure.get_size_inches()
    place = LEFT / across, 1 - 0.42 / high
    figure.text(*place, MARKS, size=style.SMALL, va="center")
    for index, row in enumerate(style.rows_of(shown)):
        top = bottom + height - 0.6 - (index // COLUMNS) * band
        left = LEFT + (index % COLUMNS) * (CELL + GAP)
        _pair(figure, row, k, left, top, first=index % COLUMNS == 0)
    low = bottom + ending + 0.75
    _heat(style.axes_at(figure, 2.1, low, 4.0, table - 0.9), shares)
    _described(style.axes_at(figure, 7.3, low, width - 7.3 - RIGHT, table - 0.9), functions)
    low, high = bottom + 0.45, ending - 0.95
    _shares_at_limits(style.axes_at(figure, 2.1, low, 4.0, high), sets)
    _limits(style.axes_at(figure, 7.9, low, width - 7.9 - RIGHT, high), ends)
    return figure


def _caption(
    trained: pd.DataFrame, shown: pd.DataFrame, sets: pd.DataFrame, k: int, r2: float
) -> str:
    kernels, described = int(trained["kernels"].sum()), int(trained["described"].sum())
    discrete = trained.loc[trained["form"] == "discrete", "kernels"].sum() / kernels
    return (
        f"Top: the prototypes of the {style.count(len(shown), 'cluster')} with their labels, "
        "below each the analytic function that the extended Bayesian information criterion "
        "selects, and R². Middle left: identified kernels of trained networks by label and by the "
        "function selected for the kernel itself, per cent of the label. Middle right: share of "
        f"all kernels whose selected function has R² of at least {r2:g}, trained and untrained "
        f"networks by function; crossed: of which a parameter ended at a limit of the search, so "
        "that it is no estimate and a wider search might fit better. "
        f"Of {style.count(kernels, 'trained kernel')} {described / kernels:.1%} are "
        f"described; for {discrete:.0%} the discrete form of the function fits better, and for "
        f"{_percent(sets.iloc[0])} a parameter is at a limit. Bottom left: that share, with 95 % "
        "intervals over layers. Bottom right: the limits at which most fits end, share of all "
        "kernels; σ, widths and places are in pixels, ω in radians per pixel."
    )


def _percent(row: pd.Series) -> str:
    between = "" if pd.isna(row["low"]) else f" ({row['low']:.1%} to {row['high']:.1%})"
    return f"{row['share']:.1%}{between}"


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
        str(row.function)
        + DISCRETE * (row.form == "discrete")
        + REACHED * (not pd.isna(row.at_limit)),
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
        index="function",
        columns="trained",
        values=["described", "described_at_limit"],
        aggfunc="sum",
    )
    looks = {True: {"facecolor": style.INK}, False: style.control_style()}
    places = np.arange(len(FUNCTIONS))
    known = [trained for trained in looks if trained in totals]
    for trained in known:
        at = places + (-0.18 if trained else 0.18)
        shares = 100 * counts.xs(trained, axis=1, level=1).reindex(FUNCTIONS) / totals[trained]
        every, reached = (shares[name].fillna(0) for name in ("described", "described_at_limit"))
        ax.barh(at, every - reached, height=0.36, **looks[trained])
        ax.barh(at, reached, left=every - reached, height=0.36, **_at_limit_style())
    ax.set_yticks(places, FUNCTIONS)
    ax.set_ylim(len(FUNCTIONS) - 0.4, -0.6)
    ax.set(title="Described kernels", xlabel="share of all kernels, %")
    # Under the axis, where no bar can be, however the shares are.
    handles = style.trained_handles(True in known, False in known)
    handles.append(Patch(label="a parameter at a limit", **_at_limit_style()))
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.42, -0.12), ncols=3,
        columnspacing=1.0, handletextpad=0.5,
    )  # fmt: skip
    ax.tick_params(axis="y", length=0)
    style.despine(ax)


def _at_limit_style() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": style.INK, "hatch": LIMIT_HATCH, "linewidth": 0.4}


def _sets(limits: pd.DataFrame) -> pd.DataFrame:
    """Return the shares at limits of the selected functions: of all, families, untrained, nulls."""
    rows = limits[(limits["function"] == SELECTED) & (limits["limit"] == ANY)]
    rows = rows[rows["model"] == ALL_NETWORKS]
    every = rows[rows["family"] == ALL_FAMILIES]
    families = rows[(rows["family"] != ALL_FAMILIES) & (rows["set"] == TRAINED)]
    if len(families) == 1:
        families = families[:0]
    trained = every["set"] == TRAINED
    words = every["set"].map(WORDS)
    return pd.concat(
        [
            every[trained].assign(word=words[trained]),
            families.assign(word="trained: " + families["family"]),
            every[~trained].assign(word=words[~trained]),
        ]
    )


def _ends(limits: pd.DataFrame) -> pd.DataFrame:
    """Return the limits at which most fits of trained kernels end, and of untrained ones."""
    rows = limits[limits["limit"] != ANY]
    signs = {"sigma": "σ", "ratio": "ρ", "surround": "γ", "frequency": "ω"}
    parameter = rows["limit"].str.split(" ").str[1].replace(signs)
    value = rows["value"].map("{:.4g}".format).str.replace("-", "−")
    rows = rows.assign(limit=rows["function"] + ": " + parameter + " = " + value)
    trained = rows[rows["set"] == TRAINED].nlargest(MOST_LIMITS, "at_limit")
    control = rows[(rows["set"] == UNTRAINED) & rows["limit"].isin(trained["limit"])]
    return pd.concat([trained, control])


def _shares_at_limits(ax: Axes, sets: pd.DataFrame) -> None:
    ax.set_title("Fits that end at a limit of the search")
    for place, row in enumerate(style.rows_of(sets)):
        fill = style.INK if row.set == TRAINED else "white"
        _point(ax, place, row, fill)
    ax.set_yticks(range(len(sets)), sets["word"])
    ax.set_ylim(len(sets) - 0.4, -0.6)
    style.percent_axis(ax, "share of the fitted kernels, %")
    ax.tick_params(axis="y", length=0)
    style.despine(ax)


def _point(ax: Axes, place: float, row: Any, fill: str) -> None:
    if not np.isnan(row.low):
        ax.plot([100 * row.low, 100 * row.high], [place, place], color=style.FAINT, linewidth=1.0)
    looks: dict[str, Any] = {"color": style.INK, "markerfacecolor": fill, "markersize": 4}
    ax.plot(100 * row.share, place, "o", clip_on=False, **looks)


def _limits(ax: Axes, ends: pd.DataFrame) -> None:
    ax.set_title("Limits")
    if ends.empty:
        ax.text(0.5, 0.5, "no fit ends at a limit", ha="center", transform=ax.transAxes)
        ax.axis("off")
        return
    order = list(dict.fromkeys(ends["limit"]))
    for row in style.rows_of(ends):
        trained = row.set == TRAINED
        place = order.index(row.limit) + (-0.15 if trained else 0.15)
        _point(ax, place, row, style.INK if trained else "white")
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of the fitted kernels, %")
    handles = [
        Line2D([], [], color=style.INK, marker="o", markersize=4, linestyle="",
               markerfacecolor=fill, label=word)
        for word, fill in (("trained", style.INK), ("untrained", "white"))
    ]  # fmt: skip
    ax.legend(handles=handles, loc="lower right")
    ax.tick_params(axis="y", length=0)
    style.despine(ax)

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
BAND = 2 * CELL + 0.08 + TEXT
LEFT = 0.85
ROW, FOOT = 0.2, 1.05  # inches of a label, and under the labels
DISCRETE, REACHED = "*", "†"
MARKS = f"{DISCRETE} the discrete form fits better    {REACHED} a parameter ended at a limit"
MOST_LIMITS = 12  # shown, those at which most fits end
LIMIT_HATCH = "xxxxx"


def draw(
    functions: pd.DataFrame, prototypes: pd.DataFrame, limits: pd.DataFrame, r2: float
) -> list[Figure]:
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
    return [
        *_pages_of_prototypes(shown, k),
        _page_of_functions(functions, k, r2),
        _page_of_limits(limits, k),
    ]


def _pages_of_prototypes(shown: pd.DataFrame, k: int) -> list[Figure]:
    text = (
        f"The prototypes of the {style.count(len(shown), 'cluster')} with their labels; below each "
        "the analytic function that the extended Bayesian information criterion selects, and R². "
        "Where a parameter ended at a limit of the search, it is no estimate."
    )
    title, over = f"Analytic functions of the prototypes of {k}×{k} kernels", 0.65
    room = style.SHORT - over - style.caption_height(text, style.LONG)
    rows = [shown.iloc[at : at + COLUMNS] for at in range(0, len(shown), COLUMNS)]
    pages = style.split([BAND] * len(rows), room)
    figures = []
    for number, page in enumerate(pages):
        high = over + len(page) * BAND
        name = style.numbered(title, number, len(pages))
        figure = style.new_figure(style.LONG, high, name, fixed=True)
        bottom = style.caption(figure, text)
        across, whole = figure.get_size_inches()
        figure.text(LEFT / across, 1 - 0.45 / whole, MARKS, size=style.SMALL, va="center")
        for place, row in enumerate(page):
            top = bottom + high - over - place * BAND
            for column, prototype in enumerate(style.rows_of(rows[row])):
                _pair(figure, prototype, k, LEFT + column * (CELL + GAP), top, first=column == 0)
        figures.append(figure)
    return figures


def _page_of_functions(functions: pd.DataFrame, k: int, r2: float) -> Figure:
    trained = functions[functions["trained"]]
    fitted = [name for name in FUNCTIONS if (functions["function"] == name).any()]
    shares = _by_label(trained[trained["identified"]], fitted)
    kernels, described = int(trained["kernels"].sum()), int(trained["described"].sum())
    reached = int(trained["described_at_limit"].sum())
    discrete = trained.loc[trained["form"] == "discrete", "kernels"].sum() / kernels
    table = max(len(shares), len(fitted)) * ROW
    high = 0.75 + table + FOOT
    title = f"Analytic functions of {k}×{k} kernels by label"
    figure = style.new_figure(style.LONG, high, title, fixed=True)
    bottom = style.caption(
        figure,
        "Left: identified kernels of trained networks by label and by the function selected for "
        "the kernel itself, per cent of the label. Right: share of all kernels whose selected "
        f"function has R² of at least {r2:g}, trained and untrained networks by function; crossed: "
        "of which a parameter ended at a limit of the search, so that it is no estimate and a "
        f"wider search might fit better. Of {style.count(kernels, 'trained kernel')} "
        f"{described / kernels:.1%} are described, {reached / kernels:.1%} with a parameter at a "
        f"limit; for {discrete:.0%} the discrete form of the function fits better.",
    )
    low = bottom + FOOT
    _heat(style.axes_at(figure, 2.0, low, 4.0, table), shares)
    _described(style.axes_at(figure, 7.2, low, style.LONG - 7.4, table), functions, fitted)
    return figure


def _page_of_limits(limits: pd.DataFrame, k: int) -> Figure:
    sets, ends = _sets(limits), _ends(limits)
    table = max(len(sets), ends["limit"].nunique(), 4) * 0.2
    title = f"Fits of {k}×{k} kernels that end at a limit of the search"
    figure = style.new_figure(style.LONG, 0.75 + table + 0.5, title, fixed=True)
    bottom = style.caption(
        figure,
        "Share of the fits of selected functions of which some parameter ended at a limit of the "
        "search, where R² grows only beyond it or hardly depends on it, with 95 % intervals over "
        f"layers: {_percent(sets.iloc[0])} of trained networks. Left: by family, and of kernels "
        "without structure (hollow). Right: the limits of functions at which most fits end, share "
        "of all kernels; σ, widths and places are in pixels, ω is in radians per pixel.",
    )
    _shares_at_limits(style.axes_at(figure, 2.3, bottom + 0.5, 3.4, table), sets)
    _limits(style.axes_at(figure, 7.6, bottom + 0.5, style.LONG - 7.8, table), ends)
    return figure


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


def _by_label(identified: pd.DataFrame, fitted: list[str]) -> pd.DataFrame:
    """Return per label the percentage of its kernels with each of the functions fitted."""
    counts = identified.pivot_table(
        index="label", columns="function", values="kernels", aggfunc="sum", observed=True
    )
    order = [label for label in LABELS if label in counts.index and label != OTHER]
    counts = counts.reindex(index=order, columns=fitted).fillna(0)
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
    ax.tick_params(axis="x", rotation=90)


def _described(ax: Axes, functions: pd.DataFrame, fitted: list[str]) -> None:
    totals = functions.groupby("trained")["kernels"].sum()
    counts = functions.pivot_table(
        index="function",
        columns="trained",
        values=["described", "described_at_limit"],
        aggfunc="sum",
    )
    looks = {True: {"facecolor": style.INK}, False: style.control_style()}
    places = np.arange(len(fitted))
    known = [trained for trained in looks if trained in totals]
    for trained in known:
        at = places + (-0.18 if trained else 0.18)
        shares = 100 * counts.xs(trained, axis=1, level=1).reindex(fitted) / totals[trained]
        every, reached = (shares[name].fillna(0) for name in ("described", "described_at_limit"))
        ax.barh(at, every - reached, height=0.36, **looks[trained])
        ax.barh(at, reached, left=every - reached, height=0.36, **_at_limit_style())
    ax.set_yticks(places, fitted)
    ax.set_ylim(len(fitted) - 0.4, -0.6)
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
    ax.set_title("Any limit")
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
    ax.set_title("Which limit")
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

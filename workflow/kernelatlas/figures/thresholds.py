"""The share identified, and its excess over nulls, at other thresholds than those in use."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kernelatlas.figures import style
from kernelatlas.figures.nulls import LOOKS, WORDS
from kernelatlas.names import ALL_FAMILIES, TRAINED

COVARIANCE = "covariance"
AXES = {
    "threshold": "threshold of the dissimilarity",
    "minimum_cosine": "minimum cosine of a name",
}
IN_USE: dict[str, Any] = {"color": style.FAINT, "linestyle": (0, (4, 2)), "linewidth": 1.0}


def draw(table: pd.DataFrame, k: int) -> Figure:
    """Draw shares and excesses along each threshold, and the excess at pairs of both.

    Parameters
    ----------
    table
        Table thresholds_k{k}.
    k
        Side of the kernels.
    """
    every = table[table["family"] == ALL_FAMILIES]
    here = every[every["in_use"]].iloc[0]
    figure = style.new_figure(style.LONG, 6.3, f"{k}×{k} kernels identified, by threshold")
    axes = figure.subplots(2, 3, width_ratios=(1, 1, 1.1))
    present = [name for name in LOOKS if (every["set"] == name).any()]
    for column, (name, other) in enumerate((tuple(AXES), tuple(AXES)[::-1])):
        along = every[every[other] == here[other]]
        _lines(axes[0, column], along, name, here, present, "share")
        _lines(axes[1, column], along, name, here, present, "excess")
    axes[0, 0].set_ylabel("kernels identified, %")
    axes[1, 0].set_ylabel("trained more than a null, points")
    axes[0, 0].set_title("Shares")
    axes[1, 0].set_title("Excess over each null")
    known = every[every["excess"].notna()]
    for ax, null in zip(axes[:, 2], _nulls(known), strict=True):
        _pairs(ax, known[known["set"] == null], here, null)
    handles: list[Any] = [Line2D([], [], label=WORDS[n], **LOOKS[n]) for n in present]
    handles += [
        Line2D([], [], label="threshold in use", **IN_USE),
        Patch(facecolor=style.FAINT, alpha=0.3, label="95 % interval"),
        Line2D([], [], color=style.INK, marker="s", markerfacecolor="none", linestyle="",
               label="pair in use"),
        Line2D([], [], color=style.INK, marker="x", markersize=3.5, linestyle="",
               label="interval includes 0"),
    ]  # fmt: skip
    style.legend(figure, handles, "kernels")
    style.caption(figure, _caption(every, here, k))
    return figure


def _nulls(known: pd.DataFrame) -> list[str]:
    """Return the two nulls that most kernels of are identified, on average over the pairs."""
    means = known.groupby("set")["share"].mean().sort_values(ascending=False, kind="stable")
    return [*means.index[:2], "", ""][:2]


def _lines(
    ax: Axes, along: pd.DataFrame, by: str, here: pd.Series, present: list[str], what: str
) -> None:
    low, high = ("low", "high") if what == "share" else ("excess_low", "excess_high")
    for name in present:
        rows = along[(along["set"] == name) & along[what].notna()].sort_values(by)
        if rows.empty:
            continue
        ax.plot(rows[by], 100 * rows[what], **LOOKS[name])
        ax.fill_between(
            rows[by], 100 * rows[low], 100 * rows[high], color=LOOKS[name]["color"], alpha=0.15,
            linewidth=0,
        )  # fmt: skip
    ax.axvline(here[by], **IN_USE)
    if what == "share":
        ax.set_ylim(0, 100)
    else:
        ax.axhline(0, color=style.INK, linewidth=0.6)
        ax.set_xlabel(AXES[by])
    style.despine(ax)


def _pairs(ax: Axes, rows: pd.DataFrame, here: pd.Series, null: str) -> None:
    """Draw the excess over a null at every pair of thresholds."""
    if rows.empty:
        ax.axis("off")
        return
    grid = rows.pivot_table(index="minimum_cosine", columns="threshold", values="excess")
    low, high = (
        rows.pivot_table(index="minimum_cosine", columns="threshold", values=name).to_numpy()
        for name in ("excess_low", "excess_high")
    )
    values = 100 * grid.to_numpy()
    limit = max(np.abs(values).max(), 1.0)
    x, y = grid.columns.to_numpy(), grid.index.to_numpy()
    image = ax.pcolormesh(
        range(len(x)), range(len(y)), values, cmap="PuOr_r", vmin=-limit, vmax=limit,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    rows_at, columns_at = np.nonzero((low <= 0) & (high >= 0))
    ax.plot(columns_at, rows_at, "x", color=style.INK, markersize=2.5, markeredgewidth=0.5)
    place = list(x).index(here["threshold"]), list(y).index(here["minimum_cosine"])
    ax.plot(*place, "s", color=style.INK, markerfacecolor="none", markersize=7)
    shown = range(0, len(x), 4)
    ax.set_xticks(shown, [f"{x[at]:g}" for at in shown])
    ax.set_yticks(range(len(y)), [f"{value:g}" for value in y])
    ax.set_title(f"Excess over {WORDS[null]}")
    ax.set(xlabel=AXES["threshold"], ylabel=AXES["minimum_cosine"])
    ax.figure.colorbar(image, ax=ax, label="points", pad=0.02)
    style.despine(ax, left=True, bottom=True)
    ax.tick_params(length=0)


def _caption(every: pd.DataFrame, here: pd.Series, k: int) -> str:
    text = (
        f"Share of all {k}×{k} kernels that have a name, of which most seeds give the shape, and "
        "whose dissimilarity is below a threshold, at other thresholds (left; "
        f"{here['threshold']:g} is in use) and with names given from other cosines on (middle; "
        f"{here['minimum_cosine']:g} is in use). Curves have seen neither a network's kernels nor "
        "its nulls. Below: how many points more of the trained kernels are identified than of "
        "each null. Bands: 95 % intervals over layers and seeds. Right: the excess at every pair, "
        "over the two nulls of which most kernels are identified. "
    )
    nulls = every[(every["set"] == COVARIANCE) & every["excess"].notna()]
    if nulls.empty:
        trained = (every["set"] == TRAINED).any()
        return text + ("" if trained else "No curves are left that have not seen them.")
    more, less = (nulls["excess_low"] > 0).mean(), (nulls["excess_high"] < 0).mean()
    return text + (
        f"Over noise of the network's covariance it is above 0 at {100 * more:.0f} %, and "
        f"below 0 at {100 * less:.0f} %, of the pairs, with the whole interval."
    )

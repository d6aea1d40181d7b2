"""Networks that were classified beside each other: shapes, shares identified, dissimilarities."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style
from kernelatlas.names import NULLS, TRAINED, UNTRAINED

WORDS = {  # the release's own kernels, and what is compared with them
    TRAINED: "trained networks",
    UNTRAINED: "untrained networks",
    "shuffled": "shuffled pixels",
    "white": "white noise",
    "covariance": "noise of the same covariance",
}
PITCH = 0.2  # inches from row to row
NAMES, BARS, PANEL, GAP = 1.9, 2.1, 1.4, 0.22  # widths in inches; together those of a page
HEAD, FOOT = 0.42, 0.5


def draw(rows: pd.DataFrame, counts: pd.DataFrame, release: str) -> Figure:
    """Draw a block per kernel size, with a row for each network and for each set of the release.

    Parameters
    ----------
    rows
        As `kernelatlas.release.comparison.compare` returns them.
    counts
        Of k, network and label, as `kernelatlas.clustering.reasons.composition` returns them.
    release
        Its name.
    """
    sizes = list(dict.fromkeys(rows["k"]))
    sets = {k: _sets(rows[rows["k"] == k]) for k in sizes}
    depths = {k: HEAD + ((rows["k"] == k).sum() + 0.7 + len(sets[k])) * PITCH + FOOT for k in sizes}
    left = style.MARGIN + NAMES
    width = left + BARS + 2 * (PANEL + GAP) + style.MARGIN
    height = 0.95 + sum(depths.values())
    networks = style.count(rows["network"].nunique(), "network")
    title = f"{networks} classified with the curves of {release}"
    figure = style.new_figure(width, height, title, fixed=True)
    shares = shares_by_shape(counts, ["k", "network"])
    parts = [part for part in style.PARTS if shares[part].any()]
    figure.legend(
        handles=[*style.part_handles(parts), *_handles()],
        loc="upper left",
        bbox_to_anchor=(style.MARGIN / width, 1 - 0.42 / height),
        borderaxespad=0,
        borderpad=0,
        ncols=-(-(len(parts) + len(_handles())) // 2),
        columnspacing=1.2,
    )
    bottom = style.caption(figure, _caption(rows))
    top = bottom + sum(depths.values())
    for k in sizes:
        here = rows[rows["k"] == k].reset_index(drop=True)
        _block(figure, here, shares.loc[k], sets[k], (left, top, width))
        top -= depths[k]
    return figure


def _sets(rows: pd.DataFrame) -> list[str]:
    """Return the sets of the release whose share is known, in their order."""
    return [kind for kind in WORDS if rows[f"release_{kind}"].notna().any()]


def _handles() -> list[Any]:
    grey: dict[str, Any] = {"color": style.INK, "linestyle": ""}
    return [
        Line2D([], [], marker="o", label="a network given", **grey),
        Line2D([], [], marker="o", markerfacecolor="white", label="of the release", **grey),
        Line2D([], [], marker="D", markerfacecolor="white", label="null or control", **grey),
        Line2D([], [], color=style.FAINT, linestyle=(0, (4, 2)), label="threshold"),
    ]


def _caption(rows: pd.DataFrame) -> str:
    k = style.listed(f"{row.threshold:.2f} ({row.k}×{row.k})" for row in style.rows_of(rows))
    return (
        "Left: share of all kernels of the network and size by the shape that they are identified "
        "as. Middle: share identified, with 95 % intervals over layers and seeds; below, what the "
        "release has of its own kernels and of nulls made of them, by curves that have not "
        f"seen them. Right: dissimilarity (1 − cos) to the curves, whose threshold is {k}: "
        "point, thick and thin line are the median, and where the middle 50 % and 90 % of the "
        "kernels are; below, from the least to the greatest median of the networks of the release. "
        "If surely more than half of a network's kernels are beyond all these medians (red), they "
        f"are unlike those that the curves were fitted to{_far(rows)}."
    )


def _far(rows: pd.DataFrame) -> str:
    far = rows[rows["farther"]]
    if far.empty:
        return "; those of none of these are"
    pairs = (f"{row.network} ({row.k}×{row.k})" for row in style.rows_of(far))
    return f": {style.listed(pairs)}"


def _block(
    figure: Figure,
    rows: pd.DataFrame,
    shares: pd.DataFrame,
    sets: list[str],
    place: tuple[float, float, float],
) -> None:
    left, top, width = place
    page = style.axes_at(figure, 0, top - HEAD, width, HEAD)
    page.set(xlim=(0, width), ylim=(HEAD, 0))  # inches, downwards
    page.axis("off")
    k = int(rows["k"].iloc[0])
    text = f"{k}×{k} kernels · {style.count(int(rows['kernels'].sum()), 'kernel')}"
    page.text(style.MARGIN, 0.14, text, size=style.NORMAL + 1.5, weight="bold", va="center")
    page.plot([style.MARGIN, width - style.MARGIN], [0.28, 0.28], color="#DDDDDD", linewidth=0.6)

    networks = np.arange(len(rows), dtype=float)
    others = len(rows) + 0.7 + np.arange(len(sets))
    names = [
        *(style.shorten(name, NAMES - 0.1, style.SMALL) for name in rows["network"]),
        *(f"release: {WORDS[kind]}" for kind in sets),
    ]
    high = (len(rows) + 0.7 + len(sets)) * PITCH
    limits = (others[-1] if len(others) else networks[-1]) + 0.5, -0.5
    starts = [left, left + BARS + GAP, left + BARS + PANEL + 2 * GAP]
    widths = [BARS, PANEL, PANEL]
    axes = [
        style.axes_at(figure, start, top - HEAD - high, across, high)
        for start, across in zip(starts, widths, strict=True)
    ]
    for ax in axes:
        ax.set_ylim(*limits)
        ax.set_yticks([*networks, *others], [""] * len(names))
        ax.tick_params(axis="y", length=0, pad=3)
        style.despine(ax, left=True)
    bars, points, spread = axes
    bars.set_yticklabels(names)
    style.stacked_bars(bars, networks.tolist(), shares.loc[rows["network"]], horizontal=True)
    style.percent_axis(bars, "kernels of the network, %")
    _identified(points, rows, sets, networks, others)
    _dissimilarities(spread, rows, sets, networks, others)


def _identified(
    ax: Axes, rows: pd.DataFrame, sets: list[str], networks: np.ndarray, others: np.ndarray
) -> None:
    style.percent_axis(ax, "identified, %")
    for row, y in zip(style.rows_of(rows), networks, strict=True):
        ax.plot([100 * row.low, 100 * row.high], [y, y], color=style.INK, linewidth=1)
        ax.plot(100 * row.share_identified, y, marker="o", color=style.INK, clip_on=False)
    for kind, y in zip(sets, others, strict=True):
        share, low, high = (100 * rows[f"release_{kind}{end}"][0] for end in ("", "_low", "_high"))
        marker = "D" if kind in (UNTRAINED, *NULLS) else "o"
        look: dict[str, Any] = {"markerfacecolor": "white", "markersize": 4, "clip_on": False}
        ax.plot([low, high], [y, y], color=style.FAINT, linewidth=1)
        ax.plot(share, y, marker=marker, color=style.INK, **look)


def _dissimilarities(
    ax: Axes, rows: pd.DataFrame, sets: list[str], networks: np.ndarray, others: np.ndarray
) -> None:
    for row, y in zip(style.rows_of(rows), networks, strict=True):
        colour = "#C0392B" if row.farther else style.INK
        ax.plot([row.dissimilarity_q05, row.dissimilarity_q95], [y, y], color=colour, linewidth=0.8)
        ax.plot([row.dissimilarity_q25, row.dissimilarity_q75], [y, y], color=colour, linewidth=3)
        ax.plot(row.dissimilarity_median, y, marker="o", color=colour, markeredgecolor="white")
    least, greatest = (rows[f"release_{end}_median"][0] for end in ("least", "greatest"))
    if TRAINED in sets and least == least:
        y = others[sets.index(TRAINED)]
        look: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markersize": 4}
        ax.plot([least, greatest], [y, y], color=style.INK, linewidth=1, **look)
        ax.axvspan(least, greatest, color="#F0F0F0", linewidth=0, zorder=0)
    ax.axvline(rows["threshold"][0], color=style.FAINT, linewidth=1, linestyle=(0, (4, 2)))
    ends = ("dissimilarity_q95", "release_greatest_median", "threshold")
    ax.set(
        xlim=(0, 1.05 * np.nanmax(rows[[*ends]].to_numpy(float))),
        xlabel="dissimilarity to the curves",
    )
    ax.xaxis.grid(True, color="#E5E5E5", linewidth=0.5)

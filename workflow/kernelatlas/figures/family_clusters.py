"""The shapes of one family of networks: prototypes, members and shares, a page per kernel size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from kernelatlas.figures import style
from kernelatlas.figures._family_rows import (
    COSINE,
    MEMBER,
    PROTOTYPES,
    TEXT,
    Row,
    count_rest,
    describe,
    rows_of_size,
    show_members,
)
from kernelatlas.figures._family_texts import THIN, bars_in_order, caption, heading_of
from kernelatlas.names import OTHER

# Inches from the left edge of the page.
BARS, BAR, NUMBERS = 8.36, 1.1, (9.92, 10.35)
HEAD, FOOT = 0.54, 0.28  # inches above and below the rows of a block
LINE = style.SMALL * style.LINE / 72
WHISKER: dict[str, Any] = {"colors": "#D55E00", "linewidths": 1.0}


def draw(
    clusters: pd.DataFrame,
    shares: pd.DataFrame,
    members: pd.DataFrame,
    models: pd.DataFrame,
    shapes: pd.DataFrame,
    family: str,
    seeds: Sequence[int],
) -> list[Figure]:
    """Draw a page per kernel size: a row per shape, and up to four of kernels without a name.

    Parameters
    ----------
    clusters
        Columns k, cluster, label, template, template_label, template_cosine, members, prototype,
        template_weights.
    shares
        Columns k, cluster, model, trained, kernels, identified, share (in [0, 1]).
    members
        Columns k, cluster, label, rank (from 0), direction, identified, weights; may be empty.
    models
        Columns model, trained, k, kernels, degenerate, identified, share_identified (in [0, 1]),
        threshold, trained_on.
    shapes
        Columns model, k, shape, low, high (of the share, in [0, 1]).
    family
        Name of the family that these are of.
    seeds
        Those of the autoencoders, for the caption.
    """
    title = f"{family}: shapes of its depthwise kernels"
    if models.empty:
        return [style.without_kernels(title)]
    networks = models.sort_values(["k", "trained"], ascending=[True, False], kind="stable")
    sizes = sorted(int(k) for k in networks["k"].unique())
    text = caption(clusters, members, networks, seeds)
    figures = []
    for number, k in enumerate(sizes):
        here = networks[networks["k"] == k].reset_index(drop=True)
        counts = _counts(shares, here)
        rows = rows_of_size(clusters[clusters["k"] == k], counts["kernels"])
        lines = bars_in_order(here)
        over = style.TITLE + len(lines) * LINE + 0.05
        depth = HEAD + sum(row.height for row in rows) + FOOT
        heading = style.numbered(title, number, len(sizes))
        figure = style.new_figure(style.LONG, over + depth, heading, fixed=True)
        figure.text(
            style.MARGIN / style.LONG,
            1 - style.TITLE / (over + depth),
            "\n".join(lines),
            va="top",
            size=style.SMALL,
            linespacing=style.LINE - 0.1,
        )
        top = style.caption(figure, text) + depth
        _legend(figure, here)
        of_size = members[members["k"] == k]
        intervals = shapes[(shapes["k"] == k) & shapes["model"].isin(here["model"])]
        _block(figure, top, depth, k, rows, of_size, shares, intervals, here, counts)
        figures.append(figure)
    return figures


def _counts(shares: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """Count all and identified kernels of each cluster, in trained networks if there are any."""
    chosen = networks[networks["trained"]] if networks["trained"].any() else networks
    here = shares[shares["k"].isin(chosen["k"]) & shares["model"].isin(chosen["model"])]
    return here.groupby("cluster")[["kernels", "identified"]].sum()


def _legend(figure: Figure, networks: pd.DataFrame) -> None:
    single = int(networks["trained"].sum()) <= THIN
    bar, line = (
        ("trained network", "95 % interval") if single else ("trained networks, mean", "range")
    )
    handles: list[Any] = []
    if networks["trained"].any():
        handles.append(Patch(label=bar, **_looks(True)))
        handles.append(Line2D([], [], label=line, color=WHISKER["colors"], linewidth=1.0))
    if not networks["trained"].all():
        handles.append(Patch(label="untrained controls, mean", **_looks(False)))
    place = 1, 1 - 0.06 / float(figure.get_size_inches()[1])
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=place, ncols=len(handles))


def _looks(trained: bool) -> dict[str, Any]:
    if trained:
        return {"facecolor": style.INK, "edgecolor": "none", "linewidth": 0}
    return {"facecolor": style.CONTROL, "edgecolor": "none", "linewidth": 0}


def _block(
    figure: Figure,
    top: float,
    depth: float,
    k: int,
    rows: list[Row],
    members: pd.DataFrame,
    shares: pd.DataFrame,
    intervals: pd.DataFrame,
    networks: pd.DataFrame,
    counts: pd.DataFrame,
) -> None:
    page = style.axes_at(figure, 0, top - depth, style.LONG, depth)
    page.set(xlim=(0, style.LONG), ylim=(depth, 0))  # inches, downwards
    page.axis("off")
    size, room = style.NORMAL + 1.5, style.LONG - 2 * style.MARGIN
    heading = style.shorten(heading_of(k, networks), room, size, "bold")
    page.text(style.MARGIN, 0.2, heading, size=size, weight="bold", va="center")
    trained = bool(networks["trained"].any())
    heads = [
        (TEXT, "shape, kernels identified", "left"),
        (COSINE, "cosine", "right"),
        (PROTOTYPES, "prototypes, template", "left"),
        (MEMBER, "members at random", "left"),
        (BARS, "share of kernels", "left"),
    ]
    if trained:
        heads.append((NUMBERS[0], "trained", "right"))
    if not networks["trained"].all():
        heads.append((NUMBERS[1], "control", "right"))
    for place, text, side in heads:
        page.text(place, HEAD - 0.06, text, size=style.SMALL, ha=side, color="#6B6B6B")

    total = int(networks.loc[networks["trained"] == trained, "kernels"].sum())
    edges = HEAD + np.cumsum([0.0, *(row.height for row in rows)])
    rules = [[(style.MARGIN, edge), (style.LONG - style.MARGIN, edge)] for edge in edges]
    page.add_collection(LineCollection(rules, colors="#DDDDDD", linewidths=0.6), autolim=False)
    for row, upper in zip(rows, edges[:-1], strict=True):
        here = members[members["cluster"].isin(row.clusters["cluster"])]
        describe(page, row, upper, k, counts, total)
        show_members(page, row, upper, k, here)
    count_rest(page, rows, counts, total, edges[-1] + 0.13)
    of_size = shares[shares["k"] == k]
    _bars(figure, page, top, rows, edges, of_size, intervals, networks)


def _bars(
    figure: Figure,
    page: Axes,
    top: float,
    rows: list[Row],
    edges: np.ndarray,
    shares: pd.DataFrame,
    intervals: pd.DataFrame,
    networks: pd.DataFrame,
) -> None:
    """Draw a bar for each trained network in each row, or their mean, and one of the controls."""
    values = [_shares(row, shares, networks) for row in rows]
    trained = networks["trained"].to_numpy(dtype=bool)
    single = int(trained.sum()) <= THIN
    limits = intervals.set_index(["shape", "model"])[["low", "high"]]
    longest = max([1.0, *(float(value.max()) for value in values), 100 * limits["high"].max()])
    high = float(edges[-1] - edges[0])
    ax = style.axes_at(figure, BARS, top - edges[-1], BAR, high)
    ax.set(xlim=(0, longest), ylim=(edges[-1], edges[0]), yticks=[])
    ax.set_facecolor("none")
    groups = [(mask, kind) for mask, kind in ((trained, True), (~trained, False)) if mask.any()]
    drawn = []
    for row, upper, value in zip(rows, edges[:-1], values, strict=True):
        bars: list[tuple[float, bool, float, float]] = []  # share, trained, low, high
        for mask, kind in groups:
            if kind and single:
                keys = [(row.shape, model) for model in networks.loc[mask, "model"]]
                ends = 100 * limits.reindex(keys).to_numpy()
                bars += [(v, kind, *e) for v, e in zip(value[mask], ends, strict=True)]
            else:
                span = (value[mask].min(), value[mask].max()) if kind else (np.nan, np.nan)
                bars.append((value[mask].mean(), kind, *span))
            page.text(
                NUMBERS[0 if kind else 1],
                upper + row.height / 2,
                f"{value[mask].mean():.1f} %",
                size=style.SMALL,
                ha="right",
                va="center_baseline",
                color=style.INK if kind else "#6B6B6B",
            )
        pitch = min((row.height - 0.07) / len(bars), 0.12)
        start = upper + (row.height - len(bars) * pitch) / 2
        for number, (share, kind, low, end) in enumerate(bars):
            drawn.append((start + (number + 0.5) * pitch, 0.84 * pitch, share, kind, low, end))
    table = pd.DataFrame(drawn, columns=["place", "wide", "share", "trained", "low", "high"])
    for _, kind in groups:
        own = table[table["trained"] == kind]
        looks = _looks(kind)
        style.bars(ax, own["place"], own["share"], wide=own["wide"], horizontal=True, **looks)
    known = table.dropna(subset=["low"])
    ax.hlines(known["place"], known["low"], known["high"], zorder=3, **WHISKER)
    ax.tick_params(axis="x", pad=1.5, length=2)
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    style.despine(ax)


def _shares(row: Row, shares: pd.DataFrame, networks: pd.DataFrame) -> np.ndarray:
    """Return what percentage of each network's kernels is in the row."""
    here = shares[shares["cluster"].isin(row.clusters["cluster"])]
    column = "kernels" if row.shape == OTHER else "identified"
    found = here.groupby("model", observed=True)[column].sum()
    number = found.reindex(networks["model"], fill_value=0).to_numpy(dtype=float)
    return 100 * number / np.maximum(networks["kernels"].to_numpy(dtype=float), 1)

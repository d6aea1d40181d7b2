"""The clusters of one family of networks: prototypes, templates, members and shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.figures import style

PITCH = 0.14  # inches from bar to bar
TILE = 0.44  # inches, side of a kernel's image
GAP = 0.06
TEXT = 1.75  # width of a cluster's description
BARS = 2.0  # width of the bars with the figures at their ends
MEMBERS = 12


@dataclass(frozen=True)
class Columns:
    """Where the columns stand, in inches from the page's left edge."""

    tile: float
    lines: int  # in which the members stand
    row: float  # height
    names: float  # width of the longest name of a network

    number: float = style.MARGIN
    text: float = style.MARGIN + 0.36

    @property
    def prototype(self) -> float:
        return self.text + TEXT

    @property
    def template(self) -> float:
        return self.prototype + self.tile + 2 * GAP

    @property
    def members(self) -> float:
        return self.template + self.tile + 4 * GAP

    @property
    def bars(self) -> float:
        across = MEMBERS // self.lines
        return self.members + across * (self.tile + GAP) + self.names + 0.2

    @property
    def right(self) -> float:
        return self.bars + BARS


def _columns(networks: pd.DataFrame) -> Columns:
    bars = int(networks.groupby("k")["model"].nunique().max())
    lines = 2 if bars > 6 else 1
    tile = 0.54 if lines == 2 else TILE
    row = max(bars * PITCH + 0.16, lines * (tile + GAP) + 0.12, 0.72)
    widest = max(style.text_width(name, style.SMALL) for name in networks["model"])
    return Columns(tile=tile, lines=lines, row=row, names=widest)


def draw(
    clusters: pd.DataFrame,
    shares: pd.DataFrame,
    members: pd.DataFrame,
    models: pd.DataFrame,
    description: Mapping[str, Any],
) -> Figure:
    """Draw a row per cluster, a block per kernel size.

    Parameters
    ----------
    clusters
        Columns k, cluster, code_low, code_high, label, template, template_cosine, prototype,
        template_weights, members.
    shares
        Columns k, cluster, model, trained, identified, share (in [0, 1]).
    members
        Columns k, cluster, rank (from 0), identified, weights; may be empty.
    models
        The family's networks: columns model, trained, k, kernels, degenerate,
        share_identified (in [0, 1]), threshold, trained_on.
    description
        family, seed.
    """
    networks = models.sort_values(["k", "trained"], ascending=[True, False], kind="stable")
    columns = _columns(networks)
    sizes = sorted(int(k) for k in networks["k"].unique())
    overview = {k: (networks["k"] == k).sum() * PITCH + 0.16 for k in sizes}
    heights = {
        k: 0.5 + overview[k] + 0.62 + (clusters["k"] == k).sum() * columns.row + 0.5 for k in sizes
    }
    title = f"{description['family']}: clusters of its depthwise kernels"
    height = sum(heights.values()) + 0.45
    figure = style.new_figure(columns.right + style.MARGIN, height, title, fixed=True)
    figure.legend(
        handles=style.trained_handles(
            bool(networks["trained"].any()), not networks["trained"].all()
        ),
        loc="upper right",
        bbox_to_anchor=(1, 1 - 0.06 / height),
        ncols=2,
    )
    bottom = style.caption(figure, _caption(clusters, members, networks, description))
    top = bottom + height - 0.45
    for k in sizes:
        here = networks[networks["k"] == k].reset_index(drop=True)
        _block(figure, columns, top, overview[k], k, clusters, shares, members, here)
        top -= heights[k]
    return figure


def _caption(
    clusters: pd.DataFrame,
    members: pd.DataFrame,
    networks: pd.DataFrame,
    description: Mapping[str, Any],
) -> str:
    ks = networks["k"].unique()
    corpus = int(clusters.loc[clusters["k"].isin(ks), "members"].sum())
    text = (
        f"Depthwise kernels of {style.sizes(ks)}, centred and scaled, were projected onto the "
        f"curve that an autoencoder with one code (seed {description['seed']}) learned from a "
        f"corpus of {style.count(corpus, 'kernel')}; the curve is cut into clusters, and each is "
        "named by the analytic template with the highest cosine. A kernel is identified if its "
        "dissimilarity (1 − cos) to its point of the curve is below the threshold, "
        f"{style.thresholds(networks)}, and its cluster is not named “other”. Shares are of all "
        f"kernels of a network: {style.count(int(networks['kernels'].sum()), 'kernel')} here, of "
        f"which {int(networks['degenerate'].sum()):,} are degenerate (without a shape). Red is "
        "positive, blue negative, each kernel on its own scale."
    )
    if len(members):
        text += (
            f" Members are drawn at random (at most {MEMBERS}) from the family's trained "
            "networks; a dashed frame marks a kernel that is not identified."
        )
    return text


def _range(values: pd.Series) -> str:
    texts = list(dict.fromkeys(f"{100 * value:.1f}" for value in (values.min(), values.max())))
    return "–".join(texts) + " %"


def _heading(k: int, networks: pd.DataFrame) -> str:
    trained = networks[networks["trained"]]
    controls = networks[~networks["trained"]]
    parts = []
    if len(trained):
        sources = [text for text in trained["trained_on"].unique() if text]
        on = f" (on {sources[0]})" if len(sources) == 1 else ""
        parts.append(
            f"{style.count(len(trained), 'trained network')}{on}: "
            f"{_range(trained['share_identified'])} identified"
        )
    if len(controls):
        parts.append(
            f"{style.count(len(controls), 'untrained control')}: "
            f"{_range(controls['share_identified'])}"
        )
    return f"{k}×{k} kernels · " + "; ".join(parts)


def _block(
    figure: Figure,
    columns: Columns,
    top: float,
    overview: float,
    k: int,
    clusters: pd.DataFrame,
    shares: pd.DataFrame,
    members: pd.DataFrame,
    networks: pd.DataFrame,
) -> None:
    rows = clusters[clusters["k"] == k].sort_values("cluster")
    depth = 0.5 + overview + 0.62 + len(rows) * columns.row
    page = style.axes_at(figure, 0, top - depth, columns.right + style.MARGIN, depth)
    page.set(xlim=(0, columns.right + style.MARGIN), ylim=(depth, 0))  # inches, downwards
    page.axis("off")
    size, room = style.NORMAL + 1.5, columns.right - columns.number
    heading = style.shorten(_heading(k, networks), room, size, "bold")
    page.text(columns.number, 0.2, heading, size=size, weight="bold", va="center")
    _rule(page, columns, 0.36)
    page.text(columns.number, 0.5 + overview / 2, "all", weight="bold", va="center")
    _overview(page, columns, 0.5, networks)
    page.text(columns.bars, 0.47, "identified in all clusters", size=style.SMALL)
    bars = style.axes_at(figure, columns.bars, top - 0.5 - overview, BARS, overview)
    _bars(bars, [0.0], overview, networks, [networks["share_identified"].to_numpy()], [style.INK])
    bars.set_xlabel("share of kernels, %", labelpad=2, loc="left")

    start = 0.5 + overview + 0.62
    for place, name in (
        (columns.text, "cluster"),
        (columns.prototype + columns.tile / 2, "prototype"),
        (columns.template + columns.tile / 2 + 0.06, "template"),
        (columns.members, "members at random"),
        (columns.bars, "identified in the cluster (number)"),
    ):
        centred = name in ("prototype", "template")
        page.text(
            place,
            start - 0.1,
            name,
            size=style.SMALL,
            ha="center" if centred else "left",
        )
    for number, row in enumerate(style.rows_of(rows)):
        upper = start + number * columns.row
        _rule(page, columns, upper)
        here = members[(members["k"] == k) & (members["cluster"] == row.cluster)]
        _cluster(page, columns, upper, row, here.sort_values("rank"))
    values = shares[shares["k"] == k].set_index(["cluster", "model"])
    bars = style.axes_at(figure, columns.bars, top - depth, BARS, len(rows) * columns.row)
    order = [[(row.cluster, model) for model in networks["model"]] for row in style.rows_of(rows)]
    _bars(
        bars,
        [number * columns.row for number in range(len(rows))],
        columns.row,
        networks,
        [values["share"].reindex(keys, fill_value=0).to_numpy() for keys in order],
        [style.palette([label])[label] for label in rows["label"]],
        [values["identified"].reindex(keys, fill_value=0).to_numpy() for keys in order],
    )
    bars.set_xlabel("share of kernels, %", labelpad=2, loc="left")


def _rule(page: Axes, columns: Columns, place: float) -> None:
    page.plot([columns.number, columns.right], [place, place], color="#DDDDDD", linewidth=0.6)


def _overview(page: Axes, columns: Columns, upper: float, networks: pd.DataFrame) -> None:
    width = columns.bars - columns.names - columns.text - 0.3
    for number, row in enumerate(style.rows_of(networks)):
        origin = (row.trained_on or "training data not stated") if row.trained else "not trained"
        text = (
            f" · {style.count(int(row.kernels), 'kernel')}, {int(row.degenerate):,} degenerate"
            f" · threshold {row.threshold:.2f}"
        )
        left = width - style.text_width(text, style.SMALL)
        page.text(
            columns.text,
            upper + 0.08 + (number + 0.5) * PITCH,
            style.shorten(origin, left, style.SMALL) + text,
            size=style.SMALL,
            va="center_baseline",
        )


def _cluster(page: Axes, columns: Columns, upper: float, row: Any, members: pd.DataFrame) -> None:
    middle = upper + columns.row / 2
    k, tile = row.k, columns.tile
    page.text(columns.number, middle, str(row.cluster), weight="bold", va="center", size=9)
    description = (
        (row.label, style.NORMAL, "bold"),
        (f"code {row.code_low:.3f}–{row.code_high:.3f}", style.SMALL, "normal"),
        (style.count(int(row.members), "kernel") + " of the corpus", style.SMALL, "normal"),
        (f"cosine {row.template_cosine:.2f} to", style.SMALL, "normal"),
        (style.shorten(row.template, TEXT - 0.1, style.SMALL), style.SMALL, "normal"),
    )
    for number, (text, size, weight) in enumerate(description):
        page.text(
            columns.text,
            middle + (number - 2) * 0.125,
            text,
            size=size,
            weight=weight,
            va="center_baseline",
        )
    for left, weights in (
        (columns.prototype, row.prototype),
        (columns.template, row.template_weights),
    ):
        style.show_kernel(
            page, weights, k, (left, left + tile, middle + tile / 2, middle - tile / 2)
        )
    across = MEMBERS // columns.lines
    lines = -(-min(len(members), MEMBERS) // across)
    step = tile + GAP
    for number, member in enumerate(style.rows_of(members.head(MEMBERS))):
        left = columns.members + number % across * step
        high = middle - lines * step / 2 + GAP / 2 + number // across * step
        style.show_kernel(
            page,
            member.weights,
            k,
            (left, left + tile, high + tile, high),
            faint=not member.identified,
        )
    if members.empty:
        page.text(
            columns.members,
            middle,
            "no kernel of the trained networks",
            size=style.SMALL,
            color=style.FAINT,
            va="center",
        )


def _bars(
    ax: Axes,
    uppers: list[float],
    row: float,
    networks: pd.DataFrame,
    shares: list[np.ndarray],
    colours: list[str],
    counts: list[np.ndarray] | None = None,
) -> None:
    """Draw per row, whose upper edges are given in inches, a bar for each network."""
    longest = max(float(np.max(share)) for share in shares)
    places, names = [], []
    reserve = 0.95 if counts else 0.5  # inches for the figures
    limit = max(100 * longest, 1.0) / (1 - reserve / BARS)
    for number, upper in enumerate(uppers):
        middles = upper + row / 2 + (np.arange(len(networks)) - (len(networks) - 1) / 2) * PITCH
        for index, (place, share) in enumerate(zip(middles, shares[number], strict=True)):
            looks: dict[str, Any] = (
                {"facecolor": colours[number], "edgecolor": style.INK, "linewidth": 0.4}
                if networks["trained"].iloc[index]
                else style.control_style()
            )
            ax.barh(place, 100 * share, height=0.75 * PITCH, **looks)
            text = f" {100 * share:.1f} %" + (f" ({counts[number][index]:,})" if counts else "")
            ax.text(100 * share, place, text, size=style.SMALL, va="center_baseline")
        places += list(middles)
        names += list(networks["model"])
    ax.set(xlim=(0, limit), ylim=(uppers[-1] + row, 0), yticks=places)
    ax.set_yticklabels(names)
    ax.tick_params(axis="y", length=0, pad=3)
    ax.tick_params(axis="x", pad=2)
    ticks = [tick for tick in ax.get_xticks() if tick <= max(100 * longest, 1.0) * 1.001]
    ax.set_xticks(ticks)
    ax.set_facecolor("none")
    sns.despine(ax=ax)
    ax.spines["bottom"].set_bounds(0, max(100 * longest, 1.0))

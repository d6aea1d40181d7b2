"""Prototypes of other methods beside those of the autoencoder, their losses and agreement."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from kernelatlas.figures import style
from kernelatlas.kernels.layer import side
from kernelatlas.names import LABELS, shape_of

ACROSS = 25  # prototypes in a row
LEFT, WIDTH = 2.05, 8.3  # inches
PITCH, GAP = WIDTH / ACROSS, 0.08
PANEL, BELOW = 2.9, 1.35  # inches: panels, space for their axes
# Colours after Okabe and Ito; the markers distinguish the methods without colours.
METHODS: dict[str, dict[str, Any]] = {
    "k-means": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "Gaussian mixture": {"color": "#009E73", "marker": "s"},
    "HDBSCAN": {"color": "#9A9A9A", "marker": "X"},
    "PCA": {"color": "#56B4E9", "marker": ".", "linestyle": "-"},
    "autoencoder 1-D": {"color": "#333333", "marker": "D"},
    "autoencoder 1-D, encoder": {"color": "#333333", "marker": "D", "markerfacecolor": "none"},
    "autoencoder 2-D": {"color": "#D55E00", "marker": "^"},
    "autoencoder 3-D": {"color": "#E69F00", "marker": "v"},
}


def draw(
    baselines: pd.DataFrame, agreement: pd.DataFrame, prototypes: pd.DataFrame
) -> list[Figure]:
    """Draw a row of prototypes per method; on a second page their scores and agreement.

    Parameters
    ----------
    baselines
        Columns method, seed, dimensions, clusters, share_unclustered, mean_dissimilarity,
        mean_dissimilarity_prototype, share_identified_prototype, threshold.
    agreement
        Columns method, other, adjusted_rand_index.
    prototypes
        Columns method, label, template_cosine, members, prototype.
    """
    k = side(prototypes["prototype"].iloc[0])
    title = f"Other methods on {k}×{k} kernels"
    # With most methods every kernel is in a cluster.
    kernels = int(prototypes.groupby("method")["members"].sum().max())
    first, second = _captions(k, kernels, baselines)
    methods = list(prototypes["method"].unique())
    heights = [-(-int((prototypes["method"] == m).sum()) // ACROSS) * PITCH + GAP for m in methods]
    handles = style.part_handles(shape_of(label) for label in prototypes["label"])
    key = style.TITLE + style.legend_height(handles, style.LONG) + 0.05
    room = style.SHORT - key - style.caption_height(first, style.LONG)
    pages = style.split(heights, room)
    figures = []
    for number, page in enumerate(pages):
        high = sum(heights[index] for index in page)
        heading = style.numbered(title, number, len(pages) + 1)
        figure = style.new_figure(style.LONG, key + high, heading, fixed=True)
        figure.suppressComposite = True  # one image of the whole page takes seconds in a PDF
        bottom = style.caption(figure, first)
        style.legend_above(figure, handles)
        ax = style.axes_at(figure, LEFT, bottom, WIDTH, high)
        ax.set(xlim=(0, WIDTH), ylim=(high, 0))
        ax.axis("off")
        upper = 0.0
        for index in page:
            _row(ax, upper, methods[index], prototypes, baselines)
            upper += heights[index]
        figures.append(figure)
    heading = style.numbered(title, len(pages), len(pages) + 1)
    figures.append(_scores(baselines, agreement, heading, second))
    return figures


def _scores(baselines: pd.DataFrame, agreement: pd.DataFrame, title: str, text: str) -> Figure:
    known = [name for name in METHODS if baselines["method"].map(_kind).eq(name).any()]
    handles = [Line2D([], [], label=name, **_looks(name)) for name in known]
    key = style.TITLE + style.legend_height(handles, style.LONG)
    figure = style.new_figure(style.LONG, key + 0.35 + PANEL + BELOW, title, fixed=True)
    lower = style.caption(figure, text) + BELOW
    style.legend_above(figure, handles)
    wide = 2.2
    _by_clusters(style.axes_at(figure, 0.6, lower, wide, PANEL), baselines)
    _by_dimensions(style.axes_at(figure, 0.6 + wide + 0.25, lower, wide, PANEL), baselines)
    heat = style.axes_at(figure, style.LONG - 3.6 - style.MARGIN, lower, 3.6, PANEL)
    _agreement(heat, agreement)
    return figure


def _captions(k: int, kernels: int, baselines: pd.DataFrame) -> tuple[str, str]:
    """Return the captions of the prototypes and of the scores."""
    seeds = baselines["seed"].dropna().astype(int).unique()
    threshold = baselines["threshold"].iloc[0]
    first = (
        f"{style.count(kernels, 'kernel')} of {k}×{k}. Each method's prototypes (seed "
        f"{seeds[0]}), mean directions of clusters (of the 1-D autoencoder: of kernels "
        "that one seed names alike), sorted by label and by the cosine to their best template; the "
        "frame's colour is the label's shape. Beside them, means over "
        f"seeds: d is the dissimilarity to the prototype (1 where there is none), and identified "
        f"is the share of kernels for which it is below {threshold:.2f} and the prototype has a "
        "name, with the standard deviation of the seeds where there are several."
    )
    second = (
        "Left: the dissimilarity to the prototype against the number of clusters; middle: the "
        "dissimilarity to reconstructions of a kernel from a few numbers, decoded codes or "
        f"principal components. A marker is a seed ({style.listed(seeds)}); lines join means. "
        "1-D codes are the best ones on the decoded curve, with the encoder's own beside them; the "
        "others are the encoder's. Right: adjusted Rand index between methods, and in the diagonal "
        "between seeds of a method (blank with a single one); 1 is agreement, 0 chance."
    )
    return first, second


def _kind(method: str) -> str:
    """Return the method without its number."""
    return method if method in METHODS else method.rsplit(" ", 1)[0]


def _looks(kind: str) -> dict[str, Any]:
    return {"linestyle": "", "markersize": 4, "markeredgewidth": 0.8, **METHODS[kind]}


def _row(
    page: Axes, upper: float, method: str, prototypes: pd.DataFrame, baselines: pd.DataFrame
) -> None:
    rows = prototypes[prototypes["method"] == method]
    rows = rows.assign(place=rows["label"].map(LABELS.index))
    rows = rows.sort_values(["place", "template_cosine"], ascending=[True, False], kind="stable")
    k = side(rows["prototype"].iloc[0])
    colours = style.palette(rows["label"])
    for number, row in enumerate(style.rows_of(rows[["label", "prototype"]])):
        x, y = (number % ACROSS) * PITCH, upper + (number // ACROSS) * PITCH
        frame = Rectangle(
            (x, y), PITCH - 0.03, PITCH - 0.03, facecolor=colours[row.label], zorder=-1
        )
        page.add_patch(frame)
        style.show_kernel(
            page, row.prototype, k, (x + 0.04, x + PITCH - 0.07, y + PITCH - 0.07, y + 0.04)
        )
    of_method = baselines[baselines["method"] == method]
    mean = of_method[["mean_dissimilarity_prototype", "share_identified_prototype"]].mean()
    spread = 100 * of_method["share_identified_prototype"].std()
    identified = f"{100 * mean.iloc[1]:.0f}" + (f" ± {spread:.1f}" if spread == spread else "")
    text = f"d {mean.iloc[0]:.2f}, {identified} % identified"
    unclustered = of_method["share_unclustered"].mean()
    if unclustered:
        text += f"\n{100 * unclustered:.0f} % in no cluster"
    page.text(-0.1, upper, method, ha="right", va="top", weight="bold")
    page.text(-0.1, upper + 0.135, text, ha="right", va="top", size=style.SMALL - 0.5)


def _points(ax: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    rows = rows.assign(kind=rows["method"].map(_kind))
    for kind, looks in METHODS.items():
        here = rows[rows["kind"] == kind]
        if len(here):
            points = {**_looks(kind), "linestyle": "", "clip_on": False, "zorder": 3}
            ax.plot(here[x].astype(float), here[y], **points)
        if "linestyle" in looks:
            means = here.groupby(x)[y].mean()
            ax.plot(means.index.astype(float), means, color=looks["color"], linewidth=0.9)


def _by_clusters(ax: Axes, baselines: pd.DataFrame) -> None:
    rows = baselines[baselines["clusters"].fillna(0) > 0]
    _points(ax, rows, "clusters", "mean_dissimilarity_prototype")
    most = int(rows["clusters"].max())
    ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n <= 1.3 * most]
    ax.set(xscale="log", xlabel="clusters", title="to the prototype")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    ax.set_ylabel("mean dissimilarity")
    _loss_axis(ax)


def _by_dimensions(ax: Axes, baselines: pd.DataFrame) -> None:
    rows = baselines.dropna(subset=["dimensions"])
    _points(ax, rows, "dimensions", "mean_dissimilarity")
    ax.xaxis.set_major_locator(FixedLocator(range(1, int(rows["dimensions"].max()) + 1)))
    ax.set(xlabel="numbers per kernel", title="to the reconstruction")
    ax.tick_params(axis="y", labelleft=False)
    _loss_axis(ax)


def _loss_axis(ax: Axes) -> None:
    ax.set_ylim(0, 1)
    ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax)


def _agreement(ax: Axes, agreement: pd.DataFrame) -> None:
    order = agreement["method"].unique()
    table = agreement.pivot_table("adjusted_rand_index", "method", "other")
    values = table.reindex(index=order, columns=order).round(2) + 0.0  # no -0.00
    sns.heatmap(
        values,
        ax=ax,
        vmin=0,
        vmax=1,
        cmap="Greys",
        annot=True,
        fmt=".2f",
        annot_kws={"size": style.SMALL},
        cbar=False,
        linewidths=0.5,
    )
    ax.set(xlabel="", ylabel="", title="adjusted Rand index")
    ax.tick_params(length=0)
    ax.set_yticks(ax.get_yticks(), order, rotation=0)
    ax.set_xticks(ax.get_xticks(), order, rotation=90)

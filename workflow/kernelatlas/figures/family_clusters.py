"""The shapes of one family of networks: prototypes, members and shares, on one page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from kernelatlas.figures import style
from kernelatlas.names import FIRST, LABELS, OTHER, SECOND, SHAPES, SQUARES, shape_of

MEMBERS = 12
UNNAMED = 4  # maximal number of prototypes of kernels without a name
THIN = 8  # maximal number of networks with a bar each

# Inches from the left edge of the page.
COLOUR, TEXT, COSINE, PROTOTYPES, MEMBER, BARS = style.MARGIN, 0.3, 1.98, 2.15, 4.62, 8.72
SMALL_TILE, SMALL_STEP, TILE, STEP = 0.265, 0.295, 0.29, 0.325
BAR, NUMBERS, WIDTH = 1.3, (10.42, 10.85), 11.0

ROW, DIRECTED = 0.325, 0.42  # heights of rows, without and with directions
HEAD, FOOT = 0.54, 0.28  # inches above and below the rows of a block
LINE = style.SMALL * style.LINE / 72


@dataclass(frozen=True)
class Row:
    """A row of the figure: a shape, or a prototype of kernels without a name.

    Attributes
    ----------
    shape, name
        One of `SHAPES`; what is written.
    clusters
        Rows of the cluster table, in the order of directions: of a second derivative + and then −.
    """

    shape: str
    name: str
    clusters: pd.DataFrame

    @property
    def directed(self) -> bool:
        return self.shape in (FIRST, SECOND)

    @property
    def height(self) -> float:
        return DIRECTED if self.directed else ROW


def draw(
    clusters: pd.DataFrame,
    shares: pd.DataFrame,
    members: pd.DataFrame,
    models: pd.DataFrame,
    family: str,
    seeds: Sequence[int],
) -> Figure:
    """Draw a block per kernel size: a row per shape, and up to four of kernels without a name.

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
        Columns family, model, trained, k, kernels, degenerate, identified, share_identified (in
        [0, 1]), threshold, trained_on; networks of other families are left out.
    family
        Which family is drawn.
    seeds
        Those of the autoencoders, for the caption.
    """
    models = models[models["family"] == family]
    title = f"{family}: shapes of its depthwise kernels"
    if models.empty:
        return style.without_kernels(title)
    networks = models.sort_values(["k", "trained"], ascending=[True, False], kind="stable")
    sizes = sorted(int(k) for k in networks["k"].unique())
    counts = {k: _counts(shares, networks[networks["k"] == k]) for k in sizes}
    rows = {k: _rows(clusters[clusters["k"] == k], counts[k]["kernels"]) for k in sizes}
    heights = {k: HEAD + sum(row.height for row in rows[k]) + FOOT for k in sizes}
    lines = _order(networks)
    over = 0.45 + len(lines) * LINE
    height = over + sum(heights.values())
    figure = style.new_figure(WIDTH, height, title, fixed=True)
    figure.legend(
        handles=[
            handle
            for handle, present in zip(
                _handles(), (networks["trained"].any(), not networks["trained"].all()), strict=True
            )
            if present
        ],
        loc="upper right",
        bbox_to_anchor=(1, 1 - 0.06 / height),
        ncols=2,
    )
    figure.text(
        style.MARGIN / WIDTH,
        1 - 0.42 / height,
        "\n".join(lines),
        va="top",
        size=style.SMALL,
        linespacing=style.LINE - 0.1,
    )
    bottom = style.caption(figure, _caption(clusters, members, networks, seeds))
    top = bottom + height - over
    for k in sizes:
        here = networks[networks["k"] == k].reset_index(drop=True)
        of_size = members[members["k"] == k]
        _block(figure, top, heights[k], k, rows[k], of_size, shares, here, counts[k])
        top -= heights[k]
    return figure


def _counts(shares: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """Count all and identified kernels of each cluster, in trained networks if there are any."""
    chosen = networks[networks["trained"]] if networks["trained"].any() else networks
    here = shares[shares["k"].isin(chosen["k"]) & shares["model"].isin(chosen["model"])]
    return here.groupby("cluster")[["kernels", "identified"]].sum()


def _rows(clusters: pd.DataFrame, kernels: pd.Series) -> list[Row]:
    clusters = clusters.assign(shape=clusters["label"].astype(str).map(shape_of))
    rows = []
    for shape in SHAPES:
        here = clusters[clusters["shape"] == shape]
        if shape != OTHER and len(here):
            bright = [str(label).endswith("-") for label in here["label"]]
            place = [LABELS.index(label) for label in here["label"]]
            rows.append(Row(shape, shape, here.iloc[np.lexsort((place, bright))]))
    unnamed = clusters[clusters["shape"] == OTHER].sort_values("cluster")
    number = kernels.reindex(unnamed["cluster"], fill_value=0).to_numpy()
    for index in sorted(np.argsort(-number, kind="stable")[:UNNAMED]):
        rows.append(Row(OTHER, f"no name {index + 1}", unnamed.iloc[[index]]))
    return rows


def _handles() -> list[Rectangle]:
    return [
        Rectangle((0, 0), 1, 1, label=label, **_looks(trained))
        for label, trained in (("trained network", True), ("untrained control", False))
    ]


def _looks(trained: bool) -> dict[str, Any]:
    if trained:
        return {"facecolor": style.INK, "edgecolor": "none", "linewidth": 0}
    return {"facecolor": style.CONTROL, "edgecolor": "none", "linewidth": 0}


def _order(networks: pd.DataFrame) -> list[str]:
    """Return the lines of text that say which network each bar is."""
    if networks.groupby("k")["model"].nunique().max() > THIN:
        text = (
            "Bars are the mean of the networks, lines go from the lowest to the highest; the "
            "networks one by one are in the tables and in the figure of the models."
        )
    else:
        names = networks.sort_values("trained", ascending=False, kind="stable")["model"]
        lines = ["Bars of a row, from top to bottom, and what is identified:"]
        for name in names.drop_duplicates():
            rows = networks[networks["model"] == name]
            percent = ", ".join(
                f"{k}×{k} {100 * share:.1f} %"
                for k, share in zip(rows["k"], rows["share_identified"], strict=True)
            )
            longer = f"{lines[-1]} {name} ({percent});"
            if style.text_width(longer, style.SMALL) <= WIDTH - 2 * style.MARGIN:
                lines[-1] = longer
            else:
                lines.append(f"{name} ({percent});")
        return [*lines[:-1], lines[-1].rstrip(";") + "."]
    return style.wrap(text, WIDTH - 2 * style.MARGIN, style.SMALL)


def _caption(
    clusters: pd.DataFrame,
    members: pd.DataFrame,
    networks: pd.DataFrame,
    seeds: Sequence[int],
) -> str:
    ks = networks["k"].unique()
    corpus = int(clusters.loc[clusters["k"].isin(ks), "members"].sum())
    text = (
        f"Depthwise kernels of {style.sizes(ks)} were named by vote of autoencoders with one code "
        f"({'seeds' if len(seeds) > 1 else 'seed'} {style.listed(seeds)}; trained on a corpus of "
        f"{style.count(corpus, 'kernel')}): what their curves draw for a kernel is averaged, and "
        "the mean has the name of the analytic template with the highest cosine. A kernel is "
        "identified if it has a name, most seeds give it this shape, and its dissimilarity "
        f"(1 − cos) to the curves is below the threshold, {style.thresholds(networks)}. Prototypes "
        "are mean kernels of the corpus, one for each direction of a derivative (degrees "
        "anticlockwise from the right; +: a dark ridge, −: a bright one), with their cosine to the "
        "best template, which is beside them. Kernels without a name are grouped by k-means, the "
        "most frequent in the corpus first; they are not identified, and their bars are shares of "
        "kernels in the group. Percentages beside bars are means over networks. All shares are of "
        "all kernels of a network: "
        f"{style.count(int(networks['kernels'].sum()), 'kernel')} here, of which "
        f"{int(networks['degenerate'].sum()):,} are degenerate (without a shape). Kernels are "
        "centred: red is above their mean, blue below, each on its own scale."
    )
    means = clusters[clusters["k"].isin(ks)]
    if means["label"].isin(SQUARES).any():
        text += " Squares are mirrored to one corner for their prototype."
    named = means[means["label"] != OTHER][["label", "template_label"]].astype(str)
    if (named["label"].map(shape_of) != named["template_label"].map(shape_of)).any():
        text += " A mean can look like another shape than its kernels (“nearest”)."
    if len(members):
        text += (
            f" Members, at most {MEMBERS}, are drawn at random from the family’s trained networks, "
            "identified ones first, those of derivatives in the order of their directions; a "
            "dashed frame marks a kernel with the name that is not identified."
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
    top: float,
    depth: float,
    k: int,
    rows: list[Row],
    members: pd.DataFrame,
    shares: pd.DataFrame,
    networks: pd.DataFrame,
    counts: pd.DataFrame,
) -> None:
    page = style.axes_at(figure, 0, top - depth, WIDTH, depth)
    page.set(xlim=(0, WIDTH), ylim=(depth, 0))  # inches, downwards
    page.axis("off")
    size, room = style.NORMAL + 1.5, WIDTH - 2 * style.MARGIN
    heading = style.shorten(_heading(k, networks), room, size, "bold")
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
    rules = [[(style.MARGIN, edge), (WIDTH - style.MARGIN, edge)] for edge in edges]
    page.add_collection(LineCollection(rules, colors="#DDDDDD", linewidths=0.6), autolim=False)
    for row, upper in zip(rows, edges[:-1], strict=True):
        here = members[members["cluster"].isin(row.clusters["cluster"])]
        _describe(page, row, upper, k, counts, total)
        _members(page, row, upper, k, here)
    _rest(page, rows, counts, total, edges[-1] + 0.13)
    _bars(figure, page, top, rows, edges, shares[shares["k"] == k], networks)


def _describe(page: Axes, row: Row, upper: float, k: int, counts: pd.DataFrame, total: int) -> None:
    """Write name, numbers and cosine; show the prototypes with directions or with the template."""
    middle = upper + row.height / 2
    label = str(row.clusters["label"].iloc[0])
    page.add_patch(
        Rectangle(
            (COLOUR, upper + 0.035),
            0.08,
            row.height - 0.07,
            facecolor=style.palette([label])[label],
            linewidth=0,
        )
    )
    found = counts.reindex(row.clusters["cluster"], fill_value=0).sum()
    number = int(found["kernels" if row.shape == OTHER else "identified"])
    noun = "kernels" if row.shape == OTHER else "identified"
    if row.shape == OTHER and number == 1:
        noun = "kernel"
    share = 100 * number / max(total, 1)
    for line, (text, size, weight) in enumerate(
        (
            (row.name, style.NORMAL, "bold"),
            (f"{number:,} {noun}, {share:.1f} %", style.SMALL, "normal"),
        )
    ):
        place = middle + (line - 0.5) * 0.135
        page.text(TEXT, place, text, size=size, weight=weight, va="center_baseline")
    cosines = row.clusters["template_cosine"]
    texts = dict.fromkeys(f"{value:.2f}" for value in (cosines.min(), cosines.max()))
    page.text(COSINE, middle, "–".join(texts), size=style.SMALL, ha="right", va="center_baseline")
    if row.directed:
        tile, step = SMALL_TILE, SMALL_STEP
        lefts = [PROTOTYPES + number * step for number in range(len(row.clusters))]
        kernels = list(row.clusters["prototype"])
        high = upper + 0.04
        for left, name in zip(lefts, row.clusters["label"], strict=True):
            page.text(
                left + tile / 2,
                high + tile + 0.055,
                style.direction_of(name).replace(" ", ""),
                size=style.SMALL - 1,
                ha="center",
                va="center_baseline",
            )
    else:
        tile, step = TILE, STEP
        lefts = [PROTOTYPES, PROTOTYPES + step]
        kernels = [row.clusters[name].iloc[0] for name in ("prototype", "template_weights")]
        high = middle - tile / 2
        place = lefts[-1] + tile + 0.08
        text = str(row.clusters["template"].iloc[0])
        best = str(row.clusters["template_label"].iloc[0])
        if shape_of(best) != row.shape:
            text = "nearest: " + " ".join([shape_of(best), style.direction_of(best)]).strip()
        text = style.shorten(text, MEMBER - place - 0.1, style.SMALL)
        page.text(place, middle, text, size=style.SMALL, va="center_baseline")
    style.show_kernels(page, kernels, k, lefts, high, tile)


def chosen(members: pd.DataFrame, directed: bool) -> pd.DataFrame:
    """Choose the members of a row: identified ones first, and for derivatives every direction.

    Parameters
    ----------
    members
        Columns label, rank, direction, identified, weights.
    directed
        Whether they are put into the order of their directions.
    """
    if members.empty:
        return members
    order = members.assign(missed=~members["identified"].astype(bool))
    order = order.sort_values(["missed", "label", "rank"], kind="stable")
    order = order.assign(turn=order.groupby("label", observed=True).cumcount())
    by = ["missed", "turn", "rank"] if directed else ["missed", "rank"]
    order = order.sort_values(by, kind="stable").head(MEMBERS)
    if directed:
        labels = order["label"].astype(str)
        angle = labels.map(lambda label: float(style.direction_of(label).split("°")[0]))
        turn = 360.0 if labels.map(shape_of).iloc[0] == FIRST else 180.0
        direction = order["direction"].astype(float)
        beside = ((direction - angle + turn / 2) % turn - turn / 2).fillna(0)
        order = order.assign(bright=labels.str.endswith("-"), angle=angle, beside=beside)
        order = order.sort_values(["bright", "angle", "beside"], kind="stable")
    return order


def _members(page: Axes, row: Row, upper: float, k: int, members: pd.DataFrame) -> None:
    middle = upper + row.height / 2
    shown = chosen(members, row.directed)
    if shown.empty:
        page.text(
            MEMBER,
            middle,
            "no kernel of the trained networks",
            size=style.SMALL,
            color=style.FAINT,
            va="center_baseline",
        )
        return
    faint = None if row.shape == OTHER else (~shown["identified"].astype(bool)).tolist()
    lefts = [MEMBER + number * STEP for number in range(len(shown))]
    style.show_kernels(page, list(shown["weights"]), k, lefts, middle - TILE / 2, TILE, faint)


def _rest(page: Axes, rows: list[Row], counts: pd.DataFrame, total: int, place: float) -> None:
    """Count the kernels of the groups without a name that are not shown."""
    shown = [cluster for row in rows for cluster in row.clusters["cluster"]]
    rest = counts[~counts.index.isin(shown)]
    number = int(rest["kernels"].sum())
    if number:
        share = 100 * number / max(total, 1)
        text = (
            f"{style.count(len(rest), 'more group')} of kernels without a name: "
            f"{style.count(number, 'kernel')}, {share:.1f} %"
        )
        page.text(TEXT, place, text, size=style.SMALL, va="center_baseline")


def _bars(
    figure: Figure,
    page: Axes,
    top: float,
    rows: list[Row],
    edges: np.ndarray,
    shares: pd.DataFrame,
    networks: pd.DataFrame,
) -> None:
    """Draw a bar for each network in each row, or their mean and range if there are many."""
    values = [_shares(row, shares, networks) for row in rows]
    longest = max([1.0, *(float(value.max()) for value in values)])
    high = float(edges[-1] - edges[0])
    ax = style.axes_at(figure, BARS, top - edges[-1], BAR, high)
    ax.set(xlim=(0, longest), ylim=(edges[-1], edges[0]), yticks=[])
    ax.set_facecolor("none")
    trained = networks["trained"].to_numpy(dtype=bool)
    groups = [(mask, kind) for mask, kind in ((trained, True), (~trained, False)) if mask.any()]
    single = len(networks) <= THIN
    bars = len(networks) if single else len(groups)
    for row, upper, value in zip(rows, edges[:-1], values, strict=True):
        pitch = min((row.height - 0.07) / bars, 0.12)
        start = upper + (row.height - bars * pitch) / 2
        shown: np.ndarray = (
            value if single else np.array([value[mask].mean() for mask, _ in groups])
        )
        kinds = trained if single else np.array([kind for _, kind in groups])
        centres = start + (np.arange(bars) + 0.5) * pitch
        for kind in (True, False):
            places = centres[kinds == kind]
            ax.barh(places, shown[kinds == kind], height=0.84 * pitch, **_looks(kind))
        if not single:
            ends = [[value[mask].min(), value[mask].max()] for mask, _ in groups]
            lines = [[(a, y), (b, y)] for (a, b), y in zip(ends, centres, strict=True)]
            colours = [style.FAINT if kind else style.INK for kind in kinds]
            ranges = LineCollection(lines, colors=colours, linewidths=1.0, zorder=3)
            ax.add_collection(ranges, autolim=False)
        for mask, kind in groups:
            page.text(
                NUMBERS[0 if kind else 1],
                upper + row.height / 2,
                f"{value[mask].mean():.1f} %",
                size=style.SMALL,
                ha="right",
                va="center_baseline",
                color=style.INK if kind else "#6B6B6B",
            )
    ax.tick_params(axis="x", pad=1.5, length=2)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    style.despine(ax)


def _shares(row: Row, shares: pd.DataFrame, networks: pd.DataFrame) -> np.ndarray:
    """Return what percentage of each network's kernels is in the row."""
    here = shares[shares["cluster"].isin(row.clusters["cluster"])]
    column = "kernels" if row.shape == OTHER else "identified"
    found = here.groupby("model", observed=True)[column].sum()
    number = found.reindex(networks["model"], fill_value=0).to_numpy(dtype=float)
    return 100 * number / np.maximum(networks["kernels"].to_numpy(dtype=float), 1)

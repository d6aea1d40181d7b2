"""The kernels of one checkpoint, classified: shapes by layer, typical kernels with their fits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kernelatlas.clustering.labels import threshold
from kernelatlas.clustering.reasons import composition
from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style
from kernelatlas.names import FIRST, LABELS, SECOND, SHAPES, shape_of

PITCH, WIDEST = 0.15, 0.22  # inches from bar to bar, at least and at most
BARS = 3.4  # width of the stacked bars
NAMES = 1.9  # width of the names of layers
TEXT = 1.6  # width of the description of a shape
TILE = 0.44  # inches, side of a kernel's image
ACROSS = 0.74  # inches from kernel to kernel, with room for the text under each
DOWN = 0.86  # inches from shape to shape, with room for three lines
HEAD = 0.52  # inches over a block's bars
FOOT = 0.5


def draw(table: pd.DataFrame, typical: pd.DataFrame, description: Mapping[str, Any]) -> Figure:
    """Draw a block per kernel size.

    Parameters
    ----------
    table
        Columns layer, layer_index, channel, k, label, identified, reason, degenerate; with fits
        also r2, function, fit_agrees (bool or missing).
    typical
        Columns k, label, rank (from 0), weights, with fits also function, r2; may be empty.
    description
        name, and settings of the release: thresholds, seeds.
    """
    sizes = sorted(int(k) for k in table["k"].unique())
    shown = max([4, *(len(rows) for k in sizes for _, rows in _shapes(typical[typical["k"] == k]))])
    left = style.MARGIN + NAMES
    right = left + BARS + 0.55
    width = right + TEXT + shown * ACROSS + style.MARGIN
    depths = {k: _depth(table[table["k"] == k], typical[typical["k"] == k]) for k in sizes}
    legend = 0.55
    height = 0.4 + legend + sum(depths.values())
    figure = style.new_figure(
        width, height, f"{description['name']}: shapes of its depthwise kernels", fixed=True
    )
    counts = composition(table, ["k", "layer_index", "layer"])
    every = shares_by_shape(counts, ["k"])
    parts = [part for part in style.PARTS if every[part].any()]
    figure.legend(
        handles=style.part_handles(parts),
        loc="upper left",
        bbox_to_anchor=(style.MARGIN / width, 1 - 0.45 / height),
        borderaxespad=0,
        borderpad=0,
        ncols=-(-len(parts) // 2) if width < 11 else len(parts),
        columnspacing=1.2,
    )
    bottom = style.caption(figure, _caption(table, typical, description))
    top = bottom + sum(depths.values())
    for k in sizes:
        here = table[table["k"] == k]
        limit = threshold(k, description["settings"]["thresholds"])
        _heading(figure, here, k, limit, top, width)
        by_layer = shares_by_shape(counts[counts["k"] == k], ["layer_index", "layer"])
        _layers(figure, left, top, depths[k], every.loc[[k]], by_layer)
        _typical(figure, right, top, width, k, here, typical[typical["k"] == k])
        top -= depths[k]
    return figure


def _depth(table: pd.DataFrame, typical: pd.DataFrame) -> float:
    """Return the height of a block in inches."""
    bars = (table["layer"].nunique() + 1.5) * PITCH
    return HEAD + max(bars, len(_shapes(typical)) * DOWN, 0.5) + FOOT


def _shapes(typical: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the shapes that occur, and for each the kernels that are shown.

    Of a derivative that is the first kernel of each direction: of a second, + and then −.
    """
    shapes = typical["label"].astype(str).map(shape_of)
    found = []
    for shape in SHAPES:
        rows = typical[shapes == shape]
        if shape in (FIRST, SECOND):
            rows = rows[rows["rank"] == 0]
            bright = [str(label).endswith("-") for label in rows["label"]]
            place = [LABELS.index(label) for label in rows["label"]]
            rows = rows.iloc[np.lexsort((place, bright))]
        else:
            rows = rows.sort_values("rank", kind="stable")
        if len(rows):
            found.append((shape, rows))
    return found


def _caption(table: pd.DataFrame, typical: pd.DataFrame, description: Mapping[str, Any]) -> str:
    settings = description["settings"]
    seeds = f"seed{'s' if len(settings['seeds']) > 1 else ''} {style.listed(settings['seeds'])}"
    sizes = sorted(table["k"].unique())
    limits = pd.DataFrame({"k": sizes}).assign(
        threshold=[threshold(k, settings["thresholds"]) for k in sizes]
    )
    text = (
        f"{style.count(len(table), 'depthwise kernel')} of {style.sizes(sizes)}, of which "
        f"{int(table['degenerate'].sum()):,} are degenerate (without a shape), were named by a "
        f"release of Kernel Atlas, by vote of its autoencoders ({seeds}): what their curves draw "
        "for a kernel is averaged, and the mean has the name of the analytic template with the "
        "highest cosine. A kernel is identified if it has a name, most seeds give it this shape, "
        "and its dissimilarity (1 − cos) to the curves is below the threshold, "
        f"{style.thresholds(limits)}. Left: share of all kernels of the layer and size by the "
        "shape that they are identified as."
    )
    fitted = "function" in typical
    if len(typical):
        text += " Right: the identified kernels of each shape that are most like its prototype, "
        text += "so more regular than most"
        text += (
            ", with the analytic function that was selected for each and its R²" if fitted else ""
        )
        text += (
            "; of derivatives one for each direction (degrees anticlockwise from the right; +: a "
            "dark ridge, −: a bright one), with the number of kernels. "
        )
        if fitted:
            text += (
                "Fits agree if the selected function is named like the kernel; the share is of "
                "kernels where both have a name. "
            )
        text += "Kernels are centred: red is above the mean, blue below, each on its own scale."
    return text


def _heading(
    figure: Figure, table: pd.DataFrame, k: int, limit: float, top: float, width: float
) -> None:
    page = style.axes_at(figure, 0, top - HEAD, width, HEAD)
    page.set(xlim=(0, width), ylim=(HEAD, 0))  # inches, downwards
    page.axis("off")
    text = (
        f"{k}×{k} kernels · {style.count(len(table), 'kernel')} in "
        f"{style.count(table['layer'].nunique(), 'layer')}: "
        f"{100 * table['identified'].mean():.1f} % identified · threshold {limit:.2f}"
    )
    page.text(style.MARGIN, 0.22, text, size=style.NORMAL + 1.5, weight="bold", va="center")
    edges = [style.MARGIN, width - style.MARGIN]
    page.plot(edges, [0.38, 0.38], color="#DDDDDD", linewidth=0.6)


def _layers(
    figure: Figure,
    left: float,
    top: float,
    depth: float,
    every: pd.DataFrame,
    by_layer: pd.DataFrame,
) -> None:
    by_layer = by_layer.sort_index()
    rows = len(by_layer) + 1.5
    high = min(depth - HEAD - FOOT, rows * WIDEST)
    ax = style.axes_at(figure, left, top - HEAD - high, BARS, high)
    places = [0.0, *(np.arange(len(by_layer)) + 1.5).tolist()]
    style.stacked_bars(ax, places, pd.concat([every, by_layer]), horizontal=True)
    style.percent_axis(ax, "kernels of the layer, %")
    labels = [_from_the_end(str(name), NAMES - 0.1) for _, name in by_layer.index]
    ax.set_yticks(places, ["all layers", *labels])
    ax.set_ylim(rows - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, pad=3)
    ax.get_yticklabels()[0].set_fontweight("bold")
    style.despine(ax, left=True)


def _from_the_end(name: str, width: float) -> str:
    """Cut the name of a layer at its beginning: the names of layers differ at the end."""
    return style.shorten(name[::-1], width, style.SMALL)[::-1]


def _typical(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    k: int,
    table: pd.DataFrame,
    typical: pd.DataFrame,
) -> None:
    groups = _shapes(typical)
    depth = max(len(groups) * DOWN, 0.5)
    across = width - left
    page = style.axes_at(figure, left, top - HEAD - depth, across, depth)
    page.set(xlim=(0, across), ylim=(depth, 0))
    page.axis("off")
    if not groups:
        page.text(0, 0.1, "no kernel is identified", size=style.NORMAL, color=style.FAINT)
    table = table[table["identified"].astype(bool)].assign(all=len(table))
    shapes = table["label"].astype(str).map(shape_of)
    for index, (shape, kernels) in enumerate(groups):
        upper = index * DOWN
        _describe(page, shape, table[shapes == shape], upper)
        for place, row in enumerate(style.rows_of(kernels)):
            start = TEXT + place * ACROSS + (ACROSS - TILE) / 2
            number = int((table["label"] == row.label).sum())
            _kernel(page, row, k, start, upper, number)


def _describe(page: Axes, shape: str, rows: pd.DataFrame, upper: float) -> None:
    """Write how many kernels have a shape, and which functions fit them."""
    share = 100 * len(rows) / max(int(rows["all"].max()), 1)
    texts = [
        (shape, style.NORMAL, "bold"),
        (f"{style.count(len(rows), 'kernel')}, {share:.1f} %", style.SMALL, "normal"),
    ]
    function = rows["function"].mode() if "function" in rows else pd.Series()
    if len(function):
        common = 100 * (rows["function"] == function[0]).mean()
        # The commonest function, then how well the selected ones fit.
        texts += [
            (f"{common:.0f} % “{function[0]}”", style.SMALL, "normal"),
            (f"median R² {rows['r2'].median():.2f}", style.SMALL, "normal"),
        ]
        agreed = rows["fit_agrees"].dropna()
        if len(agreed):
            text = f"fits agree: {100 * agreed.astype(float).mean():.0f} %"
            texts.append((text, style.SMALL, "normal"))
    for line, (text, size, weight) in enumerate(texts):
        place = upper + DOWN / 2 - 0.05 + (line - (len(texts) - 1) / 2) * 0.125
        page.text(0.1, place, text, size=size, weight=weight, va="center_baseline")
    label = next(label for label in LABELS if shape_of(label) == shape)
    page.add_patch(
        Rectangle((0, upper), 0.06, TILE, facecolor=style.palette([label])[label], linewidth=0)
    )


def _kernel(page: Axes, row: Any, k: int, start: float, upper: float, number: int) -> None:
    """Show a kernel with its direction, if it has one, and the function that fits it."""
    centred = row.weights - np.mean(row.weights)
    style.show_kernel(page, centred, k, (start, start + TILE, upper + TILE, upper))
    texts = []
    direction = style.direction_of(row.label)
    if direction:
        texts.append(f"{direction}: {number:,}")
    if isinstance(getattr(row, "function", None), str):
        texts += [row.function, f"{row.r2:.2f}"]
    for line, text in enumerate(texts):
        page.text(
            start + TILE / 2,
            upper + TILE + 0.075 + 0.1 * line,
            text,
            size=style.SMALL - 0.5,
            ha="center",
            va="center_baseline",
        )

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

PITCH = 0.16  # inches from bar to bar
NAMES = 1.9  # inches, width of the names of layers
TEXT = 1.45  # inches, width of the description of a shape
TILE = 0.44  # inches, side of a kernel's image
ACROSS = 0.74  # inches from kernel to kernel, with room for the text under each
DOWN = 0.86  # inches from shape to shape, with room for three lines
HEAD, FOOT = 0.52, 0.5  # inches over and under what is shown of a size
ALL = 1.5  # places of the bar of all layers, and of the gap under it
WIDTH = style.SHORT


def draw(
    table: pd.DataFrame, typical: pd.DataFrame, description: Mapping[str, Any]
) -> list[Figure]:
    """Draw the shares of shapes by layer, then typical kernels: pages of each kernel size.

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
    counts = composition(table, ["k", "layer_index", "layer"])
    every = shares_by_shape(counts, ["k"])
    handles = style.part_handles([part for part in style.PARTS if every[part].any()])
    text = _caption(table, description)
    key = style.TITLE + style.legend_height(handles, WIDTH)
    room = style.LONG - key - style.caption_height(text, WIDTH) - HEAD - FOOT - ALL * PITCH
    pages: list[tuple[int, pd.DataFrame | None]] = []
    for k in sorted(int(k) for k in table["k"].unique()):
        by_layer = shares_by_shape(counts[counts["k"] == k], ["layer_index", "layer"]).sort_index()
        parts = style.split([PITCH] * len(by_layer), room)
        pages += [(k, by_layer.iloc[part]) for part in parts]
        if (typical["k"] == k).any():
            pages.append((k, None))
    figures = []
    for number, (k, layers) in enumerate(pages):
        title = f"{description['name']}: shapes of its depthwise kernels"
        title = style.numbered(title, number, len(pages))
        here, shown = table[table["k"] == k], typical[typical["k"] == k]
        limit = threshold(k, description["settings"]["thresholds"])
        if layers is None:
            depth = HEAD + len(_shapes(shown)) * DOWN
            figure = style.new_figure(WIDTH, style.TITLE + depth, title, fixed=True)
            top = style.caption(figure, _caption_of_kernels(shown)) + depth
            _typical(figure, top, k, here, shown)
        else:
            depth = HEAD + (len(layers) + ALL) * PITCH + FOOT
            figure = style.new_figure(WIDTH, key + depth, title, fixed=True)
            top = style.caption(figure, text) + depth
            style.legend_above(figure, handles)
            _layers(figure, top, every.loc[[k]], layers)
        _heading(figure, here, k, limit, top)
        figures.append(figure)
    return figures


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


def _caption(table: pd.DataFrame, description: Mapping[str, Any]) -> str:
    settings = description["settings"]
    seeds = f"seed{'s' if len(settings['seeds']) > 1 else ''} {style.listed(settings['seeds'])}"
    sizes = sorted(table["k"].unique())
    limits = pd.DataFrame({"k": sizes}).assign(
        threshold=[threshold(k, settings["thresholds"]) for k in sizes]
    )
    return (
        f"{style.count(len(table), 'depthwise kernel')} of {style.sizes(sizes)}, of which "
        f"{int(table['degenerate'].sum()):,} are degenerate (without a shape), were named by a "
        f"release of Kernel Atlas, by vote of its autoencoders ({seeds}): what their curves draw "
        "for a kernel is averaged, and the mean has the name of the analytic template with the "
        "highest cosine. A kernel is identified if it has a name, most seeds give it this shape, "
        "and its dissimilarity (1 − cos) to the curves is below the threshold, "
        f"{style.thresholds(limits)}. Bars: share of all kernels of the layer and size by the "
        "shape that they are identified as." + style.WHY
    )


def _caption_of_kernels(typical: pd.DataFrame) -> str:
    fitted = "function" in typical
    fits = ", with the analytic function that was selected for each and its R²" if fitted else ""
    agree = (
        "Fits agree if the selected function is named like the kernel; the share is of kernels "
        "where both have a name. "
    )
    return (
        "The identified kernels of each shape that are most like its prototype, so more regular "
        f"than most{fits}; of derivatives one for each direction (degrees anticlockwise from the "
        "right; +: a dark ridge, −: a bright one), with the number of kernels. "
        f"{agree if fitted else ''}Kernels are centred: red is above the mean, blue below, each on "
        "its own scale."
    )


def _heading(figure: Figure, table: pd.DataFrame, k: int, limit: float, top: float) -> None:
    page = style.axes_at(figure, 0, top - HEAD, WIDTH, HEAD)
    page.set(xlim=(0, WIDTH), ylim=(HEAD, 0))  # inches, downwards
    page.axis("off")
    share = 100 * table["identified"].mean()
    text = (
        f"{k}×{k} kernels · {style.count(len(table), 'kernel')} in "
        f"{style.count(table['layer'].nunique(), 'layer')}: "
        f"{f'{share:.1f} % identified' if share else 'no kernel is identified'} · "
        f"threshold {limit:.2f}"
    )
    page.text(style.MARGIN, 0.22, text, size=style.NORMAL + 1.5, weight="bold", va="center")
    edges = [style.MARGIN, WIDTH - style.MARGIN]
    page.plot(edges, [0.38, 0.38], color="#DDDDDD", linewidth=0.6)


def _layers(figure: Figure, top: float, every: pd.DataFrame, by_layer: pd.DataFrame) -> None:
    rows = len(by_layer) + ALL
    high, left = rows * PITCH, style.MARGIN + NAMES
    ax = style.axes_at(figure, left, top - HEAD - high, WIDTH - left - 2 * style.MARGIN, high)
    places = [0.0, *(np.arange(len(by_layer)) + ALL).tolist()]
    style.stacked_bars(ax, places, pd.concat([every, by_layer]), horizontal=True)
    style.percent_axis(ax, "kernels of the layer, %")
    names = style.distinct([str(name) for _, name in by_layer.index], NAMES - 0.1, style.SMALL)
    ax.set_yticks(places, ["all layers", *names])
    ax.set_ylim(rows - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, pad=3)
    ax.get_yticklabels()[0].set_fontweight("bold")
    style.despine(ax, left=True)


def _typical(
    figure: Figure, top: float, k: int, table: pd.DataFrame, typical: pd.DataFrame
) -> None:
    groups = _shapes(typical)
    depth = len(groups) * DOWN
    across = WIDTH - 2 * style.MARGIN
    page = style.axes_at(figure, style.MARGIN, top - HEAD - depth, across, depth)
    page.set(xlim=(0, across), ylim=(depth, 0))
    page.axis("off")
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

"""Heat map of the divergences between the kernels of models and of families."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from kernelatlas.figures import style

MOST = 36  # maximal number of sets; of more, only the first of each family is shown
CELL, BAR, GAP, LEAST, TOP = 0.42, 0.16, 0.14, 1.2, 0.5  # inches
LEGIBLE, NAMES = 0.28, 1.7  # inches: smallest cell with a number; names of sets, at most
COLOURS = sns.color_palette("mako_r", as_cmap=True)


def draw(distances: pd.DataFrame, k: int) -> Figure:
    """Draw the divergence of each pair of sets, and on the diagonal the noise floor of each set.

    Parameters
    ----------
    distances
        As `kernelatlas.tables.distances.distance_table` returns it.
    """
    sets = distances[distances["set_a"] == distances["set_b"]]
    everything = len(sets)
    if everything > MOST:
        sets = sets.drop_duplicates("family_a")
    names = sets["set_a"].tolist()
    n, number = len(names), {name: place for place, name in enumerate(names)}
    matrix = np.zeros((n, n))
    shown_pairs = distances[distances["set_a"].isin(names) & distances["set_b"].isin(names)]
    for row in style.rows_of(shown_pairs[["set_a", "set_b", "divergence", "floor"]]):
        a, b = number[row.set_a], number[row.set_b]
        matrix[a, b] = matrix[b, a] = row.floor if a == b else row.divergence

    text = _caption(k, n < everything)
    shown = style.distinct(names, NAMES, style.SMALL)
    texts = [f"{name}  ({n_a:,})" for name, n_a in zip(shown, sets["n_a"], strict=True)]
    words = max(style.text_width(text, style.SMALL) for text in texts) + 0.1
    below = max(style.text_width(name, style.SMALL) for name in shown) + 0.1
    room = style.SHORT - TOP - below - 0.1 - style.caption_height(text, style.LONG)
    side = min(CELL * n, room, style.LONG - 2 * style.MARGIN - words - GAP - BAR - 1.0)
    high = min(max(side, LEAST), 2.0)
    width = max(style.MARGIN + words + side + GAP + BAR + 1.0, 6.5 if n < 10 else style.LONG)
    height = TOP + max(side + below, high) + 0.1
    title = f"Distances between sets of {k}×{k} kernels"
    figure = style.new_figure(width, height, title, fixed=True)
    bottom = style.caption(figure, text)
    top = bottom + height - TOP
    ax = style.axes_at(figure, style.MARGIN + words, top - side, side, side)
    low = max(float(np.diag(matrix).min()), 1e-4)
    norm = LogNorm(low, max(float(matrix.max()), 10 * low), clip=True)
    image = ax.imshow(matrix, cmap=COLOURS, norm=norm, aspect="auto")
    if side / n >= LEGIBLE:
        _numbers(ax, matrix, norm)
    _frames(ax, sets["family_a"].tolist(), side / n)
    size = min(style.SMALL, 0.9 * 72 * side / n)
    ax.set_xticks(range(n), shown, rotation=90, size=size)
    ax.set_yticks(range(n), texts, size=size)
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for label, trained in zip(labels, sets["trained_a"], strict=True):
            label.set_color(style.INK if trained else style.FAINT)
    ax.tick_params(length=0, pad=3)
    scale = style.axes_at(figure, style.MARGIN + words + side + GAP, top - high, BAR, high)
    bar = figure.colorbar(image, cax=scale)
    bar.set_label("divergence, nats")
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("")
    return figure


def _numbers(ax: Axes, matrix: np.ndarray, norm: LogNorm) -> None:
    for (a, b), value in np.ndenumerate(matrix):
        dark = norm(value) > 0.45
        ax.text(
            b,
            a,
            f"{value:.1g}" if value < 0.095 else f"{value:.2f}" if value < 10 else f"{value:.0f}",
            ha="center",
            va="center_baseline",
            size=style.SMALL,
            color="white" if dark else style.INK,
            style="italic" if a == b else "normal",
        )


def _frames(ax: Axes, families: Sequence[str], cell: float) -> None:
    """Draw white lines between families; `cell` is the side of a set's cell in inches."""
    wide = min(2.5, 0.15 * 72 * cell)
    for place in range(1, len(families)):
        if families[place] != families[place - 1]:
            ax.axhline(place - 0.5, color="white", linewidth=wide)
            ax.axvline(place - 0.5, color="white", linewidth=wide)


def _caption(k: int, cut: bool) -> str:
    return (
        f"Symmetric Kullback–Leibler divergence between the {k}×{k} kernels of two sets (their "
        "numbers in brackets; normalised, degenerate ones left out): in each principal "
        "coordinate of the trained models' kernels between histograms of 70 bins, half a kernel "
        "added to each, then summed with the explained variance ratios as weights (Gavrikov & "
        "Keuper, CVPR 2022). On the diagonal: what two samples of this size from the "
        "set's own distribution come to on average; values near it say nothing, and a family and "
        "its members share kernels. The colours are logarithmic; untrained controls are grey."
        + (" Only one set of each family is shown; the table has all." if cut else "")
    )

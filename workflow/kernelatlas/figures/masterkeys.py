"""Master keys beside the eight idealised filters, and the kernels that each set explains."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from kernelatlas.figures import style
from kernelatlas.figures._masterkeys_models import (
    PARTNERS,
    models_caption,
    models_on_pages,
    models_page,
)

ACROSS = 8  # keys in a row
LEFT, WIDTH, RIGHT = 0.6, 8.65, 1.25  # inches
HEAD, ROW, IMAGE = 0.5, 2.4, 0.8  # inches
CURVES, GAP, AXIS = 1.95, 0.45, 0.4  # inches
SOURCES: dict[str, dict[str, Any]] = {
    "curve": {"color": "#333333", "linestyle": "-"},
    "k-means": {"color": "#009E73", "linestyle": "--"},
    "random": {"color": "#9A9A9A", "linestyle": "-."},
}
CHOSEN: dict[str, Any] = {"color": style.FAINT, "linewidth": 0.6, "linestyle": (0, (4, 2))}
SECOND = {"linestyle": (0, (1, 1))}  # of the second round on the curve
BOUNDS = {"share_r2_50": "0.5", "share_r2_70": "0.7", "share_r2_80": "0.8", "share_r2_90": "0.9"}


def draw(search: pd.DataFrame, filters: pd.DataFrame, models: pd.DataFrame, k: int) -> list[Figure]:
    """Draw the keys over the idealised filters matched to them and the search; then the models.

    Parameters
    ----------
    search
        Columns source, filters, mean_r2 and `BOUNDS` (in [0, 1]).
    filters
        Columns filters (the set), name, share, mean_r2, matched, matched_cosine, nearest_cosine,
        nearest_refitted_cosine, weights; master keys and idealised are among the sets.
    models
        Columns family, model, trained, filters (the set), number, kernels, mean_r2, share_r2_80,
        low and high.
    k
        Size of the kernels.
    """
    keys = filters[filters["filters"] == "master keys"]
    partners = filters[filters["filters"] == PARTNERS].set_index("name")["weights"]
    texts = _captions(keys, models, k)
    blocks = _blocks(keys)
    found = models_on_pages(models, style.SHORT - style.caption_height(texts[1], style.LONG))
    pages = len(blocks) + len(found)
    title = f"Master keys of {k}×{k} kernels"
    figures = []
    for number, rows in enumerate(blocks):
        last = number == len(blocks) - 1
        height = HEAD + len(rows) * ROW + (GAP + CURVES + AXIS if last else 0)
        heading = style.numbered(title, number, pages)
        figure = style.new_figure(style.LONG, height, heading, fixed=True)
        bottom = style.caption(figure, texts[0])
        for line, row in enumerate(rows):
            for place, key in enumerate(style.rows_of(keys[row * ACROSS : (row + 1) * ACROSS])):
                left = LEFT + place * WIDTH / ACROSS
                _key(figure, key, partners, k, left, bottom + height - HEAD - line * ROW)
        if last:
            lower, half = bottom + AXIS, (WIDTH - 0.8) / 2
            means = style.axes_at(figure, LEFT, lower, half, CURVES)
            shares = style.axes_at(figure, LEFT + half + 0.8, lower, half, CURVES)
            _search(means, shares, search, len(keys))
            handles = [Line2D([], [], label=source, **looks) for source, looks in SOURCES.items()]
            handles.insert(1, Line2D([], [], label="second round", **SOURCES["curve"] | SECOND))
            handles.append(Line2D([], [], label="keys", **CHOSEN))
            _legend(figure, handles, "search from", lower + CURVES)
        figures.append(figure)
    for number, names in enumerate(found, len(blocks)):
        heading = style.numbered(title, number, pages)
        figures.append(models_page(models, names, heading, texts[1]))
    return figures


def _blocks(keys: pd.DataFrame) -> list[list[int]]:
    """Put the rows of keys on pages: two on each, but one on the last, beside the curves."""
    rows = list(range(-(-len(keys) // ACROSS)))
    return [*(rows[start : min(start + 2, len(rows) - 1)] for start in range(0, len(rows) - 1, 2)),
            rows[-1:]]  # fmt: skip


def _captions(keys: pd.DataFrame, models: pd.DataFrame, k: int) -> tuple[str, str]:
    """Return the caption of the keys, and that of the models."""
    kernels = models.drop_duplicates("model").query("trained")["kernels"].sum()
    first = (
        f"Each of the {style.count(int(kernels), 'kernel')} of {k}×{k} of the trained networks is "
        "replaced by its best a·f + b, with f from a set of filters, centred and of unit norm, and "
        f"a of either sign. Above: the {len(keys)} master keys, those left of kernels sampled on "
        "the decoded curve after removing, one by one, the filter whose removal lowers R² least; "
        "the share of kernels that each explains best, and their mean R². Below each the idealised "
        "filter of arXiv 2509.12746 that is paired with it (one to one, for the greatest sum of "
        "|cos|), at its published scale D2, and the |cos| to the nearest of the eight, at these "
        "and at refitted scales. Curves: mean R² over kernels against the number of filters left, "
        "of the first round and of the second, which adds samples about the best of the first, "
        "beside one round among k-means centroids and among random filters; right, the share of "
        "kernels with R² above a threshold."
    )
    return first, models_caption(models)


def _key(figure: Figure, key: Any, partners: pd.Series, k: int, left: float, upper: float) -> None:
    """Show a key and the filter matched to it, from `upper` inches downwards."""
    width, height = figure.get_size_inches()
    middle = left + IMAGE / 2

    def text(down: float, words: str, **options: Any) -> None:
        figure.text(
            middle / width, (upper - down) / height, words, ha="center", va="top", **options
        )

    text(0.0, f"{100 * key.share:.1f} %", weight="bold")
    text(0.16, f"R² {key.mean_r2:.2f}", size=style.SMALL)
    show = style.axes_at(figure, left, upper - 0.34 - IMAGE, IMAGE, IMAGE)
    style.show_kernel(show, key.weights, k)
    if isinstance(key.matched, str):
        text(0.43 + IMAGE, f"{key.matched}   {key.matched_cosine:.2f}", size=style.SMALL)
        show = style.axes_at(figure, left, upper - 0.6 - 2 * IMAGE, IMAGE, IMAGE)
        style.show_kernel(show, partners[key.matched], k)
    near, refitted = key.nearest_cosine, key.nearest_refitted_cosine
    text(0.68 + 2 * IMAGE, f"nearest {near:.2f}, {refitted:.2f}", size=style.SMALL)


def _search(means: Axes, shares: Axes, search: pd.DataFrame, keys: int) -> None:
    for (source, number), rows in search.groupby(["source", "round"]):
        looks = SOURCES[str(source)] | (SECOND if number == 2 else {})
        means.plot(rows["filters"], rows["mean_r2"], linewidth=1.1, **looks)
    rounds = search[search["source"] == "curve"].groupby("round")
    for number, rows in rounds:
        looks = SOURCES["curve"] | (SECOND if number == 2 else {})
        for column in BOUNDS:
            shares.plot(rows["filters"], 100 * rows[column], linewidth=1.1, **looks)
    rows = rounds.get_group(1)
    last = rows["filters"].max()
    ends = rows.loc[rows["filters"] == last, list(BOUNDS)].iloc[0].sort_values()
    for column, place in zip(ends.index, style.spread(ends.to_numpy(), 0.055), strict=True):
        shares.annotate(
            BOUNDS[str(column)],
            (last, 100 * place),
            (4, 0),
            textcoords="offset points",
            va="center",
            size=style.SMALL,
        )
    means.set(title="mean R²", ylim=(0, 1))
    shares.set(title="kernels with R² of at least …, %", ylim=(0, 100))
    ticks = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256) if n < 0.75 * last]
    for ax in (means, shares):
        ax.axvline(keys, **CHOSEN)
        ax.set(xscale="log", xlabel="number of filters")
        ax.xaxis.set_major_locator(FixedLocator([*ticks, last]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
        style.despine(ax)


def _legend(figure: Figure, handles: list[Line2D], title: str, upper: float) -> None:
    width, height = figure.get_size_inches()
    place = ((LEFT + WIDTH + 0.15) / width, (upper + 0.05) / height)
    figure.legend(
        handles=handles, title=title, alignment="left", loc="upper left", bbox_to_anchor=place
    )

"""Master keys beside the eight idealised filters, and the kernels that each set explains."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from kernelatlas.figures import style
from kernelatlas.figures.style import spread

ACROSS = 8  # keys in a row
LEFT, WIDTH, RIGHT = 0.65, 10.0, 1.75  # inches
HEAD, ROW, IMAGE = 0.5, 2.65, 0.9  # inches
CURVES, GAP, AXIS = 2.4, 0.7, 0.4  # inches
PITCH = 0.2  # inches from model to model
# Colours after Okabe and Ito; lines and markers distinguish the sets without colours.
SETS: dict[str, dict[str, Any]] = {
    "master keys": {"color": "#333333", "marker": "o"},
    "prototypes": {"color": "#0072B2", "marker": "^"},
    "published": {"color": "#CC79A7", "marker": "P"},
    "idealised D2": {"color": "#D55E00", "marker": "D"},
    "idealised, refitted": {"color": "#E69F00", "marker": "s"},
    "random": {"color": "#9A9A9A", "marker": "v"},
}
PARTNERS = "idealised D2"  # the set that keys are matched with, of the six published ones
SOURCES: dict[str, dict[str, Any]] = {
    "curve": {"color": "#333333", "linestyle": "-"},
    "k-means": {"color": "#009E73", "linestyle": "--"},
    "random": {"color": "#9A9A9A", "linestyle": "-."},
}
SECOND = {"linestyle": (0, (1, 1))}  # of the second round on the curve
BOUNDS = {"share_r2_50": "0.5", "share_r2_70": "0.7", "share_r2_80": "0.8", "share_r2_90": "0.9"}
SHOWN = "share_r2_80"  # the column that is drawn of each network


def draw(search: pd.DataFrame, filters: pd.DataFrame, models: pd.DataFrame, k: int) -> Figure:
    """Draw the keys over the idealised filters matched to them, the search, and the models.

    Parameters
    ----------
    search
        Columns source, filters, mean_r2 and `BOUNDS` (in [0, 1]).
    filters
        Columns filters (the set), name, share, mean_r2, matched, matched_cosine, nearest_cosine,
        nearest_refitted_cosine, weights; master keys and idealised are among the sets.
    models
        Columns family, model, trained, filters (the set), number, kernels, mean_r2 and `SHOWN`.
    k
        Size of the kernels.
    """
    keys = filters[filters["filters"] == "master keys"]
    partners = filters[filters["filters"] == PARTNERS].set_index("name")["weights"]
    rows = -(-len(keys) // ACROSS)
    names = models[["family", "model", "trained"]].drop_duplicates()
    names = names.sort_values(["family", "trained"], ascending=[True, False], kind="stable")
    bars = PITCH * max(len(names), 3)
    height = HEAD + rows * ROW + GAP + CURVES + GAP + bars + AXIS
    across = LEFT + WIDTH + RIGHT
    figure = style.new_figure(across, height, f"Master keys of {k}×{k} kernels", fixed=True)
    bottom = style.caption(figure, _caption(keys, models, k))
    height += bottom
    for place, key in enumerate(style.rows_of(keys)):
        left = LEFT + (place % ACROSS) * WIDTH / ACROSS
        _key(figure, key, partners, k, left, height - HEAD - (place // ACROSS) * ROW)

    lower = bottom + AXIS + bars + GAP
    half = (WIDTH - 0.8) / 2
    means = style.axes_at(figure, LEFT, lower, half, CURVES)
    shares = style.axes_at(figure, LEFT + half + 0.8, lower, half, CURVES)
    _search(means, shares, search, len(keys))
    handles = [Line2D([], [], label=source, **looks) for source, looks in SOURCES.items()]
    handles.insert(1, Line2D([], [], label="second round", **SOURCES["curve"] | SECOND))
    _legend(figure, handles, "search from", lower + CURVES)

    labels = max(style.text_width(str(name), style.SMALL) for name in names["model"])
    indent = max(labels + 0.2 - LEFT, 0.0)
    wide = (WIDTH - indent - 0.4) / 2
    mean, share = (
        style.axes_at(figure, LEFT + indent + column * (wide + 0.4), bottom + AXIS, wide, bars)
        for column in range(2)
    )
    _models(mean, models, names, "mean_r2")
    mean.set(title="mean R²", xlim=(0, 1), xlabel="of the kernels of the network")
    _models(share, models, names, SHOWN)
    share.set_title(f"kernels with R² ≥ {BOUNDS[SHOWN]}")
    style.percent_axis(share, "kernels of the network, %")
    share.tick_params(axis="y", labelleft=False)
    _legend(figure, _handles(models), "filters", bottom + AXIS + bars)
    return figure


def _caption(keys: pd.DataFrame, models: pd.DataFrame, k: int) -> str:
    kernels = models.drop_duplicates("model").query("trained")["kernels"].sum()
    return (
        f"Each of the {style.count(int(kernels), 'kernel')} of {k}×{k} of the trained networks is "
        "replaced by its best a·f + b, with f from a set of filters, centred and of unit norm, and "
        f"a of either sign. Above: the {len(keys)} master keys, those left of kernels sampled on "
        "the decoded curve after removing, one by one, the filter whose removal lowers R² least; "
        "the share of kernels that each explains best, and their mean R². Below each the idealised "
        "filter of arXiv 2509.12746 that is paired with it (one to one, for the greatest sum of "
        "|cos|), at its published scale D2, and the |cos| to the nearest of the eight, at these "
        "and at refitted scales. Middle: mean R² over kernels against the number of filters left, "
        "of the first round and of the second, which adds samples about the best of the first, "
        "beside one round among k-means centroids and among random filters; right, the share of "
        "kernels with R² above a threshold. Below: network by network; hollow markers are "
        "untrained controls. Orange bars: all six published sets of scales. Refitted: the same "
        "filters at the scales best for these kernels; random: mean of several sets of white "
        "noise, as many filters as there are keys."
    )


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
    for column, place in zip(ends.index, spread(ends.to_numpy(), 0.055), strict=True):
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
        ax.axvline(keys, color=style.FAINT, linewidth=0.6, linestyle=(0, (4, 2)))
        ax.set(xscale="log", xlabel="number of filters")
        ax.xaxis.set_major_locator(FixedLocator([*ticks, last]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
        style.despine(ax)


def _models(ax: Axes, models: pd.DataFrame, names: pd.DataFrame, column: str) -> None:
    places = dict(zip(names["model"], range(len(names)), strict=True))
    scale = 100 if column in BOUNDS else 1
    published = models[models["filters"].str.startswith("idealised ")].groupby("model")[column]
    ax.hlines(
        [places[model] for model in published.groups],
        scale * published.min(),
        scale * published.max(),
        color=SETS[PARTNERS]["color"],
        linewidth=2.5,
        alpha=0.5,
    )
    for name, looks in SETS.items():
        for trained, rows in models[models["filters"] == name].groupby("trained"):
            ax.plot(
                rows[column] * scale,
                rows["model"].map(places),
                linestyle="",
                markersize=4,
                markerfacecolor=looks["color"] if trained else "none",
                markeredgewidth=0.8,
                clip_on=False,
                zorder=3,
                **looks,
            )
    ax.set_yticks(list(places.values()), [str(name) for name in places])
    ax.set_ylim(max(len(names), 3) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax)


def _handles(models: pd.DataFrame) -> list[Line2D]:
    numbers = models.groupby("filters")["number"].first()
    return [
        Line2D([], [], linestyle="", markersize=4, label=f"{name} ({numbers[name]})", **looks)
        for name, looks in SETS.items()
        if name in numbers
    ]


def _legend(figure: Figure, handles: list[Line2D], title: str, upper: float) -> None:
    width, height = figure.get_size_inches()
    place = ((LEFT + WIDTH + 0.15) / width, (upper + 0.05) / height)
    figure.legend(
        handles=handles, title=title, alignment="left", loc="upper left", bbox_to_anchor=place
    )

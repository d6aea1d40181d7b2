"""What sets of filters explain of each network: pages of the figure of the master keys."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style

PITCH = 0.22  # inches from model to model
HEAD, FOOT = 0.3, 0.45  # inches over and under the markers
LEFT, GAP, NAMES = style.MARGIN, 0.35, 2.3
PARTNERS = "idealised D2"  # the set that keys are matched with, of the six published ones
# Colours after Okabe and Ito; lines and markers distinguish the sets without colours.
SETS: dict[str, dict[str, Any]] = {
    "master keys": {"color": "#333333", "marker": "o"},
    "prototypes": {"color": "#0072B2", "marker": "^"},
    "published": {"color": "#CC79A7", "marker": "P"},
    PARTNERS: {"color": "#D55E00", "marker": "D"},
    "idealised, refitted": {"color": "#E69F00", "marker": "s"},
    "random": {"color": "#9A9A9A", "marker": "v"},
}
SHOWN, BOUND = "share_r2_80", "0.8"  # the column that is drawn of each network


def models_on_pages(models: pd.DataFrame, room: float) -> list[pd.DataFrame]:
    """Return the rows of each page: trained networks, and the controls of a family as one.

    Parameters
    ----------
    models
        Columns family, model, trained, filters (the set), number, kernels, mean_r2, `SHOWN`, low
        and high.
    room
        Inches for a page without its caption.
    """
    controls = models[~models["trained"]]
    number = controls.groupby("family")["model"].nunique()
    means = {"kernels": "sum", "mean_r2": "mean", SHOWN: "mean", "low": "min", "high": "max"}
    together = controls.groupby(["family", "filters", "number"], sort=False).agg(means)
    together = together.reset_index().assign(trained=False)
    together["model"] = [
        f"{family}: {style.count(number[str(family)], 'untrained control')}"
        for family in together["family"]
    ]
    rows = pd.concat([models[models["trained"]], together])
    rows = rows.sort_values(["family", "trained"], ascending=[True, False], kind="stable")
    names = list(dict.fromkeys(rows["model"]))
    key = style.TITLE + style.legend_height(_handles(models), style.LONG)
    pages = style.split([PITCH] * len(names), room - key - HEAD - FOOT)
    return [rows[rows["model"].isin([names[index] for index in page])] for page in pages]


def models_page(models: pd.DataFrame, rows: pd.DataFrame, title: str, text: str) -> Figure:
    """Draw mean R² and the share of kernels with much of it, network by network."""
    names = list(dict.fromkeys(rows["model"]))
    shown = style.distinct(names, NAMES, style.SMALL)
    words = max(style.text_width(name, style.SMALL) for name in shown) + 0.1
    handles = _handles(models)
    high = PITCH * max(len(names), 3)
    height = style.TITLE + style.legend_height(handles, style.LONG) + HEAD + high + FOOT
    figure = style.new_figure(style.LONG, height, title, fixed=True)
    low = style.caption(figure, text) + FOOT
    style.legend_above(figure, handles)
    wide = (style.LONG - LEFT - words - 2 * style.MARGIN - GAP) / 2
    mean, share = (
        style.axes_at(figure, LEFT + words + column * (wide + GAP), low, wide, high)
        for column in range(2)
    )
    for ax, column in ((mean, "mean_r2"), (share, SHOWN)):
        _markers(ax, rows, names, column)
        ax.set_yticks(range(len(names)), shown)
    mean.set(title="mean R²", xlim=(0, 1), xlabel="of the kernels of the network")
    share.set_title(f"kernels with R² ≥ {BOUND}")
    style.percent_axis(share, "kernels of the network, %")
    share.tick_params(axis="y", labelleft=False)
    return figure


def models_caption(models: pd.DataFrame) -> str:
    """Return the caption of these pages."""
    seeds = " Random: mean of several sets of white noise, as many filters as there are keys."
    return (
        "How well the best a·f + b of each kernel describes it, with f from a set of filters, "
        "network by network; right, the share of all kernels of which it explains at least "
        f"{BOUND} of the variance, with 95 % intervals over the network's layers (none for a "
        f"single layer, and no share of fewer than {style.FEW} kernels). Hollow markers: the "
        "untrained controls of a family together, mean and range. Orange bars: all six published "
        "sets of scales of the idealised filters of arXiv 2509.12746. Refitted: the same filters "
        "at the scales best for these kernels."
    ) + (seeds if (models["filters"] == "random").any() else "")


def _markers(ax: Axes, models: pd.DataFrame, names: list[str], column: str) -> None:
    places = {name: place for place, name in enumerate(names)}
    if column == SHOWN:
        models = models[models["kernels"] >= style.FEW]
    scale = 100 if column == SHOWN else 1
    published = models[models["filters"].str.startswith("idealised ")].groupby("model")[column]
    ax.hlines(
        [places[str(model)] for model in published.groups],
        scale * published.min(),
        scale * published.max(),
        color=SETS[PARTNERS]["color"],
        linewidth=2.5,
        alpha=0.5,
    )
    present = [name for name in SETS if (models["filters"] == name).any()]
    for number, name in enumerate(present):
        looks = SETS[name]
        # Intervals beside each other.
        moved = (number - (len(present) - 1) / 2) * 0.13
        for trained, rows in models[models["filters"] == name].groupby("trained"):
            at = rows["model"].map(places) + moved
            if column == SHOWN:
                ax.hlines(at, scale * rows["low"], scale * rows["high"], color=looks["color"],
                          linewidth=0.7)  # fmt: skip
            ax.plot(
                rows[column] * scale,
                at,
                linestyle="",
                markersize=3.5,
                markerfacecolor=looks["color"] if trained else "white",
                markeredgewidth=0.8,
                clip_on=False,
                zorder=3,
                **looks,
            )
    ax.set_ylim(max(len(names), 3) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, color=style.GRID, linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax)


def _handles(models: pd.DataFrame) -> list[Line2D]:
    numbers = models.groupby("filters")["number"].first()
    marks: dict[str, Any] = {"linestyle": "", "markersize": 4}
    handles = [
        Line2D([], [], label=f"{name} ({numbers[name]})", **marks, **looks)
        for name, looks in SETS.items()
        if name in numbers
    ]
    if models["filters"].str.startswith("idealised ").any():
        bar: dict[str, Any] = {"color": SETS[PARTNERS]["color"], "linewidth": 2.5, "alpha": 0.5}
        handles.append(Line2D([], [], label="idealised, all scales", **bar))
    if not models["trained"].all():
        hollow: dict[str, Any] = {"color": style.INK, "marker": "o", "markerfacecolor": "white"}
        handles.append(Line2D([], [], label="hollow: untrained controls", **marks, **hollow))
    return [*handles, Line2D([], [], label="95 % interval", color=style.INK, linewidth=0.7)]

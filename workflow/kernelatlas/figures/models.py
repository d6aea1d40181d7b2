"""All networks of the zoo, trained ones above the untrained controls of their family."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.clustering.reasons import COUNTS
from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style

PITCH = 0.19  # inches from bar to bar
HEAD, FOOT = 0.3, 0.5  # inches over and under the bars of a size
NAMES, BARS, NUMBERS, SHAPES = 1.95, 1.75, 1.15, 2.3  # inches across
ROWS = 30  # of a family, at most, on a page
WHISKER: dict[str, Any] = {"color": "#D55E00", "linewidth": 1.0}
MEAN = ("kernels", "degenerate", "identified")


def draw(
    models: pd.DataFrame,
    composition: pd.DataFrame,
    left_out: pd.DataFrame | None = None,
    seed: int | None = None,
) -> list[Figure]:
    """Draw the share identified and the shapes of each network, a block per kernel size.

    The untrained controls of a family are one row, all their kernels together.

    Parameters
    ----------
    models
        Columns family, model, trained, k, kernels, degenerate, identified, share_identified,
        low and high (in [0, 1]), threshold.
    composition
        Columns model, k, label, kernels, identified; any number of rows per network.
    left_out
        Column model: networks of the zoo that could not be read.
    seed
        First of those whose vote labels are; None keeps the vote out of the caption.
    """
    rows, shares = _rows(models), _shares(models, composition)
    groups = [
        group.iloc[start : start + ROWS]
        for _, group in rows.groupby(["k", "family"], sort=False)
        for start in range(0, len(group), ROWS)
    ]
    parts = [part for part in style.PARTS if shares[part].any()]
    handles = [
        *style.trained_handles(bool(models["trained"].any()), not models["trained"].all()),
        Line2D([], [], label="95 % interval", **WHISKER),
        *style.part_handles(parts),
    ]
    missing = [] if left_out is None else left_out["model"].tolist()
    text = _caption(models, missing, seed)
    key = style.TITLE + style.legend_height(handles, style.SHORT)
    room = style.LONG - key - style.caption_height(text, style.SHORT)
    heights = [_height(group, True) for group in groups]
    pages = style.split(heights, room)
    figures = []
    for number, page in enumerate(pages):
        shown = [groups[index] for index in page]
        title = style.numbered("Kernels identified and their shapes", number, len(pages))
        high = sum(_height(g, _first(shown, n)) for n, g in enumerate(shown))
        figure = style.new_figure(style.SHORT, key + high, title, fixed=True)
        top = style.caption(figure, text) + high
        style.legend_above(figure, handles)
        for k, blocks in pd.concat(shown).groupby("k", sort=False):
            top -= _block(figure, top, int(str(k)), blocks, shares)
        figures.append(figure)
    return figures


def _first(groups: Sequence[pd.DataFrame], number: int) -> bool:
    """Tell whether a group is the first of its kernel size on a page."""
    return number == 0 or groups[number]["k"].iloc[0] != groups[number - 1]["k"].iloc[0]


def _height(group: pd.DataFrame, first: bool) -> float:
    return PITCH * (len(group) + 1.15) + (HEAD + FOOT if first else 0.0)


def _rows(models: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each trained network, then one for the controls of each family and size."""
    found = []
    for (k, family), group in models.groupby(["k", "family"], sort=True):
        controls = group[~group["trained"]]
        found.append(group[group["trained"]].assign(name=group["model"]))
        if len(controls):
            row: dict[str, Any] = {name: controls[name].sum() for name in MEAN}
            row["share_identified"] = row["identified"] / row["kernels"]
            row |= {"low": controls["low"].min(), "high": controls["high"].max()}
            name = style.count(len(controls), "untrained control")
            known = {"k": k, "family": family, "trained": False, "model": "", "name": name}
            found.append(pd.DataFrame([{**known, **row}]))
    return pd.concat(found, ignore_index=True)


def _shares(models: pd.DataFrame, composition: pd.DataFrame) -> pd.DataFrame:
    """Return the percentages of `PARTS` by k, family and model; of controls together, without."""
    known = models[["model", "k", "family", "trained"]].drop_duplicates(["model", "k"])
    here = composition[["model", "k", "label", "kernels", "identified", *COUNTS]].merge(
        known, on=["model", "k"]
    )
    here = here.assign(model=here["model"].where(here["trained"], ""))
    return shares_by_shape(here, ["k", "family", "model"])


def _caption(models: pd.DataFrame, left_out: list[str], seed: int | None) -> str:
    return (
        f"Share of all {style.sizes(models['k'].unique())} depthwise kernels of a network (in all "
        f"{style.count(int(models['kernels'].sum()), 'kernel')}, of which "
        f"{int(models['degenerate'].sum()):,} are degenerate) that have a name, of which most "
        "seeds of the autoencoder give the shape, and whose dissimilarity (1 − cos) to the seeds' "
        f"curves is on average below the threshold, {style.thresholds(models)}. Left: the share "
        "identified, with its 95 % interval over the network's layers and the seeds (none for a "
        "single layer). Right: the same kernels by shape."
        + (
            ""
            if models["trained"].all()
            else " The untrained controls of a family are together in one row; their interval goes "
            "from the lowest to the highest of theirs."
        )
        + f" Percentages of fewer than {style.FEW} kernels are not drawn."
        + style.WHY
        + ("" if seed is None else " Labels are by vote of the seeds of the autoencoder.")
        + (f" Left out, since they could not be read: {', '.join(left_out)}." if left_out else "")
    )


def _block(figure: Figure, top: float, k: int, rows: pd.DataFrame, shares: pd.DataFrame) -> float:
    """Draw one kernel size under `top` inches; return its height."""
    heading = (rows["family"] != rows["family"].shift()).cumsum().to_numpy()
    rows = rows.assign(place=np.arange(len(rows)) + 1.15 * heading)
    high = PITCH * (len(rows) + 1.15 * heading[-1])
    left = style.MARGIN + NAMES
    low = top - HEAD - high
    bars = style.axes_at(figure, left, low, BARS, high)
    shapes = style.axes_at(figure, left + BARS + NUMBERS, low, SHAPES, high)
    enough = (rows["kernels"] >= style.FEW).to_numpy()
    _identified(bars, rows)
    keys = pd.MultiIndex.from_frame(rows[["k", "family", "model"]])
    here = shares.reindex(keys, fill_value=0.0)
    places = rows["place"].to_numpy()[enough].tolist()
    style.stacked_bars(shapes, places, here[enough], horizontal=True)
    names = style.distinct(rows["name"].tolist(), NAMES - 0.1, style.SMALL)
    bars.set_yticks(rows["place"], names)
    for family, place in rows.groupby("family", sort=False)["place"].min().items():
        bars.text(
            -0.03,
            place - 1,
            style.shorten(str(family), NAMES - 0.1, style.NORMAL, "bold"),
            ha="right",
            va="center_baseline",
            weight="bold",
            transform=bars.get_yaxis_transform(),
        )
    for ax in (bars, shapes):
        ax.set_ylim(float(rows["place"].max()) + 0.55, -0.3)
        style.percent_axis(ax, "kernels of the network, %")
        ax.tick_params(axis="y", length=0)
        style.despine(ax)
    shapes.tick_params(axis="y", labelleft=False)
    shapes.xaxis.grid(False)
    bars.set_title(f"{k}×{k} kernels: identified")
    shapes.set_title("shapes")
    return HEAD + high + FOOT


def _identified(ax: Axes, rows: pd.DataFrame) -> None:
    enough = rows[rows["kernels"] >= style.FEW]
    for trained, looks in ((True, {"facecolor": style.INK}), (False, style.control_style())):
        own = enough[enough["trained"] == trained]
        style.bars(
            ax, own["place"], 100 * own["share_identified"], wide=0.75, horizontal=True, **looks
        )
    known = enough.dropna(subset=["low"])
    ends = 100 * known["low"], 100 * known["high"]
    ax.hlines(known["place"], *ends, zorder=3, clip_on=False, **WHISKER)
    for row in style.rows_of(rows):
        text = style.percent(row.share_identified, row.kernels)
        if row.kernels >= style.FEW:
            text += style.interval(row.low, row.high)
        # Beside the axis, for all bars in one column.
        ax.text(
            1.06,
            row.place,
            text,
            size=style.SMALL,
            va="center_baseline",
            transform=ax.get_yaxis_transform(),
        )

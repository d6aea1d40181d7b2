"""Shares of kernels that pass a rule: trained kernels beside null models, and by network."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.names import ALL_FAMILIES, ALL_NETWORKS, IN_SAMPLE, TRAINED, UNTRAINED

LOOKS: dict[str, dict[str, Any]] = {
    TRAINED: {"color": style.INK, "linestyle": "-", "linewidth": 1.8},
    IN_SAMPLE: {"color": style.INK, "linestyle": ":", "linewidth": 1.2},
    UNTRAINED: {"color": "#009E73", "linestyle": "-", "linewidth": 1.2},
    "shuffled": {"color": "#D55E00", "linestyle": "-", "linewidth": 1.2},
    "white": {"color": "#56B4E9", "linestyle": "--", "linewidth": 1.2},
    "covariance": {"color": "#CC79A7", "linestyle": "-", "linewidth": 1.2},
}
WORDS = {
    TRAINED: "trained networks",
    IN_SAMPLE: "the same, by curves that saw them",
    UNTRAINED: "untrained networks",
    "shuffled": "trained, pixels shuffled",
    "white": "white noise",
    "covariance": "noise of the network's covariance",
}
RULES = {
    "identified": ("Identified by vote of the seeds", "dissimilarity below"),
    "r2": ("Described by an analytic function", "R² of at least"),
}
COVARIANCE = "covariance"
MOST_PAIRS = 8  # of a family and a null, listed in the caption
MOST_ROWS = 24  # networks and families; if there are more, families alone
PITCH, CURVES, OVER, UNDER = 0.24, 2.5, 0.28, 0.47  # inches: of rows, of curves, over and under
LEFT, WIDTH, BETWEEN = 1.95, 2.6, 1.5
NAMES = 1.75  # of networks and families


def draw(shares: pd.DataFrame, curves: pd.DataFrame, k: int, rate: float) -> list[Figure]:
    """Draw the share of kernels against the threshold, and by network at the threshold in use.

    Parameters
    ----------
    shares, curves
        Tables nulls_k{k} and null_curves_k{k}.
    k
        Side of the kernels.
    rate
        False positives of calibrated thresholds, for the caption.
    """
    groups = _groups(shares)
    title = f"{k}×{k} kernels beside null models"
    text = _caption(shares, k, rate)
    handles = _handles(curves, shares)
    key = style.TITLE + style.legend_height(handles, style.LONG)
    room = style.SHORT - key - style.caption_height(text, style.LONG)
    blocks = [OVER + CURVES + UNDER] + [PITCH] * len(groups)
    pages = style.split(blocks, room - OVER - UNDER)
    figures = []
    for number, page in enumerate(pages):
        here = [groups[index - 1] for index in page if index]
        curved = 0 in page
        below = OVER + PITCH * max(len(here), 3) + UNDER if here else 0.0
        height = key + blocks[0] * curved + below
        heading = style.numbered(title, number, len(pages))
        figure = style.new_figure(style.LONG, height, heading, fixed=True)
        bottom = style.caption(figure, text)
        style.legend_above(figure, handles)
        for column, rule in enumerate(RULES):
            own = shares[shares["rule"] == rule]
            left = LEFT + column * (WIDTH + BETWEEN)
            if curved:
                ax = style.axes_at(figure, left, bottom + below + UNDER, WIDTH, CURVES)
                _curves(ax, curves[curves["rule"] == rule], own, rule)
            if here:
                high = PITCH * max(len(here), 3)
                ax = style.axes_at(figure, left, bottom + UNDER, WIDTH, high)
                _points(ax, own, here, rule)
        figures.append(figure)
    return figures


def _handles(curves: pd.DataFrame, shares: pd.DataFrame) -> list[Line2D]:
    present = [name for name in LOOKS if (curves["set"] == name).any()]
    handles = [Line2D([], [], label=WORDS[name], **LOOKS[name]) for name in present]
    if len(curves["family"].unique()) > 2:
        look: dict[str, Any] = {"color": style.INK, "linewidth": 0.7, "alpha": 0.5}
        handles.append(Line2D([], [], label="trained, one family", **look))
    dots: dict[str, Any] = {"color": style.INK, "marker": "o", "markersize": 4.5}
    handles += [
        Line2D([], [], color=style.FAINT, linestyle=(0, (4, 2)), label="threshold in use"),
        Line2D([], [], color=style.INK, marker="v", linestyle="", label="calibrated threshold"),
        Line2D([], [], label="share with its 95 % interval", linewidth=1.4, **dots),
    ]
    if shares["share_in_sample"].notna().any():
        hollow = {**dots, "markersize": 4, "markerfacecolor": "white", "linestyle": ""}
        handles.append(Line2D([], [], label="in sample", **hollow))
    return handles


def _groups(shares: pd.DataFrame) -> list[tuple[str, str]]:
    """Return family and model of each line: all, then each family and its networks."""
    groups = list(dict.fromkeys(zip(shares["family"], shares["model"], strict=True)))
    if len(groups) > MOST_ROWS:
        groups = [group for group in groups if group[1] == ALL_NETWORKS]
    # A family of one network is that network.
    alone = {f for f, _ in groups if sum(family == f for family, _ in groups) == 2}
    groups = [(f, m) for f, m in groups if not (f in alone and m == ALL_NETWORKS)]
    return sorted(groups, key=lambda group: (group[0] != ALL_FAMILIES, group[0], *_order(group)))


def _order(group: tuple[str, str]) -> tuple[bool, str]:
    return group[1] != ALL_NETWORKS, group[1]


def _caption(shares: pd.DataFrame, k: int, rate: float) -> str:
    all_of = shares[(shares["family"] == ALL_FAMILIES) & (shares["set"] == TRAINED)]
    trained = all_of.iloc[0]
    nulls = shares[(shares["set"] != TRAINED) & (shares["model"] == ALL_NETWORKS)]
    same = nulls[~nulls["distinguishable"].astype(bool)]
    pairs = [
        f"{row.family} from {WORDS[row.set]} (by {RULES[row.rule][1].split()[0]})"
        for row in style.rows_of(same)
    ]
    unseen = all_of.loc[all_of["rule"] == "identified", "share"].notna().all()
    return (
        f"Left: share of all {k}×{k} kernels that have a name, of which most seeds give the "
        "shape, and whose dissimilarity (1 − cos) to the seeds' curves is on average below a "
        "threshold; "
        + (
            "curves have seen neither a network's kernels nor its nulls, but for the dotted line. "
            if unseen
            else "no curves are left that have not seen the trained kernels, so that these are "
            "not compared. "
        )
        + "Right: share whose best analytic function has at least that R². "
        f"Triangles: the threshold that {rate:.0%} of a null pass. Below: shares at the "
        "threshold in use, with 95 % intervals over layers and seeds; hollow: in sample, by curves "
        "that saw the kernels. No shares of fewer "
        f"than {style.FEW} kernels. In points: how much more than noise of the network's "
        "covariance, and the interval of that. "
        f"{style.count(int(trained.kernels), 'trained kernel')}, {int(trained.live):,} of them "
        f"live, in {style.count(int(trained.layers), 'layer')}. "
        + (
            f"Not distinguishable: {style.listed(pairs)}."
            if 0 < len(pairs) <= MOST_PAIRS
            else f"Not distinguishable: {len(pairs)} pairs of a family and a null, in the table."
            if pairs
            else "Every family is distinguishable from every null."
        )
    )


def _curves(ax: Axes, curves: pd.DataFrame, shares: pd.DataFrame, rule: str) -> None:
    for name, look in LOOKS.items():
        part = curves[(curves["set"] == name) & (curves["family"] == ALL_FAMILIES)]
        ax.plot(part["threshold"], 100 * part["share"], **look)
    families = curves[curves["family"] != ALL_FAMILIES]
    if len(families["family"].unique()) > 1:
        for _, part in families.groupby("family"):
            ax.plot(
                part["threshold"], 100 * part["share"], color=style.INK, linewidth=0.7, alpha=0.5
            )
    ax.axvline(shares["threshold"].iloc[0], color=style.FAINT, linewidth=1, linestyle=(0, (4, 2)))
    every = shares[(shares["family"] == ALL_FAMILIES) & (shares["model"] == ALL_NETWORKS)]
    nulls = every[every["calibrated_threshold"].between(0, 1)]
    for row in style.rows_of(nulls):
        ax.plot(
            row.calibrated_threshold,
            0,
            marker="v",
            markersize=6,
            color=LOOKS[row.set]["color"],
            markeredgecolor="white",
            clip_on=False,
            zorder=3,
        )
    ax.set(xlim=(0, 1), ylim=(0, 100), ylabel="kernels, %", xlabel=RULES[rule][1])
    ax.set_title(RULES[rule][0])
    style.despine(ax)


def _points(ax: Axes, shares: pd.DataFrame, groups: list[tuple[str, str]], rule: str) -> None:
    texts = []
    for place, (family, model) in enumerate(groups):
        own = shares[(shares["family"] == family) & (shares["model"] == model)]
        own = own[own["kernels"] >= style.FEW]
        name = family if model == ALL_NETWORKS else model
        texts.append(name)
        for row in style.rows_of(own):
            colour = LOOKS[row.set]["color"]
            main = row.set in (TRAINED, COVARIANCE)
            at = place + (0.16 if row.set == COVARIANCE else -0.16 if row.set == TRAINED else 0)
            if not pd.isna(row.low):
                ax.plot([100 * row.low, 100 * row.high], [at, at], color=colour, linewidth=1.4)
            ax.plot(100 * row.share, at, "o", color=colour, markersize=4.5 if main else 3)
            if row.set == TRAINED:
                seen = 100 * row.share_in_sample
                ax.plot(seen, at, "o", markersize=4, mfc="white", mec=colour, zorder=1.9)
            if row.set == COVARIANCE:
                ax.text(
                    1.03,
                    place,
                    _excess(row),
                    size=style.SMALL,
                    va="center_baseline",
                    transform=ax.get_yaxis_transform(),
                )
    ax.set_yticks(range(len(groups)), style.distinct(texts, NAMES, style.SMALL))
    ax.tick_params(axis="y", labelsize=style.SMALL)
    ax.set_ylim(len(groups) - 0.4, -0.6)
    style.percent_axis(ax, f"kernels, %: {RULES[rule][1]} the threshold in use")
    ax.tick_params(axis="y", length=0, labelleft=rule == "identified")
    style.despine(ax)


def _excess(row: Any) -> str:
    """Write an excess in points, with its interval if there is one."""
    if pd.isna(row.excess):
        return "not known"
    values = [f"{100 * value:+.1f}" for value in (row.excess, row.excess_low, row.excess_high)]
    text = values[0] if pd.isna(row.excess_low) else f"{values[0]} ({values[1]} to {values[2]})"
    return text.replace("-", "−")

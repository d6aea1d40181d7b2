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
MOST_ROWS = 24  # networks and families; if there are more, families alone


def draw(shares: pd.DataFrame, curves: pd.DataFrame, k: int, rate: float) -> Figure:
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
    below = 1 + len(groups) / 4
    figure = style.new_figure(11.5, 4.5 + below, f"{k}×{k} kernels beside null models")
    panels = figure.subplots(2, 2, height_ratios=(3.5, below))
    present = [name for name in LOOKS if (curves["set"] == name).any()]
    for column, rule in enumerate(RULES):
        own = shares[shares["rule"] == rule]
        _curves(panels[0, column], curves[curves["rule"] == rule], own, rule)
        _points(panels[1, column], own, groups, rule)
    handles = [Line2D([], [], label=WORDS[name], **LOOKS[name]) for name in present]
    if len(curves["family"].unique()) > 2:
        look: dict[str, Any] = {"color": style.INK, "linewidth": 0.7, "alpha": 0.5}
        handles.append(Line2D([], [], label="trained, one family", **look))
    handles += [
        Line2D([], [], color=style.FAINT, linestyle=(0, (4, 2)), label="threshold in use"),
        Line2D([], [], color=style.INK, marker="v", linestyle="", label="calibrated threshold"),
    ]
    style.legend(figure, handles, "kernels")
    style.caption(figure, _caption(shares, k, rate))
    return figure


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
        "that saw the kernels. In points: how much more than noise of the network's covariance, "
        "and the interval of that. "
        f"{style.count(int(trained.kernels), 'trained kernel')}, {int(trained.live):,} of them "
        f"live, in {style.count(int(trained.layers), 'layer')}. "
        + (
            f"Not distinguishable: {style.listed(pairs)}."
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
        name = family if model == ALL_NETWORKS else model
        texts.append(style.shorten(name, 2.2, style.NORMAL))
        for row in style.rows_of(own):
            colour = LOOKS[row.set]["color"]
            main = row.set in (TRAINED, COVARIANCE)
            at = place + (0.16 if row.set == COVARIANCE else -0.16 if row.set == TRAINED else 0)
            if main:
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
    ax.set_yticks(range(len(groups)), texts)
    ax.set_ylim(len(groups) - 0.4, -0.6)
    style.percent_axis(ax, f"kernels that pass ({RULES[rule][1]} the threshold in use), %")
    ax.tick_params(axis="y", length=0, labelleft=rule == "identified")
    style.despine(ax)


def _excess(row: Any) -> str:
    """Write an excess in points, with its interval if there is one."""
    if pd.isna(row.excess):
        return "not known"
    values = [f"{100 * value:+.1f}" for value in (row.excess, row.excess_low, row.excess_high)]
    text = values[0] if pd.isna(row.excess_low) else f"{values[0]} ({values[1]} to {values[2]})"
    return text.replace("-", "−")

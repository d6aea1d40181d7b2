"""Shares of kernels that pass a rule at each threshold: trained kernels beside null models."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.names import ALL_FAMILIES, TRAINED, UNTRAINED

LOOKS: dict[str, dict[str, Any]] = {
    TRAINED: {"color": style.INK, "linestyle": "-", "linewidth": 1.8},
    UNTRAINED: {"color": "#009E73", "linestyle": "-", "linewidth": 1.2},
    "shuffled": {"color": "#D55E00", "linestyle": "-", "linewidth": 1.2},
    "white": {"color": "#56B4E9", "linestyle": "--", "linewidth": 1.2},
    "covariance": {"color": "#CC79A7", "linestyle": "-", "linewidth": 1.2},
}
WORDS = {
    TRAINED: "trained networks",
    UNTRAINED: "untrained networks",
    "shuffled": "trained, pixels shuffled",
    "white": "white noise",
    "covariance": "noise of the trained kernels' covariance",
}
RULES = {
    "identified": ("Identified by vote of the seeds", "dissimilarity below"),
    "r2": ("Described by an analytic function", "R² of at least"),
}


def draw(shares: pd.DataFrame, curves: pd.DataFrame, k: int, rate: float) -> Figure:
    """Draw the share of kernels against the threshold, and the shares at it with intervals.

    Parameters
    ----------
    shares, curves
        Tables nulls_k{k} and null_curves_k{k}.
    k
        Side of the kernels.
    rate
        False positives of calibrated thresholds, for the caption.
    """
    figure = style.new_figure(11.5, 6.6, f"{k}×{k} kernels beside null models")
    panels = figure.subplots(2, 2, height_ratios=(3, 2))
    present = [name for name in LOOKS if (curves["set"] == name).any()]
    for column, rule in enumerate(RULES):
        own = shares[shares["rule"] == rule]
        _curves(panels[0, column], curves[curves["rule"] == rule], own, rule)
        _points(panels[1, column], own[own["family"] == ALL_FAMILIES], present, rule)
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


def _caption(shares: pd.DataFrame, k: int, rate: float) -> str:
    trained = shares[(shares["family"] == ALL_FAMILIES) & (shares["set"] == TRAINED)].iloc[0]
    nulls = shares[shares["set"] != TRAINED]
    same = nulls[~nulls["distinguishable"].astype(bool)]
    pairs = [
        f"{row.family} from {WORDS[row.set]} (by {RULES[row.rule][1].split()[0]})"
        for row in style.rows_of(same)
    ]
    return (
        f"Left: share of all {k}×{k} kernels that have a name, of which most seeds give the "
        "shape, and whose dissimilarity (1 − cos) to the seeds' curves is on average below a "
        "threshold. Right: share whose best analytic function has at least that R². Kernels "
        "without structure go the same way. "
        f"Triangles: the threshold that {rate:.0%} of a null pass. Below: shares at the "
        "threshold in use, with 95 % intervals over layers; hollow: the trained "
        f"kernels' share at the null's calibrated threshold. "
        f"{style.count(int(trained.kernels), 'trained kernel')} in "
        f"{style.count(int(trained.layers), 'layer')}. "
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
    nulls = shares[
        (shares["family"] == ALL_FAMILIES) & shares["calibrated_threshold"].between(0, 1)
    ]
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
    sns.despine(ax=ax)


def _points(ax: Axes, shares: pd.DataFrame, present: list[str], rule: str) -> None:
    for place, name in enumerate(present):
        for row in style.rows_of(shares[shares["set"] == name]):
            colour = LOOKS[name]["color"]
            ax.plot([100 * row.low, 100 * row.high], [place, place], color=colour, linewidth=1.4)
            ax.plot(100 * row.share, place, "o", color=colour, markersize=5)
            text = f"{100 * row.share:.1f} %"
            if name != TRAINED:
                below = place + 0.32
                ax.plot(
                    [100 * row.trained_low, 100 * row.trained_high],
                    [below, below],
                    color=style.INK,
                    linewidth=0.8,
                )
                ax.plot(
                    100 * row.trained_share,
                    below,
                    "o",
                    markersize=4,
                    markerfacecolor="white",
                    markeredgecolor=style.INK,
                )
                text += (
                    f"; trained at {row.calibrated_threshold:.2f}: {100 * row.trained_share:.1f} %"
                )
            ax.text(
                1.02,
                place,
                text,
                size=style.SMALL,
                va="center_baseline",
                transform=ax.get_yaxis_transform(),
            )
    ax.set_yticks(range(len(present)), [WORDS[name] for name in present])
    ax.set_ylim(len(present) - 0.3, -0.6)
    style.percent_axis(ax, f"kernels that pass ({RULES[rule][1]} the threshold in use), %")
    ax.tick_params(axis="y", length=0, labelleft=rule == "identified")
    sns.despine(ax=ax)

"""Distributions of the dissimilarity of kernels to their reconstruction, beside the nulls."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.figures.nulls import LOOKS, WORDS
from kernelatlas.names import ALL_FAMILIES, ALL_NETWORKS, IN_SAMPLE, TRAINED, UNTRAINED

ACROSS, MOST = 3, 11  # panels in a row; if there are more networks, families alone
PANEL = 1.5  # inches: height of a panel with its title
COVARIANCE = "covariance"
IN_USE: dict[str, Any] = {"color": style.FAINT, "linestyle": (0, (4, 2)), "linewidth": 1.0}


def draw(summary: pd.DataFrame, bins: pd.DataFrame, k: int) -> Figure:
    """Draw a histogram of each set, a panel for each trained network and one for all together.

    Parameters
    ----------
    summary, bins
        Tables dissimilarities_k{k} and dissimilarity_bins_k{k}.
    k
        Side of the kernels.
    """
    panels = _panels(summary)
    rows = -(-len(panels) // ACROSS)
    title = f"Dissimilarity of {k}×{k} kernels to their reconstruction"
    figure = style.new_figure(style.LONG, 1.0 + rows * PANEL, title)
    axes = figure.subplots(rows, ACROSS, sharex=True, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    present, far = [name for name in LOOKS if (bins["set"] == name).any()], _far(bins)
    for number, (ax, group) in enumerate(zip(axes.flat, panels, strict=False)):
        _panel(ax, summary, bins, group, present, far)
        if number + ACROSS >= len(panels):
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("1 − cos")
        if number % ACROSS == 0:
            ax.set_ylabel("kernels per bin, %")
    handles = [Line2D([], [], label=WORDS[name], **LOOKS[name]) for name in present]
    style.legend(figure, [*handles, Line2D([], [], label="threshold in use", **IN_USE)], "kernels")
    style.caption(figure, _caption(summary, panels, k))
    return figure


def _panels(summary: pd.DataFrame) -> list[tuple[str, str]]:
    """Return family and model of each panel: all together, then networks, or families."""
    groups = list(dict.fromkeys(zip(summary["family"], summary["model"], strict=True)))
    alone = [group for group in groups if group[1] != ALL_NETWORKS]
    if len(alone) >= MOST:
        alone = [g for g in groups if g[1] == ALL_NETWORKS and g[0] != ALL_FAMILIES]
    return [(ALL_FAMILIES, ALL_NETWORKS), *alone] if len(alone) != 1 else alone


def _far(bins: pd.DataFrame) -> float:
    """Return where the distributions of all sets of all networks end, but for one in 1,000."""
    every = bins[(bins["family"] == ALL_FAMILIES) & (bins["model"] == ALL_NETWORKS)]
    counts = every.pivot_table(index="dissimilarity", columns="set", values="kernels")
    left = 1 - counts.cumsum() / counts.sum()
    return min(float(left.index[(left <= 0.001).all(axis=1)].min()) + 0.05, 1.0)


def _panel(
    ax: Axes,
    summary: pd.DataFrame,
    bins: pd.DataFrame,
    group: tuple[str, str],
    present: list[str],
    far: float,
) -> None:
    family, model = group
    own = _of(bins, family, model)
    controls = _of(bins, family, ALL_NETWORKS)  # of the family: a network's are other models
    counted = _of(summary, family, model).set_index("set")
    for name in present:
        rows = controls if name == UNTRAINED else own
        counts = rows[rows["set"] == name].sort_values("dissimilarity")
        if counts.empty:
            continue
        width = counts["dissimilarity"].diff().median()
        edges = np.append(counts["dissimilarity"], counts["dissimilarity"].iloc[-1] + width)
        shares = 100 * counts["kernels"] / counts["kernels"].sum()
        ax.stairs(shares, edges, baseline=None, **LOOKS[name])
        if name == TRAINED:
            ax.stairs(shares, edges, fill=True, color="#E8E8E8")
    threshold = summary["threshold"].iloc[0]
    ax.axvline(threshold, ymax=0.8, **IN_USE)
    shown = TRAINED if TRAINED in counted.index else IN_SAMPLE
    found = counted.to_dict("index")
    ax.set_title(model if model != ALL_NETWORKS else family)
    number = style.count(int(found[shown]["kernels"]), "kernel")
    text = f"{number}; below {threshold:g}: {_share(found[shown])}"
    if COVARIANCE in found:
        text += f"\nnoise of the covariance: {_share(found[COVARIANCE])}"
    ax.text(0.99, 0.98, text, ha="right", va="top", size=style.SMALL, transform=ax.transAxes)
    ax.set_xlim(0, far)
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # room for the text
    style.despine(ax)


def _of(table: pd.DataFrame, family: str, model: str) -> pd.DataFrame:
    return table[(table["family"] == family) & (table["model"] == model)]


def _share(row: Mapping[Hashable, Any]) -> str:
    between = f" ({100 * row['low']:.0f}–{100 * row['high']:.0f})" if pd.notna(row["low"]) else ""
    return f"{100 * row['share_below']:.0f} %{between}"


def _caption(summary: pd.DataFrame, panels: list[tuple[str, str]], k: int) -> str:
    unseen = (summary["set"] == TRAINED).any()
    return (
        f"1 − cos of each {k}×{k} kernel and the nearest point of a curve, mean over the seeds' "
        "curves, in bins of 0.02, of all kernels that are not degenerate, with and without a "
        "name. "
        + (
            "Curves have seen neither a network's kernels nor its nulls, but for the dotted line. "
            if unseen
            else "No curves are left that have not seen the trained kernels. "
        )
        + "In words: trained kernels below the threshold, and the same of noise of the network's "
        "covariance, with 95 % intervals over layers. To be identified a kernel must also have a "
        "name. Untrained networks are those of the family."
    )

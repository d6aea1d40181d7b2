"""Accuracies of networks whose depthwise kernels were replaced, without retraining."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kernelatlas.figures import style

ACROSS = 3  # networks in a row
PITCH = 0.23  # inches from bar to bar
REPLACED: dict[str, Any] = {"facecolor": "#0072B2"}
# The bar of each variant, from top to bottom.
VARIANTS: dict[str, dict[str, Any]] = {
    "untouched": {"facecolor": style.INK},
    "fits": REPLACED,
    "prototypes": REPLACED,
    "master keys": REPLACED,
    "idealised": REPLACED,
    "random": style.control_style(),
    "mean": style.control_style(),
}
NAMES = {"fits": "analytic fits", "random": "random filters", "mean": "mean only"}
CHANCE: dict[str, Any] = {"color": style.INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}


def draw(replacements: pd.DataFrame) -> Figure:
    """Draw the accuracies of each network, a panel each.

    Parameters
    ----------
    replacements
        Columns family, model, variant (of `VARIANTS`), mean_r2, kernels, kept, crops, and in
        [0, 1] accuracy, accuracy_subject, chance_subject. Several rows of a variant are seeds.
    """
    panels = list(replacements.groupby(["family", "model"], sort=False))
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = style.new_figure(
        2.2 + 3.4 * across,
        0.4 + down * (0.75 + PITCH * len(VARIANTS)),
        "Held-out accuracy with all depthwise kernels replaced",
    )
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for number, ((_, rows), ax) in enumerate(zip(panels, axes, strict=False)):
        _panel(ax, rows)
        ax.tick_params(axis="y", length=0, labelleft=number % across == 0)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    style.legend(
        figure,
        [
            Patch(label="correct subject", **REPLACED),
            Line2D([], [], linestyle="", label="subject and rotation", **_both()),
            Line2D([], [], label="chance: subject", **CHANCE),
        ],
    )
    style.caption(figure, _caption(replacements))
    return figure


def _both() -> dict[str, Any]:
    return {
        "marker": "D",
        "markersize": 4,
        "markerfacecolor": "white",
        "markeredgecolor": style.INK,
        "markeredgewidth": 0.8,
    }


def _caption(replacements: pd.DataFrame) -> str:
    kept = replacements.drop_duplicates("model")["kept"].sum()
    seeds = replacements.groupby(["model", "variant"]).size().max()
    return (
        "Share of held-out crops "
        f"({style.listed(sorted({int(n) for n in replacements['crops']}))} a network, each place "
        "in four rotations) answered right by networks in which every depthwise kernel w was "
        "replaced, all else being left as it was trained. Analytic fits: the function selected for "
        "the kernel. Others: the best a·f + b of the kernel, with f among the clusters' "
        "prototypes, the master keys, the idealised filters of arXiv 2509.12746 at their published "
        "scales, or as many filters of white noise as there are keys "
        f"(mean of {style.count(int(seeds), 'seed')}, each a dot). Mean only: all weights of "
        "a kernel are its mean. Beside the bars: the accuracy, and the mean R² of the replaced "
        "kernels."
        + (f" {style.count(int(kept), 'kernel')} of sizes not studied were kept." if kept else "")
    )


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    for place, (variant, looks) in enumerate(VARIANTS.items()):
        found = rows[rows["variant"] == variant]
        if found.empty:
            continue
        subject = 100 * found["accuracy_subject"]
        ax.barh(place, subject.mean(), height=0.72, **looks)
        if len(found) > 1:
            ax.scatter(subject, [place] * len(found), s=8, color=style.INK, linewidths=0, zorder=3)
        ax.plot(100 * found["accuracy"].mean(), place, linestyle="", zorder=4, **_both())
        ax.annotate(
            f"{subject.mean():.1f} %   R² {abs(found['mean_r2'].mean()):.2f}",
            (subject.max(), place),
            (4, 0),
            textcoords="offset points",
            va="center_baseline",
            size=style.SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    ax.axvline(100 * rows["chance_subject"].iloc[0], **CHANCE)
    ax.set_yticks(range(len(VARIANTS)), [NAMES.get(name, name) for name in VARIANTS])
    ax.set_ylim(len(VARIANTS) - 0.4, -0.6)
    style.percent_axis(ax, "held-out crops, %")
    ax.set(xlim=(0, 138), xticks=range(0, 101, 20), title=str(rows["model"].iloc[0]))
    sns.despine(ax=ax)

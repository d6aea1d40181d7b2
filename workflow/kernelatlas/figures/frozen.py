"""Accuracies of networks whose depthwise kernels were learned, or frozen up to a scalar."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style

# Colours after Okabe and Ito; lines distinguish the variants without colours.
VARIANTS: dict[str, dict[str, Any]] = {
    "learned": {"color": "#333333", "linestyle": "-"},
    "keys": {"color": "#0072B2", "linestyle": "--"},
    "random": {"color": "#9A9A9A", "linestyle": "-."},
}
NAMES = {"keys": "master keys, frozen", "random": "random filters, frozen"}
CHANCE: dict[str, Any] = {"color": style.INK, "linewidth": 0.8, "linestyle": (0, (1, 2))}
ANSWERS = {"accuracy_subject": "subject, at the end", "accuracy": "both, at the end"}
CHANCES = {"accuracy_subject": "chance_subject", "accuracy": "chance"}


def draw(accuracies: pd.DataFrame, learning: pd.DataFrame) -> Figure:
    """Draw the held-out accuracy of each training during it, and at its end.

    Parameters
    ----------
    accuracies
        Columns variant, seed, held_out_crops, and in [0, 1] the keys and values of `CHANCES`.
    learning
        Columns variant, seed, step and in [0, 1] the keys of `ANSWERS`.
    """
    figure = style.new_figure(9.5, 2.9, "Trainings with learned and with frozen depthwise kernels")
    axes = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    for (_, _), rows in learning.groupby(["variant", "seed"]):
        axes[0].plot(
            rows["step"],
            100 * rows["accuracy_subject"],
            linewidth=1.1,
            **VARIANTS[str(rows["variant"].iloc[0])],
        )
    axes[0].set(xlabel="step", title="correct subject", xlim=(0, None), ylim=(0, 100))
    axes[0].set_ylabel("held-out crops, %")
    for ax, column in zip(axes[1:], ANSWERS, strict=True):
        _ends(ax, accuracies, column)
    for ax in axes:
        ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
        ax.set_axisbelow(True)
        style.despine(ax)
    axes[0].axhline(100 * accuracies["chance_subject"].iloc[0], **CHANCE)
    handles = [
        Line2D([], [], label=NAMES.get(name, name), **looks) for name, looks in VARIANTS.items()
    ]
    dot = Line2D([], [], label="seed", linestyle="", marker="o", markersize=3.7, color=style.INK)
    mean = Line2D([], [], label="mean of the seeds", linewidth=1.1, color=style.INK)
    style.legend(figure, [*handles, dot, mean, Line2D([], [], label="chance", **CHANCE)])
    style.caption(figure, _caption(accuracies))
    return figure


def _ends(ax: Axes, accuracies: pd.DataFrame, column: str) -> None:
    for place, (name, looks) in enumerate(VARIANTS.items()):
        values = 100 * accuracies.loc[accuracies["variant"] == name, column]
        ax.scatter([place] * len(values), values, s=14, color=looks["color"], zorder=3)
        ax.hlines(values.mean(), place - 0.2, place + 0.2, color=looks["color"], linewidth=1.1)
        ax.annotate(
            f"{values.mean():.1f}",
            (place + 0.2, values.mean()),
            (2, 0),
            textcoords="offset points",
            va="center_baseline",
            size=style.SMALL,
        )
    ax.axhline(100 * accuracies[CHANCES[column]].iloc[0], **CHANCE)
    ax.set_xticks(range(len(VARIANTS)), list(VARIANTS))
    ax.set(title=ANSWERS[column], xlim=(-0.6, len(VARIANTS) - 0.1), ylim=(0, 100))


def _caption(accuracies: pd.DataFrame) -> str:
    seeds = accuracies["seed"].nunique()
    crops = int(accuracies["held_out_crops"].iloc[0])
    return (
        f"One small ConvNeXt V2, trained on dead leaves from {style.count(seeds, 'seed')}, a line "
        f"and a dot each; {crops} held-out crops. Learned: as usual. Master keys, frozen: each "
        "depthwise kernel is the best a·f + b of the same kernel after the learned training of "
        "the same seed, with f among the master keys; a and f are fixed, and b and all else are "
        "learned from the beginning. Random filters: the same with as many filters of white noise. "
        "Both: subject and rotation. Bars and numbers: means of the seeds."
    )

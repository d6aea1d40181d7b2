"""Accuracies of networks whose depthwise kernels were replaced, without retraining."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kernelatlas.figures import style

ACROSS = 3  # networks on a page
PITCH = 0.19  # inches from bar to bar
LEFT, PANEL, GAP = 1.5, 2.75, 0.25  # inches
HEAD, FOOT = 0.3, 0.5  # inches over and under the bars
REPLACED: dict[str, Any] = {"facecolor": "#0072B2"}
# The bars of those variants that are not described by a few numbers a kernel.
REFERENCES: dict[str, dict[str, Any]] = {
    "untouched": {"facecolor": style.INK},
    "random": style.control_style(),
    "mean": style.control_style(),
}
NAMES = {
    "fits": "analytic fits",
    **{f"jet {order}": f"jet of order {order}" for order in range(3)},
    "seven numbers": "best sum of 7 numbers",
    "ten numbers": "best sum of 10 numbers",
    "random": "random filters",
    "mean": "mean only",
}
AXES = {"subject": "held-out crops, %", "top-1": "pictures, %"}
CHANCE: dict[str, Any] = {"color": style.INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}
SEED: dict[str, Any] = {"marker": ".", "markersize": 5, "color": style.INK, "markeredgewidth": 0}
WHISKER: dict[str, Any] = {"color": "#D55E00", "linewidth": 1.0}


def draw(replacements: pd.DataFrame) -> list[Figure]:
    """Draw the accuracies of each network, a panel each, `ACROSS` on a page.

    Parameters
    ----------
    replacements
        Columns as in the table of this name. Several rows of a variant are seeds. Networks that
        were not tested are named in the caption.
    """
    tested = replacements[replacements["accuracy"].notna()]
    variants = list(dict.fromkeys(tested["variant"]))
    panels = list(tested.groupby(["family", "model"], sort=False))
    high = PITCH * max(len(variants), 4)
    handles = _handles(set(tested["measure"]))
    key = style.TITLE + style.legend_height(handles, style.LONG)
    pages = [panels[start : start + ACROSS] for start in range(0, len(panels), ACROSS)] or [[]]
    figures = []
    for number, page in enumerate(pages):
        title = "Accuracy with all depthwise kernels replaced"
        title = style.numbered(title, number, len(pages))
        height = key + HEAD + high + FOOT
        figure = style.new_figure(style.LONG, height, title, fixed=True)
        low = style.caption(figure, _caption(replacements)) + FOOT
        style.legend_above(figure, handles)
        for column, (_, rows) in enumerate(page):
            ax = style.axes_at(figure, LEFT + column * (PANEL + GAP), low, PANEL, high)
            _panel(ax, rows, variants)
            ax.tick_params(axis="y", length=0, labelleft=column == 0)
        figures.append(figure)
    return figures


def _handles(measures: set[str]) -> list[Any]:
    others = {"subject": "subject and rotation", "top-1": "among the first five"}
    text = "; ".join(words for name, words in others.items() if name in measures)
    return [
        Patch(label="untouched", **REFERENCES["untouched"]),
        Patch(label="replaced", **REPLACED),
        Patch(label="replaced by noise or the mean", **REFERENCES["random"]),
        Line2D([], [], label="95 % interval", **WHISKER),
        Line2D([], [], label="seed of the noise", linestyle="", **SEED),
        Line2D([], [], label=text, linestyle="", **_other()),
        Line2D([], [], label="chance", **CHANCE),
    ]


def _other() -> dict[str, Any]:
    return {
        "marker": "D",
        "markersize": 3.5,
        "markerfacecolor": "white",
        "markeredgecolor": style.INK,
        "markeredgewidth": 0.8,
    }


def _caption(replacements: pd.DataFrame) -> str:
    tested = replacements[replacements["accuracy"].notna()]
    untested = replacements[replacements["accuracy"].isna()]
    counts = {
        measure: style.listed(sorted({int(n) for n in rows["pictures"]}))
        for measure, rows in tested.groupby("measure")
    }
    seeds = tested.groupby(["model", "variant"]).size().max() if len(tested) else 0
    kept = tested[tested["variant"] == "untouched"].drop_duplicates("model")["kept"].sum()
    crops = f" Held-out crops: {counts.get('subject')} a network, each place in four rotations."
    top = f" Pictures: {counts.get('top-1')} of ImageNet a network, prepared as timm does."
    return (
        "Share answered right by networks in which every depthwise kernel w was replaced, all else "
        "being left as it was trained."
        + (crops if "subject" in counts else "")
        + (top if "top-1" in counts else "")
        + " Analytic fits: the function selected for the kernel. Jets and best sums: the mean and "
        "sums of a moved Gaussian's derivatives, up to an order or of so many numbers. "
        "Components: the mean of the kernel and its projection on so many principal components "
        "of the network's own kernels. Others: the best a·f + b of the kernel, with f among the "
        "clusters' prototypes, so many centroids of k-means, the master keys, the idealised "
        "filters of arXiv 2509.12746, or as "
        f"many filters of white noise as there are keys (mean of {style.count(int(seeds), 'seed')},"
        " each a dot; the interval reaches from the lowest to the highest of theirs). Mean only: "
        "all weights of a kernel are its mean. Intervals are over pictures. Beside the bars: the "
        "accuracy, and the mean R² of the replaced kernels."
        + (f" {style.count(int(kept), 'kernel')} of sizes not studied were kept." if kept else "")
        + "".join(f" Not tested: {reason}." for reason in untested["skipped"])
    )


def _panel(ax: Axes, rows: pd.DataFrame, variants: list[str]) -> None:
    for place, variant in enumerate(variants):
        found = rows[rows["variant"] == variant]
        if found.empty:
            continue
        looks = REFERENCES.get(variant, REPLACED)
        accuracy, low, high = (100 * found[name] for name in ("accuracy", "low", "high"))
        ax.barh(place, accuracy.mean(), height=0.72, **looks)
        if len(found) > 1:
            ax.plot(accuracy, [place] * len(found), linestyle="", zorder=3.5, **SEED)
        if low.notna().all():
            ax.plot([low.min(), high.max()], [place, place], zorder=3, **WHISKER)
        top = rows["measure"].iloc[0] == "top-1"
        other = 100 * found["accuracy_top5" if top else "accuracy_both"].mean()
        ax.plot(other, place, linestyle="", zorder=4, **_other())
        ax.annotate(
            f"{accuracy.mean():.1f} %  R² {abs(found['mean_r2'].mean()):.2f}",
            (max(high.max(), accuracy.max(), other), place),
            (5, 0),
            textcoords="offset points",
            va="center_baseline",
            size=style.SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    ax.axvline(100 * rows["chance"].iloc[0], **CHANCE)
    ax.set_yticks(range(len(variants)), [NAMES.get(name, name) for name in variants])
    ax.set_ylim(len(variants) - 0.4, -0.6)
    style.percent_axis(ax, AXES[str(rows["measure"].iloc[0])])
    ax.set(xlim=(0, 150), xticks=range(0, 101, 20), title=str(rows["model"].iloc[0]))
    style.despine(ax)

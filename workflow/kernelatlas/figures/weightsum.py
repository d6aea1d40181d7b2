"""Sums of the raw weights of kernels, by label."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.names import LABELS, shape_of

PITCH = 0.21  # inches from box to box
MEAN: dict[str, Any] = {
    "marker": "D",
    "markersize": 3,
    "markerfacecolor": "white",
    "markeredgecolor": style.INK,
    "markeredgewidth": 0.6,
}


def draw(weightsum: pd.DataFrame, k: int | None = None) -> Figure:
    """Draw a box per label, relative to the sum of absolute weights and as it is.

    Parameters
    ----------
    weightsum
        Columns label, kernels, relative_q05, relative_q25, relative_q50, relative_q75,
        relative_q95, relative_mean, sum_q05, sum_q25, sum_q50, sum_q75, sum_q95 (sum_mean
        too, if there).
    k
        Size of the kernels, for title and caption.
    """
    rows = weightsum.sort_values("label", key=lambda labels: labels.map(LABELS.index))
    places = max(len(rows), 6)  # room for the axis label, even beside few boxes
    size = "" if k is None else f" of {k}×{k}"
    figure = style.new_figure(
        10.5, 1.25 + PITCH * places, f"Sum of the weights of kernels{size}, by label"
    )
    if rows.empty:
        style.caption(figure, f"No kernel{size} is identified, so that there are no sums to draw.")
        return figure
    enough = (rows["kernels"] >= style.FEW).to_numpy()
    if not enough.any():
        few = f"No label has {style.FEW} kernels{size}, so that there are no sums to draw."
        style.caption(figure, few)
        return figure
    left, right = figure.subplots(1, 2, sharey=True)
    colours = style.palette(rows["label"])
    for ax, column, text in (
        (left, "relative", "sum of weights / sum of absolute weights"),
        (right, "sum", "sum of weights, in the network's own units"),
    ):
        boxes = [
            {
                "whislo": row[f"{column}_q05"],
                "q1": row[f"{column}_q25"],
                "med": row[f"{column}_q50"],
                "q3": row[f"{column}_q75"],
                "whishi": row[f"{column}_q95"],
                "mean": row.get(f"{column}_mean"),
            }
            for _, row in rows[enough].iterrows()
        ]
        drawn = ax.bxp(
            boxes,
            positions=np.flatnonzero(enough),
            orientation="horizontal",
            widths=0.6,
            patch_artist=True,
            showfliers=False,
            showmeans=f"{column}_mean" in rows,
            medianprops={"color": style.INK, "linewidth": 1.2},
            meanprops=MEAN,
            whiskerprops={"linewidth": 0.7, "color": style.INK},
            capprops={"linewidth": 0.7, "color": style.INK},
            boxprops={"linewidth": 0.6, "edgecolor": style.INK},
        )
        for box, label in zip(drawn["boxes"], rows.loc[enough, "label"], strict=True):
            box.set_facecolor(colours[label])
        ax.axvline(0, color=style.INK, linewidth=0.8, zorder=0)
        ax.set_xlabel(text)
        ax.xaxis.grid(True, color="#E5E5E5", linewidth=0.5)
        ax.set_axisbelow(True)
        style.despine(ax)
    left.set_xlim(-1.03, 1.03)
    names = [f"{row.label}  ({row.kernels:,})" for row in style.rows_of(rows[["label", "kernels"]])]
    left.set_yticks(range(len(rows)), names)
    left.set_ylim(places - 0.4, -0.6)
    left.set_ylabel("label (number of kernels)")
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
    dark: dict[str, Any] = {"color": style.INK}
    handles = [
        *style.part_handles(shape_of(label) for label in rows["label"]),
        Line2D([], [], label="median", linewidth=1.2, **dark),
        Line2D([], [], label="5–95 %", linewidth=0.7, marker="|", **dark),
    ]
    if "relative_mean" in rows:
        handles.insert(-1, Line2D([], [], label="mean", linestyle="", **MEAN))
    style.legend(figure, handles)
    style.caption(figure, _caption(rows, enough, size))
    return figure


def _caption(rows: pd.DataFrame, enough: np.ndarray, size: str) -> str:
    drawn = rows[enough]
    about = int(((drawn["relative_q25"] <= 0) & (drawn["relative_q75"] >= 0)).sum())
    text = (
        f"Sum of the raw weights of {style.count(int(rows['kernels'].sum()), 'kernel')}{size}, by "
        "label: left relative to the sum of the absolute weights (1: all "
        "weights are positive), right as it is. Boxes span the middle half with the median as "
        "a line and the mean as a diamond; whiskers are 5–95 %; labels of fewer than "
        f"{style.FEW} kernels have no box. By Fig. 12 of arXiv 2401.14469 first derivatives sum to "
        "about zero, since their halves cancel. "
    )
    if about == len(drawn):
        return text + (
            "Here the middle half of every label includes zero: the mean of a kernel, "
            "which its shape does not fix, spreads the sums of all labels alike."
        )
    others = drawn[(drawn["relative_q25"] > 0) | (drawn["relative_q75"] < 0)]["label"]
    whole = style.listed(label.replace(" ", "\N{NO-BREAK SPACE}") for label in others)
    return text + (
        f"Here the middle half includes zero for {about} of {len(drawn)} labels; not for {whole}."
    )

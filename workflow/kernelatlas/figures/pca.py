"""Principal components of the normalised kernels, which need no model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kernelatlas.figures import style
from kernelatlas.kernels.layer import side
from kernelatlas.names import shape_of

SIDE = 5.0  # inches of the scatter
TILE = 0.5
LEFT, BOTTOM = 1.35, 0.95
SHOWN = 10  # components in the scree plot


def draw(scores: pd.DataFrame, components: pd.DataFrame, kernels: int | None = None) -> Figure:
    """Draw kernels in the plane of the first two components, and the variance of each.

    Parameters
    ----------
    scores
        Columns label, identified, pc1, pc2.
    components
        Columns component (from 1), explained_variance_ratio, loading.
    kernels
        Number of kernels analysed, if `scores` holds only some of them.
    """
    components = components.sort_values("component").head(SHOWN)
    k = side(components["loading"].iloc[0])
    width, height = LEFT + SIDE + 5.0, BOTTOM + SIDE + 0.55
    figure = style.new_figure(width, height, f"Principal components of {k}×{k} kernels", fixed=True)
    bottom = style.caption(figure, _caption(k, scores, kernels)) + BOTTOM
    ratio = 100 * components["explained_variance_ratio"].to_numpy(dtype=float)

    plane = style.axes_at(figure, LEFT, bottom, SIDE, SIDE)
    parts = _scatter(plane, scores)
    plane.set_xlabel(f"component 1 ({ratio[0]:.1f} % of the variance)")
    plane.set_ylabel(f"component 2 ({ratio[1]:.1f} % of the variance)")
    for sign, end in ((-1, 0.0), (1, SIDE - TILE)):
        across = style.axes_at(figure, LEFT + end, bottom - 0.28 - TILE, TILE, TILE)
        style.show_kernel(across, sign * np.asarray(components["loading"].iloc[0]), k)
        up = style.axes_at(figure, LEFT - 0.45 - TILE, bottom + end, TILE, TILE)
        style.show_kernel(up, sign * np.asarray(components["loading"].iloc[1]), k)

    right = LEFT + SIDE + 1.6
    figure.legend(
        handles=style.part_handles(parts),
        title="shape",
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(
            (LEFT + SIDE + 0.1) / width,
            (bottom + SIDE) / float(figure.get_size_inches()[1]),
        ),
    )
    scree = style.axes_at(figure, right + 0.5, bottom, 2.7, SIDE)
    scree.bar(components["component"], ratio, color=style.CONTROL, width=0.7, label="component")
    scree.plot(
        components["component"],
        ratio.cumsum(),
        color=style.INK,
        marker="o",
        markersize=3,
        linewidth=0.9,
        label="sum up to it",
    )
    scree.set(xlabel="component", ylabel="explained variance, %", ylim=(0, 100))
    scree.xaxis.set_major_locator(MaxNLocator(integer=True))
    scree.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    style.despine(scree)
    return figure


def _caption(k: int, scores: pd.DataFrame, kernels: int | None) -> str:
    total = len(scores) if kernels is None else kernels
    shown = "all" if total == len(scores) else f"{len(scores):,} at random"
    return (
        f"Principal component analysis of {style.count(total, f'depthwise {k}×{k} kernel')}, "
        f"centred and scaled; {shown} shown in the plane of the first two components, coloured "
        "by shape if they are identified. The images at the axes are the "
        "components themselves, with the sign of the end at which they stand (red positive, blue "
        f"negative). Right: variance explained by each of the first {SHOWN} components and by "
        "all up to it."
    )


def _scatter(ax: Axes, scores: pd.DataFrame) -> list[str]:
    """Draw the kernels in a random order, so that no label hides others; return the parts shown."""
    order = np.random.default_rng(0).permutation(len(scores))
    shuffled = scores.iloc[order]
    identified = shuffled["identified"].to_numpy(dtype=bool)
    labels = shuffled["label"].astype(str)
    part = labels.map(shape_of).where(identified, style.NOT_IDENTIFIED)
    rest, named = shuffled[~identified], shuffled[identified]
    ax.scatter(
        rest["pc1"], rest["pc2"], s=6, facecolor="white", edgecolor=style.CONTROL, linewidth=0.4
    )
    colours = style.palette(labels.unique())
    ax.scatter(
        named["pc1"],
        named["pc2"],
        s=9,
        c=[colours[label] for label in labels[identified]],
        edgecolor="white",
        linewidth=0.2,
    )
    for line in (ax.axhline, ax.axvline):
        line(0, color=style.CONTROL, linewidth=0.5, zorder=0)
    limit = 1.05 * max(float(scores[["pc1", "pc2"]].abs().to_numpy().max(initial=0)), 1e-6)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    style.despine(ax)
    return [str(name) for name in part.unique()]

"""Principal components of the normalised kernels, which need no model."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kernelatlas.figures import style
from kernelatlas.kernels.layer import side
from kernelatlas.names import shape_of

SIDE = 2.75  # inches of a scatter
TILE = 0.36
LEFT, BETWEEN, BOTTOM, OVER = 1.05, 0.97, 0.85, 0.25
SCREE = 1.4
SHOWN = 10  # components in the scree plot
DRAWN = 1500  # kernels, at most
PLANES = ((0, 1), (0, 2))  # of components, from 0


def draw(scores: pd.DataFrame, components: pd.DataFrame, kernels: int | None = None) -> Figure:
    """Draw kernels in planes of the first three components, and the variance of each.

    Parameters
    ----------
    scores
        Columns label, identified, reason, pc1, pc2, pc3.
    components
        Columns component (from 1), explained_variance_ratio, loading.
    kernels
        Number of kernels analysed, if `scores` holds only some of them.
    """
    components = components.sort_values("component").head(SHOWN)
    loadings = [np.asarray(loading) for loading in components["loading"]]
    k = side(loadings[0])
    ratio = 100 * components["explained_variance_ratio"].to_numpy(dtype=float)
    scores, every = _sample(scores), len(scores) if kernels is None else kernels
    labels = scores["label"].astype(str).map(shape_of)
    why = scores["reason"].astype(object).map(style.UNIDENTIFIED)
    parts = labels.where(scores["identified"].astype(bool), why)
    present = [part for part in style.PARTS if (parts == part).any()]
    rest = [part for part in present if part in style.UNIDENTIFIED.values()]
    handles: list[Any] = style.part_handles(part for part in present if part not in rest)
    handles += [Line2D([], [], label=part, **style.marker_style(part)) for part in rest]
    key = style.TITLE + style.legend_height(handles, style.LONG)
    height = key + OVER + SIDE + BOTTOM
    title = f"Principal components of {k}×{k} kernels"
    figure = style.new_figure(style.LONG, height, title, fixed=True)
    bottom = style.caption(figure, _caption(k, len(scores), every)) + BOTTOM
    style.legend_above(figure, handles)
    limit = 1.05 * max(float(scores[["pc1", "pc2", "pc3"]].abs().to_numpy().max(initial=0)), 1e-6)
    for number, (x, y) in enumerate(PLANES):
        left = LEFT + number * (SIDE + BETWEEN)
        plane = style.axes_at(figure, left, bottom, SIDE, SIDE)
        _scatter(plane, scores[f"pc{x + 1}"], scores[f"pc{y + 1}"], parts)
        plane.set(xlim=(-limit, limit), ylim=(-limit, limit))
        plane.set_xlabel(f"component {x + 1} ({ratio[x]:.1f} %)", labelpad=2)
        plane.set_ylabel(f"component {y + 1} ({ratio[y]:.1f} %)", labelpad=2)
        for sign, end in ((-1, 0.0), (1, SIDE - TILE)):
            tile = style.axes_at(figure, left + end, bottom - 0.38 - TILE, TILE, TILE)
            style.show_kernel(tile, sign * loadings[x], k)
            tile = style.axes_at(figure, left - 0.52 - TILE, bottom + end, TILE, TILE)
            style.show_kernel(tile, sign * loadings[y], k)
    left = LEFT + len(PLANES) * (SIDE + BETWEEN) - 0.2
    _scree(style.axes_at(figure, left, bottom, SCREE, SIDE), components, ratio)
    return figure


def _sample(scores: pd.DataFrame) -> pd.DataFrame:
    """Return some of the kernels in a random order, so that no shape lies over the others."""
    order = np.random.default_rng(0).permutation(len(scores))[:DRAWN]
    return scores.iloc[order].reset_index(drop=True)


def _caption(k: int, drawn: int, total: int) -> str:
    shown = "all" if total == drawn else f"{drawn:,} at random"
    return (
        f"Principal component analysis of the depthwise {k}×{k} kernels of the trained networks, "
        f"centred and scaled; {shown} of {style.count(total, 'kernel')} that the table has are "
        "drawn, half transparent, in the planes of the first component with the second and the "
        "third (with their shares of the variance), coloured by shape if they are identified. The "
        "images at the axes are the components themselves, with the sign of the end at which they "
        "stand (red positive, blue negative). Right: variance explained by each of the first "
        f"{SHOWN} components and by all up to it." + style.WHY
    )


def _scatter(ax: Axes, x: pd.Series, y: pd.Series, parts: pd.Series) -> None:
    rest = parts.isin(style.UNIDENTIFIED.values())
    for part in style.UNIDENTIFIED.values():
        ax.plot(x[parts == part], y[parts == part], zorder=1, **style.marker_style(part))
    colours = [str(style.part_style(part)["facecolor"]) for part in parts[~rest]]
    ax.scatter(x[~rest], y[~rest], s=8, c=colours, alpha=0.6, linewidth=0, zorder=2)
    for line in (ax.axhline, ax.axvline):
        line(0, color=style.CONTROL, linewidth=0.5, zorder=0)
    style.despine(ax)


def _scree(ax: Axes, components: pd.DataFrame, ratio: np.ndarray) -> None:
    ax.bar(components["component"], ratio, color=style.CONTROL, width=0.7, label="component")
    sums: dict[str, Any] = {"color": style.INK, "marker": "o", "markersize": 3, "linewidth": 0.9}
    ax.plot(components["component"], ratio.cumsum(), label="sum up to it", **sums)
    ax.set(xlabel="component", ylabel="explained variance, %", ylim=(0, 100))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(
        loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=2, columnspacing=0.8,
        handlelength=1.2, borderpad=0,
    )  # fmt: skip
    style.despine(ax)

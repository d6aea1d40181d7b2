"""One kernel beside its reconstruction, the nearest template and the fitted function."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from kernelatlas.figures import style

TILE, GAP = 1.5, 0.35  # inches
HEAD, FOOT = 0.95, 0.15
NARROWEST = 5.0


def draw(panels: Sequence[tuple[str, np.ndarray]], title: str, text: str) -> Figure:
    """Draw pictures in a row.

    Parameters
    ----------
    panels
        Titles, and weights of shape (kh, kw), shown on colours symmetrical about zero.
    title, text
        Of the page, and below.
    """
    width = max(2 * style.MARGIN + len(panels) * (TILE + GAP) - GAP, NARROWEST)
    shown = style.shorten(title, width - 2 * style.MARGIN, style.LARGE, "bold")
    figure = style.new_figure(width, HEAD + TILE + FOOT, shown, fixed=True)
    bottom = style.caption(
        figure,
        f"{text} Red is positive, blue negative, each picture on its own scale; of weights and fit "
        "after their mean was subtracted.",
    )
    for number, (name, weights) in enumerate(panels):
        high, across = weights.shape
        # Strips keep the proportions of their pixels.
        unit = TILE / max(high, across)
        left = style.MARGIN + number * (TILE + GAP)
        ax = style.axes_at(
            figure, left, bottom + FOOT + TILE - unit * high, unit * across, unit * high
        )
        limit = max(float(np.abs(weights).max()), 1e-12)
        ax.imshow(weights, style.KERNEL_MAP, vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, size=style.NORMAL, pad=4)
    return figure

"""How far the kernels of a network move between its checkpoints."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.figures.emergence import COLOURS, step_axis

DASHED = (0, (4, 3))
MEASURES: dict[str, tuple[str, tuple[float, float | None]]] = {  # column: title and limits
    "cosine": ("cosine to the last checkpoint", (-0.1, 1.02)),
    "same_shape": ("kernels of the same shape, %", (0, 102)),
    "moved": ("centre of energy moved, pixels", (0, None)),
}


def draw(drift: pd.DataFrame) -> Figure:
    """Draw measures against the training step, and by layer for the last checkpoint but one.

    Parameters
    ----------
    drift
        As `kernelatlas.tables.drift.drift_table` returns it.
    """
    title = "How far kernels are from those of the last checkpoint"
    if drift.empty:
        figure = style.new_figure(7.0, 1.2, title)
        figure.text(0.5, 0.4, "No network has two checkpoints.", ha="center")
        style.caption(figure, _caption())
        return figure
    families = list(dict.fromkeys(drift["family"]))
    colours = {family: COLOURS[i % len(COLOURS)] for i, family in enumerate(families)}
    figure = style.new_figure(style.LONG, 5.6, title)
    grid = figure.add_gridspec(2, len(MEASURES))
    by_step = pooled(drift)
    latest = drift[drift["step"] == drift.groupby("network")["step"].transform("max")]
    steps = sorted({int(step) for step in by_step["step"]})
    for column, (measure, (name, limits)) in enumerate(MEASURES.items()):
        above, below = (figure.add_subplot(grid[row, column]) for row in (0, 1))
        for _, run in by_step.groupby("network", sort=False):
            _line(above, run, "step", measure, colours)
        step_axis(above, steps)
        for _, run in latest.groupby("network", sort=False):
            _line(below, run.sort_values("layer_index"), "layer_index", measure, colours)
        below.set_xlabel("depthwise layer, from 0")
        above.set_title(name)
        for ax in (above, below):
            ax.set_ylim(*limits)
            ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
            ax.set_axisbelow(True)
            style.despine(ax)
    handles = [
        Line2D([], [], color=colours[f], marker="o", markersize=3, label=f) for f in families
    ]
    dashes = Line2D([], [], color=style.FAINT, linestyle=DASHED, label="kernels paired at random")
    style.legend(figure, [*handles, dashes])
    style.caption(figure, _caption())
    return figure


def pooled(drift: pd.DataFrame) -> pd.DataFrame:
    """Return means over the layers of each checkpoint, weighted by their kernels."""
    columns = [*MEASURES, *(f"{measure}_null" for measure in MEASURES)]
    known = drift[drift["kernels"] > 0]
    weighted = known[columns].mul(known["kernels"], axis=0)
    keys = [known["family"], known["network"], known["step"]]
    sums = weighted.groupby(keys, sort=False).sum()
    return sums.div(known["kernels"].groupby(keys, sort=False).sum(), axis=0).reset_index()


def _line(ax: Axes, run: pd.DataFrame, x: str, measure: str, colours: dict[str, str]) -> None:
    colour = colours[run["family"].iloc[0]]
    scale = 100 if measure == "same_shape" else 1
    values, null = (scale * run[c].to_numpy(dtype=float) for c in (measure, f"{measure}_null"))
    places = run[x].to_numpy(dtype=float)
    ax.plot(places, values, color=colour, linewidth=1.1, marker="o", markersize=2.5)
    ax.plot(places, null, color=colour, linewidth=0.9, linestyle=DASHED, alpha=0.6)


def _caption() -> str:
    return (
        "Kernels of checkpoints of a training, or of a network before and while it is fine-tuned, "
        "beside the kernels of the same channels in its last checkpoint. Left: median cosine of "
        "the centred kernels; middle: whose label has the same shape; right: median distance of "
        "the centres of their energy. Above: against the training step, means over the layers; "
        "below: by layer, for each network's last checkpoint but one. Dashed: the same for kernels "
        "of the layer that are paired at random."
    )

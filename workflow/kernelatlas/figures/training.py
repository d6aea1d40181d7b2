"""Training curves of the autoencoders."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from kernelatlas.figures import style

Line = Literal["-", "--"]
ANSWERS: dict[Line, str] = {"-": "best point of the curve", "--": "encoder’s answer"}

# For each stage: the title of its panel, the name of its steps, and the lower panel.
STAGES = {
    "curve": ("1. curve of points", "round", "width"),
    "decoder": ("2. decoder", "step", "learning_rate"),
    "training": ("3. encoder and decoder", "step", "cross_entropy"),
}
BELOW = {
    "width": "width, points",
    "learning_rate": "learning rate",
    "cross_entropy": "cross-entropy\nof the encoder",
}


def draw(history: pd.DataFrame, k: int | None = None) -> Figure:
    """Draw the dissimilarity in the three stages of the training, a colour per seed.

    Parameters
    ----------
    history
        Columns seed, stage (of `STAGES`), step, width, learning_rate, dissimilarity,
        dissimilarity_encoder, cross_entropy; NaN where a stage has no such thing.
    k
        Size of the kernels, for title and caption.
    """
    seeds = sorted(int(seed) for seed in history["seed"].unique())
    few = len(seeds) <= 10
    hues = sns.color_palette("colorblind" if few else "viridis", len(seeds))
    colours = dict(zip(seeds, hues, strict=True))
    kernels = "kernels" if k is None else f"{k}×{k} kernels"
    figure = style.new_figure(10.5, 4.4, f"Training of the autoencoder for {kernels}")
    axes = figure.subplots(2, len(STAGES), sharex="col", height_ratios=(2.4, 1))
    for column, (stage, (title, unit, below)) in enumerate(STAGES.items()):
        rows = history[history["stage"] == stage]
        upper, lower = axes[:, column]
        _lines(upper, rows, "dissimilarity", colours, "-")
        _lines(upper, rows, "dissimilarity_encoder", colours, "--")
        _lines(lower, rows, below, colours, "-")
        upper.set_title(title)
        lower.set(ylabel=BELOW[below], xlabel=unit)
        values = pd.concat([rows["dissimilarity"], rows["dissimilarity_encoder"]]).dropna()
        _scale(upper, values)
        _scale(lower, rows[below].dropna(), logarithmic=below == "width")
        lower.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for ax in (upper, lower):
            ax.yaxis.grid(True, which="both", color="#E5E5E5", linewidth=0.5)
            style.despine(ax)
    axes[0, 0].set_ylabel("mean dissimilarity (1 − cos)")
    figure.align_ylabels(axes[:, 0])
    handles = [Line2D([], [], color=colours[seed], label=f"seed {seed}") for seed in seeds]
    for line, text in ANSWERS.items():
        handles.append(Line2D([], [], color=style.INK, linestyle=line, label=text, linewidth=1.1))
    style.legend(figure, handles)
    style.caption(
        figure,
        f"Mean cosine dissimilarity between {kernels} and what reconstructs them, for "
        f"{'the seeds' if len(seeds) > 1 else 'seed'} {style.listed(seeds)}: solid the best point "
        "of the curve, dashed the one that the encoder answers with. First a curve of free points "
        "is laid through the kernels; how far along the curve a kernel draws points with it, the "
        "width, shrinks from round to round. Then the decoder learns to draw this curve (here the "
        "dissimilarity is to the curve, not to kernels). Last, encoder and decoder are trained "
        "together on the kernels. Scales of the panels differ.",
    )
    return figure


def _lines(
    ax: Axes, rows: pd.DataFrame, column: str, colours: Mapping[int, Any], line: Line
) -> None:
    for seed, colour in colours.items():
        known = rows[rows["seed"] == seed].sort_values("step").dropna(subset=[column])
        if len(known):
            ax.plot(
                known["step"],
                known[column],
                color=colour,
                linestyle=line,
                linewidth=1.1,
                marker="o" if len(known) < 20 else "",
                markersize=2.5,
            )


def _scale(ax: Axes, values: pd.Series, logarithmic: bool = True) -> None:
    """Make the axis logarithmic if positive values span more than a factor of five."""
    if values.empty:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "not recorded", transform=ax.transAxes, ha="center", color="#6B6B6B")
        return
    lowest, highest = float(values.min()), float(values.max())
    if logarithmic and 0 < 5 * lowest < highest:
        ax.set_yscale("log")
        wide = highest > 100 * lowest
        ax.yaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
    elif highest > 2 * lowest or lowest <= 0:
        ax.set_ylim(min(0.0, lowest), None)

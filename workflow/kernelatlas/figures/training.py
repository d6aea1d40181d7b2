"""How the autoencoder's training went."""

from typing import Literal

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from kernelatlas.figures import style

LOSSES: dict[str, Literal["-", "--"]] = {"loss_encoder": "--", "loss_projected": "-"}
MEANING = {"loss_encoder": "code from the encoder", "loss_projected": "best code on the curve"}


def draw(history: pd.DataFrame, k: int | None = None) -> Figure:
    """Draw both losses and the learning rate over the epochs, a colour per seed.

    Parameters
    ----------
    history
        Columns seed, epoch, loss_encoder, loss_projected, learning_rate; losses are NaN where
        not measured.
    k
        Size of the kernels, for title and caption.
    """
    seeds = sorted(int(seed) for seed in history["seed"].unique())
    few = len(seeds) <= 10
    hues = sns.color_palette("colorblind" if few else "viridis", len(seeds))
    colours = dict(zip(seeds, hues, strict=True))
    kernels = "kernels" if k is None else f"{k}×{k} kernels"
    figure = style.new_figure(8.5, 4.6, f"Training of the autoencoder for {kernels}")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
    for seed, colour in colours.items():
        rows = history[history["seed"] == seed].sort_values("epoch")
        for column, line in LOSSES.items():
            known = rows.dropna(subset=[column])
            above.plot(
                known["epoch"],
                known[column],
                color=colour,
                linestyle=line,
                linewidth=1.1,
                marker="o" if len(known) < 2 else "",
                markersize=3,
            )
        below.plot(rows["epoch"], rows["learning_rate"], color=colour, linewidth=1.1)
    _logarithmic(above, history[list(LOSSES)])
    above.set_ylabel("mean dissimilarity (1 − cos)")
    below.set(ylabel="learning rate", xlabel="epoch", ylim=(0, None))
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in (above, below):
        ax.yaxis.grid(True, which="both", color="#E5E5E5", linewidth=0.5)
        sns.despine(ax=ax)
    figure.align_ylabels([above, below])
    handles = [Line2D([], [], color=colours[seed], label=f"seed {seed}") for seed in seeds] + [
        Line2D([], [], color=style.INK, linestyle=line, label=MEANING[column], linewidth=1.1)
        for column, line in LOSSES.items()
    ]
    style.legend(figure, handles)
    style.caption(
        figure,
        f"Mean cosine dissimilarity between {kernels} and their "
        f"reconstructions after each epoch, for "
        f"{'the seeds' if len(seeds) > 1 else 'seed'} {style.listed(seeds)}: dashed with the code "
        "that the encoder gives, solid with the best code on the decoded curve, by which kernels "
        "are assigned. Below: the learning rate at the beginning of the epoch.",
    )
    return figure


def _logarithmic(ax: Axes, losses: pd.DataFrame) -> None:
    """Choose a logarithmic axis if the losses span more than a factor of five."""
    lowest, highest = float(losses.min().min()), float(losses.max().max())
    if 0 < 5 * lowest < highest:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 6)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        ax.set_ylim(0, None)

"""Networks during their training: when their kernels get shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style

FEWEST = 3  # minimal number of checkpoints of a network that is drawn
# Colours of lines after Okabe and Ito; the same colours in bars are shapes.
COLOURS = ("#333333", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#E69F00")
ACROSS = 3
BAND = 0.15  # opacity of an interval
CURVES, PANEL = 2.6, 1.95  # inches, with titles and axes
WIDE = (style.LONG - 0.6 - style.MARGIN) / ACROSS - 0.4  # inches of a panel


def draw(
    emergence: pd.DataFrame,
    composition: pd.DataFrame,
    learning: pd.DataFrame | None = None,
    seed: int | None = None,
) -> list[Figure]:
    """Draw measures against the training step, and the shapes at each step of each network.

    Parameters
    ----------
    emergence
        Columns family, network, step, k, kernels, share_identified, low, high and
        initial_energy (in [0, 1]), initial_energy_chance. Networks of fewer than three
        checkpoints are drawn only if there are no others.
    composition
        Columns network, step, k, label, kernels, identified.
    learning
        Columns family, network, step, accuracy (in [0, 1]); without it there is no such panel.
    seed
        First of those whose vote labels are; None keeps the vote out of the caption.
    """
    followed = emergence.groupby(["network", "k"])["step"].transform("nunique") >= FEWEST
    states = emergence[followed] if followed.any() else emergence
    runs = states[["family", "network", "k"]].drop_duplicates()
    families = list(dict.fromkeys(runs["family"]))
    colours = {family: COLOURS[i % len(COLOURS)] for i, family in enumerate(families)}
    if learning is not None:
        learning = learning[learning["network"].isin(runs["network"])]
    text = _caption(states, learning is not None, seed)
    parts = [p for p in style.PARTS if shares_by_shape(composition, ["k"])[p].any()]
    handles: list[Any] = [Line2D([], [], color=colours[f], label=f) for f in families]
    dashed: dict[str, Any] = {"color": style.FAINT, "linestyle": (0, (4, 3))}
    handles.append(Line2D([], [], label="chance: unrelated kernels", **dashed))
    if states["low"].notna().any():
        handles.append(Patch(label="95 % interval", facecolor=style.FAINT, alpha=BAND))
    handles += style.part_handles(parts)
    key = style.TITLE + style.legend_height(handles, style.LONG)
    room = style.SHORT - key - style.caption_height(text, style.LONG)
    rows = [runs.iloc[start : start + ACROSS] for start in range(0, len(runs), ACROSS)]
    pages = style.split([CURVES, *[PANEL] * len(rows)], room)
    figures = []
    for number, page in enumerate(pages):
        high = sum(CURVES if index == 0 else PANEL for index in page)
        title = style.numbered("When shapes emerge in training", number, len(pages))
        figure = style.new_figure(style.LONG, key + high, title, fixed=True)
        top = style.caption(figure, text) + high
        style.legend_above(figure, handles)
        for index in page:
            if index == 0:
                top -= CURVES
                _measures(figure, top, states, learning, colours)
            else:
                top -= PANEL
                _row(figure, top, rows[index - 1], composition)
        figures.append(figure)
    return figures


def _measures(
    figure: Figure,
    bottom: float,
    states: pd.DataFrame,
    learning: pd.DataFrame | None,
    colours: dict[str, str],
) -> None:
    """Draw the measures against the training step, in a row of panels."""
    axes = [
        _place(figure, column, bottom, CURVES) for column in range(2 if learning is None else 3)
    ]
    share, energy, *rest = axes
    _bands(share, states, colours)
    _lines(share, states, "share_identified", colours)
    share.set(title="kernels identified", ylim=(0, 1))
    _lines(energy, states, "initial_energy", colours)
    energy.set(title="energy explained by the initial kernels", yscale="log")
    for chance in sorted(states["initial_energy_chance"].unique()):
        energy.axhline(chance, color=style.FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    energy.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    energy.yaxis.set_minor_locator(NullLocator())
    energy.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    for ax in rest:
        _lines(ax, learning, "accuracy", colours)
        ax.set(title="held-out accuracy", ylim=(0, None))
    for ax in (share, *rest):
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    steps = sorted({int(step) for step in states["step"]})
    for ax in axes:
        step_axis(ax, steps)


def _row(figure: Figure, bottom: float, runs: pd.DataFrame, composition: pd.DataFrame) -> None:
    for column, run in enumerate(style.rows_of(runs)):
        ax = _place(figure, column, bottom, PANEL)
        here = composition[(composition["network"] == run.network) & (composition["k"] == run.k)]
        _shapes(ax, here)
        (name,) = style.distinct([run.network], WIDE - 0.6, style.NORMAL)
        ax.set_title(f"{name} · {run.k}×{run.k}")
        if column == 0:
            ax.set_ylabel("kernels, %")


def _place(figure: Figure, column: int, bottom: float, high: float) -> Axes:
    left = 0.6 + column * (WIDE + 0.5)
    return style.axes_at(figure, left, bottom + 0.5, WIDE, high - 0.8)


def _caption(states: pd.DataFrame, learned: bool, seed: int | None) -> str:
    networks = states["network"].nunique()
    return (
        f"{networks} networks, each after "
        f"{style.listed(sorted({int(n) for n in states.groupby('network')['step'].nunique()}))} "
        "numbers of training steps; step 0 is the untrained network. Curves, a line per network: "
        "the share of its depthwise kernels identified by the autoencoders of the zoo, with its "
        "95 % interval over layers and seeds (none for a single layer); the autoencoders were "
        "not trained on these checkpoints (except perhaps the last of them); the share of the "
        "energy of its centred kernels that lies along each one's initial kernel, dashed what "
        "unrelated kernels would show, 1/(k² − 1)"
        + ("; the accuracy on held-out crops" if learned else "")
        + ". Bars: the kernels identified after each step, by shape."
        + style.WHY
        + ("" if seed is None else " Labels are by vote of the seeds of the autoencoder.")
    )


def _bands(ax: Axes, states: pd.DataFrame, colours: dict[str, str]) -> None:
    for (family, _, _), run in states.groupby(["family", "network", "k"], sort=False):
        rows = run.sort_values("step")
        looks: dict[str, Any] = {"color": colours[str(family)], "alpha": BAND, "linewidth": 0}
        ax.fill_between(rows["step"], rows["low"], rows["high"], **looks)


def _lines(ax: Axes, states: pd.DataFrame | None, column: str, colours: dict[str, str]) -> None:
    if states is None:
        return
    by = ["family", "network", *(["k"] if "k" in states else [])]
    for _, run in states.groupby(by, sort=False):
        rows = run.sort_values("step")
        ax.plot(
            rows["step"],
            rows[column],
            color=colours[rows["family"].iloc[0]],
            linewidth=1.1,
            marker="o",
            markersize=2.5,
        )
    ax.yaxis.grid(True, color="#E5E5E5", linewidth=0.5)
    style.despine(ax)


def step_axis(ax: Axes, steps: Sequence[int]) -> None:
    """Make x logarithmic from the first step on, with step 0 to the left of it."""
    first = max(next((step for step in steps if step), 1), 1)
    ax.set_xscale("symlog", linthresh=first, linscale=0.4)
    last = max(max(steps), first)
    ticks = [0, *(10**e for e in range(1 + int(np.log10(last))) if 10**e >= first)]
    ax.set_xticks([*ticks, last] if last > 1.6 * ticks[-1] else ticks)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{int(value):,}"))
    ax.minorticks_off()
    ax.set(xlim=(-0.15 * first, 1.1 * last), xlabel="training step")


def _shapes(ax: Axes, composition: pd.DataFrame) -> None:
    """Draw a stacked bar for each step."""
    shares = shares_by_shape(composition, ["step"]).sort_index()
    style.stacked_bars(ax, list(range(len(shares))), shares)
    names = [f"{int(step):,}" for step in shares.index]
    ax.set_xticks(range(len(shares)), names, rotation=90)
    ax.set(ylim=(0, 100), xlim=(-0.6, len(shares) - 0.4))
    ax.tick_params(axis="x", length=0, pad=2)
    ax.set_xlabel("training step", labelpad=1)
    style.despine(ax)

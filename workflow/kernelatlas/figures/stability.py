"""Stability of labels: between seeds, by vote, and in networks not used for fitting."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.figures import style

ALONE, VOTE = "#56B4E9", "#0072B2"
INDEX = "#D55E00"
PITCH = 0.2  # inches from network to network
NAMES = 2.0  # inches of the names of networks, at most
LEFT, SEEDS, PAIRS, NETWORKS = 0.7, 1.9, 2.1, 2.4  # inches: left of all panels, and across each
HEAD, FOOT = 0.88, 0.45


def draw(stability: pd.DataFrame, k: int) -> list[Figure]:
    """Draw shares by seed and by vote, pairs of seeds, and networks not used for fitting.

    Parameters
    ----------
    stability
        Columns kind, seed, other, model, kernels, share_identified, share_identified_crossfit,
        agreement, adjusted_rand_index (shares in [0, 1]); NaN where not applicable. Of kinds:
        seed and vote (shares identified by one seed alone and by all), pair (of two seeds
        alone) and network (in sample, and with curves fitted to other networks).
    k
        Size of the kernels.
    """
    kinds = {name: stability[stability["kind"] == name] for name in ("pair", "seed", "vote")}
    networks = stability[stability["kind"] == "network"].reset_index(drop=True)
    known = bool(networks["share_identified_crossfit"].notna().any())
    text = _caption(kinds, networks, known, k)
    room = style.SHORT - HEAD - FOOT - style.caption_height(text, style.LONG)
    rows = style.split([PITCH] * len(networks), room - 0.3) if known else [[]]
    title = f"Stability of the names of {k}×{k} kernels"
    figures = []
    for number, page in enumerate(rows):
        here = networks.iloc[page].reset_index(drop=True)
        numbers = (len(kinds["seed"]) + 2, 1.4 * len(kinds["pair"]), len(page))
        highs = [min(max(2.0, n * PITCH + 0.3), room) for n in numbers]
        if number:
            highs[:2] = [0.0, 0.0]
        heading = style.numbered(title, number, len(rows))
        figure = style.new_figure(style.LONG, HEAD + max(highs) + FOOT, heading, fixed=True)
        top = style.caption(figure, text) + FOOT + max(highs)
        if number == 0:
            for draw_one, high, (left, wide) in zip(
                (_seeds, _pairs), highs[:2], ((LEFT, SEEDS), (LEFT + SEEDS + 0.85, PAIRS)),
                strict=True,
            ):  # fmt: skip
                draw_one(style.axes_at(figure, left, top - high, wide, high), kinds)
        names = style.distinct(here["model"].astype(str).tolist(), NAMES, style.SMALL)
        left = style.LONG - style.MARGIN - NETWORKS
        _networks(
            style.axes_at(figure, left, top - highs[2], NETWORKS, highs[2]), here, names, known
        )
        figures.append(figure)
    return figures


def _caption(kinds: dict[str, pd.DataFrame], networks: pd.DataFrame, known: bool, k: int) -> str:
    vote = kinds["vote"]
    kernels = int(vote["kernels"].iloc[0]) if len(vote) else int(networks["kernels"].sum())
    text = f"{style.count(kernels, 'kernel')} of {k}×{k}. Left: share of them that is identified"
    text += " by the autoencoder of one seed alone, and by vote of all seeds"
    if len(vote) and np.isfinite(vote["agreement"].iloc[0]):
        text += f" (for a kernel, {100 * vote['agreement'].iloc[0]:.0f} % of them agree on average)"
    text += (
        ". Middle: for each pair of seeds, agreement is the share with the same shape among the "
        "kernels that both identify alone, and the adjusted Rand index compares the shapes that "
        "both give to all kernels (1: the same, 0: as by chance). Right: "
    )
    if not known:
        return text + (
            "no test on kernels that were not used for fitting, as all kernels of this size are in "
            "one layer."
        )
    text += (
        "share of each network’s kernels that is identified by vote, in sample and (cross-fit) "
        "by curves that have not seen it (of a single network: that have not seen the layer)"
    )
    agreement = networks["agreement"].dropna()
    if len(agreement):
        low, high = 100 * agreement.min(), 100 * agreement.max()
        spread = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f}–{high:.1f}"
        text += f"; of kernels that both identify, {spread} % have the same shape"
    return text + "."


def _seeds(ax: Axes, kinds: dict[str, pd.DataFrame]) -> None:
    seeds, vote = kinds["seed"].sort_values("seed"), kinds["vote"]
    values = [*seeds["share_identified"], *vote["share_identified"]]
    texts = [f"seed {int(seed)}" for seed in seeds["seed"]] + ["vote"] * len(vote)
    # The bar of the vote is set apart.
    places = np.arange(len(values)) + 0.5 * (np.arange(len(values)) >= len(seeds))
    colours = [ALONE] * len(seeds) + [VOTE] * len(vote)
    percent = 100 * np.array(values, dtype=float)
    ax.barh(places, percent, height=0.68, color=colours)
    for place, value in zip(places, percent, strict=True):
        inside = value > 60
        ax.text(
            value + (-2 if inside else 2),
            place,
            f"{value:.1f} %",
            ha="right" if inside else "left",
            va="center_baseline",
            size=style.SMALL,
            color=("white" if place == places[-1] and len(vote) else style.INK)
            if inside
            else style.INK,
        )
    ax.set_yticks(places, texts)
    _finish(ax, places, "kernels identified, %", "identified")
    ax.set_xlim(0, 100)


def _pairs(ax: Axes, kinds: dict[str, pd.DataFrame]) -> None:
    pairs = kinds["pair"]
    if pairs.empty:
        _nothing(ax, "pairs of seeds", "There is one seed only.")
        return
    pairs = pairs.sort_values(["seed", "other"])
    places = np.arange(len(pairs))
    columns = (
        ("agreement", VOTE, "o", "agreement"),
        ("adjusted_rand_index", INDEX, "D", "adjusted Rand index"),
    )
    for column, colour, marker, _ in columns:
        ax.scatter(pairs[column], places, s=20, color=colour, marker=marker, zorder=3)
        for place, value in zip(places, pairs[column], strict=True):
            if np.isfinite(value):
                ax.annotate(
                    f"{value:.2f}",
                    (value, place),
                    (0, 5),
                    textcoords="offset points",
                    ha="center",
                    size=style.SMALL - 0.5,
                    color=colour,
                )
    ax.set_yticks(
        places,
        [f"{int(a)} and {int(b)}" for a, b in zip(pairs["seed"], pairs["other"], strict=True)],
    )
    lowest = float(pairs[["agreement", "adjusted_rand_index"]].min().min())
    _finish(ax, places, "agreement, index", "pairs of seeds")
    ax.set_xlim(min(0.0, lowest - 0.05), 1.04)
    _legend(ax, [(text, colour, marker) for _, colour, marker, text in columns])


def _networks(ax: Axes, networks: pd.DataFrame, names: list[str], known: bool) -> None:
    title = "networks not used for fitting"
    if not known:
        _nothing(ax, title, "Not available: one layer only\nhas kernels of this size.")
        return
    places = np.arange(len(networks))
    inside = 100 * networks["share_identified"].to_numpy(dtype=float)
    outside = 100 * networks["share_identified_crossfit"].to_numpy(dtype=float)
    ax.hlines(places, inside, outside, color=style.FAINT, linewidth=1.2, zorder=2)
    ax.scatter(inside, places, s=24, color=VOTE, zorder=3)
    ax.scatter(outside, places, s=24, facecolor="white", edgecolor=VOTE, linewidth=1.2, zorder=4)
    for place, a, b in zip(places, inside, outside, strict=True):
        text = f"{b - a:+.1f}".replace("-", "−") if np.isfinite(b) else "not available"
        ax.annotate(
            text,
            (np.nanmax([a, b]), place),
            (6, 0),
            textcoords="offset points",
            va="center_baseline",
            size=style.SMALL,
        )
    ax.set_yticks(places, names)
    _finish(ax, places, "kernels identified by vote, %", title)
    ends = [*inside, *outside[np.isfinite(outside)]]
    low, high = min(ends), max(ends)
    room = max(high - low, 5)
    ax.set_xlim(max(0, low - 0.1 * room), high + 0.35 * room)
    _legend(ax, [("in sample", VOTE, "o"), ("cross-fit (difference)", "white", "o")])


def _finish(ax: Axes, places: np.ndarray, label: str, title: str) -> None:
    ax.set_ylim(places[-1] + 0.8, places[0] - 0.8)
    ax.set_xlabel(label)
    ax.set_title(title, pad=20)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)
    style.despine(ax, left=True)


def _nothing(ax: Axes, title: str, text: str) -> None:
    ax.set_title(title, pad=20)
    ax.text(0, 0.9, text, transform=ax.transAxes, va="top", color="#6B6B6B")
    ax.axis("off")


def _legend(ax: Axes, entries: list[tuple[str, str, str]]) -> None:
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=marker,
            markersize=4.5,
            markerfacecolor=colour,
            markeredgecolor=VOTE if colour == "white" else colour,
            label=text,
        )
        for text, colour, marker in entries
    ]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=2,
        borderaxespad=0.1,
        borderpad=0.2,
        handletextpad=0.2,
        columnspacing=1.0,
    )

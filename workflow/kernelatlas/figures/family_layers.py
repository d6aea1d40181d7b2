"""The shapes of the kernels of each layer, for the networks of one family."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style

PANEL, HEAD, FOOT = 1.25, 0.42, 0.2  # inches: bars of a panel, over them, and under their names
LEFT, BETWEEN = 0.55, 0.5  # inches left of panels, and between two beside each other
LAYERS = 24  # of networks that stand two in a row, at most
NAMES = 1.1  # inches of the names of layers, at most
UNDER = 0.07  # inches between bars and names
WHISKER: dict[str, Any] = {"color": style.INK, "linewidth": 0.9}
CONTROL: dict[str, Any] = {
    "marker": "D",
    "markersize": 3.5,
    "markerfacecolor": "white",
    "markeredgecolor": style.INK,
    "markeredgewidth": 0.7,
    "linestyle": "",
}
KEY = ["k", "layer"]


def draw(composition: pd.DataFrame, layers: pd.DataFrame, family: str) -> list[Figure]:
    """Draw a panel per trained network, with a stacked bar per layer and a marker of controls.

    Untrained controls have panels of their own only where no trained network has their layers.

    Parameters
    ----------
    composition
        Columns model, trained, k, layer, layer_index, label, kernels, identified.
    layers
        Columns model, trained, k, layer, layer_index, kernels, identified, share_identified,
        low, high (in [0, 1]).
    family
        Name of the family that these are of.
    """
    title = f"{family}: shapes of the kernels, layer by layer"
    if layers.empty:
        return [style.without_kernels(title)]
    sets = {model: frozenset(map(tuple, own[KEY].to_numpy())) for model, own in _by_model(layers)}
    trained = set(layers.loc[layers["trained"], "model"])
    drawn = [model for model in sets if model in trained]
    beside = {model: [m for m in sets if m not in trained and sets[m] == sets[model]]
              for model in drawn}  # fmt: skip
    drawn += [m for m in sets if m not in trained and not any(m in c for c in beside.values())]
    mixed = layers.groupby("model")["k"].nunique().max() > 1
    across = 2 if max(map(len, sets.values())) <= LAYERS and len(drawn) > 1 else 1
    wide = (style.LONG - LEFT - style.MARGIN - (across - 1) * BETWEEN) / across
    names = {model: _names(own, wide) for model, own in _by_model(layers)}
    shares = shares_by_shape(composition, ["model", "layer_index", *KEY]).sort_index()
    parts = [part for part in style.PARTS if shares[part].any()]
    handles: list[Any] = [
        *style.part_handles(parts),
        Line2D([], [], label="95 % interval", **WHISKER),
    ]
    if any(beside.values()):
        handles.append(Line2D([], [], label="identified in untrained controls", **CONTROL))
    text = _caption(composition, mixed, any(beside.values()))
    key = style.TITLE + style.legend_height(handles, style.LONG)
    room = style.SHORT - key - style.caption_height(text, style.LONG)
    rows = [drawn[start : start + across] for start in range(0, len(drawn), across)]
    heights = [_height([text for model in row for text in names[model]]) for row in rows]
    pages = style.split(heights, room)
    figures = []
    for number, page in enumerate(pages):
        heading = style.numbered(title, number, len(pages))
        high = sum(heights[row] for row in page)
        figure = style.new_figure(style.LONG, key + high, heading, fixed=True)
        top = style.caption(figure, text) + high
        style.legend_above(figure, handles)
        for row in page:
            for column, model in enumerate(rows[row]):
                left = LEFT + column * (wide + BETWEEN)
                ax = style.axes_at(figure, left, top - HEAD - PANEL, wide, PANEL)
                controls = layers[layers["model"].isin(beside.get(model, []))]
                own = layers[layers["model"] == model]
                here = shares[shares.index.get_level_values("model") == model]
                _panel(ax, here, own, controls, names[model])
                name = model if model in trained else f"{model} (untrained control)"
                ax.set_title(name, pad=14 if mixed else 5)
                if column == 0:
                    ax.set_ylabel("kernels of the layer, %")
            top -= heights[row]
        figures.append(figure)
    return figures


def _by_model(layers: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    groups = layers.sort_values("layer_index", kind="stable").groupby("model", sort=False)
    return [(str(model), own) for model, own in sorted(groups, key=lambda group: str(group[0]))]


def _height(names: list[str]) -> float:
    """Return how many inches a row of panels takes whose bars have these names."""
    lines = [line for name in names for line in name.split("\n")]
    return HEAD + PANEL + max(style.text_width(line, style.SMALL) for line in lines) + FOOT


def _caption(composition: pd.DataFrame, mixed: bool, controls: bool) -> str:
    return (
        f"Each bar is one layer with {style.sizes(composition['k'].unique())} depthwise kernels, "
        "in the order of the label table; under it stand its number and what "
        "its name does not share with the network's other layers. Coloured: the kernels "
        "identified, by shape, directions and signs taken together (labels are by vote of the "
        "seeds of the autoencoder), with the 95 % interval of all of them over the layer's kernels "
        "and the seeds; degenerate kernels have no shape. In all "
        f"{style.count(int(composition['kernels'].sum()), 'kernel')}. Of layers of fewer than "
        f"{style.FEW} kernels their number is written."
        + (
            " Diamonds: the share identified of the same layer in the family's untrained controls, "
            "all their kernels together."
            if controls
            else ""
        )
        + style.WHY
        + (" The number above a bar is the size k of its k×k kernels." if mixed else "")
    )


def _names(layers: pd.DataFrame, wide: float) -> list[str]:
    """Return the texts under the bars of a network; of many layers only some have one."""
    short = style.distinct(short_names(layers["layer"].tolist()), NAMES, style.SMALL)
    room = wide / max(len(short), 10)
    if room < 2 * style.LINE * style.SMALL / 72:  # for two lines; the numbers tell bars apart
        short = [style.shorten(name.replace("\n", ""), NAMES, style.SMALL) for name in short]
    texts = [f"{n} · {name}" if name else f"{n}" for n, name in enumerate(short, 1)]
    every = int(np.ceil(1.25 * style.SMALL / 72 / room))
    return [text if number % every == 0 else "" for number, text in enumerate(texts)]


def short_names(layers: list[str]) -> list[str]:
    """Leave out what says nothing: the parts of dotted names that all layers share.

    Numbers stay: they say which block it is, even if all layers share one by chance. So does what
    tells two layers apart.
    """
    words = [layer.split(".") for layer in layers]
    shared = set(words[0]).intersection(*words) if len(words) > 1 else set()
    short = [".".join(w for w in name if w not in shared or w.isdigit()) for name in words]
    return short if len(set(short)) == len(set(layers)) else list(layers)


def _panel(
    ax: Axes,
    shares: pd.DataFrame,
    layers: pd.DataFrame,
    controls: pd.DataFrame,
    names: list[str],
) -> None:
    layers = layers.sort_values("layer_index", kind="stable").reset_index(drop=True)
    places = np.arange(len(shares))
    enough = (layers["kernels"] >= style.FEW).to_numpy()
    style.stacked_bars(ax, places[enough].tolist(), shares[enough])
    for place in places[~enough]:
        text = style.count(int(layers["kernels"][place]), "kernel")
        ax.text(place, 3, text, rotation=90, ha="center", va="bottom", size=style.SMALL)
    known = places[enough & layers["low"].notna().to_numpy()]
    low, high = (100 * layers[end].to_numpy()[known] for end in ("low", "high"))
    ax.vlines(known, low, high, zorder=3, **WHISKER)
    if len(controls):
        found = controls.groupby(KEY)[["identified", "kernels"]].sum()
        found = found.reindex(pd.MultiIndex.from_frame(layers[KEY]))
        share = 100 * (found["identified"] / found["kernels"]).to_numpy()
        seen = (found["kernels"] >= style.FEW).to_numpy()
        ax.plot(places[seen], share[seen], clip_on=False, zorder=4, **CONTROL)
    # Texts, since ticks take several times as long.
    ax.set_xticks([])
    looks: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "top", "size": style.SMALL}
    for place, name in zip(places.tolist(), names, strict=True):
        if name:
            ax.text(place, -UNDER / PANEL, name, transform=ax.get_xaxis_transform(), **looks)
    if (layers["k"] != layers["k"].iloc[0]).any():
        for place, k in zip(places.tolist(), layers["k"], strict=True):
            ax.text(place, 101, str(k), ha="center", va="bottom", size=style.SMALL)
    # At least ten places, so that the bars of few layers are not too wide.
    ax.set(ylim=(0, 100), xlim=(-0.6, max(len(shares), 10) - 0.4))
    style.despine(ax)

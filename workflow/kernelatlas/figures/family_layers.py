"""The shapes of the kernels of each layer, for the networks of one family."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style

LONGEST = 16  # maximal number of characters of a short name under a bar


def draw(composition: pd.DataFrame, family: str) -> Figure:
    """Draw a panel per network, trained ones first, with a stacked bar per layer.

    Parameters
    ----------
    composition
        Columns family, model, trained, k, layer, layer_index, label, kernels, identified;
        networks of other families are left out.
    family
        Which family is drawn.
    """
    composition = composition[composition["family"] == family]
    title = f"{family}: shapes of the kernels, layer by layer"
    if composition.empty:
        return style.without_kernels(title)
    networks = composition[["model", "trained"]].drop_duplicates()
    networks = networks.sort_values("trained", ascending=False, kind="stable")
    layers = composition.groupby("model")["layer_index"].nunique().max()
    across = 2 if layers <= 24 and len(networks) > 1 else 1
    down = -(-len(networks) // across)
    figure = style.new_figure(12.5, 0.6 + 2.15 * down, title)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    mixed = composition.groupby("model")["k"].nunique().max() > 1
    parts: list[str] = []
    for ax, (model, trained) in zip(panels, style.rows_of(networks), strict=False):
        parts += _panel(ax, composition[composition["model"] == model])
        name = model if trained else f"{model} (untrained control)"
        ax.set_title(name, pad=14 if mixed else 5)
    for ax in panels[len(networks) :]:
        ax.set_axis_off()
    for number in range(len(networks)):
        if number % across == 0:
            panels[number].set_ylabel("kernels of the layer, %")
        if number + across >= len(networks):
            panels[number].set_xlabel("layer")
    style.legend(figure, style.part_handles(parts), "shape")
    style.caption(figure, _caption(composition, mixed))
    return figure


def _caption(composition: pd.DataFrame, mixed: bool) -> str:
    return (
        f"Each bar is one layer with {style.sizes(composition['k'].unique())} depthwise kernels, "
        "in the order of the label table; under it stand its number and what "
        "its name does not share with the network's other layers. Coloured: the kernels "
        "identified, by shape, directions and signs taken together (labels are by vote of the "
        "seeds of the autoencoder); degenerate kernels have no shape. In all "
        f"{style.count(int(composition['kernels'].sum()), 'kernel')}."
        + (" The number above a bar is the size k of its k×k kernels." if mixed else "")
    )


def _short_names(layers: list[str]) -> list[str]:
    """Leave out the parts of dotted names that all layers share, at any position."""
    words = [layer.split(".") for layer in layers]
    shared = set(words[0]).intersection(*words) if len(words) > 1 else set()
    # Numbers stay: they say which block it is, even if all layers share one by chance.
    return [".".join(w for w in name if w not in shared or w.isdigit()) for name in words]


def _panel(ax: Axes, composition: pd.DataFrame) -> list[str]:
    """Draw one network; return the parts that it shows."""
    shares = shares_by_shape(composition, ["layer_index", "layer", "k"]).sort_index()
    places = np.arange(len(shares))
    style.stacked_bars(ax, places.tolist(), shares)
    names = _short_names([str(layer) for layer in shares.index.get_level_values("layer")])
    labels = [
        f"{place + 1} · {name}" if 0 < len(name) <= LONGEST else f"{place + 1}"
        for place, name in zip(places, names, strict=True)
    ]
    ax.set_xticks(places, labels, rotation=90)
    sizes = shares.index.get_level_values("k")
    if len(set(sizes)) > 1:
        for place, k in zip(places.tolist(), sizes, strict=True):
            ax.text(place, 101, str(k), ha="center", va="bottom", size=style.SMALL)
    # At least ten places, so that the bars of few layers are not too wide.
    ax.set(ylim=(0, 100), xlim=(-0.6, max(len(shares), 10) - 0.4))
    ax.tick_params(axis="x", length=0, pad=2)
    style.despine(ax)
    return [part for part in style.PARTS if shares[part].any()]

"""All networks of the zoo, trained ones beside their untrained controls."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.figures import style

PITCH = 0.19  # inches from bar to bar


def draw(
    models: pd.DataFrame,
    composition: pd.DataFrame,
    left_out: pd.DataFrame | None = None,
    seed: int | None = None,
) -> Figure:
    """Draw the share identified and the shapes of each network, a block per kernel size.

    Parameters
    ----------
    models
        Columns family, model, trained, k, kernels, degenerate, identified, share_identified
        (in [0, 1]), threshold.
    composition
        Columns model, k, label, kernels, identified; any number of rows per network.
    left_out
        Column model: networks of the zoo that could not be read.
    seed
        First of those whose vote labels are; None keeps the vote out of the caption.
    """
    shares = shares_by_shape(composition, ["model", "k"])
    sizes = sorted(int(k) for k in models["k"].unique())
    places = {k: _places(models[models["k"] == k]) for k in sizes}
    rows = {k: places[k]["place"].max() + 1 for k in sizes}
    blocks = [rows[k] * PITCH + 0.75 for k in sizes]
    figure = style.new_figure(
        12.5, sum(blocks) + 0.4, "Share of kernels identified and their shapes, network by network"
    )
    panels = figure.subplots(
        len(sizes), 2, squeeze=False, sharey="row", height_ratios=blocks, width_ratios=(3, 4)
    )
    parts: list[str] = []
    for k, (left, right) in zip(sizes, panels, strict=True):
        parts += _block(left, right, places[k], shares, rows[k])
        left.set_title(f"{k}×{k} kernels: identified")
        right.set_title("shapes")
    handles = style.trained_handles(bool(models["trained"].any()), not models["trained"].all())
    style.legend(figure, [*handles, *style.part_handles(parts)])
    names = [] if left_out is None else left_out["model"].tolist()
    style.caption(figure, _caption(models, names, seed))
    return figure


def _caption(models: pd.DataFrame, left_out: list[str], seed: int | None) -> str:
    return (
        f"Share of all {style.sizes(models['k'].unique())} depthwise kernels of a network (in all "
        f"{style.count(int(models['kernels'].sum()), 'kernel')}, of which "
        f"{int(models['degenerate'].sum()):,} are degenerate) that have a name, of which most "
        "seeds of the autoencoder give the shape, and whose dissimilarity (1 − cos) to the seeds' "
        f"curves is on average below the threshold, {style.thresholds(models)}. Left: the share "
        "and the number of kernels identified. Right: the same kernels by shape."
        + (
            ""
            if models["trained"].all()
            else " Untrained controls stand under the trained networks of their family."
        )
        + ("" if seed is None else " Labels are by vote of the seeds of the autoencoder.")
        + (f" Left out, since they could not be read: {', '.join(left_out)}." if left_out else "")
    )


def _places(models: pd.DataFrame) -> pd.DataFrame:
    """Add the place of each bar; the name of a family takes a row above its bars."""
    ordered = models.sort_values("trained", ascending=False, kind="stable")
    family = pd.Categorical(ordered["family"], models["family"].unique())
    ordered = ordered.assign(family=family).sort_values("family", kind="stable")
    headings = (ordered["family"] != ordered["family"].shift()).cumsum()
    return ordered.assign(place=np.arange(len(ordered)) + headings * 1.15).reset_index(drop=True)


def _block(
    left: Axes, right: Axes, models: pd.DataFrame, shares: pd.DataFrame, rows: float
) -> list[str]:
    """Draw one kernel size; return the parts of stacked bars that it shows."""
    for row in style.rows_of(models):
        looks: dict[str, Any] = {"facecolor": style.INK} if row.trained else style.control_style()
        left.barh(row.place, 100 * row.share_identified, height=0.75, **looks)
        text = f"{100 * row.share_identified:.1f} % ({int(row.identified):,})"
        # Beside the axis, for all bars in one column.
        left.text(
            1.02,
            row.place,
            text,
            size=style.SMALL,
            va="center_baseline",
            transform=left.get_yaxis_transform(),
        )
    for name, place in models.groupby("family", observed=True)["place"].min().items():
        left.text(
            -0.012,
            place - 1,
            str(name),
            ha="right",
            va="center_baseline",
            weight="bold",
            transform=left.get_yaxis_transform(),
        )
    keys = pd.MultiIndex.from_frame(models[["model", "k"]])
    here = shares.reindex(keys, fill_value=0.0)
    style.stacked_bars(right, models["place"].tolist(), here, horizontal=True)
    left.set_yticks(models["place"], models["model"])
    left.set_ylim(rows - 0.4, 0.4 - 0.9)
    for ax in (left, right):
        style.percent_axis(ax, "kernels of the network, %")
        ax.tick_params(axis="y", length=0)
        style.despine(ax)
    right.tick_params(axis="y", labelleft=False)
    right.xaxis.grid(False)
    return [part for part in style.PARTS if here[part].any()]

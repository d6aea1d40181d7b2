"""Training pictures of each kind, their power spectra, and the shapes learnt from them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from kernelatlas.figures import style
from kernelatlas.figures.emergence import COLOURS

PITCH, ABOVE = 0.24, 1.0  # inches from bar to bar, and from one kind's pictures to the next


def draw(
    seeds: pd.DataFrame,
    emergence: pd.DataFrame,
    spectra: pd.DataFrame | None = None,
    samples: pd.DataFrame | None = None,
    seed: int | None = None,
) -> list[Figure]:
    """Draw crops and spectra of each kind of data, and the shapes in the networks trained on it.

    Parameters
    ----------
    seeds
        Columns family, network, trained_on, step, k, shape, share, mean (in [0, 1]), networks.
    emergence
        Columns family, network, step, k, share_identified, low, high.
    spectra
        Columns trained_on, frequency, power, exponent; None if there are no pictures.
    samples
        Columns trained_on, sample, side, pixels.
    seed
        First of those whose vote labels are; None keeps the vote out of the caption.
    """
    rows = _rows(seeds, emergence)
    kinds = [] if spectra is None else list(dict.fromkeys(spectra["trained_on"]))
    text, title = _caption(bool(kinds), seed), "What the training data change in the kernels"
    room = style.SHORT - 0.35 - style.caption_height(text, style.LONG)
    heights = [ABOVE * len(kinds) + 0.3, *[_high(part) for _, part in rows.groupby("trained_on")]]
    named = list(rows.groupby("trained_on").groups)
    pages = style.split(heights if kinds else heights[1:], room)
    first = 1 if kinds else 0
    figures = []
    for number, page in enumerate(pages):
        here = [named[index - first] for index in page if index >= first]
        pictured = bool(kinds) and 0 in page
        blocks = [heights[0]] * pictured
        blocks += [sum(_high(rows[rows["trained_on"] == kind]) for kind in here)] * bool(here)
        heading = style.numbered(title, number, len(pages))
        figure = style.new_figure(style.LONG, 0.35 + sum(blocks), heading)
        grid = figure.add_gridspec(len(blocks), 1, height_ratios=blocks)
        if pictured and spectra is not None and samples is not None:
            beside = grid[0].subgridspec(1, 2, width_ratios=(5.5, 4))
            _samples(figure, beside[0], samples, kinds)
            _spectra(figure.add_subplot(beside[1]), spectra, kinds)
        if here:
            chosen = rows[rows["trained_on"].isin(here)].reset_index(drop=True)
            parts = _bars(figure.add_subplot(grid[-1]), chosen, seeds)
            style.legend(figure, style.part_handles(parts), "shape")
        style.caption(figure, text)
        figures.append(figure)
    return figures


def _high(rows: pd.DataFrame) -> float:
    """Return the inches of the bars of a kind of data."""
    return PITCH * (len(rows) + 1.2) + 0.25


def _caption(pictures: bool, seed: int | None) -> str:
    return (
        (
            "Pictures: crops as the networks saw them, and the mean power spectrum of grey crops "
            "(Hann window, averaged over directions; values in units of the full range), with the "
            "exponent α of power ∝ frequency^−α fitted from 0.03 to 0.3 cycles per pixel. "
            if pictures
            else ""
        )
        + "Bars: the kernels identified at the end of training, by shape; for "
        "several networks of one family their mean. To the right, the share identified with ± one "
        "standard deviation of the sample, or of a single network with its 95 % interval over "
        "layers and seeds, and the share of the same networks untrained. The autoencoders are "
        "those of the zoo."
        + style.WHY
        + ("" if seed is None else " Labels are by vote of the seeds of the autoencoder.")
    )


def _rows(seeds: pd.DataFrame, emergence: pd.DataFrame) -> pd.DataFrame:
    """Return a row per bar: family, size, share identified after the last step and at step 0."""
    last = seeds[["network", "step"]].drop_duplicates()
    by = ["trained_on", "family", "k"]
    ends = emergence.merge(last, on=["network", "step"]).groupby(by)
    table = ends.agg(
        networks=("share_identified", "size"),
        mean=("share_identified", "mean"),
        sd=("share_identified", "std"),
        low=("low", "first"),  # drawn of a single network alone
        high=("high", "first"),
    ).reset_index()
    begun = emergence[emergence["step"] == 0].groupby(by)["share_identified"].mean()
    return table.join(begun.rename("untrained"), on=by)


def _samples(figure: Figure, cell: SubplotSpec, samples: pd.DataFrame, kinds: list[str]) -> None:
    across = int(samples.groupby("trained_on").size().max())
    grid = cell.subgridspec(len(kinds), across, wspace=0.02, hspace=0.05)
    for row, kind in enumerate(kinds):
        for column, crop in enumerate(style.rows_of(samples[samples["trained_on"] == kind])):
            ax = figure.add_subplot(grid[row, column])
            ax.imshow(np.asarray(crop.pixels, np.uint8).reshape(crop.side, crop.side, 3))
            ax.set(xticks=[], yticks=[])
            ax.set_title(" ")
            if column == 0:  # a title would widen the first column
                ax.text(0, 1.06, kind, transform=ax.transAxes, weight="bold", in_layout=False)
            style.despine(ax, left=True, bottom=True)


def _spectra(ax: Axes, spectra: pd.DataFrame, kinds: list[str]) -> None:
    handles = []
    for number, kind in enumerate(kinds):
        rows = spectra[spectra["trained_on"] == kind]
        colour = COLOURS[number % len(COLOURS)]
        ax.loglog(rows["frequency"], rows["power"], color=colour, linewidth=1.2)
        text = f"{kind}: α = {rows['exponent'].iloc[0]:.2f}"
        handles.append(Line2D([], [], color=colour, label=text))
    ax.legend(handles=handles, loc="lower left")
    ax.set(title="power spectra", xlabel="frequency, cycles per pixel", ylabel="power")
    ax.grid(True, color="#E5E5E5", linewidth=0.5)
    style.despine(ax)


def _bars(ax: Axes, rows: pd.DataFrame, seeds: pd.DataFrame) -> list[str]:
    """Draw a bar per family and size, under a heading per kind of data; return the parts shown."""
    heading = (rows["trained_on"] != rows["trained_on"].shift()).cumsum()
    places = np.arange(len(rows)) + 1.2 * heading.to_numpy()
    means = seeds.drop_duplicates(["trained_on", "family", "k", "shape"])
    wide = 100 * means.pivot_table("mean", ["trained_on", "family", "k"], "shape")
    keys = pd.MultiIndex.from_frame(rows[["trained_on", "family", "k"]])
    shares = wide.reindex(index=keys, columns=list(style.PARTS)).fillna(0)
    style.stacked_bars(ax, places.tolist(), shares, horizontal=True)
    names = []
    for row, place in zip(style.rows_of(rows), places, strict=True):
        several = f" ({row.networks} networks)" if row.networks > 1 else ""
        names.append(f"{row.family}, {row.k}×{row.k}{several}")
        text = f"{100 * row.mean:.1f} %"
        text += (
            f" ± {100 * row.sd:.1f}" if np.isfinite(row.sd) else style.interval(row.low, row.high)
        )
        text += f"; untrained {100 * row.untrained:.1f} %" if np.isfinite(row.untrained) else ""
        ax.text(101, place, text, size=style.SMALL, va="center_baseline")
    for kind, place in zip(rows["trained_on"], places, strict=True):
        if place == places[(rows["trained_on"] == kind).to_numpy()][0]:
            ax.text(0.5, place - 0.95, f"trained on {kind}", weight="bold", va="center_baseline")
    ax.set_yticks(places, names)
    ax.set_ylim(places[-1] + 0.6, places[0] - 1.6)
    style.percent_axis(ax, "kernels of the network, %")
    ax.xaxis.grid(False)
    ax.tick_params(axis="y", length=0)
    style.despine(ax)
    return [part for part in style.PARTS if shares[part].any()]

"""How often each master key, idealised or published filter explains a kernel best, by network."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.figures import style

SHOWN = ("master keys", "published", "idealised D2")  # sets; one is left out if it is not there
HEADINGS = {"idealised D2": "idealised (scales D2)"}
CELL, ROW, GAP, HEAD, FOOT = 0.46, 0.2, 0.35, 0.75, 0.45  # inches
NOISE = "white noise"
COLOURS = sns.color_palette("mako_r", as_cmap=True)


def draw(frequencies: pd.DataFrame, k: int) -> Figure:
    """Draw a heat map for each of `SHOWN`, a row for each network and one for white noise.

    Parameters
    ----------
    frequencies
        As `kernelatlas.tables.key_frequencies.frequency_table` returns it.
    """
    names = frequencies[["family", "model", "trained", "kernels"]].drop_duplicates("model")
    names = names.sort_values(["family", "trained"], ascending=[True, False], kind="stable")
    shown = [name for name in SHOWN if (frequencies["filters"] == name).any()]
    texts = [f"{row.model}  ({row.kernels:,})" for row in style.rows_of(names)] + [NOISE]
    words = max(style.text_width(text, style.SMALL) for text in texts) + 0.1
    widths = [CELL * frequencies.loc[frequencies["filters"] == n, "number"].max() for n in shown]
    inside = ROW * len(texts)
    width = max(2 * style.MARGIN + words + sum(widths) + GAP * (len(shown) - 1), 6.5)
    height = HEAD + inside + FOOT
    title = f"Which filter suits {k}×{k} kernels best"
    figure = style.new_figure(width, height, title, fixed=True)
    bottom = style.caption(figure, _caption(shown))
    left = style.MARGIN + words
    for number, (name, wide) in enumerate(zip(shown, widths, strict=True)):
        ax = style.axes_at(figure, left, bottom + FOOT, wide, inside)
        _panel(ax, frequencies[frequencies["filters"] == name], names)
        ax.set_title(HEADINGS.get(name, name), pad=4)
        ax.set_yticks(range(len(texts)), texts if number == 0 else [""] * len(texts))
        colours = [style.INK if trained else style.FAINT for trained in names["trained"]]
        for label, colour in zip(ax.get_yticklabels(), [*colours, style.FAINT], strict=True):
            label.set_color(colour)
        left += wide + GAP
    return figure


def _caption(shown: list[str]) -> str:
    published = "Published: the filters of arXiv 2509.11711, in their order. "
    return (
        "Share of the kernels of a network, in %, of which a filter f explains most as a·f + b "
        "(a of either sign), and of white noise, which is what there is without any structure. "
        "In grey: untrained controls, and noise. In brackets: kernels. Master keys are numbered by "
        f"their place on the curve. {published if 'published' in shown else ''}Idealised: those of "
        "arXiv 2509.12746."
    )


def _panel(ax: Axes, rows: pd.DataFrame, names: pd.DataFrame) -> None:
    shares = rows.pivot_table("share", "model", "number").reindex(names["model"])
    columns = rows.drop_duplicates("number").sort_values("number")
    values = 100 * np.vstack([shares.to_numpy(), columns["share_noise"]])
    ax.imshow(values, cmap=COLOURS, vmin=0, vmax=50, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ax.text(
            column,
            row,
            f"{value:.0f}",
            ha="center",
            va="center_baseline",
            size=style.SMALL,
            color="white" if value > 20 else style.INK,
        )
    ax.axhline(len(names) - 0.5, color="white", linewidth=2)
    labels = [
        f"{row.number}" if pd.isna(row.name_) else f"{row.number}\n{row.name_}"
        for row in style.rows_of(columns.rename(columns={"name": "name_"}))
    ]
    ax.set_xticks(range(len(labels)), labels, size=style.SMALL)
    ax.tick_params(length=0, pad=3)

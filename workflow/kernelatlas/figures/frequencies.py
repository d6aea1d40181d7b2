"""How often each master key, idealised or published filter explains a kernel best, by network."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kernelatlas.figures import style

SHOWN = ("master keys", "published", "idealised D2")  # sets; one is left out if it is not there
HEADINGS = {"idealised D2": "idealised (scales D2)"}
CELL, ROW, GAP, HEAD, FOOT = 0.46, 0.27, 0.3, 0.75, 0.45  # inches
NAMES = 1.7  # inches of the names of networks, at most
NOISE = "white noise"
COLOURS = sns.color_palette("mako_r", as_cmap=True)


def draw(frequencies: pd.DataFrame, k: int) -> list[Figure]:
    """Draw a heat map for each of `SHOWN`, a row for each network and one for white noise.

    The untrained controls of a family are one row, weighted by their kernels.

    Parameters
    ----------
    frequencies
        As `kernelatlas.tables.key_frequencies.frequency_table` returns it.
    """
    rows = _together(frequencies)
    names = rows[["family", "model", "trained", "kernels"]].drop_duplicates("model")
    names = names.sort_values(["family", "trained"], ascending=[True, False], kind="stable")
    names = names.reset_index(drop=True)
    shown = [name for name in SHOWN if (rows["filters"] == name).any()]
    short = style.distinct(names["model"].tolist(), NAMES, style.SMALL)
    texts = [f"{name}  ({n:,})" for name, n in zip(short, names["kernels"], strict=True)]
    words = max(style.text_width(text, style.SMALL) for text in [*texts, NOISE]) + 0.1
    numbers = [rows.loc[rows["filters"] == name, "number"].max() for name in shown]
    free = style.LONG - 2 * style.MARGIN - words - GAP * (len(shown) - 1)
    cell = min(CELL, free / sum(numbers))
    width = max(2 * style.MARGIN + words + cell * sum(numbers) + GAP * (len(shown) - 1), 6.5)
    room = style.SHORT - HEAD - FOOT - ROW - style.caption_height(_caption(shown), width)
    pages = style.split([ROW] * len(names), room)
    figures = []
    for page, chosen in enumerate(pages):
        here, lines = names.iloc[chosen], [*(texts[index] for index in chosen), NOISE]
        height = HEAD + ROW * len(lines) + FOOT
        title = style.numbered(f"Which filter suits {k}×{k} kernels best", page, len(pages))
        figure = style.new_figure(width, height, title, fixed=True)
        bottom = style.caption(figure, _caption(shown))
        left = style.MARGIN + words
        for column, (name, number) in enumerate(zip(shown, numbers, strict=True)):
            ax = style.axes_at(figure, left, bottom + FOOT, cell * number, ROW * len(lines))
            _panel(ax, rows[rows["filters"] == name], here)
            ax.set_title(HEADINGS.get(name, name), pad=4)
            ax.set_yticks(range(len(lines)), lines if column == 0 else [""] * len(lines))
            colours = [style.INK if trained else style.FAINT for trained in here["trained"]]
            for label, colour in zip(ax.get_yticklabels(), [*colours, style.FAINT], strict=True):
                label.set_color(colour)
            left += cell * number + GAP
        figures.append(figure)
    return figures


def _together(frequencies: pd.DataFrame) -> pd.DataFrame:
    """Make the untrained controls of each family one, with the range of their intervals."""
    trained, controls = (frequencies[frequencies["trained"] == kind] for kind in (True, False))
    if controls.empty:
        return trained
    number = controls.groupby("family")["model"].nunique()
    by = ["family", "trained", "filters", "number"]
    rows = controls.assign(weighted=controls["share"] * controls["kernels"])
    joined = {"name": "first", "share_noise": "first", "kernels": "sum", "weighted": "sum"}
    rows = rows.groupby(by, sort=False).agg({**joined, "low": "min", "high": "max"}).reset_index()
    rows["share"] = rows["weighted"] / rows["kernels"]
    rows["model"] = [
        f"{family}: {style.count(number[family], 'untrained control')}" for family in rows["family"]
    ]
    return pd.concat([trained, rows])


def _caption(shown: list[str]) -> str:
    published = "Published: the filters of arXiv 2509.11711, in their order. "
    return (
        "Share of the kernels of a network, in %, of which a filter f explains most as a·f + b "
        "(a of either sign), with the 95 % interval over the network's layers, and of white noise, "
        "which is what there is without any structure. The untrained controls of a family are "
        "together, with the range of their intervals. No shares of fewer than "
        f"{style.FEW} kernels. "
        "In grey: untrained controls, and noise. In brackets: kernels. Master keys are numbered by "
        f"their place on the curve. {published if 'published' in shown else ''}Idealised: those of "
        "arXiv 2509.12746."
    )


def _panel(ax: Axes, rows: pd.DataFrame, names: pd.DataFrame) -> None:
    columns = rows.drop_duplicates("number").sort_values("number")
    shares, low, high = (
        100
        * rows.pivot_table(value, "model", "number", dropna=False)
        .reindex(names["model"])
        .to_numpy(dtype=float)
        for value in ("share", "low", "high")
    )
    values = np.vstack([shares, 100 * columns["share_noise"].to_numpy(dtype=float)])
    values[:-1][names["kernels"].to_numpy() < style.FEW] = np.nan
    ax.imshow(values, cmap=COLOURS, vmin=0, vmax=50, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        dark = value > 20
        colour = "white" if dark else style.INK
        known = row < len(shares) and not np.isnan(low[row, column])
        up = 0.17 if known else 0
        ax.text(column, row - up, f"{value:.0f}", ha="center", va="center_baseline",
                size=style.SMALL, color=colour)  # fmt: skip
        if known:
            text = f"{low[row, column]:.0f}–{high[row, column]:.0f}"
            ax.text(column, row + 0.26, text, ha="center", va="center_baseline",
                    size=style.SMALL - 1.5, color=colour)  # fmt: skip
    ax.axhline(len(names) - 0.5, color="white", linewidth=2)
    labels = [
        f"{row.number}" if pd.isna(row.name_) else f"{row.number}\n{row.name_}"
        for row in style.rows_of(columns.rename(columns={"name": "name_"}))
    ]
    ax.set_xticks(range(len(labels)), labels, size=style.SMALL)
    ax.tick_params(length=0, pad=3)

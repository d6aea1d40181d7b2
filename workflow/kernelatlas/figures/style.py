"""Shared by all figures: theme, colours, kernels as images, stacked bars, captions, saving."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.patches import Patch, Rectangle
from matplotlib.textpath import text_to_path

from kernelatlas.clustering.shares import NOT_IDENTIFIED, PARTS
from kernelatlas.errors import KernelAtlasError
from kernelatlas.names import DEGENERATE, shape_of
from kernelatlas.running.files import whole

SMALL, NORMAL, LARGE = 6.5, 7.5, 10.0  # points
LINE = 1.35  # distance of lines, in font sizes
MARGIN = 0.15  # inches between the edge of the page and its content
CANVAS = 300  # pixels an inch of images that are put together from kernels
INK, FAINT, CONTROL = "#333333", "#9A9A9A", "#BDBDBD"

# seaborn, which takes as long to import as most figures to draw, is left to those that need it.
matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": NORMAL,
        "axes.titlesize": NORMAL + 0.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": NORMAL,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": NORMAL,
        "figure.titlesize": LARGE,
        "figure.titleweight": "bold",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "hatch.linewidth": 0.5,
        "axes.axisbelow": True,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.8,
        "lines.solid_capstyle": "round",
        "patch.linewidth": 0.8,
        "patch.edgecolor": "white",
        "patch.force_edgecolor": True,
        "xtick.minor.size": 3.2,
        "ytick.minor.size": 3.2,
        "xtick.minor.width": 0.8,
        "ytick.minor.width": 0.8,
        "legend.frameon": False,
        "pdf.fonttype": 42,
    }
)

# Red is positive, blue negative: distinct with all common kinds of colour blindness.
KERNEL_MAP = matplotlib.colormaps["RdBu_r"]

# After Okabe and Ito: the "on" kind of a shape is dark, the "off" kind light.
_COLOURS = {
    "on-centre": "#0072B2",
    "off-centre": "#8FCBF2",
    "on-cross": "#C44E00",
    "off-cross": "#EFA02A",
    "on-square": "#00634A",
    "off-square": "#35AD80",
    "first-derivative": "#B0508C",
    "second-derivative": "#F0E442",
    "other": "#D2D2D2",
    DEGENERATE: "#3A3A3A",
    NOT_IDENTIFIED: "#FAFAFA",
}
_HATCHES = {DEGENERATE: "////"}


def palette(labels: Iterable[str]) -> dict[str, str]:
    """Return the colour of each label: that of its shape, the same in every figure."""
    return {label: _COLOURS[shape_of(label)] for label in labels}


def part_style(part: str) -> dict[str, Any]:
    """Return the patch properties of a part of a stacked bar (one of `PARTS`)."""
    return {
        "facecolor": _COLOURS[part],
        "hatch": _HATCHES.get(part),
        "edgecolor": FAINT if part in (NOT_IDENTIFIED, DEGENERATE) else "white",
        "linewidth": 0.4,
    }


def control_style() -> dict[str, Any]:
    """Return the patch properties of a bar of an untrained control."""
    return {"facecolor": "#EFEFEF", "edgecolor": FAINT, "hatch": "/////", "linewidth": 0.4}


def new_figure(width: float, height: float, title: str, fixed: bool = False) -> Figure:
    """Return an empty page of a size in inches; on a `fixed` one, axes are placed by `axes_at`."""
    figure = Figure(figsize=(width, height), layout=None if fixed else "constrained")
    if fixed:
        figure.text(MARGIN / width, 1 - MARGIN / height, title, va="top", size=LARGE, weight="bold")
    else:
        figure.suptitle(title, x=MARGIN / width, ha="left")
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes whose place is given in inches from the page's lower left corner."""
    across, high = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / high, width / across, height / high))


def despine(ax: Axes, left: bool = False, bottom: bool = False) -> None:
    """Hide the upper and the right edge of axes, and others on request."""
    hidden = {"top": True, "right": True, "left": left, "bottom": bottom}
    ax.spines[[side for side, wanted in hidden.items() if wanted]].set_visible(False)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of one line of text in inches."""
    font = FontProperties(family="DejaVu Sans", weight=weight, size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.04 * float(points) / 72  # hinting widens letters a little in images


def shorten(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Cut a text to a width in inches, with an ellipsis."""
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text + "…", size, weight) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines no wider than a width in inches."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def without_kernels(title: str) -> Figure:
    """Return the page of a family of which no network could be read."""
    figure = new_figure(12.5, 0.6, title)
    caption(figure, "No kernels: the networks of this family were left out.")
    return figure


def caption(figure: Figure, text: str) -> float:
    """Put a paragraph at the bottom, in space added to the page; return its height in inches.

    Call it before axes are placed by `axes_at`.
    """
    width, height = figure.get_size_inches()
    lines = wrap(text, width - 2 * MARGIN, NORMAL)
    added = len(lines) * NORMAL * LINE / 72 + 2 * MARGIN
    for other in figure.texts:  # texts at the upper edge stay there
        other.set_y(1 - (1 - other.get_position()[1]) * height / (height + added))
    figure.set_size_inches(width, height + added)
    height += added
    figure.text(
        MARGIN / width,
        MARGIN / height,
        "\n".join(lines),
        va="bottom",
        size=NORMAL,
        linespacing=LINE - 0.1,
        in_layout=False,
    )
    engine = figure.get_layout_engine()
    if engine is not None:
        share = added / height
        engine.set(rect=(0, share, 1, 1 - share), w_pad=0.08, h_pad=0.06)  # type: ignore[call-arg]
    return added


def spread(places: np.ndarray, distance: float) -> np.ndarray:
    """Move sorted places in [0, 1] as little as needed to be `distance` apart.

    Places that would touch form a group, which stays centred on the mean of what was wanted.
    """
    distance = min(distance, 1 / max(len(places), 1))
    groups: list[list[float]] = []  # sum of the wanted starts, number of places
    for number, place in enumerate(places):
        groups.append([place - number * distance, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    starts = np.concatenate([np.full(int(n), total / n) for total, n in groups])
    low, high = distance / 2, 1 - (len(places) - 0.5) * distance
    return np.clip(starts, low, max(low, high)) + np.arange(len(places)) * distance


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """Return the rows as named tuples."""
    return list(frame.itertuples(index=False))


def direction_of(label: str) -> str:
    """Return the direction, and sign, at the end of a label: `45°`, `0° +`; empty without one."""
    return label.partition(" ")[2].replace("-", "−")


def show_kernel(
    ax: Axes,
    weights: Any,
    k: int,
    extent: tuple[float, float, float, float] | None = None,
    faint: bool = False,
) -> None:
    """Show a kernel, its colours symmetrical about zero, in a thin frame.

    Parameters
    ----------
    weights
        k·k weights, row by row.
    extent
        left, right, bottom, top in the axes' units; the whole axes without it.
    faint
        Dashed frame, for kernels that are not identified.
    """
    image = np.asarray(weights, dtype=float).reshape(k, k)
    limit = max(float(np.abs(image).max()), 1e-12)
    colours: dict[str, Any] = {"cmap": KERNEL_MAP, "vmin": -limit, "vmax": limit}
    if extent is None:
        ax.imshow(image, interpolation="nearest", **colours)
        ax.set(xticks=[], yticks=[])
        extent = (-0.5, k - 0.5, k - 0.5, -0.5)
        despine(ax, left=True, bottom=True)
    else:
        ax.set_autoscale_on(False)
        ax.imshow(image, interpolation="nearest", extent=extent, aspect="auto", **colours)
    left, right, bottom, top = extent
    frame = Rectangle(
        (left, bottom),
        right - left,
        top - bottom,
        fill=False,
        edgecolor=INK,
        linewidth=0.5,
        linestyle=(0, (2, 2)) if faint else "-",
        clip_on=False,
    )
    ax.add_patch(frame)


def kernel_pixels(kernels: Any, k: int) -> np.ndarray:
    """Return kernels as colours, (n, k, k, 3) uint8: centred, each symmetrical about zero."""
    values = np.stack([np.asarray(kernel, dtype=float) for kernel in kernels])
    values = values - values.mean(axis=1, keepdims=True)
    values /= np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12)
    colours: np.ndarray = KERNEL_MAP(values / 2 + 0.5, bytes=True)
    return colours[..., :3].reshape(len(values), k, k, 3)


def show_kernels(
    page: Axes,
    kernels: Sequence[Any],
    k: int,
    lefts: Sequence[float],
    upper: float,
    tile: float,
    faint: Sequence[bool] | None = None,
) -> None:
    """Show a row of kernels as one image, with frames as one or two lines: few artists, for speed.

    Parameters
    ----------
    page
        Axes in inches, downwards.
    kernels
        k·k weights each, shown as by `kernel_pixels`.
    lefts
        Left edge of each.
    upper, tile
        Upper edge, and side, of all.
    faint
        Whether each has a dashed frame.
    """
    if not len(kernels):
        return
    left, right = min(lefts), max(lefts) + tile
    canvas = np.full((round(tile * CANVAS), round((right - left) * CANVAS), 3), 255, dtype=np.uint8)
    down = np.arange(len(canvas)) * k // len(canvas)
    for pixels, start in zip(kernel_pixels(kernels, k), lefts, strict=True):
        begin = round((start - left) * CANVAS)
        part = canvas[:, begin : begin + len(canvas)]
        part[:] = pixels[down][:, down[: part.shape[1]]]
    page.set_autoscale_on(False)
    page.imshow(
        canvas,
        interpolation="nearest",
        extent=(left, right, upper + tile, upper),
        aspect="auto",
        zorder=1,
    )
    dashed = np.zeros(len(kernels), bool) if faint is None else np.asarray(faint, bool)
    for looks, chosen in (("-", ~dashed), ((0, (2, 2)), dashed)):
        boxes = [
            [(x, upper), (x + tile, upper), (x + tile, upper + tile), (x, upper + tile)]
            for x, wanted in zip(lefts, chosen, strict=True)
            if wanted
        ]
        if boxes:
            frames = PolyCollection(
                boxes,
                facecolors="none",
                edgecolors=INK,
                linewidths=0.5,
                linestyles=[looks],
                clip_on=False,
                zorder=2,
            )
            page.add_collection(frames, autolim=False)


def stacked_bars(
    ax: Axes, places: Sequence[float], shares: pd.DataFrame, horizontal: bool = False
) -> None:
    """Draw a bar of `PARTS` at each place, one for each row of `shares`."""
    start = np.zeros(len(shares))
    for part in PARTS:
        size = shares[part].to_numpy(dtype=float)
        if not size.any():
            continue
        if horizontal:
            ax.barh(places, size, left=start, height=0.8, **part_style(part))
        else:
            ax.bar(places, size, bottom=start, width=0.8, **part_style(part))
        start = start + size


def part_handles(parts: Iterable[str]) -> list[Patch]:
    """Return legend entries for those of `PARTS` given, in their order."""
    present = set(parts)
    return [Patch(label=part, **part_style(part)) for part in PARTS if part in present]


def trained_handles(trained: bool, control: bool, colour: str = INK) -> list[Patch]:
    """Return legend entries for the bars of trained networks and untrained controls."""
    handles = []
    if trained:
        handles.append(Patch(facecolor=colour, label="trained network"))
    if control:
        handles.append(Patch(label="untrained control", **control_style()))
    return handles


def legend(figure: Figure, handles: Sequence[Any], title: str | None = None) -> Legend:
    """Put a legend to the right of all axes."""
    return figure.legend(
        handles=list(handles), title=title, loc="outside right upper", alignment="left"
    )


def percent_axis(ax: Axes, text: str) -> None:
    """Make x run from 0 to 100 % with a light grid."""
    ax.set(xlim=(0, 100), xlabel=text)
    ax.xaxis.grid(True, color="#E5E5E5", linewidth=0.5)
    ax.set_axisbelow(True)


def count(number: int, noun: str) -> str:
    """Return `1 kernel`, `1,234 kernels`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(values: Iterable[Any]) -> str:
    """Return the different values in order as a text: `5×5 and 7×7`, `0, 1 and 2`."""
    texts = [str(value) for value in dict.fromkeys(values)]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def sizes(ks: Iterable[int]) -> str:
    """Return kernel sizes as a text: `5×5 and 7×7`."""
    return listed(f"{k}×{k}" for k in sorted({int(k) for k in ks}))


def thresholds(models: pd.DataFrame) -> str:
    """Return the thresholds of a table with the columns k and threshold as a text."""
    pairs = models[["k", "threshold"]].drop_duplicates().sort_values(["k", "threshold"])
    return listed(f"{t:.2f} ({int(k)}×{int(k)})" for k, t in rows_of(pairs))


def _lay_out(figure: Figure) -> None:
    """Place axes once, where every process places them.

    The last digits of what the solver of constrained layouts finds depend on addresses in memory.
    """
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for ax in figure.axes:
        ax.set_position(np.round(ax.get_position(original=True).bounds, 6))


def save(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write the figure to each path, .pdf or .png, and empty it.

    Equal figures give equal bytes: no dates and no versions are written.
    """
    _lay_out(figure)
    for path in map(Path, paths):
        if path.suffix == ".pdf":
            metadata: dict[str, Any] = {"CreationDate": None, "Producer": None, "Creator": None}
            dpi = 300
        elif path.suffix == ".png":
            metadata, dpi = {"Software": None}, 150
        else:
            raise KernelAtlasError(f"{path}: figures are written as .pdf or .png: change the name")
        with whole(path) as partial:
            figure.savefig(partial, dpi=dpi, metadata=metadata)
    figure.clear()

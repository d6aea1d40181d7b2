"""The decoded spectrum: the kernels that the autoencoder decodes along its one code."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from kernelatlas.figures import style
from kernelatlas.kernels.layer import side
from kernelatlas.names import FIRST, OTHER, SECOND, SHAPES, shape_of

LINES = 6  # of the page
IMAGES = 30  # maximal number of decoded kernels in a line
LEFT, WIDTH, RIGHT = 0.48, 9.6, 0.42  # inches
DENSITY, BAND, GAP, BETWEEN = 0.2, 0.16, 0.03, 0.13  # inches
HEAD, KEY = 0.5, 0.62  # inches of the title and of the key to the shapes

# Texts on a stretch of the band: the first that is narrow enough is written.
SHORT = {
    "on-centre": ("on-centre", "●"),
    "off-centre": ("off-centre", "○"),
    "on-cross": ("on-cross", "✚"),
    "off-cross": ("off-cross", "✛"),
    "on-square": ("on-square", "■"),
    "off-square": ("off-square", "□"),
    OTHER: ("other",),
}
SYMBOLS = {FIRST: "→ ↗ …", SECOND: "│ ╱ …"}
ARROWS = {0: "→", 45: "↗", 90: "↑", 135: "↖", 180: "←", 225: "↙", 270: "↓", 315: "↘"}
RIDGES = {0: "│", 45: "╲", 90: "─", 135: "╱"}  # across the direction
DARK = ("on-centre", "on-cross", "on-square", FIRST)  # colours on which white is readable


def draw(spectrum: pd.DataFrame, seed: int | None = None) -> Figure:
    """Draw the code in lines, as of text: decoded kernels over a band in the colours of shapes.

    Parameters
    ----------
    spectrum
        A row per point of the curve, at equally spaced codes: columns code, density (it
        integrates to 1 over the code), label, template_cosine, prototype (the decoded kernel).
    seed
        Of the autoencoder, for the caption.
    """
    spectrum = spectrum.sort_values("code", ignore_index=True)
    k = side(spectrum["prototype"].iloc[0])
    length = -(-len(spectrum) // LINES)  # points in a line
    tile = min(WIDTH / min(IMAGES, length), 0.34)
    depth = DENSITY + GAP + tile + GAP + BAND + BETWEEN
    lines = -(-len(spectrum) // length)
    width = LEFT + WIDTH + RIGHT
    title = f"Spectrum of decoded {k}×{k} kernels"
    figure = style.new_figure(width, HEAD + KEY + lines * depth, title, fixed=True)
    bottom = style.caption(figure, _caption(spectrum, k, seed))
    high = KEY + lines * depth
    page = style.axes_at(figure, 0, bottom, width, high)
    page.set(xlim=(0, width), ylim=(high, 0))  # inches, downwards
    page.axis("off")
    _key(page, spectrum, k)
    highest = float(spectrum["density"].max())
    for number in range(lines):
        points = spectrum.iloc[number * length : (number + 1) * length]
        upper = KEY + number * depth
        _line(page, points, WIDTH / length, upper, tile, k, highest)
        edge = 1 / len(spectrum) / 2
        baseline = upper + DENSITY + GAP + tile + GAP + BAND / 2
        for place, code, align in (
            (LEFT - 0.06, points["code"].iloc[0] - edge, "right"),
            (LEFT + len(points) * WIDTH / length + 0.06, points["code"].iloc[-1] + edge, "left"),
        ):
            text = f"{abs(code):.3f}"
            page.text(place, baseline, text, ha=align, va="center_baseline", size=style.SMALL)
    return figure


def _caption(spectrum: pd.DataFrame, k: int, seed: int | None) -> str:
    changes = int((spectrum["label"] != spectrum["label"].shift()).sum())
    return (
        f"The one code of the autoencoder of {k}×{k} kernels, from 0 to 1, in lines that are read "
        "like text; the numbers at their ends are codes. Squares: kernels decoded at codes under "
        "them, of the name that is commonest there (red positive, blue negative, each on its own "
        "scale). Band: what a kernel with this code is named, in the colour of its shape; the "
        f"name changes {changes - 1:,} times, as a shape lies at many places of the curve. "
        "Derivatives carry their direction, in degrees anticlockwise from the right, and second "
        "ones a sign (+: a dark ridge, −: a bright one); on narrow stretches an arrow is the "
        "direction in which a first derivative increases, and a line the ridge of a second. Grey "
        "above: density of the kernels along the code, on one scale; its highest value is "
        f"{spectrum['density'].max():.1f}, its mean 1. Percentages: share of the kernels whose "
        "codes lie on the stretches of a shape. Squares beside them: the point of the shape that "
        "is most like a template, of “other” the densest one."
        + ("" if seed is None else f" This is the curve of seed {seed} alone.")
    )


def _key(page: Axes, spectrum: pd.DataFrame, k: int) -> None:
    """Show for each shape its colour, share of kernels and best example on the curve."""
    shapes = spectrum["label"].astype(str).map(shape_of)
    present = [shape for shape in SHAPES if (shapes == shape).any()]
    step = (LEFT + WIDTH + RIGHT - 2 * style.MARGIN) / len(SHAPES)
    tile, examples, lefts = 0.3, [], []
    for number, shape in enumerate(present):
        rows = spectrum[shapes == shape]
        by = "density" if shape == OTHER else "template_cosine"
        best = rows[by].to_numpy(dtype=float).argmax()
        examples.append(rows["prototype"].iloc[best])
        lefts.append(style.MARGIN + number * step)
        share = 100 * rows["density"].sum() / spectrum["density"].sum()
        symbols = [SYMBOLS[shape]] if shape in SYMBOLS else SHORT[shape][1:]
        lines = [shape, "  ".join([f"{share:.1f} %", *symbols])]
        if shape in SYMBOLS:
            lines[:1] = shape.replace("-", "-\n").split("\n")
        for line, text in enumerate(lines):
            page.text(
                lefts[-1] + tile + 0.07,
                tile / 2 + 0.04 + (line - (len(lines) - 1) / 2) * 0.13,
                text,
                size=style.SMALL,
                va="center_baseline",
                weight="normal" if text is lines[-1] else "bold",
            )
    style.show_kernels(page, examples, k, lefts, 0, tile)
    boxes = [_box(left, left + tile, tile + GAP, tile + GAP + 0.08) for left in lefts]
    _boxes(page, boxes, [style.palette([shape])[shape] for shape in _labels(present)])


def _labels(shapes: list[str]) -> list[str]:
    """Return a label of each shape."""
    directed = {FIRST: f"{FIRST} 0°", SECOND: f"{SECOND} 0° +"}
    return [directed.get(shape, shape) for shape in shapes]


def _line(
    page: Axes,
    points: pd.DataFrame,
    step: float,
    upper: float,
    tile: float,
    k: int,
    highest: float,
) -> None:
    """Draw a line of the page; a point of the curve is `step` inches wide."""
    density = points["density"].to_numpy(dtype=float)
    base = upper + DENSITY
    places = LEFT + (np.arange(len(points)) + 0.5) * step
    edges = [LEFT, *places, LEFT + len(points) * step]
    heights = base - DENSITY * np.array([density[0], *density, density[-1]]) / max(highest, 1e-12)
    outline = [(edges[0], base), *zip(edges, heights, strict=True), (edges[-1], base)]
    _boxes(page, [outline], [style.CONTROL])

    row = base + GAP
    images = max(round(len(points) * step / tile), 1)
    middles = LEFT + (np.arange(images) + 0.5) * len(points) * step / images
    labels = points["label"].astype(str).to_numpy()
    nearest = [_typical(labels, places, middle, tile) for middle in middles]
    shown = 0.94 * tile
    style.show_kernels(
        page,
        [points["prototype"].iloc[index] for index in nearest],
        k,
        [middle - shown / 2 for middle in middles],
        row + 0.03 * tile,
        shown,
    )

    row += tile + GAP
    begins = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    ends = np.append(begins[1:], len(labels))
    boxes = [
        _box(LEFT + begin * step, LEFT + end * step, row, row + BAND)
        for begin, end in zip(begins, ends, strict=True)
    ]
    colours = style.palette(labels)
    _boxes(page, boxes, [colours[labels[begin]] for begin in begins], edge="white")
    for begin, end in zip(begins, ends, strict=True):
        text = _fitting(labels[begin], (end - begin) * step - 0.03)
        page.text(
            LEFT + (begin + end) / 2 * step,
            row + BAND / 2,
            text,
            size=style.SMALL - 0.5,
            ha="center",
            va="center_baseline",
            color="white" if shape_of(labels[begin]) in DARK else style.INK,
        )


def _typical(labels: np.ndarray, places: np.ndarray, middle: float, tile: float) -> int:
    """Return the point that a square over `middle` shows: the middle one of the commonest label."""
    under = np.flatnonzero(np.abs(places - middle) <= tile / 2 + 1e-9)
    if not len(under):
        return int(np.abs(places - middle).argmin())
    values, numbers = np.unique(labels[under], return_counts=True)
    of_label = under[np.isin(labels[under], values[numbers == numbers.max()])]
    return int(of_label[np.abs(places[of_label] - middle).argmin()])


def _fitting(label: str, width: float) -> str:
    """Return the longest short form of a label that is no wider than `width` inches, or ''."""
    shape, direction = shape_of(label), style.direction_of(label)
    if direction:
        angle = int(direction.split("°")[0])
        if shape == FIRST:
            forms: tuple[str, ...] = (f"first {direction}", ARROWS[angle])
        else:
            forms = (f"second {direction}", RIDGES[angle])
    else:
        forms = SHORT.get(shape, ())
    for form in forms:
        if style.text_width(form, style.SMALL - 0.5) <= width:
            return form
    return ""


def _box(left: float, right: float, upper: float, lower: float) -> list[tuple[float, float]]:
    return [(left, upper), (right, upper), (right, lower), (left, lower)]


def _boxes(
    page: Axes,
    boxes: list[list[tuple[float, float]]],
    colours: list[str],
    edge: str = "none",
) -> None:
    patches = PolyCollection(
        boxes, facecolors=colours, edgecolors=edge, linewidths=0.4, clip_on=False, zorder=1
    )
    page.add_collection(patches, autolim=False)

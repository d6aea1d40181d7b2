"""Pages: their size, captions and layout, and how they are written."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image

from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures.style.theme import LARGE, LINE, NORMAL, SMALL
from kernelatlas.figures.style.writing import text_width, wrap
from kernelatlas.running.files import whole
from kernelatlas.running.progress import tracked

MARGIN = 0.15  # inches between the edge of the page and its content
# Inches that A4 and Letter both have inside margins of a quarter of an inch, either way up.
LONG, SHORT = 10.5, 7.7
TITLE, KEY_LINE = 0.42, 0.14  # inches of a page's title, and of a line of the legend under it
DPI, HIGHEST = 150, 15_000  # pixels an inch of images, and of a column of pages in one, about
_Write = Callable[[Figure], None]


def new_figure(width: float, height: float, title: str, fixed: bool = False) -> Figure:
    """Return an empty page of a size in inches; on a `fixed` one, axes are placed by `axes_at`."""
    figure = Figure(figsize=(width, height), layout=None if fixed else "constrained")
    if fixed:
        figure.text(MARGIN / width, 1 - MARGIN / height, title, va="top", size=LARGE, weight="bold")
    else:
        figure.suptitle(title, x=MARGIN / width, ha="left")
    return figure


def without_kernels(title: str) -> Figure:
    """Return the page of a family of which no network could be read."""
    figure = new_figure(SHORT, 0.6, title)
    caption(figure, "No kernels: the networks of this family were left out.")
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes whose place is given in inches from the page's lower left corner."""
    across, high = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / high, width / across, height / high))


def caption_height(text: str, width: float) -> float:
    """Return how many inches `caption` adds to a page of so many inches across."""
    lines = wrap(text, width - 2 * MARGIN, NORMAL)
    return len(lines) * NORMAL * LINE / 72 + 2 * MARGIN


def caption(figure: Figure, text: str) -> float:
    """Put a paragraph at the bottom, in space added to the page; return its height in inches.

    Call it before axes are placed by `axes_at`.
    """
    width, height = figure.get_size_inches()
    lines = wrap(text, width - 2 * MARGIN, NORMAL)
    added = caption_height(text, width)
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


def legend_above(figure: Figure, handles: Sequence[Any]) -> None:
    """Put a legend in lines under the title of a fixed page; call it after `caption`."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=list(handles),
        ncols=_columns(handles, float(width)),
        loc="upper left",
        bbox_to_anchor=(MARGIN / width, 1 - TITLE / height),
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.2,
        handlelength=1.6,
        handletextpad=0.5,
    )


def legend_height(handles: Sequence[Any], width: float) -> float:
    """Return how many inches `legend_above` takes."""
    return -(-len(handles) // _columns(handles, width)) * KEY_LINE + 0.08 if len(handles) else 0.0


def _columns(handles: Sequence[Any], width: float) -> int:
    """Return the greatest number of columns of a legend that fit."""
    words = [text_width(str(handle.get_label()), SMALL) + 0.36 for handle in handles]
    for columns in range(len(words), 1, -1):
        filled = np.array_split(words, columns)  # as matplotlib fills them: the first ones more
        if sum(max(column) for column in filled) <= width - 2 * MARGIN:
            return columns
    return 1


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


def save(figures: Figure | Sequence[Figure], *paths: str | os.PathLike[str]) -> None:
    """Write pages to each path, and empty them.

    A .pdf has them one after another, a .png one above another, in several columns if they are
    many. Equal figures give equal bytes: no dates and no versions are written.

    Raises
    ------
    KernelAtlasError
        If a path has another suffix.
    """
    pages = [figures] if isinstance(figures, Figure) else list(figures)
    with ExitStack() as files:
        writers = [files.enter_context(_writer(path, pages)) for path in map(Path, paths)]
        for page in tracked(pages, "drawing", "pages"):
            _lay_out(page)
            for write in writers:
                write(page)
            page.clear()  # texts keep the pixels of what they were drawn on


def _writer(path: Path, pages: Sequence[Figure]) -> AbstractContextManager[_Write]:
    if path.suffix not in (".pdf", ".png"):
        raise KernelAtlasError(f"{path}: figures are written as .pdf or .png: change the name")
    return _pdf(path) if path.suffix == ".pdf" else _png(path, pages)


@contextmanager
def _pdf(path: Path) -> Iterator[_Write]:
    without = {"CreationDate": None, "Producer": None, "Creator": None}
    with whole(path) as partial, PdfPages(partial, metadata=without) as file:
        yield lambda page: page.savefig(file, format="pdf", dpi=300)


@contextmanager
def _png(path: Path, pages: Sequence[Figure]) -> Iterator[_Write]:
    """Give what puts a page in its place of one image, which is written at the end."""
    sizes = [tuple(int(DPI * side) for side in page.get_size_inches()) for page in pages]
    columns = -(-sum(high for _, high in sizes) // HIGHEST)
    per = -(-len(sizes) // columns)
    places, left, lowest = [], 0, 0
    for start in range(0, len(sizes), per):
        stack = sizes[start : start + per]
        tops = [0, *accumulate(high for _, high in stack)]
        places += [(left, top) for top in tops[:-1]]
        left += max(wide for wide, _ in stack)
        lowest = max(lowest, tops[-1])
    image = Image.new("RGB", (left, lowest), "white")
    following = iter(places)

    def write(page: Figure) -> None:
        page.set_dpi(DPI)
        canvas = FigureCanvasAgg(page)
        canvas.draw()
        image.paste(Image.fromarray(np.asarray(canvas.buffer_rgba())), next(following))

    with whole(path) as partial:
        yield write
        image.save(partial, format="png", dpi=(DPI, DPI))


def numbered(title: str, number: int, pages: int) -> str:
    """Return the title of a page, with its number if there are several."""
    return title if pages == 1 else f"{title} ({number + 1} of {pages})"


def split(heights: Sequence[float], room: float) -> list[list[int]]:
    """Put things of so many inches on pages with so much room; return the indices on each.

    They keep their order; pages are as few as possible, and filled about equally.
    """
    pages = _filled(heights, room)
    low, high = min(max([0.0, *heights]), room), room
    for _ in range(20):  # the least room that takes no more pages
        middle = (low + high) / 2
        if len(_filled(heights, middle)) > len(pages):
            low = middle
        else:
            high = middle
    return _filled(heights, high)


def _filled(heights: Sequence[float], room: float) -> list[list[int]]:
    pages: list[list[int]] = [[]]
    left = room
    for number, height in enumerate(heights):
        if pages[-1] and height > left + 1e-9:
            pages.append([])
            left = room
        pages[-1].append(number)
        left -= height
    return pages

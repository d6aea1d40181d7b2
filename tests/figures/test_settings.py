"""Figures have the same bytes whatever the user's matplotlib is set to; pages are pages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kernelatlas.figures import style

DRAW = """
import sys
from kernelatlas.figures import style
import seaborn
page = style.new_figure(3, 2, "A title")
ax = page.subplots()
seaborn.heatmap([[1, 2], [3, 4]], ax=ax)
ax.set(xlabel="kernels, %", title="m_x")
style.caption(page, "A caption.")
style.save(page, sys.argv[1] + ".pdf", sys.argv[1] + ".png")
"""
HOSTILE = """
text.usetex: True
font.family: serif
font.size: 30
savefig.bbox: tight
savefig.facecolor: red
savefig.dpi: 30
figure.facecolor: yellow
figure.autolayout: True
axes.facecolor: pink
axes.grid: True
pdf.fonttype: 3
pdf.compression: 0
path.sketch: 1, 100, 2
image.cmap: jet
backend: QtAgg
"""
UNREADABLE = b"font.size: 30\n# caf\xe9\n"


def drawn(folder: Path, **environment: str) -> tuple[bytes, bytes]:
    """Draw in another process, from a working folder; return the bytes of the PDF and the PNG."""
    known = {name: text for name, text in os.environ.items() if not name.startswith("MPL")}
    cache = str(folder.parent / "cache")  # one for all: making it takes seconds
    done = subprocess.run(
        [sys.executable, "-c", DRAW, "figure"],
        cwd=folder,
        env={**known, "HOME": str(folder / "home"), "XDG_CACHE_HOME": cache, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return tuple((folder / f"figure.{suffix}").read_bytes() for suffix in ("pdf", "png"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    return drawn(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("place", ["matplotlibrc", "home/.config/matplotlib/matplotlibrc"])
def test_settings_of_a_user_change_no_byte(
    place: str, plain: tuple[bytes, bytes], tmp_path: Path
) -> None:
    settings = tmp_path / place
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(HOSTILE)
    assert drawn(tmp_path) == plain


def test_variables_of_the_environment_change_no_byte(
    plain: tuple[bytes, bytes], tmp_path: Path
) -> None:
    settings = tmp_path / "mine"
    settings.write_text(HOSTILE)
    assert drawn(tmp_path, MATPLOTLIBRC=str(settings), MPLBACKEND="no such backend") == plain


def test_settings_that_cannot_be_read_stop_no_figure(
    plain: tuple[bytes, bytes], tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_bytes(UNREADABLE)
    assert drawn(tmp_path) == plain


def test_pages_follow_each_other_in_a_pdf_and_stand_above_each_other_in_a_png(
    tmp_path: Path,
) -> None:
    pages = [style.new_figure(3, 2, "first"), style.new_figure(2, 1, "second")]
    pages[1].set_facecolor("#0072B2")
    style.save(pages, tmp_path / "pages.pdf", tmp_path / "pages.png")
    written = (tmp_path / "pages.pdf").read_bytes()
    boxes = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", written)
    assert [[float(side) for side in box] for box in boxes] == [[216, 144], [144, 72]]
    pixels = np.asarray(Image.open(tmp_path / "pages.png"))
    assert pixels.shape == (450, 450, 3)
    assert (pixels[300:, :300] == (0, 0x72, 0xB2)).all(axis=-1).mean() > 0.9
    assert (pixels[300:, 300:] == 255).all()


def test_very_many_pages_stand_in_columns_of_an_image_that_programs_open(tmp_path: Path) -> None:
    pages = [style.new_figure(1, 10, "") for _ in range(40)]
    pages[39].set_facecolor("black")
    style.save(pages, tmp_path / "many.png")
    with Image.open(tmp_path / "many.png") as image:
        assert image.size == (4 * 150, 10 * 1500)
        assert image.getpixel((599, 14_999)) == (0, 0, 0)  # the last page ends the last column
        assert image.getpixel((449, 14_999)) == (255, 255, 255)


def test_things_are_put_on_as_few_pages_as_possible_and_fill_them_equally() -> None:
    assert style.split([1.0] * 10, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert style.split([1.0] * 9, 4) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert style.split([3, 1, 3, 9, 1], 4) == [[0, 1], [2], [3], [4]]  # one that is too large
    assert style.split([], 4) == [[]]

"""Folders of ImageNet pictures: which pictures there are, and of which class each is.

A folder has a folder for each class, whose name is the class's WordNet id, or files whose names
begin with it. The number of a class is its place among ImageNet-1k's ids as timm lists them,
which is that of the outputs of timm's networks. Neither timm nor torch is imported.
"""

import functools
import hashlib
import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.packages import path_of

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm")
ID = re.compile(r"n\d{8}(?!\d)")  # of WordNet
FORM = "a folder for each class, named by its WordNet id, or files whose names begin with it"


@dataclass(frozen=True, order=True)
class Picture:
    """A picture of a folder.

    Attributes
    ----------
    file
        Path in the folder.
    label
        Number of its class, from 0.
    size, changed
        Bytes, and time of the last modification in nanoseconds.
    """

    file: str
    label: int
    size: int
    changed: int


@functools.cache
def class_numbers() -> dict[str, int]:
    """Return the number of each of ImageNet-1k's classes by WordNet id, 0 to 999.

    Raises
    ------
    KernelAtlasError
        If timm, whose list it is, is not installed.
    """
    ids = path_of("timm", "timm/data/_info/imagenet_synsets.txt").read_text().split()
    return {wordnet_id: number for number, wordnet_id in enumerate(ids)}


def list_pictures(folder: str | Path) -> list[Picture]:
    """Return the pictures of a folder, sorted by path.

    Files whose names do not end like those of pictures are left out, hidden ones too.

    Raises
    ------
    KernelAtlasError
        If there is no such folder, no picture in it, or one whose class is not known.
    """
    try:
        found = sorted(_pictures(Path(folder)))
    except OSError as error:
        raise KernelAtlasError(
            f"images: {error.filename or folder}: cannot be read ({error.strerror or error}): name "
            f"a folder in the form of ImageNet, {FORM}"
        ) from error
    if not found:
        raise KernelAtlasError(f"images: {folder}: has no pictures: it must have {FORM}")
    return found


def _pictures(folder: Path) -> Iterator[Picture]:
    for name, is_folder, status in _visible(folder):
        if is_folder:
            inside = [item for item in _visible(folder / name) if _is_picture(item)]
            if inside:
                label = _label(folder, name, f"{name}/")
                for file, _, of_file in inside:
                    yield Picture(f"{name}/{file}", label, of_file.st_size, of_file.st_mtime_ns)
            elif next(_visible(folder / name), None) is not None and not ID.match(name):
                raise KernelAtlasError(
                    f"images: {folder}: the folder '{name}' has no pictures: name the folder with "
                    f"{FORM}"
                )
        elif _is_picture((name, is_folder, status)):
            yield Picture(name, _label(folder, name, name), status.st_size, status.st_mtime_ns)


def _visible(folder: Path) -> Iterator[tuple[str, bool, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield entry.name, entry.is_dir(), entry.stat()


def _is_picture(item: tuple[str, bool, os.stat_result]) -> bool:
    name, is_folder, _ = item
    return not is_folder and name.lower().endswith(SUFFIXES)


def _label(folder: Path, name: str, shown: str) -> int:
    found = ID.match(name)
    if found is None:
        raise KernelAtlasError(
            f"images: {folder}: '{shown}' does not begin with a WordNet id, such as n01440764: the "
            f"folder must have {FORM}"
        )
    number = class_numbers().get(found[0])
    if number is None:
        raise KernelAtlasError(
            f"images: {folder}: '{shown}' is of {found[0]}, which is no class of ImageNet-1k: "
            "remove the pictures of other classes"
        )
    return number


def chosen(pictures: Sequence[Picture], limit: int, seed: int = 0) -> list[Picture]:
    """Return at most `limit` pictures, chosen at random from a seed, in their order."""
    if len(pictures) <= limit:
        return list(pictures)
    places = random.Random(seed).sample(range(len(pictures)), limit)
    return [pictures[place] for place in sorted(places)]


def digest(pictures: Sequence[Picture]) -> str:
    """Return a digest of paths in the folder, sizes and times, 64 hexadecimal digits.

    The pictures themselves are not read: 50,000 would take minutes at every start.
    """
    lines = (f"{p.file}\t{p.label}\t{p.size}\t{p.changed}\n" for p in pictures)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

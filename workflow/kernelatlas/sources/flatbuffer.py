"""The binary format of FlatBuffers, read in a file without loading it.

Described at https://flatbuffers.dev/internals. No offset is believed: every read is inside the
file, and the number of tables that are opened is limited, because vectors may share them.
"""

import struct
from collections.abc import Iterator

import numpy as np

from kernelatlas.sources.pages import Pages
from kernelatlas.sources.source import Damaged, Refused, damage

TABLES_LIMIT = 300_000  # of a file, for time; a network has some thousand
TEXT_LIMIT = 8 << 10  # bytes of a name


class Flat:
    """A file of tables."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.opened = 0

    def root(self) -> "Table":
        return Table(self, 0)

    def number(self, form: str, at: int) -> int:
        """Return an integer in a form of the module struct."""
        (value,) = struct.unpack(form, self.pages.take(at, struct.calcsize(form)))
        return int(value)


class Table:
    """A table of fields by their slots, which the schema numbers from 0.

    Parameters
    ----------
    at
        Where the offset of the table is.
    """

    def __init__(self, flat: Flat, at: int) -> None:
        flat.opened += 1
        if flat.opened > TABLES_LIMIT:
            raise Refused(f"has more than {TABLES_LIMIT} tables: check that it is a network")
        self._flat = flat
        self._at = at + flat.number("<I", at)
        self._slots = self._at - flat.number("<i", self._at)
        self._length = flat.number("<H", self._slots)

    def _place(self, slot: int) -> int | None:
        """Return where a field is; None if the table leaves it out."""
        place = 4 + 2 * slot
        if place + 2 > self._length:
            return None
        offset = self._flat.number("<H", self._slots + place)
        return self._at + offset if offset else None

    def has(self, slot: int) -> bool:
        return self._place(slot) is not None

    def number(self, slot: int, form: str, default: int = 0) -> int:
        place = self._place(slot)
        return default if place is None else self._flat.number(form, place)

    def table(self, slot: int) -> "Table | None":
        place = self._place(slot)
        return None if place is None else Table(self._flat, place)

    def vector(self, slot: int, size: int) -> tuple[int, int]:
        """Return where a vector's elements of `size` bytes begin, and how many they are."""
        place = self._place(slot)
        if place is None:
            return 0, 0
        begin = place + self._flat.number("<I", place)
        count = self._flat.number("<I", begin)
        self.check(begin + 4, count * size)
        return begin + 4, count

    def check(self, begin: int, size: int) -> None:
        """Raise an error if bytes are not in the file."""
        if begin + size > self._flat.pages.size:
            raise Damaged(f"{size} bytes at {begin} in a file of {self._flat.pages.size}")

    def tables(self, slot: int) -> Iterator["Table"]:
        begin, count = self.vector(slot, 4)
        for i in range(count):
            yield Table(self._flat, begin + 4 * i)

    def element(self, slot: int, index: int) -> "Table":
        """Return one of a vector of tables."""
        begin, count = self.vector(slot, 4)
        if not 0 <= index < count:
            raise Damaged(f"element {index} of a vector of {count}")
        return Table(self._flat, begin + 4 * index)

    def numbers(self, slot: int, dtype: str, most: int) -> np.ndarray:
        """Return a vector of at most so many numbers."""
        size = np.dtype(dtype).itemsize
        begin, count = self.vector(slot, size)
        if count > most:
            raise Damaged(f"{count} numbers where at most {most} are expected")
        return np.frombuffer(self._flat.pages.take(begin, count * size), dtype)

    def text(self, slot: int) -> str:
        """Return a name; empty if it is too long to be kept."""
        begin, count = self.vector(slot, 1)
        if count > TEXT_LIMIT:
            return ""
        with damage(UnicodeError):
            return self._flat.pages.take(begin, count).decode()

"""A file that bytes are read from, in bounds, and what is found in it."""

import abc
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from kernelatlas.kernels.layer import Layer

CONTENTS_LIMIT = 16 << 20  # bytes of a zip archive's table of contents or of a shard index

# What the parsers below are known to raise on damaged input.
DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError),
    *(MemoryError, RuntimeError),
)


@dataclass(frozen=True, eq=False)
class Reading:
    """What was found in a checkpoint.

    Attributes
    ----------
    layers
        The depthwise layers.
    tensors
        Number of all tensors.
    size, bytes_read
        Bytes of the file, or of all shards, and how many of them were needed.
    """

    layers: list[Layer]
    tensors: int
    size: int
    bytes_read: int


class Refused(Exception):
    """What is wrong with the file and what to do, without the file's name."""


def short(text: object) -> str:
    """Return a text from the file as it may stand in a message: short, on one line."""
    return repr(str(text)[:100])


class Source(abc.ABC):
    """A file-like object that counts the bytes read and never tries to read beyond its end.

    Attributes
    ----------
    label, again
        How messages call the file, and what they advise where it is damaged.
    size, end, limit
        Bytes of the file; where reading has to stop; how much one call may read.
    part
        Whether it is a shard, which may hold no depthwise weight.
    shards
        Bytes of the shards that were read because of this file.
    sibling
        Reads the shard of a name, which lies beside this file.
    """

    again = "download or copy it again"
    part = False
    shards = 0

    def __init__(self, label: str, size: int, sibling: Callable[[str], Reading]) -> None:
        self.label, self.size, self.end, self.limit = label, size, size, size
        self.position = self.bytes_read = 0
        self.sibling = sibling

    @abc.abstractmethod
    def fetch(self, begin: int, count: int) -> bytes:
        """Return up to `count` bytes from `begin` on."""

    def view(self, begin: int, count: int) -> bytes | memoryview:
        """Return exactly `count` bytes from `begin` on, without a copy where that can be."""
        self.seek(begin)
        return self.exactly(count)

    @abc.abstractmethod
    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Tell which bytes, from begin to stop, will be read next, in this order."""

    @abc.abstractmethod
    def need_whole(self) -> None:
        """Tell that the file will be read from end to end."""

    def read(self, count: int = -1) -> bytes:
        left = max(self.end - self.position, 0)
        count = left if count < 0 else min(count, left)
        if count > self.limit:
            raise ValueError(f"{count} bytes where at most {self.limit} are expected")
        data = self.fetch(self.position, count)
        self.position += len(data)
        self.bytes_read += len(data)
        return data

    def readline(self) -> bytes:
        """Return what is left of a line; only pickles of the oldest protocol have lines."""
        line = bytearray()
        while (byte := self.read(1)) and byte != b"\n":
            line += byte
        return bytes(line + byte)

    def exactly(self, count: int) -> bytes:
        data = self.read(count)
        if len(data) != count:
            raise EOFError(f"{count} bytes expected, {len(data)} found")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} in a file")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def seekable(self) -> bool:
        return True


class LocalSource(Source):
    """A file on a disk."""

    def __init__(
        self, file: BinaryIO, label: str, sibling: Callable[[str], Reading], part: bool = False
    ) -> None:
        super().__init__(label, os.fstat(file.fileno()).st_size, sibling)
        self.file, self.part = file, part

    def fetch(self, begin: int, count: int) -> bytes:
        if begin != self.file.tell():
            self.file.seek(begin)
        return self.file.read(count)

    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Do nothing: a disk is near."""

    def need_whole(self) -> None:
        """Do nothing: it is there."""

"""Bytes of a checkpoint, read within limits, and what may be wrong with them."""

import abc
import contextlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kernelatlas.kernels.layer import Layer

CONTENTS_LIMIT = 8 << 20  # bytes of a zip archive's table of contents or of a shard index
DEFLATED = 1032  # times smaller deflate makes data, at most (zlib.net/zlib_tech.html)
LINE_LIMIT = 64 << 10  # bytes of a line in a pickle: a name or a number


@dataclass(frozen=True)
class Options:
    """How to read a checkpoint: what the zoo says, and how much of it is needed.

    Attributes
    ----------
    key
        Where in the checkpoint the state dict is, keys with dots between them; None to find it.
    fused
        Whether parallel branches and norms are folded into the kernels that act at inference.
    depthwise
        Whether every layer whose weight has the shape of a depthwise one is depthwise.
    whole
        Whether the values of all tensors are read, not those of depthwise weights alone.
    """

    key: str | None = None
    fused: bool = False
    depthwise: bool = False
    whole: bool = False


DEFAULT = Options()


@dataclass(frozen=True)
class Convolution:
    """What a file tells of a convolution besides its weights.

    Attributes
    ----------
    groups, in_channels, transposed
        As in PyTorch.
    stride, dilation
        In pixels, alike in both directions; None where unknown or different.
    """

    groups: int
    in_channels: int
    transposed: bool = False
    stride: int | None = None
    dilation: int | None = None

    @property
    def depthwise(self) -> bool:
        return not self.transposed and self.groups == self.in_channels > 1


@dataclass(frozen=True, eq=False)
class Tensors:
    """A state dict: tensors by name, in the order of the file.

    Attributes
    ----------
    shapes
        Of all tensors.
    values
        Those of the tensors that `kernelatlas.sources.weights.is_wanted` chooses, as float32.
    ordered
        Whether the order is that of definition.
    convolutions
        What is known of modules that are convolutions, by name; a state dict tells nothing.
    parts
        Values of those that `kernelatlas.sources.weights.is_foldable` chooses, if `Options.fused`.
    """

    shapes: dict[str, tuple[int, ...]]
    values: dict[str, np.ndarray]
    ordered: bool
    convolutions: dict[str, Convolution] = field(default_factory=dict)
    parts: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Parts:
    """What may be folded into the kernels of a checkpoint (`kernelatlas.sources.fused`).

    Attributes
    ----------
    values
        Tensors of norms, scales and 1×1 branches by name, float32.
    norms
        The norm behind a layer, by layer, where names tell.
    """

    values: dict[str, np.ndarray]
    norms: dict[str, str]


@dataclass(frozen=True, eq=False)
class Content:
    """What was found in a checkpoint.

    Attributes
    ----------
    layers
        The depthwise layers.
    ordered
        Whether the layers are in the order of definition.
    tensors
        Number of all tensors.
    shapes
        Of all tensors, in the order of definition; empty where this is unknown.
    left_out
        Number of tensors that have the shape of a depthwise weight and are none.
    """

    layers: list[Layer]
    ordered: bool
    tensors: int
    shapes: tuple[tuple[int, ...], ...] = field(default=(), kw_only=True)
    left_out: int = field(default=0, kw_only=True)


@dataclass(frozen=True, eq=False)
class Shard:
    """One of the files of a checkpoint in several.

    Attributes
    ----------
    tensors
        Its part of the state dict.
    size, bytes_read
        Bytes of the file, and how many of them were needed.
    """

    tensors: Tensors
    size: int
    bytes_read: int


@dataclass(frozen=True, eq=False)
class Reading(Content):
    """What was found in a checkpoint of one file or several.

    Attributes
    ----------
    size, bytes_read
        Bytes of the file, or of index and shards, and how many of them were needed.
    shards
        Names of the shards, in order; empty if the checkpoint is one file.
    parts
        What may be folded into its kernels, if `Options.fused`.
    """

    size: int
    bytes_read: int
    shards: tuple[str, ...] = ()
    parts: Parts | None = None


class Refused(Exception):
    """A file that is not read. The text says why, and what to do; it follows the file's name."""


class Damaged(Exception):
    """A file that contradicts itself or its format. The text says where."""


@contextlib.contextmanager
def damage(*errors: type[Exception]) -> Iterator[None]:
    """Raise what a parser raises on damaged bytes as `Damaged`.

    Only for calls of a parser: the same errors elsewhere are faults of this program.
    """
    try:
        yield
    except errors as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


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
    depth
        How many archives are around it.
    shards, shard_bytes
        Names and bytes of the shards that were read because of this file.
    sibling
        Reads the shard of a name, which lies beside this file.
    options
        What the zoo says.
    """

    again = "download or copy it again"
    depth = 0
    options = DEFAULT

    def __init__(self, label: str, size: int, sibling: Callable[[str, Options], Shard]) -> None:
        self.label, self.size, self.end, self.limit = label, size, size, size
        self.position = self.bytes_read = self.shard_bytes = 0
        self.shards: list[str] = []
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

    def beside(self, name: str) -> contextlib.AbstractContextManager["Source"]:
        """Open a file of weights that lies beside this one.

        Raises
        ------
        Refused
            If there is none, or if this file is not in a folder of this machine.
        """
        raise Refused(
            f"keeps weights in another file, {short(name)}, which is read from disks only: "
            "download both into one folder and name the file there"
        )

    @abc.abstractmethod
    def need_whole(self) -> None:
        """Tell that the file will be read from end to end."""

    def read(self, count: int = -1) -> bytes:
        left = max(self.end - self.position, 0)
        count = left if count < 0 else min(count, left)
        if count > self.limit:
            raise Damaged(f"{count} bytes where at most {self.limit} are expected")
        data = self.fetch(self.position, count)
        self.position += len(data)
        self.bytes_read += len(data)
        return data

    def readline(self) -> bytes:
        """Return the rest of a line with its end; pickles have names and numbers in lines."""
        line = b""
        while not line.endswith(b"\n"):
            if len(line) > LINE_LIMIT:
                raise Damaged(f"a line of more than {LINE_LIMIT} bytes")
            begin = self.position
            chunk = self.read(256)
            if not chunk:
                break
            stop = chunk.find(b"\n") + 1 or len(chunk)
            self.position = begin + stop
            self.bytes_read -= len(chunk) - stop
            line += chunk[:stop]
        return line

    def exactly(self, count: int) -> bytes:
        data = self.read(count)
        if len(data) != count:
            raise Damaged(f"{count} bytes expected, {len(data)} found")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise Damaged(f"position {base + offset} in a file")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def seekable(self) -> bool:
        return True


class LocalSource(Source):
    """A file on a disk."""

    def __init__(
        self,
        file: BinaryIO,
        label: str,
        sibling: Callable[[str, Options], Shard],
        folder: Path | None = None,
    ) -> None:
        super().__init__(label, os.fstat(file.fileno()).st_size, sibling)
        self.file, self._folder = file, folder

    def fetch(self, begin: int, count: int) -> bytes:
        if begin != self.file.tell():
            self.file.seek(begin)
        return self.file.read(count)

    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Do nothing: reading from a disk is fast."""

    def need_whole(self) -> None:
        """Do nothing: the file is on this machine."""

    def beside(self, name: str) -> contextlib.AbstractContextManager[Source]:
        return super().beside(name) if self._folder is None else self._opened(self._folder, name)

    @contextlib.contextmanager
    def _opened(self, folder: Path, name: str) -> Iterator[Source]:
        # In the folder and nowhere else, whatever the file says.
        if name in ("", ".", "..") or re.search(r"[/\\\0]", name) or len(name) > 255:
            raise Refused(
                f"names the file {short(name)}, which is not beside it: save it again with all "
                "weights inside, or in files in its own folder"
            )
        path = folder / name
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise Refused(f"keeps weights in {short(name)}, which is not a regular file")
            file = path.open("rb")
        except OSError as error:
            raise Refused(
                f"keeps weights in {short(name)}, which cannot be read beside it "
                f"({error.strerror or error}): copy it there"
            ) from error
        with file:
            yield LocalSource(file, str(path), self.sibling)

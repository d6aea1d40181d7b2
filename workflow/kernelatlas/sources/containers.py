"""Archives around a checkpoint: gzip, tar, and zip archives that PyTorch did not write.

A member that is not compressed is read in place. Any other is unpacked into a temporary file
without a name, which vanishes with this process.
"""

import contextlib
import gzip
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn, cast

from kernelatlas.sources.keras import read_hdf5
from kernelatlas.sources.keras_config import CONFIG_LIMIT
from kernelatlas.sources.numpy_files import read_npz, refuse_array
from kernelatlas.sources.shards import read_index
from kernelatlas.sources.source import (
    Content,
    Damaged,
    LocalSource,
    Refused,
    Source,
    Tensors,
    damage,
    short,
)
from kernelatlas.sources.zips import RAISED

DEPTH_LIMIT = 2  # archives in one another: a tar archive in gzip
MEMBERS_LIMIT = 10_000
HEADER_LIMIT, HEADERS_LIMIT = 256 << 10, 32 << 20  # bytes of one header of tar, and of all

# Bytes that a compressed file may unpack to. Trained weights shrink by less than two, those of a
# network pruned to one weight in a hundred by less than a hundred; deflate reaches 1032.
_RATIO, FREE, _UNPACKED_LIMIT = 100, 64 << 20, 64 << 30

_TAR_RAISED = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)

Found = Tensors | Content
Choose = Callable[[Source], Callable[[Source], Found]]
Read = Callable[[Source], Found]


class Window(Source):
    """A part of a file that is read as a file of its own."""

    def __init__(self, source: Source, label: str, begin: int, size: int) -> None:
        if begin < 0 or size < 0 or begin + size > source.size:
            raise Damaged(f"a member of {size} bytes at {begin} in a file of {source.size}")
        super().__init__(label, size, _no_sibling)
        self.depth, self.again, self.options = source.depth + 1, source.again, source.options
        self._source, self._begin = source, begin

    def fetch(self, begin: int, count: int) -> bytes:
        count = max(min(count, self.size - begin), 0)
        return self._source.fetch(self._begin + begin, count)

    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        shift, size = self._begin, self.size
        self._source.prefetch([(min(a, size) + shift, min(b, size) + shift) for a, b in spans])

    def need_whole(self) -> None:
        self._source.need_whole()


class _Head(Source):
    """The first bytes of a member that is compressed, enough to tell its format."""

    def __init__(self, label: str, head: bytes) -> None:
        super().__init__(label, len(head), _no_sibling)
        self._head = head

    def fetch(self, begin: int, count: int) -> bytes:
        return self._head[begin : begin + count]

    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Do nothing: the bytes are here."""

    def need_whole(self) -> None:
        """Do nothing: the bytes are here."""


def _no_sibling(*_: Any) -> NoReturn:
    raise Refused("is an index of shards in an archive: unpack the archive and name the index")


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:200])


@contextlib.contextmanager
def _unpacked(
    file: IO[bytes] | gzip.GzipFile,
    packed: int,
    source: Source,
    label: str,
    *errors: type[Exception],
) -> Iterator[LocalSource]:
    """Unpack a member whose compressed bytes are `packed`, as far as the limits allow."""
    limit = min(FREE + _RATIO * packed, _UNPACKED_LIMIT)
    with tempfile.TemporaryFile() as unpacked:
        total = 0
        while True:
            with damage(*errors):
                data = file.read(1 << 20)
            if not data:
                break
            total += len(data)
            if total > limit:
                raise Refused(
                    f"unpacks to more than {limit} bytes, {packed} when compressed: "
                    "unpack it and name the checkpoint inside, if that is right"
                )
            unpacked.write(data)
        unpacked.flush()
        inner = LocalSource(unpacked, label, _no_sibling)
        inner.depth, inner.again, inner.options = source.depth + 1, source.again, source.options
        yield inner


def _check_depth(source: Source) -> None:
    if source.depth >= DEPTH_LIMIT:
        raise Refused("is an archive in an archive in an archive: unpack it")


def read_gzip(source: Source, read: Read) -> Found:
    """Read a checkpoint that was compressed with gzip."""
    _check_depth(source)
    source.need_whole()
    with (
        gzip.GzipFile(fileobj=source) as file,
        _unpacked(
            file, source.size, source, source.label, gzip.BadGzipFile, zlib.error, EOFError,
            struct.error,
        ) as inner,
    ):  # fmt: skip
        return read(inner)


def read_tar(source: Source, choose: Choose, read: Read) -> Found:
    """Read the one checkpoint of a tar archive."""
    _check_depth(source)
    found, names, members = [], set(), 0
    source.limit = HEADER_LIMIT
    with damage(*_TAR_RAISED):
        archive = tarfile.TarFile(fileobj=cast(IO[bytes], source))
    while True:
        with damage(*_TAR_RAISED):
            member = archive.next()
        if member is None:
            break
        archive.members = []  # type: ignore[attr-defined] # which tarfile keeps, with all that their headers say
        names.add(_printable(member.name))
        members += 1
        if members > MEMBERS_LIMIT or source.bytes_read > HEADERS_LIMIT:
            raise Refused(
                f"has more than {MEMBERS_LIMIT} members, or {HEADERS_LIMIT} bytes of headers: "
                "unpack it and name the checkpoint inside"
            )
        if member.isreg() and not member.issparse() and member.size:
            label = f"{source.label}: {_printable(member.name)}"
            window = Window(source, label, member.offset_data, member.size)
            if _readable(window, choose):
                found.append((_printable(member.name), window))
    source.limit = source.size
    if {"storages", "tensors", "pickle"} <= names:
        raise Refused(
            "is a checkpoint of PyTorch before 0.2: load it with torch.load and save it again"
        )
    _check_one([name for name, _ in found], names)
    window = found[0][1]
    content = read(window)
    source.bytes_read += window.bytes_read
    return content


def _readable(source: Source, choose: Choose) -> bool:
    try:
        # A JSON text is rarely an index, and a single array no checkpoint.
        return choose(source) not in (read_index, refuse_array)
    except Refused:
        return False


def _check_one(found: list[str], names: set[str]) -> None:
    """Refuse an archive of which not exactly one member is a checkpoint."""
    if not found:
        raise Refused(
            f"is an archive without a checkpoint that is read ({_listed(sorted(names))}): "
            "unpack it and name the checkpoint inside"
        )
    if len(found) > 1:
        raise Refused(
            f"holds {len(found)} checkpoints ({_listed(found)}): unpack it and name one of them"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(name[:40] for name in names[:5]) + more or "it is empty"


def read_other_zip(source: Source, archive: zipfile.ZipFile, choose: Choose, read: Read) -> Found:
    """Read a zip archive that PyTorch did not write: of Keras, of NumPy, or around a checkpoint."""
    members = {i.filename: i for i in archive.infolist() if not i.filename.endswith("/")}
    if {"config.json", "model.weights.h5"} <= members.keys():
        with damage(*RAISED), archive.open(members["config.json"]) as file:
            config = file.read(CONFIG_LIMIT + 1)
        with _member(source, archive, members["model.weights.h5"]) as inner:
            layers = read_hdf5(inner, config)
            source.bytes_read += inner.bytes_read if isinstance(inner, Window) else 0
            return layers
    if members and all(name.endswith(".npy") for name in members):
        return read_npz(source, archive)
    _check_depth(source)
    if len(members) > MEMBERS_LIMIT:
        raise Refused(f"has more than {MEMBERS_LIMIT} members: name the checkpoint itself")
    found = [name for name, info in members.items() if _begins_readably(archive, info, choose)]
    names = {_printable(name) for name in members}
    _check_one([_printable(name) for name in found], names)
    with _member(source, archive, members[found[0]]) as inner:
        content = read(inner)
        source.bytes_read += inner.bytes_read if isinstance(inner, Window) else 0
        return content


def _begins_readably(archive: zipfile.ZipFile, info: zipfile.ZipInfo, choose: Choose) -> bool:
    if info.flag_bits & 1 or not info.file_size:  # encrypted, or empty
        return False
    with damage(*RAISED), archive.open(info) as file:
        head = file.read(512)
    return bool(head) and _readable(_Head(info.filename, head), choose)


@contextlib.contextmanager
def _member(source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[Source]:
    """Open a member of a zip archive: in place, or unpacked if it is compressed."""
    label = f"{source.label}: {_printable(info.filename)}"
    if info.flag_bits & 1:
        raise Refused(f"its member {short(info.filename)} is encrypted: unpack it")
    if info.compress_type != zipfile.ZIP_STORED:
        with damage(*RAISED):
            file = archive.open(info)
        with file, _unpacked(file, info.compress_size, source, label, *RAISED) as inner:
            yield inner
        return
    source.seek(info.header_offset)
    header = source.exactly(30)
    name, extra = struct.unpack("<HH", header[26:])
    if header[:4] != b"PK\3\4" or info.file_size != info.compress_size:
        raise Damaged(f"member {short(info.filename)} is not where the contents say")
    yield Window(source, label, info.header_offset + 30 + name + extra, info.file_size)

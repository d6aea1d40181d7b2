"""Checkpoints in a zip archive, as `torch.save` writes since PyTorch 1.6."""

import io
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import Any

from kernelatlas.sources.pickles import PICKLE_LIMIT, Unpickler
from kernelatlas.sources.source import (
    CONTENTS_LIMIT,
    Content,
    Damaged,
    Refused,
    Source,
    Tensors,
    damage,
    short,
)
from kernelatlas.sources.state_dict import refuse_big_endian, tensors_of
from kernelatlas.sources.torchscript import CODE_LIMIT, found_in
from kernelatlas.sources.wrappers import Found, find

_TAIL = 128 << 10  # bytes at the end of a zip archive that nearly always hold this table


# What zipfile raises on damaged archives, NotImplementedError and RuntimeError for features
# that torch.save does not use.
RAISED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError),
    *(NotImplementedError, RuntimeError),
)


class _Archive:
    """The entries of an archive, all in one folder, as torch.save writes them."""

    def __init__(self, source: Source, archive: zipfile.ZipFile) -> None:
        self._archive, self._source = archive, source
        self._entries = {info.filename: info for info in archive.infolist()}
        if len(self._entries) != len(archive.infolist()):
            raise Damaged("an entry of the archive stands twice")
        self._folder = next(iter(self._entries), "").partition("/")[0]
        offsets = (info.header_offset for info in self._entries.values())
        self._limits = sorted([*offsets, archive.start_dir])

    def __contains__(self, name: str) -> bool:
        return f"{self._folder}/{name}" in self._entries

    def entry(self, name: str) -> zipfile.ZipInfo:
        if name not in self:
            raise Damaged(f"the archive has no entry {short(name)}")
        return self._entries[f"{self._folder}/{name}"]

    def span(self, name: str) -> tuple[int, int]:
        """Return where an entry begins and where the next one does."""
        begin = self.entry(name).header_offset
        following = bisect_right(self._limits, begin)
        if following == len(self._limits):
            raise Damaged(f"entry {short(name)} lies behind the table of contents")
        return begin, self._limits[following]

    def read(self, name: str) -> bytes:
        info = self.entry(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise Refused(f"its entry {short(name)} is compressed: save it again with torch.save")
        if info.file_size > self._source.size:
            raise Damaged(f"entry {short(name)} claims {info.file_size} bytes")
        with damage(*RAISED):
            return self._archive.read(info)  # checks the CRC-32

    @cached_property
    def code(self) -> dict[str, str]:
        """Files of code, by path without `code/` and `.py`; only TorchScript has some."""
        start = f"{self._folder}/"
        names = [
            entry.removeprefix(start)
            for entry in self._entries
            if entry.startswith(f"{start}code/") and entry.endswith(".py")
        ]
        infos = [self.entry(name) for name in names]
        if sum(info.file_size for info in infos) > CODE_LIMIT:
            raise Refused(f"has more than {CODE_LIMIT} bytes of code: save its state_dict()")
        if names:
            self._source.prefetch(sorted(map(self.span, names)))
        texts = {}
        for name, info in zip(names, infos, strict=True):
            with damage(*RAISED), self._archive.open(info) as file:
                text = file.read(info.file_size).decode()
            texts[name.removeprefix("code/").removesuffix(".py")] = text
        return texts


def read_zip(
    source: Source, other: Callable[[Source, zipfile.ZipFile], Tensors | Content]
) -> Tensors | Content:
    """Return the tensors of an archive of torch.save, or what `other` finds in another archive."""
    source.prefetch([(max(source.size - _TAIL, 0), source.size)])
    source.limit = CONTENTS_LIMIT
    with damage(*RAISED):
        opened = zipfile.ZipFile(source)
    with opened:
        source.limit = source.size
        archive = _Archive(source, opened)
        if "data.pkl" not in archive:
            return other(source, opened)
        if "byteorder" in archive and archive.entry("byteorder").file_size < 16:
            refuse_big_endian(archive.read("byteorder").strip() == b"big")
        content, read = _unpickled(source, archive, "data")
        if "constants.pkl" not in archive and not archive.code:
            return read(find(content, source.options.key))
        constants, read_constants = _unpickled(source, archive, "constants")
        found = found_in(content, constants, archive.code, source.options.key)
        modules, frozen = read(found[0]), read_constants(found[1])
        return Tensors(
            modules.shapes | frozen.shapes,
            modules.values | frozen.values,
            ordered=True,
            convolutions=modules.convolutions | frozen.convolutions,
            parts=modules.parts | frozen.parts,
        )


def _unpickled(
    source: Source, archive: _Archive, folder: str
) -> tuple[Any, Callable[[Found], Tensors]]:
    """Return the content of a pickle, and what reads tensors in it from the folder of its name."""
    name = f"{folder}.pkl"
    if (length := archive.entry(name).file_size) > PICKLE_LIMIT:
        raise Refused(
            f"has a pickle of {length} bytes beside its tensors (limit {PICKLE_LIMIT}): "
            "save model.state_dict() alone"
        )
    unpickler = Unpickler(io.BytesIO(archive.read(name)), length)
    content = unpickler.load()

    def prefetch(keys: list[str]) -> None:
        source.prefetch(sorted({archive.span(f"{folder}/{key}") for key in keys}))

    def read_storage(key: str) -> bytes:
        found, claimed = archive.entry(f"{folder}/{key}").file_size, unpickler.length(key)
        if found != claimed:
            raise Damaged(f"storage {short(key)}: {found} bytes, not {claimed}")
        return archive.read(f"{folder}/{key}")

    return content, lambda found: tensors_of(
        found, read_storage, source.size, prefetch, source.options
    )

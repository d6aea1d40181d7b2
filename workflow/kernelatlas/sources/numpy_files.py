"""State dicts in `.npz` archives of NumPy. Arrays of objects, which are pickles, are not read."""

import math
import tokenize
import warnings
import zipfile
from typing import IO, NamedTuple, NoReturn

import numpy as np
from numpy.lib import format as npy

from kernelatlas.sources.source import DEFLATED, Damaged, Refused, Source, Tensors, damage, short
from kernelatlas.sources.weights import (
    as_float32,
    check_amount,
    check_dtype,
    check_parts,
    is_foldable,
    is_wanted,
)
from kernelatlas.sources.zips import RAISED

MAGIC = npy.MAGIC_PREFIX
ENTRIES_LIMIT = 20_000  # arrays of an archive
_HEADER_LIMIT = 2_000  # characters of an array's header; one of four axes has 120

# What numpy.lib.format raises on damaged headers, which are Python literals.
_PARSER = (ValueError, TypeError, SyntaxError, RecursionError, OverflowError, tokenize.TokenError)


class Entry(NamedTuple):
    """An array of an archive: where it is, and what its header says."""

    info: zipfile.ZipInfo
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int


def entries_of(archive: zipfile.ZipFile) -> dict[str, Entry]:
    """Return the arrays of an archive by name, in its order.

    Raises
    ------
    Refused, Damaged
        If there are too many, or a header contradicts its entry.
    """
    infos = archive.infolist()
    if len(infos) > ENTRIES_LIMIT:
        raise Refused(f"has {len(infos)} arrays (limit {ENTRIES_LIMIT}): check the file")
    entries: dict[str, Entry] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name in entries:
            raise Damaged(f"array {short(name)} stands twice")
        with damage(*RAISED), archive.open(info) as file:
            dtype, shape, fortran = _header(file)
            offset = file.tell()
        if not all(type(n) is int and n >= 0 for n in shape):
            raise Damaged(f"array {short(name)} has no valid shape")
        size = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and offset + size != info.file_size:
            raise Damaged(f"array {short(name)} has {info.file_size - offset} bytes, not {size}")
        entries[name] = Entry(info, dtype, shape, fortran, offset)
    return entries


def _header(file: IO[bytes]) -> tuple[np.dtype, tuple[int, ...], bool]:
    with damage(*_PARSER), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote, or are no Python
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file, _HEADER_LIMIT)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file, _HEADER_LIMIT)
        else:
            raise Damaged(f"an array of the unknown version {version}")
    return dtype, shape, fortran


def values_of(archive: zipfile.ZipFile, entry: Entry) -> np.ndarray:
    """Return the values of an array without objects, whose size was compared with a limit."""
    with damage(*RAISED), archive.open(entry.info) as file:
        data = file.read()  # checks the CRC-32
    if len(data) != entry.info.file_size:
        raise Damaged(f"{short(entry.info.filename)} has {len(data)} bytes")
    flat = np.frombuffer(data, entry.dtype, offset=entry.offset)
    return flat.reshape(entry.shape, order="F" if entry.fortran else "C")


def read_npz(source: Source, archive: zipfile.ZipFile) -> Tensors:
    """Return the tensors of an archive of arrays in PyTorch's layout."""
    entries = entries_of(archive)
    chosen, folded = {}, {}
    for name, entry in entries.items():
        if is_wanted(source.options, name, entry.dtype.name, entry.shape):
            check_dtype(name, entry.dtype.name)
            chosen[name] = entry
        elif source.options.fused and is_foldable(name, entry.shape):
            check_dtype(name, entry.dtype.name)
            folded[name] = entry
    check_parts(sum(entry.info.file_size for entry in folded.values()))
    claimed = sum(entry.info.file_size for entry in chosen.values())
    stored = sum(entry.info.compress_size for entry in (*chosen.values(), *folded.values()))
    if stored > source.size or claimed > DEFLATED * source.size:
        raise Damaged(f"{claimed} bytes of depthwise weights in a file of {source.size}")
    check_amount(len(chosen), claimed, source.options)
    values, parts = (
        {name: as_float32(e.dtype.name, values_of(archive, e)) for name, e in wanted.items()}
        for wanted in (chosen, folded)
    )
    source.bytes_read = min(source.bytes_read, source.size)  # some were read twice
    shapes = {name: entry.shape for name, entry in entries.items()}
    return Tensors(shapes, values, ordered=True, parts=parts)


def refuse_array(source: Source) -> NoReturn:
    """Refuse a single array, which has no name."""
    raise Refused(
        "is a single NumPy array, not a state dict: save the arrays by name with numpy.savez"
    )

"""Arrays in HDF5 files, as far as Keras writes them.

Refused are chunks that are not indexed by B-trees of version 1, filters other than shuffle,
deflate and Fletcher-32, and data in other files.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from kernelatlas.sources.hdf5 import (
    DATASPACE,
    DATATYPE,
    EXTERNAL,
    FILTERS,
    LAYOUT,
    REMEDY,
    UNDEFINED,
    Cursor,
    File,
    dataspace_of,
    datatype_of,
)
from kernelatlas.sources.source import Damaged, Refused, damage, short
from kernelatlas.sources.weights import STORED

CHUNK_LIMIT = 64 << 20  # bytes of a chunk; h5py makes chunks of 1 MiB at most

_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3


@dataclass(frozen=True)
class Dataset:
    """An array in the file.

    Attributes
    ----------
    shape, dtype, itemsize
        What it holds; the dtype's name is NumPy's, or says what else it is.
    compressed
        Whether its chunks are compressed.
    """

    shape: tuple[int, ...]
    dtype: str
    itemsize: int
    order: str
    layout: bytes
    filters: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.itemsize

    @property
    def compressed(self) -> bool:
        return _DEFLATE in self.filters


def dataset_of(file: File, address: int) -> Dataset | None:
    """Return what a header says of a dataset; None for a group."""
    parts = dict(reversed(file.messages(address)))  # the first of a type
    if not {DATASPACE, DATATYPE, LAYOUT} <= parts.keys():
        return None
    if EXTERNAL in parts:
        raise Refused("keeps its data in other files, which are not read")
    dtype = datatype_of(Cursor(parts[DATATYPE]))
    filters = _filters(Cursor(parts[FILTERS])) if FILTERS in parts else ()
    shape = dataspace_of(Cursor(parts[DATASPACE]))
    return Dataset(shape, dtype.name, dtype.size, dtype.order, bytes(parts[LAYOUT]), filters)


def values_of(file: File, name: str, dataset: Dataset) -> np.ndarray:
    """Return the values of a dataset of floats, as they lie in the file.

    Its size must have been compared with a limit.
    """
    cursor = Cursor(dataset.layout)
    version, kind = cursor.unpack("BB")
    stored = np.dtype(dataset.order + STORED[dataset.dtype][1:])
    if version not in (3, 4) or (version == 4 and kind == 2) or kind > 2:
        raise Refused(f"stores {short(name)} in another way than Keras does: {REMEDY}")
    if kind == 2:
        return _chunks(file, name, dataset, stored, cursor)
    if dataset.filters:
        raise Damaged(f"{short(name)} has filters, but no chunks")
    if kind == 0:
        (size,) = cursor.unpack("H")
        data: bytes | memoryview = cursor.take(size)
    else:
        address, size = cursor.unpack("QQ")
        if size == dataset.size:
            data = file.view(address, size)
    if size != dataset.size:
        raise Damaged(f"{short(name)} has {size} bytes, its shape needs {dataset.size}")
    return np.frombuffer(data, stored).reshape(dataset.shape)


def _chunks(
    file: File, name: str, dataset: Dataset, stored: np.dtype, cursor: Cursor
) -> np.ndarray:
    """Return values that are stored in chunks, all of which must be there."""
    rank, tree = cursor.unpack("BQ")
    *chunk, itemsize = cursor.unpack(f"{rank}I") if rank else (0,)
    fits = all(0 < c <= n for c, n in zip(chunk, dataset.shape, strict=False))
    if rank != len(dataset.shape) + 1 or itemsize != stored.itemsize or not fits:
        raise Damaged(f"{short(name)} has chunks of another shape")
    if math.prod(chunk) * itemsize > CHUNK_LIMIT:
        raise Refused(f"stores {short(name)} in chunks of over {CHUNK_LIMIT} bytes: {REMEDY}")
    if tree == UNDEFINED:
        raise Damaged(f"{short(name)} was never written")
    values = np.empty(dataset.shape, stored)
    room = math.prod(chunk) * itemsize  # filters add little to what they cannot compress
    missing = math.prod(-(-n // c) for n, c in zip(dataset.shape, chunk, strict=True))
    seen = set()
    for address, key in file.leaves(tree, 1, 8 + 8 * rank):
        size, mask, *start = Cursor(key).unpack(f"II{rank}Q")
        at = tuple(start[:-1])
        inside = all(a % c == 0 and a < n for a, c, n in zip(at, chunk, dataset.shape, strict=True))
        if at in seen or not inside or size > room + room // 64 + 64:
            raise Damaged(f"{short(name)} has a chunk at {at} or of {size} bytes")
        seen.add(at)
        data = bytes(file.view(address, size))
        data = _unfiltered(data, dataset.filters, mask, room, itemsize)
        block = np.frombuffer(data, stored).reshape(chunk)
        place = tuple(slice(a, a + c) for a, c in zip(at, chunk, strict=True))
        target = values[place]
        target[...] = block[tuple(slice(0, n) for n in target.shape)]
    if len(seen) != missing:
        raise Damaged(f"{short(name)} has {len(seen)} chunks of {missing}")
    return values


def _filters(cursor: Cursor) -> tuple[int, ...]:
    """Return the numbers of the filters that chunks went through, in order (IV.A.2.l)."""
    version, count = cursor.unpack("BB")
    if version not in (1, 2):
        raise Damaged(f"filters of the unknown version {version}")
    cursor.take(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        (number,) = cursor.unpack("H")
        (length,) = cursor.unpack("H") if version == 1 or number > 255 else (0,)
        _, parameters = cursor.unpack("HH")
        cursor.take(-(-length // 8) * 8 if version == 1 else length)
        cursor.take(4 * (parameters + (parameters % 2 if version == 1 else 0)))
        found.append(number)
    return tuple(found)


def _unfiltered(
    data: bytes, filters: tuple[int, ...], mask: int, size: int, itemsize: int
) -> bytes:
    """Return the `size` bytes of a chunk as they were before its filters."""
    if {*filters} - {_SHUFFLE, _DEFLATE, _FLETCHER}:
        raise Refused(f"is compressed in another way than deflate ({filters}): {REMEDY}")
    for index, number in reversed([*enumerate(filters)]):
        if mask >> index & 1:
            continue
        if number == _FLETCHER:
            data = data[:-4]
        elif number == _SHUFFLE and len(data) == size:
            data = np.frombuffer(data, np.uint8).reshape(itemsize, -1).T.tobytes()
        elif number == _DEFLATE:
            with damage(zlib.error):
                data = zlib.decompressobj().decompress(data, size + 4)
    if len(data) != size:
        raise Damaged(f"a chunk of {len(data)} bytes, not {size}")
    return data

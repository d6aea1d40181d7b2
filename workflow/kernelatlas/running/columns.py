"""Columns of Arrow tables, and NumPy arrays over the same memory, without pandas.

`pa.array`, `pa.scalar` and `Array.to_numpy` import pandas, which takes most of the time and the
memory of a short job.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa


def column(values: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    """Return numbers or truth values, (n,), as a column; numbers share their memory with it.

    Parameters
    ----------
    known : ndarray of shape (n,), bool
        False where the column is empty; None if it is nowhere.
    """
    if values.dtype == bool:
        kind, data = pa.bool_(), _bits(values)
    else:
        kind, data = pa.from_numpy_dtype(values.dtype), pa.py_buffer(np.ascontiguousarray(values))
    valid = None if known is None else _bits(known)
    return pa.Array.from_buffers(kind, len(values), [valid, data])


def text_column(values: Iterable[str | None]) -> pa.DictionaryArray:
    """Return texts as a column that stores each once, in the order of their first rows."""
    numbers: dict[str, int] = {}
    codes = [-1 if text is None else numbers.setdefault(text, len(numbers)) for text in values]
    data = [text.encode() for text in numbers]
    ends = np.cumsum([0, *map(len, data)], dtype=np.int32)
    buffers = pa.py_buffer(ends), pa.py_buffer(b"".join(data))
    dictionary = pa.StringArray.from_buffers(len(data), *buffers)
    code = np.array(codes, np.int32)
    return pa.DictionaryArray.from_arrays(column(code, code >= 0), dictionary)


def list_column(values: np.ndarray, known: np.ndarray) -> pa.ListArray:
    """Return a column of lists of m numbers.

    Parameters
    ----------
    values : ndarray of shape (known.sum(), m), floating point
        NaN is empty.
    known : ndarray of shape (n,), bool
        False where there is no list.
    """
    flat = np.ascontiguousarray(values).ravel()
    ends = np.zeros(len(known) + 1, np.int32)
    np.cumsum(known, out=ends[1:])
    ends *= values.shape[1]
    items = column(flat, ~np.isnan(flat))
    return pa.ListArray.from_arrays(column(ends), items, mask=column(~known))


def numbers(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a column of numbers, none of them empty, as a read-only array."""
    one = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.from_dlpack(one)


def _bits(flags: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))

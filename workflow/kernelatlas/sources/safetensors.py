"""Depthwise weights out of safetensors files."""

import json
import math
import struct
from typing import Any

import numpy as np

from kernelatlas.sources.source import Damaged, Refused, Source, Tensors, damage, short
from kernelatlas.sources.weights import (
    STORED,
    as_float32,
    check_amount,
    check_dtype,
    check_parts,
    is_count,
    is_foldable,
    is_wanted,
)
from kernelatlas.sources.wrappers import heads, no_key, under

# Bytes of a header: some 60,000 tensors. The format's own library takes 100 MB, of which a
# hostile header could make 2 GB of Python objects.
HEADER_LIMIT = 8 << 20

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"}
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


def parsed(text: bytes) -> Any:
    """Return the value of a JSON text in which no key stands twice."""
    with damage(ValueError, RecursionError):  # what the decoder raises
        return json.loads(text.decode(), object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Damaged("a key stands twice in the header")
    return result


def read_safetensors(source: Source) -> Tensors:
    """Return the tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", source.exactly(8))
    if length > HEADER_LIMIT:
        raise Refused(
            f"claims a header of {length} bytes (limit {HEADER_LIMIT}): check that it is the "
            "right file"
        )
    if length > source.size - 8:
        raise Refused(
            f"claims a header of {length} bytes in a file of {source.size}: "
            f"truncated or no safetensors file; {source.again}"
        )
    entries = _entries(source.exactly(length))
    start, end = 8 + length, 0
    for name, dtype, shape, begin, stop in entries:
        if begin != end:
            raise Damaged(f"{short(name)} has offsets {begin, stop} where {end} should follow")
        if 8 * (stop - begin) != math.prod(shape) * _BITS[dtype]:
            raise Damaged(f"{short(name)}: {stop - begin} bytes do not fit {dtype} {shape[:8]}")
        end = stop
    if start + end != source.size:
        raise Refused(
            f"has {source.size} bytes where its header needs {start + end}: {source.again}"
        )
    if (key := source.options.key) is not None:
        names = {name: name for name, *_ in entries}
        wanted = {name: short_name for short_name, name in under(names, key).items()}
        if not wanted:
            raise Refused(no_key(key, heads(names)))
        entries = [
            (wanted[name], dtype, shape, begin, stop)
            for name, dtype, shape, begin, stop in entries
            if name in wanted
        ]
    chosen, folded = [], []
    for name, stored_as, shape, begin, stop in entries:
        dtype = _DTYPES.get(stored_as, stored_as)
        entry = (name, dtype, shape, start + begin, start + stop)
        if is_wanted(source.options, name, dtype, shape):
            check_dtype(name, dtype)
            chosen.append(entry)
        elif source.options.fused and is_foldable(name, shape):
            check_dtype(name, dtype)
            folded.append(entry)
    claimed = sum(stop - begin for *_, begin, stop in chosen)
    check_amount(len(chosen), claimed, source.options)
    check_parts(sum(stop - begin for *_, begin, stop in folded))
    source.prefetch(sorted((begin, stop) for *_, begin, stop in chosen + folded))
    shapes = {name: tuple(shape) for name, _, shape, _, _ in entries}
    values = {name: _values(source, *rest) for name, *rest in chosen}
    parts = {name: _values(source, *rest) for name, *rest in folded}
    return Tensors(shapes, values, ordered=False, parts=parts)


def _values(source: Source, dtype: str, shape: list[int], begin: int, stop: int) -> np.ndarray:
    stored = np.frombuffer(source.view(begin, stop - begin), STORED[dtype])
    return as_float32(dtype, stored.reshape(shape))


def _entries(text: bytes) -> list[tuple[str, str, list[int], int, int]]:
    """Return name, dtype, shape, begin and stop of a header's tensors, in the file's order."""
    header = parsed(text)  # which begins with a brace
    header.pop("__metadata__", None)
    entries = []
    for name, entry in header.items():
        if not isinstance(entry, dict):
            raise Damaged(f"{short(name)} has no valid entry")
        dtype, shape = entry.get("dtype"), entry.get("shape")
        if type(dtype) is not str or dtype not in _BITS:
            raise Damaged(f"{short(name)} has the unknown dtype {short(dtype)}")
        if type(shape) is not list or len(shape) > 64 or not all(map(is_count, shape)):
            raise Damaged(f"{short(name)} has no valid shape")
        offsets = entry.get("data_offsets")
        if type(offsets) is not list or len(offsets) != 2 or not all(map(is_count, offsets)):
            raise Damaged(f"{short(name)} has no valid offsets")
        if offsets[1] < offsets[0]:
            raise Damaged(f"{short(name)} has offsets {tuple(offsets)}, which run backwards")
        entries.append((name, dtype, shape, *offsets))
    return sorted(entries, key=lambda entry: entry[3:])

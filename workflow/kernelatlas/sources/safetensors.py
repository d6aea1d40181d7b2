"""Depthwise weights out of safetensors files."""

import json
import math
import struct
from typing import Any

import numpy as np

from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.source import Refused, Source, short
from kernelatlas.sources.weights import (
    STORED,
    check_amount,
    check_dtype,
    in_natural_order,
    is_count,
    is_depthwise,
    layer_of,
)

HEADER_LIMIT = 100_000_000  # bytes of a safetensors header, as in the format's own library

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in the header")
    return result


def read_safetensors(source: Source) -> tuple[list[Layer], int]:
    (length,) = struct.unpack("<Q", source.exactly(8))
    if length > min(HEADER_LIMIT, source.size - 8):
        raise Refused(
            f"claims a header of {length} bytes in a file of {source.size}: "
            f"truncated or no safetensors file; {source.again}"
        )
    header = json.loads(source.exactly(length).decode(), object_pairs_hook=unique_keys)
    header.pop("__metadata__", None)
    start, end = 8 + length, 0
    entries = sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"]))
    for name, entry in entries:
        dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in _BITS:
            raise ValueError(f"{short(name)} has the unknown dtype {dtype!r}")
        if type(shape) is not list or len(shape) > 64 or not all(map(is_count, shape)):
            raise ValueError(f"{short(name)} has no valid shape")
        if not is_count(begin) or not is_count(stop) or begin != end or stop < begin:
            raise ValueError(f"{short(name)} has offsets {begin, stop} where {end} should follow")
        if 8 * (stop - begin) != math.prod(shape) * _BITS[dtype]:
            raise ValueError(f"{short(name)}: {stop - begin} bytes do not fit {dtype} {shape[:8]}")
        end = stop
    if start + end != source.size:
        raise Refused(
            f"has {source.size} bytes where its header needs {start + end}: {source.again}"
        )
    chosen = []
    for name, entry in entries:
        dtype, shape = _DTYPES.get(entry["dtype"], entry["dtype"]), entry["shape"]
        if is_depthwise(name, dtype, shape):
            check_dtype(name, dtype)
            begin, stop = entry["data_offsets"]
            chosen.append((name, dtype, shape, start + begin, start + stop))
    spans = [(begin, stop) for *_, begin, stop in chosen]
    check_amount(sum(stop - begin for begin, stop in spans))
    source.prefetch(spans)
    layers = []
    for name, dtype, shape, begin, stop in chosen:
        stored = np.frombuffer(source.view(begin, stop - begin), STORED[dtype])
        layers.append(layer_of(name, dtype, stored.reshape(shape)))
    return in_natural_order(layers), len(entries)

"""The values of tensors of an ONNX file, inside it or in files beside it."""

import re

import numpy as np

from kernelatlas.sources.onnx_graph import (
    DOUBLE_DATA,
    FLOAT_DATA,
    INT32_DATA,
    INT64_DATA,
    RAW_DATA,
    Tensor,
)
from kernelatlas.sources.protobuf import BYTES, varints
from kernelatlas.sources.quantised import nibbles
from kernelatlas.sources.source import Damaged, Refused, Source, short

# Data types by number: name, and how they lie in raw data; bfloat16 has no NumPy dtype.
_TYPES = {
    1: ("float32", "<f4"),
    2: ("uint8", "u1"),
    3: ("int8", "i1"),
    4: ("uint16", "<u2"),
    5: ("int16", "<i2"),
    6: ("int32", "<i4"),  # of zero points alone, as the next
    7: ("int64", "<i8"),
    10: ("float16", "<f2"),
    11: ("float64", "<f8"),
    16: ("bfloat16", "<u2"),
    21: ("uint4", "u1"),
    22: ("int4", "u1"),
}
_VARINTS_LIMIT = 8 << 20  # bytes: decoding them takes thirty times as much


class Values:
    """Reads tensors of a model."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._outside: dict[str, int] = {}  # bytes that tensors claim of each other file

    def read(self, tensor: Tensor) -> tuple[str, np.ndarray]:
        """Return the data type and the values, those of bfloat16 as their bits."""
        what = f"tensor {short(tensor.name)}"
        if tensor.type not in _TYPES:
            raise Refused(
                f"{what} has the ONNX data type {tensor.type}, which is not read: "
                "export the network in floating point"
            )
        dtype, stored = _TYPES[tensor.type]
        four_bits = dtype.endswith("int4")
        elements = (tensor.numel + 1) // 2 if four_bits else tensor.numel
        size = elements * np.dtype(stored).itemsize
        if tensor.external is not None:
            flat = np.frombuffer(self._read_outside(what, tensor.external, size), stored)
        else:
            flat = self._read_inside(what, tensor, dtype, size).view(stored)
        if four_bits:
            flat = nibbles(flat, tensor.numel, signed=dtype == "int4")
        return dtype, flat.reshape(tensor.shape)

    def _read_inside(self, what: str, tensor: Tensor, dtype: str, size: int) -> np.ndarray:
        if len(tensor.data) > 1:
            raise Refused(f"{what} is stored in parts: save the model again with the onnx package")
        if not tensor.data:
            raise Damaged(f"{what} has no values")
        [data] = tensor.data
        length = data.stop - data.begin
        fixed = {"float32": FLOAT_DATA, "float64": DOUBLE_DATA}.get(dtype)
        if (data.number == RAW_DATA and data.kind == BYTES) or data.number == fixed:
            if length != size:
                raise Damaged(f"{what} has {length} bytes where its shape needs {size}")
            return np.frombuffer(self._source.view(data.begin, length), np.uint8)
        if data.number != (INT64_DATA if dtype == "int64" else INT32_DATA) or fixed is not None:
            raise Damaged(f"{what} has values of another type than {dtype}")
        if length > _VARINTS_LIMIT:
            raise Refused(
                f"{what} is stored as {length} bytes of numbers of varying length (limit "
                f"{_VARINTS_LIMIT}): save the model again with raw data"
            )
        values = varints(self._source.view(data.begin, length))
        width = np.dtype(_TYPES[tensor.type][1]).itemsize
        if len(values) * width != size:
            raise Damaged(f"{what} has {len(values)} values, its shape differs")
        return values.astype(f"<u{width}").view(np.uint8)

    def _read_outside(self, what: str, external: dict[str, str], size: int) -> bytes | memoryview:
        name = external.get("location", "")
        numbers = [external.get("offset", "0"), external.get("length", str(size))]
        if not all(re.fullmatch(r"\d{1,18}", number, re.ASCII) for number in numbers):
            raise Damaged(f"{what} has no valid place in another file")
        offset, length = map(int, numbers)
        if length != size:
            raise Damaged(f"{what} has {length} bytes where its shape needs {size}")
        with self._source.beside(name) as other:
            if offset + size > other.size:
                raise Damaged(f"{what} ends beyond {short(name)}, which has {other.size} bytes")
            claimed = self._outside.get(name, 0) + size
            if claimed > other.size:  # else it could ask for any amount of memory
                raise Damaged(f"tensors claim {claimed} bytes of {short(name)}, which has fewer")
            if name not in self._outside:
                self._source.shards.append(name)
                self._source.shard_bytes += other.size
            self._outside[name] = claimed
            data = other.view(offset, size)
            self._source.bytes_read += other.bytes_read
        return data

"""Stretches of bytes in a pickle, and the NumPy arrays whose values they are."""

import math
from codecs import getincrementaldecoder
from typing import Any

from kernelatlas.sources.source import Damaged, Refused, damage
from kernelatlas.sources.weights import is_count

_DTYPES = {
    **{"f2": "float16", "f4": "float32", "f8": "float64", "b1": "bool"},
    **{f"i{n}": f"int{8 * n}" for n in (1, 2, 4, 8)},
    **{f"u{n}": f"uint{8 * n}" for n in (1, 2, 4, 8)},
}

TEXT_LIMIT = 64 << 20  # bytes of a text with values, which takes three times its size


class Chunk:
    """Bytes of a pickle that stay in its file until they are needed.

    Parameters
    ----------
    file
        The pickle's.
    begin, length
        In bytes.
    utf8
        Whether they are a text whose characters are the bytes: protocol 2 has no bytes.
    """

    __slots__ = ("begin", "file", "length", "utf8")

    def __init__(self, file: Any, begin: int, length: int, utf8: bool = False) -> None:
        self.file, self.begin, self.length, self.utf8 = file, begin, length, utf8


class Part:
    """Some of the bytes that a pickle has as bytes or as a text."""

    __slots__ = ("begin", "length", "whole")

    def __init__(self, whole: Any, begin: int, length: int) -> None:
        self.whole, self.begin, self.length = whole, begin, length

    def read(self) -> bytes:
        return bytes_of(self.whole, self.begin, self.length)


def bytes_of(whole: Any, begin: int, length: int) -> bytes:
    """Return bytes out of what a pickle has as bytes or as a text.

    Of a text as few characters are read as these bytes need at most.

    Raises
    ------
    Damaged
        If there are fewer, or the value is neither.
    """
    with damage(UnicodeError):
        if type(whole) is str:
            data = whole[begin : begin + length].encode("latin1")
        elif type(whole) is not Chunk:
            raise Damaged("values that are no bytes")
        elif not whole.utf8:
            whole.file.seek(whole.begin + begin)
            data = whole.file.read(min(length, max(whole.length - begin, 0)))
        else:  # a character takes up to two bytes, and the last one may be cut
            size = min(2 * (begin + length), whole.length)
            if size > TEXT_LIMIT:
                raise Refused(
                    f"has values in a text of {whole.length} bytes (limit {TEXT_LIMIT}): "
                    "pickle it again with a protocol above 2"
                )
            whole.file.seek(whole.begin)
            stored = whole.file.read(size)
            data = getincrementaldecoder("utf-8")().decode(stored).encode("latin1", "replace")
            data = data[begin : begin + length]
    if len(data) != length:
        raise Damaged(f"{length} bytes expected, {len(data)} found")
    return data


class Dtype:
    """Stands for a dtype of NumPy."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "<"

    def set_state(self, state: Any) -> None:
        if type(state) is tuple and len(state) > 1:
            self.order = state[1]

    def __str__(self) -> str:
        code = self.code if type(self.code) is str else ""
        name = _DTYPES.get(code, f"numpy {code[:16]}")
        return f"big-endian {name}" if self.order == ">" else name


class Array:
    """Stands for an array of NumPy."""

    __slots__ = ("_dtype", "_shape", "axes", "data", "fortran")

    def __init__(self, *_: Any) -> None:
        self._shape: Any = None
        self._dtype: Any = None
        self.axes: Any = None
        self.data: Any = None
        self.fortran = False

    def set_state(self, state: Any) -> None:
        """Take what `ndarray.__setstate__` takes: version, shape, dtype, order and bytes."""
        if type(state) is tuple and len(state) == 5:
            _, self._shape, self._dtype, self.fortran, self.data = state

    @property
    def dtype(self) -> str:
        return str(self._dtype) if type(self._dtype) is Dtype else "numpy objects"

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self._shape
        if type(shape) is not tuple or len(shape) > 64 or not all(map(is_count, shape)):
            raise Damaged("an array without a valid shape")
        return self._moved(shape)

    @property
    def stride(self) -> tuple[int, ...]:
        """Elements from one to the next, by axis."""
        shape = self._shape
        if self.fortran is True:
            return tuple(math.prod(shape[:axis]) for axis in range(len(shape)))
        return self._moved(tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))))

    def _moved(self, values: tuple[int, ...]) -> tuple[int, ...]:
        if self.axes is None:
            return values
        if type(self.axes) is not tuple or not all(map(is_count, self.axes)):
            raise Damaged("an array without valid axes")
        if sorted(self.axes) != list(range(len(values))):
            raise Damaged("an array without valid axes")
        return tuple(values[axis] for axis in self.axes)

    def read(self) -> bytes:
        """Return the values, of the dtypes that are read."""
        itemsize = int(self._dtype.code[1:])
        return bytes_of(self.data, 0, math.prod(self.shape) * itemsize)


def from_buffer(
    data: Any = None, dtype: Any = None, shape: Any = None, order: Any = "C", axes: Any = None
) -> Array:
    """Return the array that protocol 5 describes."""
    array = Array()
    array.set_state((1, shape, dtype, order == "F", data))
    if order == "K":
        array.axes = axes
    return array


def _encoded(text: Any = None, *_: Any) -> Any:
    """Return a text unchanged; its bytes are taken from it when they are read."""
    return text


BUILDERS = {
    **{
        f"{module}.{name}": build
        for package in ("numpy.core", "numpy._core")
        for module, name, build in (
            (f"{package}.multiarray", "_reconstruct", Array),
            (f"{package}.numeric", "_frombuffer", from_buffer),
        )
    },
    "numpy.dtype": Dtype,
    "_codecs.encode": _encoded,
}

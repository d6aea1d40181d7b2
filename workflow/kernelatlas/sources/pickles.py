"""Pickles of PyTorch, read without PyTorch and without running anything.

A pickle is a program for a stack machine, and a byte of it may take hundreds of bytes of memory.
So its bytes are limited, and its opcodes too: none of those that are executed takes more than
some 130 bytes, besides the bytes that belong to it. Long strings of bytes stay in the file.
"""

import math
import pickle
import struct
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from kernelatlas.sources.arrays import Array, Chunk, Dtype
from kernelatlas.sources.source import LINE_LIMIT, Damaged, Refused, Source, damage, short
from kernelatlas.sources.stubs import Inert, Storage, call, is_dangerous, key_of
from kernelatlas.sources.weights import is_count

PICKLE_LIMIT = 32 << 20  # bytes of a pickle without its tensors; real ones stay below 20 MB
OPCODES_LIMIT = 2_500_000  # a tensor has some 40: this is ten times the largest real checkpoint
NAME_LIMIT = 256  # characters of a global's name, with its module

_STORAGES = {  # torch.<name>Storage: dtype, bytes of an element
    "Double": ("float64", 8),
    "Float": ("float32", 4),
    "Half": ("float16", 2),
    "BFloat16": ("bfloat16", 2),
    "Long": ("int64", 8),
    "Int": ("int32", 4),
    "Short": ("int16", 2),
    "Char": ("int8", 1),
    "Byte": ("uint8", 1),
    "Bool": ("bool", 1),
    "ComplexDouble": ("complex128", 16),
    "ComplexFloat": ("complex64", 8),
    "QInt8": ("qint8", 1),
    "QUInt8": ("quint8", 1),
    "QInt32": ("qint32", 4),
    "QUInt4x2": ("quint4x2", 1),
    "QUInt2x4": ("quint2x4", 1),
    "Untyped": ("bytes", 1),
}

# What Python's unpickler is known to raise on damaged or hostile pickles: nothing in it checks
# the types of what it finds on the stack.
_RAISED = (
    *(pickle.UnpicklingError, EOFError, struct.error, UnicodeError, ValueError, TypeError),
    *(LookupError, AttributeError, ArithmeticError, AssertionError, RecursionError),
)


class _Opcodes(dict[int, Callable[..., None]]):
    """A table of opcodes that can be used `OPCODES_LIMIT` times."""

    left = OPCODES_LIMIT

    def __getitem__(self, opcode: int) -> Callable[..., None]:
        self.left -= 1
        if self.left < 0:
            raise Refused(
                f"has a pickle of more than {OPCODES_LIMIT} opcodes beside its tensors: "
                "save model.state_dict() alone"
            )
        return super().__getitem__(opcode)


class Unpickler(pickle._Unpickler):
    """Reads pickles; imports nothing, calls nothing but the builders of stand-ins.

    The unpickler written in Python is the base, because single opcodes can be replaced in
    it: the one in C allocates whatever size a pickle claims, and builds real objects. Its name
    is private, but other projects build on it too, PyTorch's `weights_only` was modelled on it,
    and CPython documents its table of opcodes in `pickletools`; a test notices if it changes.

    Parameters
    ----------
    file
        A `Source`, or the bytes of the pickle as a file.
    size
        Bytes of the file.
    load_bytes
        Returns the storage that torch.storage._load_from_bytes would make of some bytes.

    Attributes
    ----------
    storages
        Elements, and bytes of each, of all storages of the pickles read so far, by key.
    """

    memo: dict[int, Any]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)
    # Buffers outside the file, and objects registered elsewhere in this process.
    for _opcode in (
        *(pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
        *(pickle.EXT1, pickle.EXT2, pickle.EXT4),
    ):
        del dispatch[_opcode[0]]
    # Sets become lists, whose items need no hash.
    dispatch[pickle.EMPTY_SET[0]] = dispatch[pickle.EMPTY_LIST[0]]
    dispatch[pickle.FROZENSET[0]] = dispatch[pickle.LIST[0]]
    dispatch[pickle.ADDITEMS[0]] = dispatch[pickle.APPENDS[0]]

    def __init__(
        self,
        file: Any,
        size: int,
        load_bytes: "Callable[[Unpickler, Any], Storage] | None" = None,
    ) -> None:
        super().__init__(file, encoding="latin1")  # texts of Python 2 may be the bytes of arrays
        self.file, self.size, self.load_bytes = file, size, load_bytes
        self.dispatch = _Opcodes(type(self).dispatch)  # type: ignore[misc]  # of this file alone
        self.storages: dict[str, tuple[int, int]] = {}

    def load(self) -> Any:
        """Return the content of the next pickle in the file.

        Raises
        ------
        Damaged, Refused
            If it is not valid, larger than its limits, or more than a state dict.
        """
        self.memo.clear()
        with damage(*_RAISED):
            return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if len(module) + len(name) > NAME_LIMIT:
            raise Damaged(f"a global whose name has {len(module) + len(name)} characters")
        if is_dangerous(module, name):
            raise Refused(
                f"the pickle calls {short(f'{module}.{name}')}, which no network needs; "
                "nothing was executed. Do not use the file, or ask its author for a .safetensors "
                "file"
            )
        # Wide characters would take more memory than an opcode may.
        return Inert(f"{module}.{name}".encode("ascii", "replace").decode())

    def persistent_load(self, pid: Any) -> Any:
        if type(pid) is not tuple or len(pid) > 6:
            raise Damaged("unknown persistent id")
        if pid[0] == "module":
            return pid[1]
        kind, storage, key, _, numel, *view = pid
        if kind != "storage" or type(key) is not str or not is_count(numel):
            raise Damaged("unknown persistent id")
        dtype, itemsize = _STORAGES[storage.name.rpartition(".")[2].removesuffix("Storage")]
        if self.storages.setdefault(key, (numel, itemsize)) != (numel, itemsize):
            raise Damaged(f"storage {short(key)} has two sizes")
        start = 0
        if view and view[0] is not None:
            _, start, numel = view[0]
            if not (is_count(start) and is_count(numel)):
                raise Damaged(f"storage {short(key)} has no valid view")
        return Storage(key, dtype, start, numel)

    def length(self, key: str) -> int:
        """Return the bytes of a storage."""
        return math.prod(self.storages[key])

    # An object is made by calling its stand-in.
    def _reduce(self: Any) -> None:
        args, function = self.stack.pop(), self.stack[-1]
        if type(function) is Inert and function.name == "torch.storage._load_from_bytes":
            if self.load_bytes is None:
                raise Damaged("a storage inside a storage, or beside those of torch.save")
            if type(args) is not tuple or len(args) != 1:
                raise Damaged("a storage that is made of nothing, or of several values")
            self.stack[-1] = self.load_bytes(self, args[0])
        else:
            self.stack[-1] = call(function, args)

    def _newobj_ex(self: Any) -> None:
        self.stack.pop()  # keyword arguments
        self._reduce()

    def _build(self: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], (Inert, Array, Dtype)):
            self.stack[-1].set_state(state)

    def _dict(self: Any) -> None:
        self.append(dict(_pairs(self.pop_mark())))

    def _setitem(self: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][key_of(key)] = value

    def _setitems(self: Any) -> None:
        items = self.pop_mark()
        for key, value in _pairs(items):
            self.stack[-1][key] = value

    def _skip(self: Any, length: int, utf8: bool = False) -> None:
        begin = self.file.tell()
        if not 0 <= length <= self.size - begin:
            raise Damaged(f"{length} bytes expected, {self.size - begin} found")
        counted = getattr(self.file, "bytes_read", 0)
        if length < LINE_LIMIT:  # to read on is faster than to seek
            self.read(length)
        else:
            self.file.seek(begin + length)
        if isinstance(self.file, Source):  # these bytes take no memory, and count when needed
            self.file.end = min(self.file.size, self.file.end + length)
            self.file.bytes_read = counted
        self.append(Chunk(self.file, begin, length, utf8))

    def _bytes(form: str) -> Callable[[Any], None]:  # type: ignore[misc]  # makes methods
        def load(self: Any) -> None:
            self._skip(*struct.unpack(form, self.read(struct.calcsize(form))))

        return load

    def _text(form: str) -> Callable[[Any], None]:  # type: ignore[misc]
        def load(self: Any) -> None:
            (length,) = struct.unpack(form, self.read(struct.calcsize(form)))
            if length > LINE_LIMIT:  # no name, but perhaps the bytes of an array
                self._skip(length, utf8=True)
            else:
                self.append(str(self.read(length), "utf-8", "surrogatepass"))

        return load

    def _frame(self: Any) -> None:
        self.read(8)  # frames only help to read ahead

    dispatch[pickle.SHORT_BINBYTES[0]] = _bytes("<B")
    dispatch[pickle.BINBYTES[0]] = _bytes("<I")
    dispatch[pickle.BINBYTES8[0]] = dispatch[pickle.BYTEARRAY8[0]] = _bytes("<Q")
    dispatch[pickle.BINSTRING[0]] = _bytes("<i")  # of Python 2
    dispatch[pickle.BINUNICODE[0]] = _text("<I")
    dispatch[pickle.BINUNICODE8[0]] = _text("<Q")
    dispatch[pickle.FRAME[0]] = _frame
    dispatch[pickle.REDUCE[0]] = dispatch[pickle.NEWOBJ[0]] = _reduce
    dispatch[pickle.NEWOBJ_EX[0]] = _newobj_ex
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.SETITEMS[0]] = _setitems


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(map(key_of, items[::2]), items[1::2], strict=True)

"""Pickles of PyTorch, read without PyTorch and without running anything.

A pickle is a program for a stack machine, and a byte of it may take hundreds of bytes of memory.
So its bytes are limited, and its opcodes too: none of those that are executed takes more than
some 130 bytes, besides the bytes that belong to it.
"""

import math
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from kernelatlas.sources.source import Damaged, Refused, damage, short
from kernelatlas.sources.weights import is_count

PICKLE_LIMIT = 32 << 20  # bytes of a pickle without its tensors; real ones stay below 20 MB
OPCODES_LIMIT = 2_500_000  # a tensor has some 40: this is ten times the largest real checkpoint
NAME_LIMIT = 256  # characters of a global's name, with its module
ARGUMENTS_LIMIT = 256  # of a call

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

# Packages whose objects lie beside the weights in real checkpoints. They become inert; any
# other global is refused, because a pickle that needs it is more than a state dict.
_HARMLESS_PACKAGES = frozenset(
    (
        *("torch", "torchvision", "timm", "numpy", "collections", "_codecs", "copyreg", "copy_reg"),
        *("argparse", "omegaconf", "ml_collections", "yacs", "easydict", "addict", "typing"),
        *("pathlib", "datetime", "enum", "mmengine", "mmcv", "pytorch_lightning", "lightning"),
    )
)
_HARMLESS_BUILTINS = frozenset(
    (
        *("set", "frozenset", "dict", "list", "tuple", "slice", "range", "object", "bool", "int"),
        *("long", "float", "complex", "str", "unicode", "bytes", "bytearray"),
    )
)


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """A storage of tensors, or a view of one."""

    key: str
    dtype: str
    start: int  # elements before a view of a storage begins
    numel: int


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A tensor: which elements of a storage it has."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Inert:
    """Stands for a global of the pickle, or for an object made by one, and does nothing.

    Only the few names of `_BUILDERS` mean something when called. It is an instance, without
    a `__dict__`, so that no opcode gets hold of a class or function to change.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **_: Any) -> Any:
        build = _BUILDERS.get(self.name)
        return build(*args) if build else Inert(self.name)

    def _ignore(self, *_: Any) -> None:
        pass

    append = extend = add = __setitem__ = _ignore


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Tensor:
    if not (isinstance(storage, Storage) and type(shape) is type(stride) is tuple):
        raise Damaged("a tensor without storage, shape or stride")
    if len(shape) > 64 or len(shape) != len(stride):
        raise Damaged("a tensor whose shape and stride differ in length")
    if not all(map(is_count, (offset, *shape, *stride))):
        raise Damaged("a tensor whose offset, shape or stride is no count")
    return Tensor(storage, storage.dtype, offset, shape, stride)


def _tensor_with_dtype(*args: Any) -> Tensor:
    return replace(_tensor(*args), dtype=args[6].name.removeprefix("torch."))


def _mapping(*args: Any) -> dict[Any, Any]:
    """Return the dict of an OrderedDict; Python 2 pickled one with a list of pairs."""
    pairs = args[0] if args and isinstance(args[0], list) else []
    result = {_key(key): value for key, value in pairs}
    pairs.clear()  # or one list, used a million times, would fill the memory
    return result


def _key(key: Any) -> Any:
    # To hash other keys may take for ever: tuples nested a million deep, numbers that collide.
    return key if type(key) is str else Inert("key")


def _call(function: Any, args: Any) -> Any:
    """Call a stand-in; as a call copies its arguments, there must be few."""
    if type(args) is not tuple or len(args) > ARGUMENTS_LIMIT:
        raise Damaged(f"a call without a tuple of at most {ARGUMENTS_LIMIT} arguments")
    return function(*args)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_with_dtype,
    "torch._utils._rebuild_qtensor": _tensor,  # refused later, by its dtype
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type_v2": lambda build, _kind, args, *_: _call(build, args),
    "torch.Size": lambda shape=(), *_: shape,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
}


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
    """Reads state dicts; imports nothing, calls nothing but `_BUILDERS`.

    The unpickler written in Python is the base, because single opcodes can be replaced in
    it: the one in C allocates whatever size a pickle claims, and builds real objects. Its name
    is private, but other projects build on it too, PyTorch's `weights_only` was modelled on it,
    and CPython documents its table of opcodes in `pickletools`; a test notices if it changes.

    Attributes
    ----------
    storages
        Elements, and bytes of each, of all storages of the pickles read so far, by key.
    """

    memo: dict[int, Any]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)
    # Buffers of a claimed size, and objects registered elsewhere in this process.
    for _opcode in (
        *(pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
        *(pickle.EXT1, pickle.EXT2, pickle.EXT4),
    ):
        del dispatch[_opcode[0]]
    # Sets become lists, whose items need no hash.
    dispatch[pickle.EMPTY_SET[0]] = dispatch[pickle.EMPTY_LIST[0]]
    dispatch[pickle.FROZENSET[0]] = dispatch[pickle.LIST[0]]
    dispatch[pickle.ADDITEMS[0]] = dispatch[pickle.APPENDS[0]]

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
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
        if module.partition(".")[0] in _HARMLESS_PACKAGES or (
            module in ("builtins", "__builtin__") and name in _HARMLESS_BUILTINS
        ):
            if not name.isascii():  # wide characters would take more memory than an opcode may
                raise Damaged(f"a global of the name {short(name)}")
            return Inert(f"{module}.{name}")
        raise Refused(
            f"the pickle calls {short(f'{module}.{name}')}, which is not part of a state dict; "
            "nothing was executed. Save model.state_dict(), or ask the author for a .safetensors "
            "file"
        )

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
        args = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], args)

    def _newobj_ex(self: Any) -> None:
        self.stack.pop()  # keyword arguments
        self._reduce()

    def _build(self: Any) -> None:
        self.stack.pop()  # the state of an object that keeps none

    def _dict(self: Any) -> None:
        self.append(dict(_pairs(self.pop_mark())))

    def _setitem(self: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_key(key)] = value

    def _setitems(self: Any) -> None:
        items = self.pop_mark()
        for key, value in _pairs(items):
            self.stack[-1][key] = value

    dispatch[pickle.REDUCE[0]] = dispatch[pickle.NEWOBJ[0]] = _reduce
    dispatch[pickle.NEWOBJ_EX[0]] = _newobj_ex
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.SETITEMS[0]] = _setitems


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(map(_key, items[::2]), items[1::2], strict=True)

"""Depthwise kernels out of checkpoint files, without PyTorch and without running the file.

Checkpoints come from strangers. Nothing in a pickle is imported or called, no size that a
file claims is believed before it is compared with the file's own size, and whatever is
wrong ends in one `KernelAtlasError`.
"""

import abc
import io
import json
import math
import os
import pickle
import re
import stat
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer, depthwise_shape

HEADER_LIMIT = 100_000_000  # bytes of a safetensors header, as in the format's own library
PICKLE_LIMIT = 64 << 20  # bytes of a pickle without its tensors; real ones stay below 20 MB
CONTENTS_LIMIT = 16 << 20  # bytes of a zip archive's table of contents or of a shard index
TAIL = 128 << 10  # bytes at the end of a zip archive that nearly always hold this table
DEPTHWISE_LIMIT = 1 << 30  # bytes of depthwise weights; timm's largest networks have 22 MB
SHARDS_LIMIT = 1000

# How each dtype that is read lies in the file; bfloat16 has no NumPy dtype.
STORED = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}

SAFETENSORS_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
SAFETENSORS_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}

STORAGES = {  # torch.<name>Storage: dtype, bytes of an element
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

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # torch.serialization

# Where a training script may put the state dict: timm's order (load_state_dict in
# timm/models/_helpers.py, averaged weights first), then what other code bases use.
WRAPPERS = (
    *("state_dict_ema", "model_ema", "params_ema"),
    *("state_dict", "model", "model_state_dict", "params", "net", "network", "module"),
)

# Packages whose objects lie beside the weights in real checkpoints. They become inert; any
# other global is refused, because a pickle that needs it is more than a state dict.
HARMLESS_PACKAGES = frozenset(
    (
        *("torch", "torchvision", "timm", "numpy", "collections", "_codecs", "copyreg", "copy_reg"),
        *("argparse", "omegaconf", "ml_collections", "yacs", "easydict", "addict", "typing"),
        *("pathlib", "datetime", "enum", "mmengine", "mmcv", "pytorch_lightning", "lightning"),
    )
)
HARMLESS_BUILTINS = frozenset(
    (
        *("set", "frozenset", "dict", "list", "tuple", "slice", "range", "object", "bool", "int"),
        *("long", "float", "complex", "str", "unicode", "bytes", "bytearray"),
    )
)

# What the parsers below are known to raise on damaged input.
DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError),
    *(MemoryError, RuntimeError),
)


@dataclass(frozen=True, eq=False)
class Reading:
    """What was found in a checkpoint.

    Attributes
    ----------
    layers
        The depthwise layers.
    tensors
        Number of all tensors.
    size, bytes_read
        Bytes of the file, or of all shards, and how many of them were needed.
    """

    layers: list[Layer]
    tensors: int
    size: int
    bytes_read: int


class _Refused(Exception):
    """What is wrong with the file and what to do, without the file's name."""


def read_depthwise(path: str | Path, part: bool = False) -> Reading:
    """Read the depthwise weights of a checkpoint file, as `read_layers` does.

    Parameters
    ----------
    part
        Whether the file is a shard, which may hold none.

    Raises
    ------
    KernelAtlasError
        If the file is missing or unreadable, or as `read_layers`.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise KernelAtlasError(f"{path}: is a folder: name the checkpoint file inside it")
        if not stat.S_ISREG(status.st_mode):
            raise KernelAtlasError(f"{path}: is not a regular file: name a checkpoint file")
        with path.open("rb") as file:
            sibling = partial(_read_sibling, path.parent)
            return read_layers(LocalSource(file, str(path), sibling, part))
    except FileNotFoundError as error:
        raise KernelAtlasError(f"{path}: no such file: check the path in the zoo") from error
    except PermissionError as error:
        raise KernelAtlasError(f"{path}: permission denied: make the file readable") from error
    except OSError as error:
        raise KernelAtlasError(
            f"{path}: cannot be read ({error.strerror or error}): check the disk and the path"
        ) from error


def _read_sibling(folder: Path, name: str) -> Reading:
    return read_depthwise(folder / name, part=True)


def read_layers(source: "Source") -> Reading:
    """Read the depthwise weights of a checkpoint: 4-D, shape[1] == 1, kh·kw > 1, shape[0] > 1.

    The content decides the format: safetensors, the index of a safetensors file in shards,
    or what `torch.save` writes (a zip archive since PyTorch 1.6, a chain of pickles before).
    Layers keep the order of a pickled state dict; those of a safetensors file, which has no
    such order, come in the natural order of their names. Of tied pickled tensors the first
    is kept.

    Raises
    ------
    KernelAtlasError
        If the file is damaged, no checkpoint, wants to run code, or holds no depthwise weight.
    """
    try:
        layers, tensors = _reader(source)(source)
    except _Refused as error:
        raise KernelAtlasError(f"{source.label}: {error}") from None
    except DAMAGE as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise KernelAtlasError(
            f"{source.label}: damaged or truncated checkpoint ({found}): {source.again}"
        ) from error
    if not layers and not source.part:
        raise KernelAtlasError(
            f"{source.label}: has no depthwise layers (4-D weights with shape[1] == 1); "
            f"{tensors} tensors read; remove it from the zoo"
        )
    return Reading(layers, tensors, source.size + source.shards, source.bytes_read)


def _short(text: object) -> str:
    """Return a text from the file as it may stand in a message: short, on one line."""
    return repr(str(text)[:100])


class Source(abc.ABC):
    """A file-like object that counts the bytes read and never tries to read beyond its end.

    Attributes
    ----------
    label, again
        How messages call the file, and what they advise where it is damaged.
    size, end, limit
        Bytes of the file; where reading has to stop; how much one call may read.
    part
        Whether it is a shard, which may hold no depthwise weight.
    shards
        Bytes of the shards that were read because of this file.
    sibling
        Reads the shard of a name, which lies beside this file.
    """

    again = "download or copy it again"
    part = False
    shards = 0

    def __init__(self, label: str, size: int, sibling: Callable[[str], Reading]) -> None:
        self.label, self.size, self.end, self.limit = label, size, size, size
        self.position = self.bytes_read = 0
        self.sibling = sibling

    @abc.abstractmethod
    def fetch(self, begin: int, count: int) -> bytes:
        """Return up to `count` bytes from `begin` on."""

    def view(self, begin: int, count: int) -> bytes | memoryview:
        """Return exactly `count` bytes from `begin` on, without a copy where that can be."""
        self.seek(begin)
        return self.exactly(count)

    @abc.abstractmethod
    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Tell which bytes, from begin to stop, will be read next, in this order."""

    @abc.abstractmethod
    def need_whole(self) -> None:
        """Tell that the file will be read from end to end."""

    def read(self, count: int = -1) -> bytes:
        left = max(self.end - self.position, 0)
        count = left if count < 0 else min(count, left)
        if count > self.limit:
            raise ValueError(f"{count} bytes where at most {self.limit} are expected")
        data = self.fetch(self.position, count)
        self.position += len(data)
        self.bytes_read += len(data)
        return data

    def readline(self) -> bytes:
        """Return what is left of a line; only pickles of the oldest protocol have lines."""
        line = bytearray()
        while (byte := self.read(1)) and byte != b"\n":
            line += byte
        return bytes(line + byte)

    def exactly(self, count: int) -> bytes:
        data = self.read(count)
        if len(data) != count:
            raise EOFError(f"{count} bytes expected, {len(data)} found")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} in a file")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def seekable(self) -> bool:
        return True


class LocalSource(Source):
    """A file on a disk."""

    def __init__(
        self, file: BinaryIO, label: str, sibling: Callable[[str], Reading], part: bool = False
    ) -> None:
        super().__init__(label, os.fstat(file.fileno()).st_size, sibling)
        self.file, self.part = file, part

    def fetch(self, begin: int, count: int) -> bytes:
        if begin != self.file.tell():
            self.file.seek(begin)
        return self.file.read(count)

    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Do nothing: a disk is near."""

    def need_whole(self) -> None:
        """Do nothing: it is there."""


def _reader(source: Source) -> Callable[[Source], tuple[list[Layer], int]]:
    """Choose the reader of a file by its first bytes; it returns layers and tensor count."""
    head = source.fetch(0, min(64, source.size))
    if not head:
        raise _Refused(f"is empty (0 bytes): {source.again}")
    if head.startswith(b"version https://git-lfs"):
        raise _Refused("is a Git LFS pointer, not the file itself: run `git lfs pull`")
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if head[8:9] == b"{":
        return _read_safetensors
    if head[0] == pickle.PROTO[0]:
        return _read_legacy
    if head.lstrip().startswith(b"{"):
        return _read_index
    if head.lstrip().startswith(b"<"):
        raise _Refused(
            f"is a web page or XML, not a checkpoint (it begins with {head[:16]!r}): "
            "check the address and download it again"
        )
    raise _Refused(
        f"is neither a safetensors file nor a PyTorch checkpoint (it begins with {head[:16]!r}): "
        "check that it is the right file and whole"
    )


def _is_depthwise(name: object, dtype: str, shape: tuple[int, ...] | list[int]) -> bool:
    if not depthwise_shape(shape):
        return False
    # Masks and indices may have this shape too; a weight of another dtype is refused later.
    return type(name) is str and (dtype in STORED or name.endswith("weight"))


def _layer(name: str, dtype: str, stored: np.ndarray) -> Layer:
    """Return a layer from its values of shape (channels, 1, kh, kw) as they lie in the file."""
    if dtype == "bfloat16":  # the upper half of a float32
        values = (stored.astype(np.uint32) << 16).view(np.float32)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            values = stored.astype(np.float32, copy=False)
    name.encode()  # half a surrogate pair could not be written to a table
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):  # torch.compile and data parallel
        name = name.removeprefix(prefix)
    return Layer(name.removesuffix(".weight"), np.require(values[:, 0], requirements=["C", "A"]))


def _distinct(layers: list[Layer]) -> list[Layer]:
    names = set()
    for layer in layers:
        if layer.name in names:
            raise _Refused(
                f"has two layers called {_short(layer.name)}: rename one and save it again"
            )
        names.add(layer.name)
    return layers


def _check_amount(claimed: int) -> None:
    if claimed > DEPTHWISE_LIMIT:
        raise _Refused(
            f"claims {claimed} bytes of depthwise weights (limit {DEPTHWISE_LIMIT}): "
            "check that it is the right file"
        )


def _check_dtype(name: str, dtype: str) -> None:
    if dtype not in STORED:
        raise _Refused(
            f"layer {_short(name)} is stored as {_short(dtype)}, only {', '.join(STORED)} are "
            "read: save the checkpoint in one of them"
        )


# --- safetensors -------------------------------------------------------------------------


def _natural(name: str) -> tuple[Any, ...]:
    """Sort key, part by part, that compares digits as numbers: 2 comes before 10."""
    keys = []
    for part in name.split("."):
        key: list[Any] = re.split("([0-9]+)", part)  # text, digits, text, …
        key[1::2] = ((len(run), run) for run in (digits.lstrip("0") for digits in key[1::2]))
        keys.append(key)
    return keys, name  # the name decides between 1 and 01


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in the header")
    return result


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _read_safetensors(source: Source) -> tuple[list[Layer], int]:
    (length,) = struct.unpack("<Q", source.exactly(8))
    if length > min(HEADER_LIMIT, source.size - 8):
        raise _Refused(
            f"claims a header of {length} bytes in a file of {source.size}: "
            f"truncated or no safetensors file; {source.again}"
        )
    header = json.loads(source.exactly(length).decode(), object_pairs_hook=_unique)
    header.pop("__metadata__", None)
    start, end = 8 + length, 0
    entries = sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"]))
    for name, entry in entries:
        dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in SAFETENSORS_BITS:
            raise ValueError(f"{_short(name)} has the unknown dtype {dtype!r}")
        if type(shape) is not list or len(shape) > 64 or not all(map(_is_count, shape)):
            raise ValueError(f"{_short(name)} has no valid shape")
        if not _is_count(begin) or not _is_count(stop) or begin != end or stop < begin:
            raise ValueError(f"{_short(name)} has offsets {begin, stop} where {end} should follow")
        if 8 * (stop - begin) != math.prod(shape) * SAFETENSORS_BITS[dtype]:
            raise ValueError(f"{_short(name)}: {stop - begin} bytes do not fit {dtype} {shape[:8]}")
        end = stop
    if start + end != source.size:
        raise _Refused(
            f"has {source.size} bytes where its header needs {start + end}: {source.again}"
        )
    chosen = []
    for name, entry in entries:
        dtype, shape = SAFETENSORS_NAMES.get(entry["dtype"], entry["dtype"]), entry["shape"]
        if _is_depthwise(name, dtype, shape):
            _check_dtype(name, dtype)
            begin, stop = entry["data_offsets"]
            chosen.append((name, dtype, shape, start + begin, start + stop))
    spans = [(begin, stop) for *_, begin, stop in chosen]
    _check_amount(sum(stop - begin for begin, stop in spans))
    source.prefetch(spans)
    layers = []
    for name, dtype, shape, begin, stop in chosen:
        stored = np.frombuffer(source.view(begin, stop - begin), STORED[dtype])
        layers.append(_layer(name, dtype, stored.reshape(shape)))
    return _in_natural_order(layers), len(entries)


def _in_natural_order(layers: list[Layer]) -> list[Layer]:
    return sorted(_distinct(layers), key=lambda layer: _natural(layer.name))


def shards_of(path: str | Path) -> list[str]:
    """Return the paths of the shards that an index names; none of what is no valid index."""
    if not str(path).endswith(".index.json"):
        return []
    try:
        names = _shards(Path(path).read_bytes())
    except (OSError, _Refused, *DAMAGE):
        return []  # reading the checkpoint will tell
    return [str(Path(path).with_name(name)) for name in names]


def _shards(text: bytes) -> list[str]:
    content = json.loads(text.decode(), object_pairs_hook=_unique)
    shards = content.get("weight_map")
    if type(shards) is not dict or not all(type(shard) is str for shard in shards.values()):
        raise _Refused(
            "is a JSON text but no index of shards (no weight_map): name the checkpoint itself"
        )
    names = sorted(set(shards.values()))
    if len(names) > SHARDS_LIMIT:
        raise _Refused(f"names {len(names)} shards (limit {SHARDS_LIMIT}): check the file")
    for name in names:
        # Beside the index and nowhere else, whatever the index says.
        if not re.fullmatch(r"[\w-][\w.-]*\.safetensors", name, re.ASCII):
            raise _Refused(f"names the shard {_short(name)}, which is no file beside it")
    return names


def _read_index(source: Source) -> tuple[list[Layer], int]:
    """Read the shards of which a model.safetensors.index.json tells."""
    if source.size > CONTENTS_LIMIT:
        raise _Refused(
            f"is a JSON text of {source.size} bytes, too long for an index of shards "
            f"(limit {CONTENTS_LIMIT}): check that it is the right file"
        )
    layers, tensors = [], 0
    for name in _shards(source.exactly(source.size)):
        shard = source.sibling(name)
        layers += shard.layers
        tensors += shard.tensors
        source.shards += shard.size
        source.bytes_read += shard.bytes_read
    return _in_natural_order(layers), tensors


# --- pickles -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class _Storage:
    key: str
    dtype: str
    start: int  # elements before a view of a storage begins
    numel: int


@dataclass(frozen=True, eq=False, slots=True)
class _Tensor:
    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Inert:
    """Stands for a global of the pickle, or for an object made by one, and does nothing.

    Only the few names of `_BUILDERS` mean something when called. It is an instance, without
    a `__dict__`, so that no opcode gets hold of a class or function to change.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **_: Any) -> Any:
        build = _BUILDERS.get(self.name)
        return build(*args) if build else _Inert(self.name)

    def _ignore(self, *_: Any) -> None:
        pass

    append = extend = add = __setitem__ = _ignore


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    if not (isinstance(storage, _Storage) and isinstance(shape, tuple)):
        raise ValueError("a tensor without storage or shape")
    if len(shape) > 64 or len(shape) != len(stride):
        raise ValueError("a tensor whose shape and stride differ in length")
    if not all(map(_is_count, (offset, *shape, *stride))):
        raise ValueError("a tensor whose offset, shape or stride is no count")
    return _Tensor(storage, storage.dtype, offset, shape, tuple(stride))


def _tensor_with_dtype(*args: Any) -> _Tensor:
    return replace(_tensor(*args), dtype=args[6].name.removeprefix("torch."))


def _mapping(*args: Any) -> dict[Any, Any]:
    """Return the dict of an OrderedDict; Python 2 pickled one with a list of pairs."""
    pairs = args[0] if args and isinstance(args[0], list) else []
    result = {_key(key): value for key, value in pairs}
    pairs.clear()  # or one list, called up a million times, would fill the memory
    return result


def _key(key: Any) -> Any:
    # Hashing what a stranger nested a million deep, or chose to collide, takes for ever.
    return key if type(key) is str else _Inert("key")


_BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_with_dtype,
    "torch._utils._rebuild_qtensor": _tensor,  # refused later, by its dtype
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type_v2": lambda build, _kind, args, *_: build(*args),
    "torch.Size": lambda shape=(), *_: shape,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
}


class _Unpickler(pickle._Unpickler):
    """Reads a state dict; imports nothing, calls nothing but `_BUILDERS`.

    The interpreter written in Python is the base, because single opcodes can be replaced in
    it: the one in C allocates whatever size a pickle claims, and builds real objects.
    """

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
    # An object is made by calling its stand-in.
    dispatch[pickle.NEWOBJ[0]] = dispatch[pickle.REDUCE[0]]

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self.storages: dict[str, tuple[int, int]] = {}  # key: elements, bytes of each

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in HARMLESS_PACKAGES or (
            module in ("builtins", "__builtin__") and name in HARMLESS_BUILTINS
        ):
            return _Inert(f"{module}.{name}")
        raise _Refused(
            f"the pickle calls {_short(f'{module}.{name}')}, which is not part of a state dict; "
            "nothing was executed. Save model.state_dict(), or ask the author for a .safetensors "
            "file"
        )

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":
            return pid[1]
        kind, storage, key, _, numel, *view = pid
        if kind != "storage" or type(key) is not str or not _is_count(numel):
            raise ValueError("unknown persistent id")
        dtype, itemsize = STORAGES[storage.name.rpartition(".")[2].removesuffix("Storage")]
        if self.storages.setdefault(key, (numel, itemsize)) != (numel, itemsize):
            raise ValueError(f"storage {_short(key)} has two sizes")
        start = 0
        if view and view[0] is not None:
            _, start, numel = view[0]
            if not (_is_count(start) and _is_count(numel)):
                raise ValueError(f"storage {_short(key)} has no valid view")
        return _Storage(key, dtype, start, numel)

    def length(self, key: str) -> int:
        """Return the bytes of a storage."""
        return math.prod(self.storages[key])

    def _newobj_ex(self: Any) -> None:
        self.stack.pop()  # keyword arguments
        self.load_reduce()

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

    dispatch[pickle.NEWOBJ_EX[0]] = _newobj_ex
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.SETITEMS[0]] = _setitems


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(map(_key, items[::2]), items[1::2], strict=True)


def _state_dict(content: Any) -> dict[str, Any]:
    """Find the state dict in what was pickled, under up to three of `WRAPPERS`."""
    for _ in range(3):
        if not isinstance(content, dict):
            break
        inner = [content[key] for key in WRAPPERS if key in content]
        found: Any = next((value for value in inner if isinstance(value, dict) and value), None)
        if found is None and not any(isinstance(value, _Tensor) for value in content.values()):
            found = next((value for value in inner if isinstance(value, _Inert)), None)
        if found is None:
            break
        content = found
    if isinstance(content, dict):
        return content
    if isinstance(content, _Inert):
        raise _Refused(
            f"holds a whole module ({_short(content.name)}), not a state dict; "
            "save model.state_dict()"
        )
    raise _Refused(
        f"holds a {type(content).__name__.strip('_').lower()}, not a state dict; "
        "save model.state_dict()"
    )


def _pickled_layers(
    content: Any,
    read_storage: Callable[[str], bytes],
    size: int,
    prefetch: Callable[[list[str]], None] = lambda keys: None,
) -> tuple[list[Layer], int]:
    """Return the depthwise layers of an unpickled checkpoint and its number of tensors.

    Parameters
    ----------
    read_storage
        Returns a storage's bytes by its key.
    size
        Bytes of the file, which the layers together cannot exceed.
    prefetch
        Is told the keys of the storages that will be read.
    """
    state = _state_dict(content)
    tensors = [(name, t) for name, t in state.items() if isinstance(t, _Tensor)]
    views, chosen, claimed = set(), [], 0
    for name, tensor in tensors:
        storage = tensor.storage
        view = (storage.key, storage.start + tensor.offset, tensor.shape, tensor.stride)
        if _is_depthwise(name, tensor.dtype, tensor.shape) and view not in views:
            views.add(view)
            _check_dtype(name, tensor.dtype)
            itemsize = np.dtype(STORED[tensor.dtype]).itemsize
            claimed += math.prod(tensor.shape) * itemsize
            chosen.append((name, tensor))
    # Strides of zero, or many views of one storage, could ask for any amount of memory.
    if claimed > size:
        raise _Refused(
            f"claims {claimed} bytes of depthwise weights in a file of {size}: "
            "download it again or save it with contiguous tensors"
        )
    _check_amount(claimed)
    prefetch([tensor.storage.key for _, tensor in chosen])
    read_storage = lru_cache(maxsize=1)(read_storage)
    layers = []
    for name, tensor in chosen:
        storage = tensor.storage
        flat = np.frombuffer(read_storage(storage.key), STORED[tensor.dtype])
        if storage.dtype != "bytes":  # an untyped storage counts bytes and has no views
            flat = flat[storage.start : storage.start + storage.numel]
        steps = zip(tensor.shape, tensor.stride, strict=True)
        if tensor.offset + sum((n - 1) * step for n, step in steps) >= flat.size:
            raise ValueError(f"{_short(name)} reaches beyond its storage")
        strides = [step * flat.itemsize for step in tensor.stride]
        stored = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides)
        layers.append(_layer(name, tensor.dtype, stored))
    return _distinct(layers), len(tensors)


def _refuse_big_endian(order: object) -> None:
    if order:
        raise _Refused("was saved on a big-endian machine: save it again on a little-endian one")


def _read_zip(source: Source) -> tuple[list[Layer], int]:
    source.prefetch([(max(source.size - TAIL, 0), source.size)])
    source.limit = CONTENTS_LIMIT
    with zipfile.ZipFile(source) as archive:
        source.limit = source.size
        entries = {info.filename: info for info in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("an entry of the archive stands twice")
        folder = next(iter(entries), "").partition("/")[0]
        if f"{folder}/constants.pkl" in entries or any(
            name.startswith(f"{folder}/code/") for name in entries
        ):
            raise _Refused("is a TorchScript archive, not a state dict; save model.state_dict()")
        if f"{folder}/data.pkl" not in entries:
            raise _Refused(
                "is a zip archive but no PyTorch checkpoint (no data.pkl): "
                "unpack it and name the checkpoint inside"
            )

        def read(name: str) -> bytes:
            info = entries[f"{folder}/{name}"]
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise _Refused(f"its entry {name!r} is compressed: save it again with torch.save")
            if info.file_size > source.size:
                raise ValueError(f"entry {name!r} claims {info.file_size} bytes")
            return archive.read(info)  # checks the CRC-32

        if f"{folder}/byteorder" in entries:
            _refuse_big_endian(read("byteorder").strip() == b"big")
        if (length := entries[f"{folder}/data.pkl"].file_size) > PICKLE_LIMIT:
            raise _Refused(
                f"has a pickle of {length} bytes beside its tensors (limit {PICKLE_LIMIT}): "
                "save model.state_dict() alone"
            )
        limits = sorted([*(info.header_offset for info in entries.values()), archive.start_dir])

        def prefetch(keys: list[str]) -> None:
            begins = {entries[f"{folder}/data/{key}"].header_offset for key in keys}
            # An entry ends where the next begins.
            spans = [(begin, limits[bisect_right(limits, begin)]) for begin in begins]
            source.prefetch(sorted(spans))

        unpickler = _Unpickler(io.BytesIO(read("data.pkl")))
        content = unpickler.load()

        def read_storage(key: str) -> bytes:
            found, claimed = entries[f"{folder}/data/{key}"].file_size, unpickler.length(key)
            if found != claimed:
                raise ValueError(f"storage {_short(key)}: {found} bytes, not {claimed}")
            return read(f"data/{key}")

        return _pickled_layers(content, read_storage, source.size, prefetch)


def _read_legacy(source: Source) -> tuple[list[Layer], int]:
    source.need_whole()
    source.end = min(source.size, PICKLE_LIMIT)
    if _Unpickler(source).load() != LEGACY_MAGIC or _Unpickler(source).load() != LEGACY_PROTOCOL:
        raise _Refused("is a pickle, but not one of torch.save: save model.state_dict() with it")
    _refuse_big_endian(_Unpickler(source).load().get("little_endian") is False)
    unpickler = _Unpickler(source)
    content = unpickler.load()
    keys = _Unpickler(source).load()
    source.end = source.size
    positions = {}
    for key in keys:
        if type(key) is not str:
            raise ValueError("a storage key is no text")
        (numel,) = struct.unpack("<q", source.exactly(8))
        if numel != unpickler.storages[key][0]:
            raise ValueError(f"storage {_short(key)} has {numel} elements, its tensors differ")
        positions[key], length = source.tell(), unpickler.length(key)
        if source.tell() + length > source.size:
            raise EOFError(f"storage {_short(key)} of {length} bytes is cut off")
        source.seek(length, io.SEEK_CUR)

    def read_storage(key: str) -> bytes:
        source.seek(positions[key])
        return source.exactly(unpickler.length(key))

    return _pickled_layers(content, read_storage, source.size)

"""The tensors of a state dict that PyTorch has pickled."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.sources.arrays import Array, Part
from kernelatlas.sources.source import DEFAULT, Damaged, Options, Refused, Tensors, short
from kernelatlas.sources.stubs import Storage, Tensor
from kernelatlas.sources.weights import (
    STORED,
    as_float32,
    check_amount,
    check_dtype,
    check_parts,
    is_foldable,
    is_wanted,
)
from kernelatlas.sources.wrappers import Found, named


def tensors_of(
    found: Found,
    read_storage: Callable[[str], bytes],
    size: int,
    prefetch: Callable[[list[str]], None] = lambda keys: None,
    options: Options = DEFAULT,
) -> Tensors:
    """Return the tensors of an unpickled checkpoint; of tied depthwise weights, the first.

    Parameters
    ----------
    found
        The state dict, or the tensors of a module.
    read_storage
        Returns a storage's bytes by its key.
    size
        Bytes of the file, which the tensors together cannot exceed.
    prefetch
        Is told the keys of the storages that will be read.
    options
        What the zoo says.
    """
    claimed = folded = 0
    shapes, chosen, parts = {}, [], []
    views: dict[tuple[Any, ...], str] = {}  # whose tensor has which name
    tied: dict[str, str] = {}
    for name, tensor in named(found.tensors):
        known = found.convolutions.get(name.removesuffix(".weight"))
        told = known is not None and known.depthwise and depthwise_shape(tensor.shape)
        judged = known is None or options.whole
        if told or (judged and is_wanted(options, name, tensor.dtype, tensor.shape)):
            check_dtype(name, tensor.dtype)
            needed = _tensor(tensor)
            storage = needed.storage
            view = (storage.key, storage.start + needed.offset, needed.shape, needed.stride)
            if view in views:
                if options.whole:
                    tied[name], shapes[name] = views[view], tensor.shape
                continue
            claimed += math.prod(needed.shape) * np.dtype(STORED[needed.dtype]).itemsize
            views[view] = name
            chosen.append((name, needed))
            check_amount(len(chosen), 0, options)
        elif options.fused and is_foldable(name, tensor.shape):
            check_dtype(name, tensor.dtype)
            folded += math.prod(tensor.shape) * np.dtype(STORED[tensor.dtype]).itemsize
            check_parts(folded)
            parts.append((name, _tensor(tensor)))
        shapes[name] = tensor.shape
    # Strides of zero, or many views of one storage, could ask for any amount of memory.
    if claimed > size:
        raise Refused(
            f"claims {claimed} bytes of depthwise weights in a file of {size}: "
            "download it again or save it with contiguous tensors"
        )
    check_amount(len(chosen), claimed, options)
    keys = [tensor.storage.key for _, tensor in chosen + parts]
    prefetch([key for key in keys if isinstance(key, str)])

    @lru_cache(maxsize=1)
    def read(key: str | Array | Part) -> bytes:
        return read_storage(key) if isinstance(key, str) else key.read()

    values = {
        name: as_float32(tensor.dtype, _values(name, tensor, read)) for name, tensor in chosen
    }
    values.update({name: values[first] for name, first in tied.items()})
    parts.sort(key=_storage)  # so that each storage is read once
    small = {
        name: as_float32(tensor.dtype, _values(name, tensor, read)).copy() for name, tensor in parts
    }
    return Tensors(shapes, values, True, found.convolutions, small)


def _storage(part: tuple[str, Tensor]) -> str:
    key = part[1].storage.key
    return key if isinstance(key, str) else ""


def _tensor(value: Tensor | Array) -> Tensor:
    """Return a tensor, or what an array would be as one."""
    if isinstance(value, Tensor):
        return value
    storage = Storage(value, value.dtype, 0, math.prod(value.shape))
    return Tensor(storage, value.dtype, 0, value.shape, value.stride)


def _values(name: str, tensor: Tensor, read: Callable[[str | Array | Part], bytes]) -> np.ndarray:
    """Return a tensor's values, as they lie in its storage."""
    storage, dtype = tensor.storage, np.dtype(STORED[tensor.dtype])
    data = read(storage.key)
    if len(data) % dtype.itemsize:
        raise Damaged(f"the storage of {short(name)}: {len(data)} bytes are no {tensor.dtype}")
    flat = np.frombuffer(data, dtype)
    if storage.dtype != "bytes":  # an untyped storage counts bytes and has no views
        flat = flat[storage.start : storage.start + storage.numel]
    steps = list(zip(tensor.shape, tensor.stride, strict=True))
    if tensor.offset + sum((n - 1) * step for n, step in steps) >= flat.size:
        raise Damaged(f"{short(name)} reaches beyond its storage")
    # Along an axis of one element any stride is valid, even one that NumPy cannot hold.
    strides = [step * dtype.itemsize if n > 1 else 0 for n, step in steps]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides)


def refuse_big_endian(order: object) -> None:
    if order:
        raise Refused("was saved on a big-endian machine: save it again on a little-endian one")

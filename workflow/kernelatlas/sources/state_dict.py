"""The tensors of a state dict that PyTorch has pickled."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from kernelatlas.sources.pickles import Inert, Tensor
from kernelatlas.sources.source import Damaged, Refused, Tensors, short
from kernelatlas.sources.weights import (
    STORED,
    as_float32,
    check_amount,
    check_dtype,
    is_needed,
)

# Where a training script may put the state dict: timm's order (load_state_dict in
# timm/models/_helpers.py, averaged weights first), then what other code bases use.
_WRAPPERS = (
    *("state_dict_ema", "model_ema", "params_ema"),
    *("state_dict", "model", "model_state_dict", "params", "net", "network", "module"),
)


def _state_dict(content: Any) -> dict[str, Any]:
    """Find the state dict in what was pickled, under up to three of `_WRAPPERS`."""
    for _ in range(3):
        if not isinstance(content, dict):
            break
        inner = [content[key] for key in _WRAPPERS if key in content]
        found: Any = next((value for value in inner if isinstance(value, dict) and value), None)
        if found is None and not any(isinstance(value, Tensor) for value in content.values()):
            found = next((value for value in inner if isinstance(value, Inert)), None)
        if found is None:
            break
        content = found
    if isinstance(content, dict):
        return content
    if isinstance(content, Inert):
        raise Refused(
            f"holds a whole module ({short(content.name)}), not a state dict; "
            "save model.state_dict()"
        )
    raise Refused(
        f"holds a {type(content).__name__.strip('_').lower()}, not a state dict; "
        "save model.state_dict()"
    )


def tensors_of(
    content: Any,
    read_storage: Callable[[str], bytes],
    size: int,
    prefetch: Callable[[list[str]], None] = lambda keys: None,
) -> Tensors:
    """Return the tensors of an unpickled checkpoint; of tied ones that are needed, the first.

    Parameters
    ----------
    read_storage
        Returns a storage's bytes by its key.
    size
        Bytes of the file, which the tensors together cannot exceed.
    prefetch
        Is told the keys of the storages that will be read.
    """
    claimed = 0
    shapes, views, chosen = {}, set(), []
    for name, tensor in _state_dict(content).items():
        if not isinstance(tensor, Tensor):
            continue
        if is_needed(name, tensor.dtype, tensor.shape):
            storage = tensor.storage
            view = (storage.key, storage.start + tensor.offset, tensor.shape, tensor.stride)
            if view in views:
                continue
            check_dtype(name, tensor.dtype)
            claimed += math.prod(tensor.shape) * np.dtype(STORED[tensor.dtype]).itemsize
            views.add(view)
            chosen.append((name, tensor))
            check_amount(len(chosen), 0)
        shapes[name] = tensor.shape
    # Strides of zero, or many views of one storage, could ask for any amount of memory.
    if claimed > size:
        raise Refused(
            f"claims {claimed} bytes of depthwise weights in a file of {size}: "
            "download it again or save it with contiguous tensors"
        )
    check_amount(len(chosen), claimed)
    prefetch([tensor.storage.key for _, tensor in chosen])
    read_storage = lru_cache(maxsize=1)(read_storage)
    values = {
        name: as_float32(tensor.dtype, _values(name, tensor, read_storage))
        for name, tensor in chosen
    }
    return Tensors(shapes, values, ordered=True)


def _values(name: str, tensor: Tensor, read_storage: Callable[[str], bytes]) -> np.ndarray:
    """Return a tensor's values, as they lie in its storage."""
    storage, dtype = tensor.storage, np.dtype(STORED[tensor.dtype])
    data = read_storage(storage.key)
    if len(data) % dtype.itemsize:
        raise Damaged(f"storage {short(storage.key)}: {len(data)} bytes are no {tensor.dtype}")
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

"""Safetensors files with one JSON text of metadata, the same bytes for the same content."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import whole

KEY = "kernelatlas"  # the only key: safetensors writes several in a random order


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Write contiguous arrays, or tensors on the CPU, and their metadata.

    Raises
    ------
    KernelAtlasError
        As `kernelatlas.running.files.whole`.
    """
    text = json.dumps(dict(metadata), sort_keys=True)
    arrays = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    with whole(path) as partial:
        partial.write_bytes(save(arrays, {KEY: text}))


def read_tensors(
    path: str | os.PathLike[str], names: Sequence[str] | None = None, framework: str = "np"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return tensors and metadata of a file that `write_tensors` wrote.

    Parameters
    ----------
    names
        Of the tensors to read; all of them without it.
    framework
        `np` for arrays, `pt` for torch tensors on the CPU.

    Raises
    ------
    KernelAtlasError
        If the file cannot be read, or lacks the metadata or one of the tensors.
    """
    try:
        with safe_open(os.fspath(path), framework) as file:
            metadata = json.loads((file.metadata() or {})[KEY])
            read = file.keys() if names is None else names
            return {name: file.get_tensor(name) for name in read}, metadata
    except KeyError as error:
        raise KernelAtlasError(
            f"{path}: has no metadata of Kernel Atlas: use a file that its workflow made"
        ) from error
    except (OSError, SafetensorError, ValueError) as error:
        raise KernelAtlasError(
            f"{path}: cannot be read as safetensors ({error}): make it again, or download it again"
        ) from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata of a file that `write_tensors` wrote; raises as `read_tensors`."""
    return read_tensors(path, names=())[1]

"""Depthwise kernels out of checkpoint files, without PyTorch and without running the file.

Checkpoints come from strangers. Nothing in a pickle is imported or called, and no size that a
file claims is believed before it is compared with the file's own size. Whatever a file holds,
reading it takes at most 512 MiB of memory besides the storages that hold its depthwise weights,
because headers, tables of contents and pickles are limited in bytes, and pickles in opcodes too.
A file that is not read ends in one `KernelAtlasError`; any other exception is a fault of this
program.
"""

import contextlib
import pickle
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources import hdf5, numpy_files
from kernelatlas.sources.containers import read_gzip, read_other_zip, read_tar
from kernelatlas.sources.formats import named, named_folder
from kernelatlas.sources.fused import parts_of
from kernelatlas.sources.keras import read_hdf5
from kernelatlas.sources.legacy import read_legacy
from kernelatlas.sources.onnx import is_onnx, read_onnx
from kernelatlas.sources.safetensors import read_safetensors
from kernelatlas.sources.shards import read_index, refuse_shard
from kernelatlas.sources.source import (
    DEFAULT,
    Content,
    Damaged,
    LocalSource,
    Options,
    Reading,
    Refused,
    Shard,
    Source,
    Tensors,
)
from kernelatlas.sources.tflite import TFLITE, read_tflite
from kernelatlas.sources.weights import depthwise_content
from kernelatlas.sources.zips import read_zip

T = TypeVar("T")


class NoStateDictError(KernelAtlasError):
    """A checkpoint whose tensors are not named as those of a PyTorch network."""


def read_depthwise(path: str | Path, options: Options = DEFAULT) -> Reading:
    """Read the depthwise weights of a checkpoint file, as `read_layers` does.

    Raises
    ------
    KernelAtlasError
        If the file is missing or unreadable, or as `read_layers`.
    """
    return _read(Path(path), partial(read_layers, options=options))


def _read(path: Path, read: Callable[[Source], T]) -> T:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            what = named_folder(path) or "is a folder: name the checkpoint file inside it"
            raise KernelAtlasError(f"{path}: {what}")
        if not stat.S_ISREG(status.st_mode):
            raise KernelAtlasError(f"{path}: is not a regular file: name a checkpoint file")
        with path.open("rb") as file:
            sibling = partial(_read_sibling, path.parent)
            return read(LocalSource(file, str(path), sibling, path.parent))
    except FileNotFoundError as error:
        raise KernelAtlasError(f"{path}: no such file: check the path") from error
    except PermissionError as error:
        raise KernelAtlasError(f"{path}: permission denied: make the file readable") from error
    except OSError as error:
        raise KernelAtlasError(
            f"{path}: cannot be read ({error.strerror or error}): check the disk and the path"
        ) from error


def _read_sibling(folder: Path, name: str, options: Options) -> Shard:
    return _read(folder / name, partial(read_shard, options=options))


def read_whole(path: str | Path, options: Options) -> Tensors:
    """Read all tensors of a checkpoint file, as `read_tensors` does.

    Raises
    ------
    KernelAtlasError
        If the file is missing or unreadable, or as `read_tensors`.
    """
    return _read(Path(path), partial(read_tensors, options=options))


def read_tensors(source: Source, options: Options) -> Tensors:
    """Read all tensors of a state dict; the values are those of floating-point numbers alone.

    Parameters
    ----------
    options
        With `whole`.

    Raises
    ------
    KernelAtlasError
        If the file is damaged, no checkpoint, or wants to run code.
    NoStateDictError
        If it holds no state dict.
    """
    source.options = options
    with _explained(source):
        refuse_shard(source.label)
        found = _found(source)
    if not isinstance(found, Tensors):
        raise NoStateDictError(f"{source.label}: holds no state dict of PyTorch")
    return found


def read_layers(source: Source, options: Options = DEFAULT) -> Reading:
    """Read the depthwise weights of a checkpoint, (n, 1, kh, kw) in a state dict.

    Which weights of this shape are depthwise, `kernelatlas.sources.depthwise` tells.

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
    source.options = options
    with _explained(source):
        refuse_shard(source.label)
        found = _found(source)
        parts = None
        if isinstance(found, Tensors):
            parts = parts_of(found) if options.fused else None
            found = depthwise_content(found, options)
        elif options.fused:
            raise Refused(
                "is no state dict, whose norms and branches `fused` folds into kernels: "
                "leave `fused` out"
            )
        elif options.depthwise:
            layers = [replace(layer, inferred=False) for layer in found.layers]
            found = replace(found, layers=layers)
    if not found.layers:
        hint = (
            f" (left out, as the log explains: {found.left_out} of the shape of depthwise weights)"
        )
        raise KernelAtlasError(
            f"{source.label}: has no depthwise layers; {found.tensors} tensors read"
            f"{hint if found.left_out else ''}: leave it out, or name another file"
        )
    size = source.size + source.shard_bytes
    return Reading(
        **vars(found),
        size=size,
        bytes_read=source.bytes_read,
        shards=tuple(source.shards),
        parts=parts,
    )


def read_shard(source: Source, options: Options = DEFAULT) -> Shard:
    """Read one of the files that an index names, which may hold no depthwise weight.

    Raises
    ------
    KernelAtlasError
        As `read_layers`.
    """
    source.options = options
    with _explained(source):
        reader = _reader(source)
        if reader is read_index:
            raise Refused("is an index of shards, named as a shard: name the checkpoint itself")
        found = reader(source)
        if not isinstance(found, Tensors):
            raise Refused("is no state dict, and so no shard: name the checkpoint itself")
        return Shard(found, source.size, source.bytes_read)


@contextlib.contextmanager
def _explained(source: Source) -> Iterator[None]:
    """Raise what is wrong with a file as one line that names it."""
    try:
        yield
    except Refused as error:
        raise KernelAtlasError(f"{source.label}: {error}") from None
    except Damaged as error:
        what = " ".join(str(error).split())[:200]
        raise KernelAtlasError(
            f"{source.label}: damaged or truncated checkpoint ({what}): {source.again}"
        ) from error


def _found(source: Source) -> Tensors | Content:
    """Return what is in a file, or in a member of an archive."""
    with _explained(source):
        return _reader(source)(source)


def _reader(source: Source) -> Callable[[Source], Tensors | Content]:
    """Choose the reader of a file by its first bytes."""
    head = source.fetch(0, min(512, source.size))
    if not head:
        raise Refused(f"is empty (0 bytes): {source.again}")
    if head.startswith(b"version https://git-lfs"):
        raise Refused("is a Git LFS pointer, not the file itself: run `git lfs pull`")
    if head[4:8] == TFLITE:  # before formats that are known by other places
        return read_tflite
    if is_onnx(source):
        return read_onnx
    if head.startswith(b"PK\x03\x04"):
        return partial(read_zip, other=partial(read_other_zip, choose=_reader, read=_found))
    if head[8:9] == b"{":
        return read_safetensors
    if head.startswith(hdf5.SIGNATURE):
        return read_hdf5
    if head[0] == pickle.PROTO[0]:
        return read_legacy
    if head.startswith(b"\x1f\x8b"):
        return partial(read_gzip, read=_found)
    if head.startswith(b"ustar", 257):
        return partial(read_tar, choose=_reader, read=_found)
    if head.startswith(numpy_files.MAGIC):
        return numpy_files.refuse_array
    if (what := named(head, source.label)) is not None:
        raise Refused(what)
    if head.lstrip().startswith(b"{"):
        return read_index
    if head.lstrip().startswith(b"<"):
        raise Refused(
            f"is a web page or XML, not a checkpoint (it begins with {head[:16]!r}): "
            "check the address and download it again"
        )
    raise Refused(
        f"is neither a safetensors file nor a PyTorch checkpoint (it begins with {head[:16]!r}): "
        "check that it is the right file and whole"
    )

"""The eight filters that the authors of arXiv 2509.11711 published, from a file of the user's.

They are of 7×7 pixels, and are found as text in github.com/tonylindeberg/masterfiltmodel
(model-fitting/8Filters.txt, CC BY 4.0): eight times a line `Filter 1:` and seven lines of seven
numbers.
"""

import io
import lzma
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.normalise import degenerate, normalise

SHAPE = (8, 7, 7)
LIMIT = 1 << 20  # bytes; the text has 4 KB
HEADING = re.compile(r"filter\s*(\d{1,3})\s*:?", re.IGNORECASE)
FORMS = (
    "give model-fitting/8Filters.txt of github.com/tonylindeberg/masterfiltmodel, or one array of "
    "shape (8, 7, 7) as .npy, .npz or .safetensors"
)


def read_published(path: str | Path) -> np.ndarray:
    """Return the published filters, (8, 49) float32, normalised, in their published order.

    Its content decides how a file is read. Nothing in it is executed, and at most 1 MiB is read.

    Raises
    ------
    KernelAtlasError
        If the file cannot be read, is too large, or does not hold eight filters of 7×7 numbers.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise ValueError(f"more than {LIMIT} bytes")
        found = _read(data)
        if found.shape != SHAPE:
            raise ValueError(f"an array of shape {found.shape}")
        rows = found.reshape(len(found), -1)
        if degenerate(rows).any():
            number = int(degenerate(rows).argmax()) + 1
            raise ValueError(f"filter {number} is constant or not finite")
    except OSError as error:
        raise KernelAtlasError(
            f"evidence.published: {path}: cannot be read ({error.strerror or error}): {FORMS}"
        ) from error
    except (ValueError, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise KernelAtlasError(f"evidence.published: {path}: {reason}: {FORMS}") from error
    return normalise(rows)


def _read(data: bytes) -> np.ndarray:
    if data.startswith(b"\x93NUMPY"):
        return _of_npy(data)
    if data.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if len(names := archive.namelist()) != 1:
                    raise ValueError(f"{len(names)} arrays where one is expected")
                with archive.open(names[0]) as member:
                    return _of_npy(member.read(LIMIT))
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
            raise ValueError(f"a damaged .npz ({error})") from error
    if data[8:9] == b"{":
        try:
            arrays = list(load(data).values())
        except (SafetensorError, KeyError, TypeError) as error:
            raise ValueError(f"no safetensors file ({error})") from error
        if len(arrays) != 1:
            raise ValueError(f"{len(arrays)} arrays where one is expected")
        return _numbers(arrays[0])
    return _of_text(data)


def _of_npy(data: bytes) -> np.ndarray:
    """Read an array of the expected shape; what others claim to hold is never allocated."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("no .npy file of version 1.0")
    try:
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"a damaged header of .npy ({type(error).__name__})") from error
    if shape != SHAPE or kind.kind not in "fiu":
        raise ValueError(f"an array of shape {shape} and type {kind}")
    values = np.frombuffer(data, kind, int(np.prod(SHAPE)), file.tell())
    return _numbers(values.reshape(SHAPE, order="F" if by_columns else "C"))


def _numbers(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fiu":
        raise ValueError(f"an array of type {values.dtype}")
    with np.errstate(over="ignore"):  # infinite then, and refused
        return values.astype(np.float32)


def _of_text(data: bytes) -> np.ndarray:
    filters: list[list[list[float]]] = []
    for number, line in enumerate(data.decode().splitlines(), 1):
        text = line.strip()
        if heading := HEADING.fullmatch(text):
            if int(heading[1]) != len(filters) + 1:
                raise ValueError(f"line {number}: '{text}' follows filter {len(filters)}")
            filters.append([])
        elif text:
            if not filters:
                raise ValueError(f"line {number}: {text[:40]!r} before the line 'Filter 1:'")
            row = [float(word) for word in text.split()]
            if len(row) != SHAPE[2]:
                raise ValueError(f"line {number}: {len(row)} numbers where 7 are expected")
            filters[-1].append(row)
    for number, rows in enumerate(filters, 1):
        if len(rows) != SHAPE[1]:
            raise ValueError(f"filter {number} has {len(rows)} rows where 7 are expected")
    return _numbers(np.array(filters, np.float64))

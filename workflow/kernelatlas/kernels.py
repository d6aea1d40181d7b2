"""The kernel table: every depthwise kernel of one model, a row each."""

import hashlib
import logging
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas import __version__
from kernelatlas.checkpoints import Layer, Reading
from kernelatlas.errors import KernelAtlasError
from kernelatlas.files import write_parquet
from kernelatlas.normalise import degenerate

logger = logging.getLogger(__name__)

NAMES = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    {
        "model": NAMES,
        "layer": NAMES,
        "layer_index": pa.int16(),
        "channel": pa.int32(),
        "kh": pa.int16(),
        "kw": pa.int16(),
        "stride": pa.int16(),  # a checkpoint does not tell it, nor the dilation
        "dilation": pa.int16(),
        "weights": pa.list_(pa.float32()),
        "degenerate": pa.bool_(),
    }
)
INT16_MAX = np.iinfo(np.int16).max


def kernel_table(model: str, layers: list[Layer]) -> pa.Table:
    """Return one row per kernel, in the order of the layers and of their channels.

    Logs a warning with the number of degenerate kernels, which stay in the table.

    Raises
    ------
    KernelAtlasError
        If there are more layers, or wider kernels, than the table's 16 bits can count.
    """
    for layer in layers:
        if max(len(layers), *layer.weights.shape[1:]) > INT16_MAX:
            kh, kw = layer.weights.shape[1:]
            raise KernelAtlasError(
                f"{model}: layer {layer.name!r} of {kh}×{kw} kernels among {len(layers)} layers "
                f"exceeds {INT16_MAX}, the largest number in the table: remove the model"
            )
    counts = [len(layer.weights) for layer in layers]
    sizes = [np.full(len(layer.weights), layer.weights[0].size) for layer in layers]

    def each(values: Any, dtype: type) -> np.ndarray:
        return np.repeat(np.asarray(values, dtype), counts)

    flags = _joined([degenerate(x.weights.reshape(len(x.weights), -1)) for x in layers], bool)
    if flags.any():
        logger.warning("%s: %d of %d kernels are degenerate", model, flags.sum(), flags.size)
    index = np.arange(len(layers))
    columns = {
        "model": pa.DictionaryArray.from_arrays(np.zeros(flags.size, np.int32), [model]),
        "layer": pa.DictionaryArray.from_arrays(
            each(index, np.int32), pa.array([layer.name for layer in layers], pa.string())
        ),
        "layer_index": each(index, np.int16),
        "channel": _joined([np.arange(count) for count in counts], np.int32),
        "kh": each([layer.weights.shape[1] for layer in layers], np.int16),
        "kw": each([layer.weights.shape[2] for layer in layers], np.int16),
        "stride": pa.nulls(flags.size, pa.int16()),
        "dilation": pa.nulls(flags.size, pa.int16()),
        "weights": pa.ListArray.from_arrays(
            np.concatenate([[0], np.cumsum(_joined(sizes, np.int64))]).astype(np.int32),
            _joined([layer.weights.ravel() for layer in layers], np.float32),
        ),
        "degenerate": flags,
    }
    return pa.table(columns, schema=SCHEMA)


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)


def write_kernels(
    path: str | PathLike[str], model: str, layers: list[Layer], metadata: dict[str, Any]
) -> None:
    """Write the kernel table of a model with one row group per layer.

    Raises
    ------
    KernelAtlasError
        As `kernel_table`, or if the file cannot be written.
    """
    groups = [len(layer.weights) for layer in layers]
    write_parquet(kernel_table(model, layers), path, metadata, groups)


def source_of(path: str | PathLike[str], reading: Reading) -> dict[str, Any]:
    """Return what a kernel table's metadata says of the checkpoint it was read from."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "source": Path(path).name,
        "sha256": digest,
        "bytes": Path(path).stat().st_size,
        "bytes_read": reading.bytes_read,
        "version": __version__,
    }


def read_square(path: str | PathLike[str], k: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the k×k kernels of a kernel table; layers of other sizes are not decoded.

    Returns
    -------
    rows : DataFrame of n rows
        All columns but the weights.
    weights : ndarray of shape (n, k * k), float32
        Read-only where it shares the memory of the table. Degenerate kernels are among them.

    Raises
    ------
    KernelAtlasError
        If the file is missing or no kernel table.
    """
    table = _read(path, SCHEMA.names, filters=[("kh", "==", k), ("kw", "==", k)])
    values = [chunk.flatten().to_numpy() for chunk in table["weights"].chunks]
    weights = values[0] if len(values) == 1 else _joined(values, np.float32)
    if weights.size != table.num_rows * k * k:
        raise KernelAtlasError(
            f"{path}: {weights.size} weights in {table.num_rows} kernels of {k}×{k}: "
            "delete the file and run again"
        )
    return table.drop_columns("weights").to_pandas(), weights.reshape(-1, k * k)


def count_sizes(path: str | PathLike[str]) -> pd.DataFrame:
    """Count the kernels of each size: columns model, kh, kw, kernels, degenerate.

    Raises
    ------
    KernelAtlasError
        If the file is missing or no kernel table.
    """
    rows = _read(path, ["model", "kh", "kw", "degenerate"]).to_pandas()
    groups = rows.groupby(["model", "kh", "kw"], observed=True)["degenerate"]
    counts = groups.agg(kernels="size", degenerate="sum").reset_index()
    return counts.astype({"model": "str"})


def _read(path: str | PathLike[str], columns: list[str], filters: Any = None) -> pa.Table:
    try:  # without partitioning, or a folder called a=b would become a column
        return pq.read_table(path, columns=columns, filters=filters, partitioning=None)
    except FileNotFoundError as error:
        raise KernelAtlasError(f"{path}: no such kernel table: run the rule `kernels`") from error
    except (pa.ArrowException, OSError) as error:
        found = " ".join(str(error).split())[:200]
        raise KernelAtlasError(
            f"{path}: not a kernel table ({found}): delete the file and run again"
        ) from error

"""The kernel table: every depthwise kernel of one model, a row each."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import degenerate
from kernelatlas.running.columns import column, numbers, text_column
from kernelatlas.running.files import write_row_groups

if TYPE_CHECKING:  # extraction does without pandas: half a second and 40 MiB a process
    import pandas as pd

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
        "stride": pa.int16(),  # of the registry; a checkpoint does not tell it, nor the dilation
        "dilation": pa.int16(),
        "weights": pa.list_(pa.float32()),
        "degenerate": pa.bool_(),
        "inferred": pa.bool_(),  # whether the layer is perhaps not depthwise
        "quantised": pa.bool_(),  # whether stored as integers with a scale
    }
)
SCHEMA_VERSION = 4  # of kernel tables
KEY = ["model", "layer", "layer_index", "channel"]  # of a kernel, in every table
PLACE = KEY[2:]  # of a kernel in its model, by which the rows of tables are sorted
INT16_MAX = np.iinfo(np.int16).max


def kernel_tables(model: str, layers: Iterable[Layer]) -> Iterator[pa.Table]:
    """Yield a table for each layer, with one row per kernel in the order of the channels.

    Logs a warning with the number of degenerate kernels, which stay in the tables.

    Raises
    ------
    KernelAtlasError
        If there are more layers, or wider kernels, than the table's 16 bits can count.
    """
    flagged = kernels = 0
    for index, layer in enumerate(layers):
        n, kh, kw = layer.weights.shape
        if max(index, kh, kw) > INT16_MAX:
            raise KernelAtlasError(
                f"{model}: layer {layer.name!r} of {kh}×{kw} kernels, number {index}, "
                f"exceeds {INT16_MAX}, the largest number in the table: remove the model"
            )
        flags = degenerate(layer.weights.reshape(n, -1))
        flagged, kernels = flagged + flags.sum(), kernels + n
        values = column(layer.weights.ravel())
        columns = [
            text_column([model] * n),
            text_column([layer.name] * n),
            column(np.full(n, index, np.int16)),
            column(np.arange(n, dtype=np.int32)),
            column(np.full(n, kh, np.int16)),
            column(np.full(n, kw, np.int16)),
            _known(layer.stride, n),
            _known(layer.dilation, n),
            pa.ListArray.from_arrays(column(np.arange(n + 1, dtype=np.int32) * (kh * kw)), values),
            column(flags),
            *(column(np.full(n, flag)) for flag in (layer.inferred, layer.quantised)),
        ]
        yield pa.Table.from_arrays(columns, schema=SCHEMA)
    if flagged:
        logger.warning("%s: %d of %d kernels are degenerate", model, flagged, kernels)


def _known(value: int | None, n: int) -> pa.Array:
    return pa.nulls(n, pa.int16()) if value is None else column(np.full(n, value, np.int16))


def write_kernels(
    path: str | PathLike[str], model: str, layers: Iterable[Layer], metadata: dict[str, Any]
) -> None:
    """Write the kernel table of a model with one row group per layer.

    Raises
    ------
    KernelAtlasError
        As `kernel_tables`, or if the file cannot be written.
    """
    version = {"schema_version": SCHEMA_VERSION}
    write_row_groups(kernel_tables(model, layers), SCHEMA, path, {**version, **metadata})


def read_square(path: str | PathLike[str], k: int) -> "tuple[pd.DataFrame, np.ndarray]":
    """Read the k×k kernels of a kernel table as `square_kernels` does; the rows as a DataFrame."""
    rows, weights = square_kernels(path, k)
    return rows.to_pandas(), weights


def square_kernels(path: str | PathLike[str], k: int) -> tuple[pa.Table, np.ndarray]:
    """Read the k×k kernels of a kernel table; layers of other sizes are not decoded.

    Returns
    -------
    rows : Table of n rows
        All columns but the weights.
    weights : ndarray of shape (n, k * k), float32
        Read-only where it shares the memory of the table. Degenerate kernels are among them.

    Raises
    ------
    KernelAtlasError
        If the file is missing or no kernel table.
    """
    with _opened(path, SCHEMA.names) as file:
        sizes = [
            file.read_row_group(i, ["kh", "kw"], use_threads=False)
            for i in range(file.num_row_groups)
        ]
        mine = [(numbers(size["kh"]) == k) & (numbers(size["kw"]) == k) for size in sizes]
        groups = [i for i, rows in enumerate(mine) if rows.any()]
        parts = [file.read_row_groups(groups, use_threads=False)] if groups else []
        # `Schema.empty_table` imports pandas.
        table = pa.concat_tables([pa.Table.from_batches([], SCHEMA), *parts])
        of_groups = np.concatenate([mine[i] for i in groups] or [np.empty(0, bool)])
        if not of_groups.all():
            table = table.filter(column(of_groups))
        values = [numbers(chunk.flatten()) for chunk in table["weights"].chunks]
    values = values or [np.empty(0, np.float32)]  # a network that was left out
    weights = values[0] if len(values) == 1 else np.concatenate(values, dtype=np.float32)
    if weights.size != table.num_rows * k * k:
        raise KernelAtlasError(
            f"{path}: {weights.size} weights in {table.num_rows} kernels of {k}×{k}: "
            "delete the file and run again"
        )
    return table.drop_columns("weights"), weights.reshape(-1, k * k)


def count_sizes(path: str | PathLike[str]) -> "pd.DataFrame":
    """Count the kernels of each size: columns model, kh, kw, kernels, degenerate, usable.

    Usable are kernels that are neither degenerate nor of layers that are perhaps not depthwise.

    Raises
    ------
    KernelAtlasError
        If the file is missing or no kernel table.
    """
    import pyarrow.compute as pc  # 8 MB that extraction does without

    by = ["model", "kh", "kw"]
    with _opened(path, [*by, "degenerate", "inferred"]) as file:
        rows = file.read([*by, "degenerate", "inferred"], use_threads=False)
    usable = pc.invert(pc.or_(rows["degenerate"], rows["inferred"]))
    # By Arrow: pandas takes twice as long.
    groups = rows.append_column("usable", usable).group_by(by)
    counts = groups.aggregate([([], "count_all"), ("degenerate", "sum"), ("usable", "sum")])
    names = ["kernels", "degenerate", "usable"]
    table = counts.rename_columns([*by, *names]).to_pandas()
    table = table.astype({"model": "str"} | dict.fromkeys(names, "int64"))
    return table.sort_values(by, ignore_index=True)


@contextlib.contextmanager
def _opened(path: str | PathLike[str], columns: list[str]) -> Iterator[pq.ParquetFile]:
    """Open a file that must have these columns."""
    try:
        with pq.ParquetFile(path) as file:
            if missing := set(columns) - set(file.schema_arrow.names):
                raise pa.ArrowInvalid(f"no column {min(missing)}")
            yield file
    except FileNotFoundError as error:
        raise KernelAtlasError(f"{path}: no such kernel table: run the rule `kernels`") from error
    except (pa.ArrowException, OSError) as error:
        found = " ".join(str(error).split())[:200]
        raise KernelAtlasError(
            f"{path}: not a kernel table ({found}): delete the file and run again"
        ) from error

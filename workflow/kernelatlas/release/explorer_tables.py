"""The tables of one network as the explorer needs them: checked, and as arrays."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.table import SCHEMA_VERSION as KERNELS_VERSION
from kernelatlas.running.files import LABELS_VERSION, SCHEMA_VERSION, metadata_of

Size = tuple[int, int]  # height and width
MAKE = "delete it and run the workflow again"
KEY = ["layer_index", "channel"]
# Parameters of fits, as `kernelatlas.evidence.formulas` names them, which needs torch.
LOGARITHMIC = ("sigma", "ratio", "aspect", "frequency", "width")
LINEAR = ("surround", "x", "y")
TURNS = ("phase", "angle")
PARAMETERS = (*LOGARITHMIC, *LINEAR, *TURNS)
RULE = ("seeds", "thresholds", "minimum_cosine")  # in the metadata of label tables


@dataclass(frozen=True)
class Layer:
    """A depthwise layer.

    Attributes
    ----------
    begin
        Row of channel 0 in the kernel table.
    """

    name: str
    index: int
    size: Size
    channels: int
    stride: int | None
    dilation: int | None
    begin: int


@dataclass(frozen=True)
class Network:
    """A network of the zoo and the paths of its tables."""

    name: str
    family: str
    trained: bool
    trained_on: str | None
    kernels: Path
    labels: Path
    fits: Path

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What the kernel table says of its checkpoint: source, commit, skipped."""
        return metadata_of(self.kernels)

    @cached_property
    def layers(self) -> list[Layer]:
        """Its layers in the order of their numbers.

        Raises
        ------
        KernelAtlasError
            If the kernel table is of another version, or its layers or channels are not in order.
        """
        columns = [*KEY, "layer", "kh", "kw", "stride", "dilation"]
        table = read(self.kernels, columns, KERNELS_VERSION)
        index, channel, kh, kw = (_numbers(table[n]) for n in (*KEY, "kh", "kw"))
        begins = np.flatnonzero(np.diff(index, prepend=-1))
        counts = np.diff(begins, append=len(index))
        places = np.arange(len(index)) - np.repeat(begins, counts)
        same = all(np.array_equal(np.repeat(v[begins], counts), v) for v in (kh, kw))
        if (np.diff(index) < 0).any() or (channel != places).any() or not same:
            raise KernelAtlasError(
                f"{self.kernels}: not a whole kernel table: the channels of each layer must be "
                f"numbered from 0, and the layers in order: {MAKE}"
            )
        firsts = table.take(begins).to_pylist()
        return [
            Layer(
                str(row["layer"]),
                row["layer_index"],
                (row["kh"], row["kw"]),
                int(count),
                row["stride"],
                row["dilation"],
                int(begin),
            )
            for row, begin, count in zip(firsts, begins, counts, strict=True)
        ]

    def of_size(self, size: Size) -> list[Layer]:
        """Return its layers of a size."""
        return [layer for layer in self.layers if layer.size == size]

    @property
    def sizes(self) -> list[Size]:
        """Sizes of its kernels, sorted."""
        return sorted({layer.size for layer in self.layers})

    def weights(self) -> Iterator[tuple[Size, np.ndarray]]:
        """Yield each size with the weights of its kernels as stored, (n, height, width)."""
        column = read(self.kernels, ["weights"], KERNELS_VERSION)["weights"]
        chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
        flat = np.concatenate([np.empty(0, np.float32), *chunks])
        areas = [layer.channels * layer.size[0] * layer.size[1] for layer in self.layers]
        if len(flat) != sum(areas):
            raise KernelAtlasError(
                f"{self.kernels}: {len(flat)} weights where its kernels have {sum(areas)}: {MAKE}"
            )
        ends = np.cumsum(areas)
        for size in self.sizes:
            parts = [
                flat[end - area : end]
                for layer, end, area in zip(self.layers, ends, areas, strict=True)
                if layer.size == size
            ]
            yield size, np.concatenate(parts).reshape(-1, *size)

    @cached_property
    def rule(self) -> dict[str, Any]:
        """seeds, thresholds and minimum_cosine of its labels."""
        metadata = read(self.labels, [], LABELS_VERSION).schema.metadata or {}
        content = json.loads(metadata[b"kernelatlas"])
        return {name: content.get(name) for name in RULE}

    def labelled(self, columns: Sequence[str]) -> dict[Size, pa.Table]:
        """Return columns of the label table by size, in the order of the kernel table."""
        return self._of_sizes(self.labels, columns, LABELS_VERSION)

    def fitted(self) -> dict[Size, pa.Table]:
        """Return function, form, r2 and parameters of the fits by size, as `labelled`."""
        columns = ["function", "form", "r2", *PARAMETERS]
        return self._of_sizes(self.fits, columns, SCHEMA_VERSION)

    def _of_sizes(self, path: Path, columns: Sequence[str], version: int) -> dict[Size, pa.Table]:
        """Read a table of which the rows are kernels of some sizes, all of each."""
        table = read(path, [*KEY, "k", *columns], version)
        k = _numbers(table["k"])
        found = {}
        for side in np.unique(k).tolist():
            part = table.filter(pa.array(k == side))
            own = self.of_size((side, side))
            index = np.repeat([layer.index for layer in own], [layer.channels for layer in own])
            channel = [np.arange(layer.channels) for layer in own]
            expected = index, np.concatenate([np.empty(0, int), *channel])
            if not all(
                np.array_equal(_numbers(part[name]), values)
                for name, values in zip(KEY, expected, strict=True)
            ):
                raise KernelAtlasError(
                    f"{path}: its {side}×{side} kernels are not those of {self.kernels}: {MAKE}"
                )
            found[side, side] = part.drop_columns([*KEY, "k"])
        return found


def categories(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Return a column of texts as numbers, −1 where it is empty, and the texts that they mean."""
    array = column.dictionary_encode().unify_dictionaries().combine_chunks()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, array.dictionary.to_pylist()


def texts_of(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of texts, None where it is empty, (n,), object."""
    number, texts = categories(column)
    return np.array([*texts, None], object)[number]


def values(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of numbers or truth values, NaN where it is empty."""
    return column.to_numpy()


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.int64)


def read(path: Path, columns: Sequence[str] | None, version: int | None = None) -> pa.Table:
    """Read columns of a table, all without `columns`.

    Raises
    ------
    KernelAtlasError
        If it cannot be read, lacks a column, or has another version.
    """
    try:
        with pq.ParquetFile(path) as file:
            metadata = metadata_of(path)
            if version is not None and metadata.get("schema_version") != version:
                raise KernelAtlasError(
                    f"{path}: of version {metadata.get('schema_version')} where this Kernel Atlas "
                    f"has {version}: {MAKE}"
                )
            missing = set(columns or []) - set(file.schema_arrow.names)
            if missing:
                raise KernelAtlasError(f"{path}: has no column {min(missing)!r}: {MAKE}")
            return file.read(columns and list(columns))
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        told = " ".join(str(error).split())[:200]
        raise KernelAtlasError(f"{path}: cannot be read ({told}): {MAKE}") from error

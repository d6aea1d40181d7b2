"""The normalised kernels of one size from every trained model of a zoo."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.copies import count_copies, hash_rows
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, read_square
from kernelatlas.running.files import FIRST_VERSION, write_row_groups
from kernelatlas.running.progress import tracked

log = logging.getLogger(__name__)

BLOCK = 1 << 22  # weights that are normalised, written and read at once


def build_corpus(paths: Sequence[str | Path], k: int, minimum: int) -> pa.Table:
    """Gather the k×k kernels of kernel tables, in the order given.

    Degenerate kernels are left out, and those of layers that are perhaps not depthwise. Equal
    kernels are all kept; `copies` says how often each occurs.

    Parameters
    ----------
    minimum
        Fewest kernels worth an autoencoder.

    Raises
    ------
    KernelAtlasError
        If there are fewer.
    """
    keys, kernels = [], np.empty((0, k * k), np.float32)
    n_degenerate = n_doubtful = 0
    for path in tracked(paths, f"corpus of {k}x{k} kernels", "networks"):
        frame, weights = read_square(path, k)
        kept = usable(frame)
        degenerate = frame["degenerate"].to_numpy()
        n_degenerate += int(degenerate.sum())
        n_doubtful += int((~degenerate & ~kept).sum())
        keys.append(_key(frame.loc[kept, KEY]))
        begin = len(kernels)
        # In place: blocks that are joined afterwards would be in memory twice.
        kernels.resize((begin + int(kept.sum()), k * k), refcheck=False)
        kernels[begin:] = weights[kept]
    if n_doubtful:
        log.warning("%d kernels of layers that are perhaps not depthwise left out", n_doubtful)
    if len(kernels) < minimum:
        raise KernelAtlasError(
            f"corpus of {k}x{k} kernels: {len(kernels)} in the trained models of the zoo, "
            f"{minimum} needed (minimum_kernels in the config); {n_degenerate} more are "
            f"degenerate, {n_doubtful} of layers that are perhaps not depthwise "
            f"(`depthwise: true` in the zoo if they are): add models with {k}x{k} kernels, "
            f"or take {k} out of kernel_sizes"
        )
    copies = count_copies(kernels, hash_rows(kernels))
    log.info(
        "%d kernels of %dx%d, %d of them distinct, %d degenerate left out",
        len(kernels),
        k,
        k,
        _distinct(copies),
        n_degenerate,
    )
    for block in _slices(len(kernels), k):
        kernels[block] = normalise(kernels[block])
    values = pa.FixedSizeListArray.from_arrays(pa.array(kernels.ravel()), k * k)
    key = pa.concat_tables(keys).unify_dictionaries()
    return key.append_column("copies", pa.array(copies)).append_column("weights", values)


def _key(frame: pd.DataFrame) -> pa.Table:
    """Return the keys of kernels with the layers that occur among them."""
    return pa.table(
        {
            "model": _encoded(frame["model"]),
            "layer": _encoded(frame["layer"]),
            "layer_index": pa.array(frame["layer_index"], pa.int16()),
            "channel": pa.array(frame["channel"], pa.int32()),
        }
    )


def _encoded(names: pd.Series) -> pa.DictionaryArray:
    return pa.array(names).cast(pa.large_string()).dictionary_encode()


def _slices(n: int, k: int) -> Iterator[slice]:
    """Yield the rows of a corpus in blocks of at most `BLOCK` weights."""
    rows = max(BLOCK // k**2, 1)
    return (slice(begin, begin + rows) for begin in range(0, n, rows))


def _distinct(copies: np.ndarray) -> int:
    return round(float(np.sum(1 / copies)))


def usable(rows: pd.DataFrame) -> np.ndarray:
    """Tell which rows of a kernel table a corpus takes, (n,) bool."""
    return ~rows["degenerate"].to_numpy() & ~rows["inferred"].to_numpy()


def write_corpus(table: pa.Table, path: str | Path, k: int) -> None:
    """Write a corpus; its metadata hold k and the numbers of kernels and distinct ones.

    Its row groups bound the memory of writing and of reading.
    """
    distinct = _distinct(table["copies"].to_numpy())
    metadata = {"k": k, "kernels": len(table), "distinct": distinct}
    groups = (table[rows].combine_chunks() for rows in _slices(len(table), k))
    write_row_groups(groups, table.schema, path, {"schema_version": FIRST_VERSION, **metadata})


def corpus_kernels(path: str | Path) -> np.ndarray:
    """Return the kernels of a corpus, (n, k * k) float32, normalised."""
    with pq.ParquetFile(path) as file:
        width = file.schema_arrow.field("weights").type.list_size
        kernels = np.empty((file.metadata.num_rows, width), np.float32)
        end = 0
        for group in range(file.num_row_groups):
            weights = file.read_row_group(group, columns=["weights"])["weights"]
            begin, end = end, end + len(weights)
            kernels[begin:end] = weights.combine_chunks().flatten().to_numpy().reshape(-1, width)
    return kernels


def corpus_keys(path: str | Path) -> pd.DataFrame:
    """Return the keys of a corpus and the copies of each kernel, in the order of the kernels."""
    return pd.read_parquet(path, columns=[*KEY, "copies"])

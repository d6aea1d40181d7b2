"""The normalised kernels of one size from every trained model of a zoo."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, read_square
from kernelatlas.running.files import FIRST_VERSION, write_parquet
from kernelatlas.running.progress import tracked

log = logging.getLogger(__name__)


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
    keys, blocks = [], []
    n_degenerate = n_doubtful = 0
    for path in tracked(paths, f"corpus of {k}x{k} kernels", "networks"):
        frame, weights = read_square(path, k)
        kept = usable(frame)
        degenerate = frame["degenerate"].to_numpy()
        n_degenerate += int(degenerate.sum())
        n_doubtful += int((~degenerate & ~kept).sum())
        keys.append(frame.loc[kept, KEY])
        blocks.append(weights[kept])
    if n_doubtful:
        log.warning("%d kernels of layers that are perhaps not depthwise left out", n_doubtful)
    raw = np.concatenate(blocks) if blocks else np.empty((0, k * k), np.float32)
    if len(raw) < minimum:
        raise KernelAtlasError(
            f"corpus of {k}x{k} kernels: {len(raw)} in the trained models of the zoo, {minimum} "
            f"needed (minimum_kernels in the config); {n_degenerate} more are degenerate, "
            f"{n_doubtful} of layers that are perhaps not depthwise (`depthwise: true` in the zoo "
            f"if they are): add models with {k}x{k} kernels, or take {k} out of kernel_sizes"
        )
    _, inverse, counts = np.unique(raw, axis=0, return_inverse=True, return_counts=True)
    copies = counts[inverse.ravel()]
    log.info(
        "%d kernels of %dx%d, %d of them distinct, %d degenerate left out",
        len(raw),
        k,
        k,
        len(counts),
        n_degenerate,
    )
    key = pd.concat(keys, ignore_index=True)
    columns = {
        "model": pa.array(key["model"].astype(str)).dictionary_encode(),
        "layer": pa.array(key["layer"].astype(str)).dictionary_encode(),
        "layer_index": pa.array(key["layer_index"], pa.int16()),
        "channel": pa.array(key["channel"], pa.int32()),
        "copies": pa.array(copies, pa.int32()),
        "weights": pa.FixedSizeListArray.from_arrays(pa.array(normalise(raw).ravel()), k * k),
    }
    return pa.table(columns)


def usable(rows: pd.DataFrame) -> np.ndarray:
    """Tell which rows of a kernel table a corpus takes, (n,) bool."""
    return ~rows["degenerate"].to_numpy() & ~rows["inferred"].to_numpy()


def write_corpus(table: pa.Table, path: str | Path, k: int) -> None:
    """Write a corpus; its metadata hold k and the numbers of kernels and distinct ones."""
    distinct = float(np.sum(1 / table["copies"].to_numpy()))
    metadata = {"k": k, "kernels": len(table), "distinct": round(distinct)}
    write_parquet(table, path, {"schema_version": FIRST_VERSION, **metadata})


def read_corpus(path: str | Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the keys of a corpus and its kernels, (n, k * k) float32, normalised."""
    table = pq.read_table(path)
    flat = table["weights"].combine_chunks().flatten().to_numpy(zero_copy_only=False, writable=True)
    frame = table.drop_columns("weights").to_pandas()
    return frame, flat.reshape(len(frame), -1)

"""Version 2 of the tables: labels and all that is made from them.

Kernel tables, corpora and tables of sizes and trainings are still of version 1
(`kernelatlas.running.files`), so that an upgrade reads no checkpoint again.
"""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of, write_frame, write_parquet

SCHEMA_VERSION = 2

REPLACED = {
    "autoencoder.epochs": "training is counted in steps, whatever the number of kernels: remove "
    "it, or set autoencoder.steps",
    "autoencoder.curve_points": "the curve has autoencoder.points points: remove it, or set that",
    "clusters.price": "the curve is no longer cut, kernels are named where they are: remove it",
}


def write_table(frame: pd.DataFrame, *paths: str | PathLike[str]) -> None:
    """Write one table to each path as Parquet or CSV, by suffix, as `write_frame` does.

    Lists may be missing.
    """
    for path in map(Path, paths):
        if path.suffix == ".parquet":
            table = pa.Table.from_pandas(frame, preserve_index=False)
            write_parquet(table, path, {"schema_version": SCHEMA_VERSION})
        else:
            write_frame(frame.apply(_listed), path)


def _listed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give a list column with missing lists empty ones."""
    lists = column.map(lambda value: hasattr(value, "tolist"))
    if not lists.any() or lists.all():
        return column
    return column.where(lists, pd.Series([np.empty(0)] * len(column), column.index))


def refuse_replaced(config: dict[str, Any], file: str) -> None:
    """Refuse keys of earlier versions.

    Raises
    ------
    KernelAtlasError
        Naming the file, the key and what replaced it.
    """
    for key, remedy in REPLACED.items():
        section, name = key.split(".")
        values = config.get(section)
        if isinstance(values, dict) and name in values:
            raise KernelAtlasError(f"{file}: {key}: {values[name]!r}: no longer a key: {remedy}")


def outdated(results: str | PathLike[str]) -> str | None:
    """Return what to tell of results of an earlier version, None if there are none."""
    folder = Path(results)
    tables = sorted((folder / "labels").glob("*.parquet"))[:1]
    if not any(metadata_of(path).get("schema_version", 1) < SCHEMA_VERSION for path in tables):
        return None
    return (
        f"{folder}: labels of an earlier version of Kernel Atlas: autoencoders, labels and what is "
        "made from them are made again; kernel tables are kept. Clusters by seed "
        f"({folder}/clusters/k*_seed*.parquet) are no longer used: delete them"
    )

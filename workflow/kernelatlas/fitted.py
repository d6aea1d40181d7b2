"""Tables of analytic fits: of one model, a row a kernel; of prototypes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from kernelatlas.files import write_parquet
from kernelatlas.fits import SCHEMA, fit, render
from kernelatlas.kernels import read_square

KEY = ["model", "layer", "layer_index", "channel"]
DICTIONARIES = ("model", "layer", "function", "form", "runner_up")


def fit_model(kernels: str | Path, sizes: Sequence[int], device: str = "cpu") -> pd.DataFrame:
    """Fit the kernels of a kernel table, those of the given sizes, in the order of its layers.

    Returns
    -------
    DataFrame
        The key into the kernel table, k, and the columns of `kernelatlas.fits.fit`.
    """
    parts = []
    for k in sizes:
        rows, weights = read_square(kernels, k)
        key = rows[KEY].astype({"model": str, "layer": str})
        parts.append(
            pd.concat(
                [key.assign(k=pd.array([k] * len(key), "int16")), fit(weights, device)], axis=1
            )
        )
    if not parts:
        empty = dict.fromkeys(("model", "layer"), "object")
        empty |= {"layer_index": "int16", "channel": "int32", "k": "int16"}
        return pd.DataFrame({name: pd.Series(dtype=t) for name, t in (empty | SCHEMA).items()})
    return pd.concat(parts).sort_values(
        ["layer_index", "channel"], kind="stable", ignore_index=True
    )


def write_fits(frame: pd.DataFrame, path: str | Path) -> None:
    """Write what `fit_model` returns; NaN becomes an empty cell."""
    columns = {}
    for name in frame.columns:
        kind = pa.string() if name in DICTIONARIES else None
        array = pa.array(frame[name], kind, from_pandas=True)
        columns[name] = array.dictionary_encode() if name in DICTIONARIES else array
    write_parquet(pa.table(columns), path)


def prototype_table(clusters: Sequence[str | Path], seeds: Sequence[int]) -> pd.DataFrame:
    """Fit the prototypes of cluster tables of one kernel size.

    Returns
    -------
    DataFrame
        seed, the clusters' columns k, cluster, label, template_cosine, members and prototype, the
        columns of `kernelatlas.fits.fit`, and the fitted kernel as `fitted`.
    """
    parts = [
        pd.read_parquet(path).assign(seed=seed) for path, seed in zip(clusters, seeds, strict=True)
    ]
    every = pd.concat(parts, ignore_index=True)
    k = int(every["k"].iloc[0])
    fitted = fit(np.stack(every["prototype"].to_list()))
    columns = ["seed", "k", "cluster", "label", "template_cosine", "members", "prototype"]
    return pd.concat([every[columns], fitted.drop(columns="degenerate")], axis=1).assign(
        fitted=list(render(fitted, k))
    )

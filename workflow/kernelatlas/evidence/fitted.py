"""Tables of analytic fits: of the kernels of one model, and of prototypes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import jet
from kernelatlas.evidence.fits import SCHEMA, fit, render
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.kernels.table import KEY, PLACE, read_square
from kernelatlas.running.files import write_parquet

DICTIONARIES = (
    "model", "layer", "function", "form", "runner_up", "at_limit", "shifted_at_limit", "fit_label",
    *jet.AT_LIMIT, *jet.SUMS, *jet.LIMITS,
)  # fmt: skip
BITS = 16  # of the 24 of a number's significand: searches end long before they are used up
LEVEL = 15  # of compression: a twentieth less to store for a fiftieth of the time of a fit


def fit_labels(fits: pd.DataFrame, k: int) -> np.ndarray:
    """Name the fitted kernels after their most similar templates, like kernels, (n,).

    Functions are not shapes: a narrow Gaussian is a centre, one near the edge is a derivative.

    Returns
    -------
    ndarray of str
        As in `kernelatlas.names.LABELS`, never "other"; None for degenerate kernels.
    """
    kernels = render(fits, k)
    found = np.full(len(kernels), None, dtype=object)
    valid = ~degenerate(kernels)
    found[valid] = bank(k).name(normalise(kernels[valid]), -1).label
    return found


def fit_model(
    kernels: str | Path, sizes: Sequence[int], device: str | torch.device = "cpu"
) -> pd.DataFrame:
    """Fit the kernels of a kernel table, those of the given sizes, in the order of its layers.

    Returns
    -------
    DataFrame
        The key into the kernel table, k, the columns of `kernelatlas.evidence.fits.fit`,
        fit_label, and the columns of `kernelatlas.evidence.jet.fit`.
    """
    parts = []
    for k in sizes:
        rows, weights = read_square(kernels, k)
        key = rows[KEY].astype({"model": str, "layer": str})
        key = key.assign(k=pd.array([k] * len(key), "int16"))
        fitted = fit(weights, device)
        fitted["fit_label"] = fit_labels(fitted, k)
        parts.append(pd.concat([key, fitted, jet.fit(weights, device)], axis=1))
    if not parts:
        empty = dict.fromkeys(("model", "layer"), "object")
        empty |= {"layer_index": "int16", "channel": "int32", "k": "int16"}
        empty |= SCHEMA | {"fit_label": "object"} | jet.SCHEMA
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()})
    return pd.concat(parts).sort_values(PLACE, kind="stable", ignore_index=True)


def write_fits(frame: pd.DataFrame, path: str | Path) -> None:
    """Write what `fit_model` returns; NaN becomes an empty cell.

    All numbers but R² are rounded to `BITS` significant bits, a relative error of at most
    2^−BITS: a quarter less to store.
    """
    columns = {}
    for name in frame.columns:
        kind = pa.string() if name in DICTIONARIES else None
        kind = pa.list_(pa.float32()) if name in jet.BEST else kind
        array = pa.array(frame[name], kind, from_pandas=True)
        if name in DICTIONARIES:
            array = array.dictionary_encode()
        elif "r2" not in name.split("_"):
            array = _rounded(array)
        columns[name] = array
    write_parquet(pa.table(columns), path, level=LEVEL)


def _rounded(array: pa.Array) -> pa.Array:
    """Round single precision, or lists of it, to `BITS` significant bits; others stay."""
    if pa.types.is_list(array.type):
        offsets, values = array.offsets, _rounded(array.values)
        return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())
    if array.type != pa.float32():
        return array
    numbers = array.to_numpy(zero_copy_only=False)
    mantissas, exponents = np.frexp(numbers)
    numbers = np.ldexp(np.rint(mantissas * 2**BITS), exponents - BITS)
    return pa.array(numbers, pa.float32(), mask=array.is_null().to_numpy(zero_copy_only=False))


def prototype_table(clusters: str | Path) -> pd.DataFrame:
    """Fit the prototypes of a cluster table.

    Returns
    -------
    DataFrame
        The clusters' columns k, cluster, label, template_cosine, members and prototype, the
        columns of `kernelatlas.evidence.fits.fit`, and the fitted kernel as `fitted`.
    """
    every = pd.read_parquet(clusters)
    k = int(every["k"].iloc[0])
    fitted = fit(np.stack(every["prototype"].to_list()))
    columns = ["k", "cluster", "label", "template_cosine", "members", "prototype"]
    return pd.concat([every[columns], fitted.drop(columns="degenerate")], axis=1).assign(
        fitted=list(render(fitted, k))
    )

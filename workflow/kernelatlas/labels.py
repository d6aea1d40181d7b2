"""A code, a cluster and a name for every kernel of a model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from kernelatlas import names
from kernelatlas.autoencoder import Autoencoder
from kernelatlas.clusters import assign
from kernelatlas.files import write_parquet
from kernelatlas.kernels import read_square
from kernelatlas.normalise import degenerate, normalise

SCHEMA = pa.schema(
    {
        "model": pa.dictionary(pa.int32(), pa.string()),
        "layer": pa.dictionary(pa.int32(), pa.string()),
        "layer_index": pa.int16(),
        "channel": pa.int32(),
        "k": pa.int16(),
        "code": pa.float32(),
        "code_encoder": pa.float32(),
        "cluster": pa.int16(),
        "label": pa.dictionary(pa.int32(), pa.string()),
        "dissimilarity": pa.float32(),
        "dissimilarity_encoder": pa.float32(),
        "identified": pa.bool_(),
        "degenerate": pa.bool_(),
    }
)


def threshold(k: int, thresholds: Mapping[str, float]) -> float:
    """Return the largest dissimilarity that counts as identified, of the largest size ≤ k."""
    sizes = [int(size) for size in thresholds]
    return thresholds[str(max((size for size in sizes if size <= k), default=min(sizes)))]


def label_kernels(
    kernels: str | Path, autoencoder: Autoencoder, clusters: pd.DataFrame, below: float
) -> pd.DataFrame:
    """Label the kernels of one model and of the autoencoder's size, as `label_weights` does.

    Parameters
    ----------
    kernels
        Path of a kernel table.

    Returns
    -------
    DataFrame
        With the columns of `SCHEMA`.
    """
    frame, weights = read_square(kernels, autoencoder.k)
    keys = frame[["model", "layer", "layer_index", "channel"]]
    return pd.concat([keys, label_weights(weights, autoencoder, clusters, below)], axis=1)


def label_weights(
    weights: np.ndarray, autoencoder: Autoencoder, clusters: pd.DataFrame, below: float
) -> pd.DataFrame:
    """Label kernels of the autoencoder's size.

    A kernel is identified (arXiv 2401.14469) if its dissimilarity to its
    reconstruction, the decoded curve at its projected code, is below `below` and its
    cluster has a name other than "other". Degenerate kernels have no code.

    Parameters
    ----------
    weights : ndarray of shape (n, k * k)
        Raw.
    clusters
        As `kernelatlas.clusters.cluster_table` returns them, of the same autoencoder.

    Returns
    -------
    DataFrame of n rows
        With the columns of `SCHEMA` from k on.
    """
    sound = ~degenerate(weights)
    data = torch.from_numpy(normalise(weights[sound]))
    code, dissimilarity = (values.numpy() for values in autoencoder.project(data))
    code_encoder, dissimilarity_encoder = (v.numpy() for v in autoencoder.reconstruct(data))
    cluster = assign(code, clusters)
    label = clusters["label"].to_numpy()[cluster]

    def spread(values: np.ndarray, missing: object, dtype: str) -> pd.Series:
        column = pd.Series(missing, index=range(len(weights)), dtype=dtype)
        column[sound] = values
        return column

    return pd.DataFrame(
        {
            "k": autoencoder.k,
            "code": spread(code, pd.NA, "Float32"),
            "code_encoder": spread(code_encoder, pd.NA, "Float32"),
            "cluster": spread(cluster, pd.NA, "Int16"),
            "label": spread(label, names.DEGENERATE, "object"),
            "dissimilarity": spread(dissimilarity, pd.NA, "Float32"),
            "dissimilarity_encoder": spread(dissimilarity_encoder, pd.NA, "Float32"),
            "identified": spread((dissimilarity < below) & (label != names.OTHER), False, "bool"),
            "degenerate": ~sound,
        }
    )


def write_labels(parts: list[pd.DataFrame], path: str | Path) -> None:
    """Write the labels of one model, all its kernel sizes, in the order of its layers."""
    empty = SCHEMA.empty_table().to_pandas()
    frame = pd.concat(parts) if parts else empty
    frame = frame.sort_values(["layer_index", "channel"], kind="stable")
    for column in ("model", "layer", "label"):
        frame[column] = frame[column].astype(str)
    table = pa.Table.from_pandas(
        frame,
        pa.schema(
            [
                pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
                for f in SCHEMA
            ]
        ),
        preserve_index=False,
    )
    arrays = [
        column.dictionary_encode() if pa.types.is_dictionary(field.type) else column
        for field, column in zip(SCHEMA, table.columns, strict=True)
    ]
    write_parquet(pa.table([a.combine_chunks() for a in arrays], schema=SCHEMA), path)

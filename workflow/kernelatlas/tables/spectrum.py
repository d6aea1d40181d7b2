"""The decoded curve with its clusters and the density of codes on it."""

from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clusters import assign
from kernelatlas.templates import bank

POINTS = 256


def spectrum_table(
    codes: np.ndarray, curve: np.ndarray, counts: np.ndarray, clusters: str | Path
) -> pd.DataFrame:
    """Sample a decoded curve at the middles of 256 equal stretches of the code.

    Parameters
    ----------
    codes, curve, counts
        As `kernelatlas.autoencoder.Autoencoder.sample` returns them.
    clusters
        Path of the cluster table.

    Returns
    -------
    DataFrame
        `density` integrates to one over the code.
    """
    table = pd.read_parquet(clusters)
    middles = (np.arange(POINTS) + 0.5) / POINTS
    nearest = np.abs(codes[None] - middles[:, None]).argmin(axis=1)
    density, _ = np.histogram(codes, POINTS, (0, 1), weights=counts, density=True)
    cluster = assign(middles, table)
    _, cosine = bank(int(table["k"].iloc[0])).match(curve[nearest])
    return pd.DataFrame(
        {
            "code": middles,
            "density": density,
            "cluster": cluster,
            "label": table["label"].to_numpy()[cluster],
            "template_cosine": cosine,
            "prototype": list(curve[nearest]),
        }
    )

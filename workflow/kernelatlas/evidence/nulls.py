"""Null kernels, without learned structure, labelled and fitted like trained ones.

shuffled    the trained kernels, each with its weights in a random order
white       independent normal weights
covariance  normal weights with the second moments E[u uᵀ] of the trained, normalised kernels:
            what second-order statistics alone explain

The untrained networks of the zoo are a fourth null.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.evidence import fits, jet
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.kernels.table import KEY, read_square
from kernelatlas.names import NULLS

LAYER = KEY[:3]
SEED = 0


def generate(name: str, weights: np.ndarray, moments: np.ndarray, seed: int = SEED) -> np.ndarray:
    """Return as many kernels of a null as there are trained ones.

    Parameters
    ----------
    name
        One of `kernelatlas.names.NULLS`.
    weights : ndarray of shape (n, k·k)
        Trained kernels.
    moments : ndarray of shape (k·k, k·k)
        Second moments of the normalised trained kernels.

    Returns
    -------
    ndarray of shape (n, k·k), float32
        Not normalised.
    """
    rng = np.random.default_rng([seed, NULLS.index(name)])
    if name == "shuffled":
        return rng.permuted(weights, axis=1)
    noise = rng.standard_normal(weights.shape)
    if name == "covariance":
        values, vectors = np.linalg.eigh(moments)
        noise = noise * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return noise.astype(np.float32)


def null_table(
    kernels: Sequence[str | Path], curves: Sequence[Curve], minimum_cosine: float, sample: int
) -> pd.DataFrame:
    """Label and fit the kernels of each null like those of networks.

    Parameters
    ----------
    kernels
        Kernel tables of the trained models.
    curves
        One for each seed.
    minimum_cosine
        As `kernelatlas.clustering.labels.vote` takes it.
    sample
        Largest number of trained kernels to generate nulls from; drawn at random.

    Returns
    -------
    DataFrame
        A row for each null and kernel: null, the layer of the trained kernel that it replaces, k,
        label, agreement, dissimilarity, function, r2, and `kernelatlas.evidence.jet.SUMMARY`.
    """
    k = curves[0].k
    keys, weights = [], []
    for path in kernels:
        rows, values = read_square(path, k)
        valid = ~rows["degenerate"].to_numpy()
        keys.append(rows.loc[valid, LAYER].astype({"model": str, "layer": str}))
        weights.append(values[valid])
    key, raw = pd.concat(keys, ignore_index=True), np.concatenate(weights)
    units = normalise(raw)
    moments = units.T.astype(np.float64) @ units / len(units)
    chosen = sample_of(np.arange(len(raw)), sample, SEED)
    key, raw = key.iloc[chosen].reset_index(drop=True), raw[chosen]
    parts = []
    for name in NULLS:
        drawn = generate(name, raw, moments)
        votes = vote(normalise(drawn), curves, minimum_cosine)
        fitted = fits.fit(drawn)
        parts.append(
            key.assign(
                null=name,
                k=np.int16(k),
                label=votes.names.label.astype(str),
                agreement=votes.agreement,
                dissimilarity=votes.dissimilarity,
                function=fitted["function"],
                r2=fitted["r2"],
                **jet.fit(drawn)[[*jet.SUMMARY]],
            )
        )
    columns = ["null", *LAYER, "k", "label", "agreement", "dissimilarity", "function", "r2"]
    return pd.concat(parts, ignore_index=True)[[*columns, *jet.SUMMARY]]

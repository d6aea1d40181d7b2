"""Null kernels, without learned structure, labelled and fitted like trained ones.

shuffled    the trained kernels, each with its weights in a random order
white       independent normal weights
covariance  normal weights that have, once they are normalised, the second moments E[u uᵀ] of their
            network's normalised kernels: what second-order statistics alone explain

Each null is drawn network by network, a null kernel in the place of each trained one, and labelled
by curves that have not seen that network (`kernelatlas.evidence.crossfit`), like the network itself.
The untrained networks of the zoo are a fourth null.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence import fits
from kernelatlas.evidence.crossfit import ANY, CrossFit, labelled
from kernelatlas.evidence.noise import matched
from kernelatlas.kernels.normalise import live, normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.kernels.table import KEY, read_square
from kernelatlas.names import NULLS

LAYER = KEY[:3]
SEED = 0
FITTED = ("function", "r2")  # columns of fits that the table has


def moments(units: np.ndarray) -> np.ndarray:
    """Return the second moments E[u uᵀ] of normalised kernels, (k·k, k·k), float64."""
    return np.asarray(units.T.astype(np.float64) @ units / len(units))


def generate(name: str, weights: np.ndarray, target: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Return as many kernels of a null as there are trained ones.

    Parameters
    ----------
    name
        One of `kernelatlas.names.NULLS`.
    weights : ndarray of shape (n, k·k)
        Trained kernels.
    target : ndarray of shape (k·k, k·k)
        Second moments of normalised trained kernels.
    seed
        Numbers of the random numbers.

    Returns
    -------
    ndarray of shape (n, k·k), float32
        Not normalised.
    """
    rng = np.random.default_rng([*seed, NULLS.index(name)])
    if name == "shuffled":
        return rng.permuted(weights, axis=1)
    noise = rng.standard_normal(weights.shape)
    if name == "covariance":
        values, vectors = np.linalg.eigh(target)
        noise = noise * np.sqrt(matched(values)) @ vectors.T
    return noise.astype(np.float32)


def null_table(
    kernels: Sequence[str | Path],
    crossfit: CrossFit,
    curves: Sequence[Curve],
    minimum_cosine: float,
    sample: int,
) -> pd.DataFrame:
    """Label and fit the kernels of each null like those of networks.

    A network of fewer kernels than a kernel has weights takes the moments of all networks: its own
    are those of these few kernels alone.

    Parameters
    ----------
    kernels
        Kernel tables of the trained models.
    crossfit
        The curves that have not seen a fold.
    curves
        Of all kernels, one for each seed: they label what is in no fold.
    minimum_cosine
        As `kernelatlas.clustering.labels.vote` takes it.
    sample
        Largest number of trained kernels to generate nulls from; drawn at random.

    Returns
    -------
    DataFrame
        A row for each null and kernel: null; the layer of the trained kernel that it replaces, and
        whether that one is live; k; label, agreement, dissimilarity and by_seed as in the label
        table; the columns `FITTED` of the fit table.
    """
    k = curves[0].k
    keys, weights = [], []
    for path in kernels:
        rows, values = read_square(path, k)
        valid = ~rows["degenerate"].to_numpy()
        keys.append(rows.loc[valid, LAYER].astype({"model": str, "layer": str}))
        weights.append(values[valid])
    every, raw = pd.concat(keys, ignore_index=True), np.concatenate(weights)
    chosen = sample_of(np.arange(len(raw)), sample, SEED)
    of_all = moments(normalise(raw))
    drawn = {name: np.empty((len(chosen), k * k), np.float32) for name in NULLS}
    models = every["model"].to_numpy()
    for model in np.unique(models[chosen]):
        own = models == model
        enough = own.sum() >= k * k
        target = moments(normalise(raw[own])) if enough else of_all
        mine = own[chosen]
        for name in NULLS:
            seed = SEED, zlib.crc32(model.encode())
            drawn[name][mine] = generate(name, raw[chosen[mine]], target, seed)
    key = every.iloc[chosen].reset_index(drop=True)
    fold = crossfit.fold_of(key)
    by_fold = {ANY: tuple(curves), **dict(enumerate(crossfit.curves))}
    parts = []
    for name in NULLS:
        labels = labelled(normalise(drawn[name]), fold, by_fold, minimum_cosine)
        fitted = fits.fit(drawn[name])[list(FITTED)]
        known = key.assign(null=name, live=live(raw[chosen]), k=np.int16(k))
        parts.append(pd.concat([known, labels, fitted], axis=1))
    table = pd.concat(parts, ignore_index=True)
    return table[["null", *LAYER, "live", "k", *labels.columns, *FITTED]]

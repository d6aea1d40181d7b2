"""Null kernels, without learned structure, labelled and fitted like trained ones.

shuffled    the trained kernels, each with its weights in a random order
white       independent normal weights
covariance  normal weights that have, once they are normalised, the second moments E[u uᵀ] of their
            network's normalised kernels: what second-order statistics alone explain

Each null is drawn network by network, a null kernel in the place of each trained one, and labelled
by curves that have not seen that network (`kernelatlas.evidence.crossfit`), like the network
itself. The untrained networks of the zoo are a fourth null.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence import fits, jet
from kernelatlas.evidence.crossfit import CrossFit, labelled
from kernelatlas.evidence.noise import matched
from kernelatlas.kernels.normalise import live, normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.kernels.table import KEY, read_square
from kernelatlas.names import NO_FOLD, NULLS
from kernelatlas.running.progress import tracked

LAYER = KEY[:3]
SEED = 0
BLOCK = 16_384  # kernels at a time, of those whose moments are summed
FITTED = ("function", "r2", "at_limit")  # columns of fits that the table has


def products(weights: np.ndarray) -> np.ndarray:
    """Return Σ u uᵀ over the normalised kernels u of (n, k·k) weights, (k·k, k·k), float64."""
    found = np.zeros((weights.shape[1],) * 2)
    for begin in range(0, len(weights), BLOCK):
        units = normalise(weights[begin : begin + BLOCK]).astype(np.float64)
        found += units.T @ units
    return found


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


def drawn(
    kernels: Sequence[str | Path], k: int, sample: int
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Draw the kernels of each null, network by network.

    A network of fewer kernels than a kernel has weights takes the moments of all networks: its own
    are those of these few kernels alone.

    Parameters
    ----------
    kernels
        Kernel tables of the trained models.
    k
        Side of the kernels.
    sample
        Largest number of trained kernels to generate nulls from; drawn at random.

    Returns
    -------
    key : DataFrame
        The layer of each trained kernel that is replaced, whether it is live, and k.
    nulls : dict of ndarray of shape (n, k·k), float32
        By name; not normalised.
    """
    # Tables are read twice, so that the kernels of one network at a time are in memory.
    sums, sizes = np.zeros((k * k, k * k)), []
    for path in tracked(kernels, f"moments of {k}x{k} kernels", "networks"):
        _, raw = _valid(path, k)
        sums += products(raw)
        sizes.append(len(raw))
    chosen = sample_of(np.arange(sum(sizes)), sample, SEED)
    keys: list[pd.DataFrame] = []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in NULLS}
    places = list(zip(kernels, np.cumsum([0, *sizes]), sizes, strict=False))
    for path, begin, n in tracked(places, f"nulls of {k}x{k} kernels", "networks"):
        mine = chosen[(chosen >= begin) & (chosen < begin + n)] - begin
        if not len(mine):
            continue
        rows, raw = _valid(path, k)
        target = products(raw) / n if n >= k * k else sums / sum(sizes)
        seed = SEED, zlib.crc32(rows["model"].iloc[0].encode())
        for name in NULLS:
            parts[name].append(generate(name, raw[mine], target, seed))
        keys.append(rows.iloc[mine].assign(live=live(raw[mine]), k=np.int16(k)))
    nulls = {name: np.concatenate(noise) for name, noise in parts.items()}
    return pd.concat(keys, ignore_index=True), nulls


def null_table(
    kernels: Sequence[str | Path],
    crossfit: CrossFit,
    curves: Sequence[Curve],
    minimum_cosine: float,
    sample: int,
) -> pd.DataFrame:
    """Label and fit the kernels of each null like those of networks.

    Parameters
    ----------
    kernels, sample
        As `drawn` takes them.
    crossfit
        The curves that have not seen a fold.
    curves
        Of all kernels, one for each seed: they label what is in no fold.
    minimum_cosine
        As `kernelatlas.clustering.labels.vote` takes it.

    Returns
    -------
    DataFrame
        A row for each null and kernel: null; the layer of the trained kernel that it replaces, and
        whether that one is live; k; label, agreement, dissimilarity and by_seed as in the label
        table; the columns `FITTED` of the fit table, and
        `kernelatlas.evidence.jet.SUMMARY`.
    """
    key, nulls = drawn(kernels, curves[0].k, sample)
    fold = crossfit.fold_of(key)
    by_fold = {NO_FOLD: tuple(curves), **dict(enumerate(crossfit.curves))}
    parts = []
    what = f"labels and fits of {curves[0].k}x{curves[0].k} nulls"
    for name, noise in tracked(list(nulls.items()), what, "nulls"):
        labels = labelled(normalise(noise), fold, by_fold, minimum_cosine)
        fitted = [fits.fit(noise)[list(FITTED)], jet.fit(noise)[list(jet.SUMMARY)]]
        parts.append(pd.concat([key.assign(null=name), labels, *fitted], axis=1))
    columns = ["null", *LAYER, "live", "k", "label", "agreement", "dissimilarity", "by_seed"]
    return pd.concat(parts, ignore_index=True)[[*columns, *FITTED, *jet.SUMMARY]]


def _valid(path: str | Path, k: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return layers and weights of the k×k kernels of a table that are not degenerate."""
    rows, weights = read_square(path, k)
    valid = ~rows["degenerate"].to_numpy()
    return rows.loc[valid, LAYER].astype({"model": "str", "layer": "str"}), weights[valid]

"""Master keys: a few filters f, and how much of each kernel its best a·f + b explains.

After arXiv 2509.11711: filters are sampled from the decoded curve, every kernel is approximated by
its best a·f + b, and filters are removed one by one until `BEST` are left; then `AROUND` more
samples about each of these are tried in the same way. The authors remove the filter whose removal
lowers the accuracy of a network least (`kernelatlas.evidence.replacements`); here it is the one
whose removal lowers the mean R² of kernels least. For centred f of unit norm the best a is ⟨w, f⟩
and the best b is mean(w), so that R² = cos²(w − mean(w), f); a may have either sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.normalise import normalise
from kernelatlas.running.progress import Progress
from kernelatlas.running.tensors import read_tensors, write_tensors

CHUNK = 65_536  # kernels per matrix product, or fewer if they are large
THRESHOLDS = (0.5, 0.7, 0.8, 0.9)  # of R²
BEST, AROUND = 10, 4  # filters left of the first round; more tried about each of them


def energies(weights: np.ndarray) -> np.ndarray:
    """Return ‖w − mean(w)‖² of raw kernels, (n, k·k), as float64, (n,)."""
    values = weights - weights.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.einsum("ij,ij->i", values, values)


def best_filter(kernels: np.ndarray, filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the filter that explains most of each kernel.

    Parameters
    ----------
    kernels : ndarray of shape (n, k·k), float32
        Normalised.
    filters : ndarray of shape (m, k·k), float32
        Likewise.

    Returns
    -------
    index : ndarray of shape (n,), int
    r2 : ndarray of shape (n,), float32
        ⟨u, f⟩², the share of the kernel's energy that a·f + b explains.
    """
    index, r2 = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    chunk = at_once(kernels.shape[1], CHUNK)
    for begin in range(0, len(kernels), chunk):
        explained = (kernels[begin : begin + chunk] @ filters.T) ** 2
        index.append(explained.argmax(axis=1))
        r2.append(explained.max(axis=1))
    return np.concatenate(index), np.concatenate(r2)


def scores(r2: np.ndarray, energy: np.ndarray, total: int | None = None) -> dict[str, float]:
    """Summarise how well kernels are explained.

    Parameters
    ----------
    r2, energy : ndarray of shape (n,)
        Of the kernels that are not degenerate.
    total
        All kernels, the denominator of the shares; n without it.

    Returns
    -------
    dict
        mean_r2, each kernel equal; energy_explained, Σ energy·R² / Σ energy; and for each of
        `THRESHOLDS` the share of kernels with at least that R², as share_r2_50 and so on.
    """
    known = len(r2) > 0
    return {
        "mean_r2": float(r2.mean(dtype=np.float64)) if known else np.nan,
        "energy_explained": float(energy @ r2 / energy.sum()) if known else np.nan,
        **{
            f"share_r2_{round(100 * threshold)}": float(
                (r2 >= threshold).sum() / (total or max(len(r2), 1))
            )
            for threshold in THRESHOLDS
        },
    }


@dataclass(frozen=True)
class Search:
    """The result of the greedy removal.

    Attributes
    ----------
    order : ndarray of shape (m,), int
        The filters, from the first removed to the last one.
    steps : DataFrame of m rows
        filters, how many remain; removed, the index of the one removed in this step, empty in
        the first row; and the `scores` of those that remain.
    """

    order: np.ndarray
    steps: pd.DataFrame

    def kept(self, n: int) -> np.ndarray:
        """Return the indices of the last n filters, in ascending order.

        Raises
        ------
        KernelAtlasError
            If the search began with fewer.
        """
        if n > len(self.order):
            raise KernelAtlasError(
                f"config: evidence.keys: {n} master keys cannot be left of {len(self.order)} "
                "filters: lower it or raise evidence.codes"
            )
        return np.sort(self.order[-n:])


def search(kernels: np.ndarray, filters: np.ndarray, energy: np.ndarray) -> Search:
    """Remove filters one by one, each time the one whose removal lowers the mean R² least.

    Exact, in memory linear in the number of kernels: for each kernel only the best and the second
    best filter are stored, and searched again when one of them is removed.

    Parameters
    ----------
    kernels : ndarray of shape (n, k·k), float32
        Normalised.
    filters : ndarray of shape (m, k·k), float32
        Likewise.
    energy : ndarray of shape (n,)
        Of the raw kernels; only for the scores.
    """
    n, m = len(kernels), len(filters)
    best, second = np.zeros(n, np.int32), np.zeros(n, np.int32)
    best_r2, second_r2 = np.zeros(n, np.float32), np.zeros(n, np.float32)
    left = np.arange(m)
    affected = np.arange(n)
    chunk = at_once(kernels.shape[1], CHUNK)
    order: list[int] = []
    steps: list[dict[str, Any]] = []
    with Progress(f"master keys among {m} filters", m - 1, "filters") as progress:
        while True:
            for begin in range(0, len(affected), chunk):
                rows = affected[begin : begin + chunk]
                explained = (kernels[rows] @ filters[left].T) ** 2
                here = np.arange(len(rows))
                top = explained.argmax(axis=1)
                best[rows], best_r2[rows] = left[top], explained[here, top]
                explained[here, top] = -1.0
                top = explained.argmax(axis=1)
                second[rows], second_r2[rows] = left[top], explained[here, top]
            steps.append(
                {
                    "filters": len(left),
                    "removed": order[-1] if order else None,
                    **scores(best_r2, energy),
                }
            )
            if len(left) == 1:
                return Search(
                    np.array([*order, left[0]]), pd.DataFrame(steps).astype({"removed": "Int16"})
                )
            cost = np.bincount(best, best_r2 - second_r2, minlength=m)
            removed = left[cost[left].argmin()]
            order.append(int(removed))
            left = left[left != removed]
            affected = np.flatnonzero((best == removed) | (second == removed))
            progress.advance()


@dataclass(frozen=True)
class Keys:
    """The master keys of a curve.

    Attributes
    ----------
    places : ndarray of shape (n,), int
        Of the keys among the points of the curve, ascending.
    steps : DataFrame
        The steps of both searches: round (1 or 2), then as in `Search`, with the place of what
        is removed.
    """

    places: np.ndarray
    steps: pd.DataFrame


def search_curve(
    kernels: np.ndarray, points: np.ndarray, energy: np.ndarray, codes: int, keys: int
) -> Keys:
    """Search for master keys among the points of a curve, in two rounds.

    The first is of `codes` points at equal distances, until `BEST` are left (`keys`, if there are
    more of them); the second of these and of `AROUND` more about each, at equal distances between
    its neighbours of the first round (that they are spaced so, and compete with the `BEST`, is our
    choice).

    Parameters
    ----------
    kernels, energy
        As for `search`.
    points : ndarray of shape (m, k·k), float32
        Normalised.
    codes, keys
        How many filters to begin and to end with.

    Raises
    ------
    KernelAtlasError
        If there are fewer codes, or points, than keys.
    """
    spacing = (len(points) - 1) / max(codes - 1, 1)
    places = np.unique((spacing * np.arange(codes)).round().astype(int))
    found = search(kernels, points[places], energy)
    steps = [_placed(found, places, 1)]
    best = places[found.kept(max(keys, min(BEST, len(places))))]
    half = AROUND // 2
    shares = np.concatenate([np.arange(-half, 0), np.arange(half + 1)]) / (half + 1)
    tried = (best[:, None] + (shares * spacing).round().astype(int)).clip(0, len(points) - 1)
    places = np.unique(tried)
    found = search(kernels, points[places], energy)
    steps.append(_placed(found, places, 2))
    return Keys(places[found.kept(keys)], pd.concat(steps, ignore_index=True))


def _placed(found: Search, places: np.ndarray, number: int) -> pd.DataFrame:
    removed = found.steps["removed"].map(dict(enumerate(places.tolist()))).astype("Int32")
    steps = found.steps.assign(removed=removed)
    steps.insert(0, "round", number)
    return steps


def random_filters(n: int, k: int, seed: int) -> np.ndarray:
    """Return n normalised k×k filters of white noise, (n, k·k) float32."""
    return normalise(np.random.default_rng(seed).standard_normal((n, k * k)))


def save(path: str | Path, keys: np.ndarray, metadata: Mapping[str, Any]) -> None:
    """Write keys, (n, k, k), as safetensors, everything else as JSON text in the metadata."""
    write_tensors(path, {"keys": np.ascontiguousarray(keys, np.float32)}, metadata)


def load(path: str | Path) -> np.ndarray:
    """Return the master keys of a file that `save` wrote, (n, k, k) float32, centred, unit norm.

    Raises
    ------
    KernelAtlasError
        If there is no such file, or no keys in it.
    """
    return read_tensors(path, ["keys"])[0]["keys"]

"""Master keys: a few filters f such that almost every kernel is approximately a·f + b.

After arXiv 2509.11711: filters are sampled from the decoded curve, every kernel is approximated by
its best a·f + b, and filters are removed one by one, each time the one whose removal lowers the
mean R² least. For centred f of unit norm the best a is ⟨w, f⟩ and the best b is mean(w), so that
R² = cos²(w − mean(w), f); a may have either sign.

They are compared with the eight idealised filters of arXiv 2509.12746: difference operators on the
discrete Gaussian T(n; σ) = exp(−σ²) I_n(σ²), separable in x (to the right) and y (upwards), where
δ⁺ and δ⁻ are the forward and backward difference, δ the central one and ∇² the five-point
Laplacian.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.gaussians import discrete_profiles
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.running.tensors import read_tensors, write_tensors

CHUNK = 65_536  # kernels per matrix product, or fewer if they are large
THRESHOLDS = (0.5, 0.7, 0.8, 0.9)  # of R²

OPERATORS = ("δy⁺T", "δx⁻T", "δy⁻T", "δx⁺T", "δxT", "δyT", "T − γ∇²T", "T")
# Fitted by their authors to the eight filters of ConvNeXt V2-Tiny, 7×7 pixels: one scale a filter,
# least squares ("D2", "l2diffsamescale" of github.com/tonylindeberg/masterfiltmodel).
SIGMAS = (0.644, 0.558, 0.495, 0.380, 1.193, 1.038, 0.675, 0.612)
GAMMA = 0.526
SMALLEST, TRIED = 0.3, 30  # pixels; scales that `refit` chooses from


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


def random_filters(n: int, k: int, seed: int) -> np.ndarray:
    """Return n normalised k×k filters of white noise, (n, k·k) float32."""
    return normalise(np.random.default_rng(seed).standard_normal((n, k * k)))


def idealised(k: int, sigmas: Sequence[float] = SIGMAS) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the eight idealised filters on k×k pixels.

    For even k the centre lies between pixels: neighbours are averaged (our choice).

    Parameters
    ----------
    sigmas
        A scale in pixels for each of `OPERATORS`.

    Returns
    -------
    names : tuple of str
        Those of `OPERATORS` that are not constant on k×k pixels; all of them from 3×3.
    filters : ndarray of shape (len(names), k·k), float32
        Normalised.
    """
    stack = np.stack([_operator(name, k, s) for name, s in zip(OPERATORS, sigmas, strict=True)])
    valid = ~degenerate(stack)
    names = tuple(name for name, kept in zip(OPERATORS, valid, strict=True) if kept)
    return names, normalise(stack[valid])


def _operator(name: str, k: int, sigma: float) -> np.ndarray:
    smooth, forward, backward, central, second = discrete_profiles(k, sigma)
    # Rows run downwards, y upwards.
    along_x, along_y = {
        "δy⁺T": (smooth, forward),
        "δx⁻T": (backward, smooth),
        "δy⁻T": (smooth, backward),
        "δx⁺T": (forward, smooth),
        "δxT": (central, smooth),
        "δyT": (smooth, central),
    }.get(name, (smooth, smooth))
    values = np.outer(along_y[::-1], along_x)
    if name == "T − γ∇²T":
        values = values - GAMMA * (np.outer(second, smooth) + np.outer(smooth, second))
    return values.ravel()


def refit(kernels: np.ndarray, k: int) -> tuple[float, ...]:
    """Choose the scales with which the idealised filters explain most of kernels.

    Coordinate ascent of the mean R² from the published scales, over a geometric sequence of
    scales up to k/2 (our choice).

    Parameters
    ----------
    kernels : ndarray of shape (n, k·k), float32
        Normalised.

    Returns
    -------
    tuple of float
        A scale for each of `OPERATORS`, in pixels.
    """
    scales = np.geomspace(SMALLEST, k / 2, TRIED).round(2).tolist()
    shapes = np.stack([[_operator(name, k, sigma) for sigma in scales] for name in OPERATORS])
    flat = shapes.reshape(-1, k * k)
    valid = ~degenerate(flat)
    filters = np.zeros(flat.shape, np.float32)
    filters[valid] = normalise(flat[valid])
    r2 = ((filters @ kernels.T) ** 2).reshape(len(OPERATORS), len(scales), -1)
    chosen = [int(np.abs(np.subtract(scales, sigma)).argmin()) for sigma in SIGMAS]
    improved = True
    while improved:
        improved = False
        for number in range(len(OPERATORS)):
            others = [r2[i, at] for i, at in enumerate(chosen) if i != number]
            means = np.maximum(r2[number], np.max(others, axis=0)).mean(axis=1, dtype=np.float64)
            if means.max() > means[chosen[number]]:
                chosen[number] = int(means.argmax())
                improved = True
    return tuple(scales[at] for at in chosen)


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


def initialise_depthwise(
    model: nn.Module, keys: Mapping[int, np.ndarray], seed: int = 0
) -> tuple[list[str], list[str]]:
    """Put master keys into the depthwise layers of a network, in place.

    Each kernel becomes ± one of the keys of its size, with the norm of the kernel that it
    replaces. Each key gets the same number of channels of a layer, up to one; their order and the
    signs are random.

    Parameters
    ----------
    model
        Any network; depthwise layers are nn.Conv2d with as many groups as input channels.
    keys
        By k, as `load` returns them: arrays of shape (n, k, k).

    Returns
    -------
    set, skipped : list of str
        Names of the depthwise layers that were set, and of those whose kernels are not k×k for
        any k of `keys`.

    Raises
    ------
    KernelAtlasError
        If keys have another shape, or no layer can be set.
    """
    for k, given in keys.items():
        if np.ndim(given) != 3 or np.shape(given)[1:] != (k, k) or not len(given):
            raise KernelAtlasError(
                f"master keys of {k}×{k}: an array of shape {np.shape(given)}: "
                f"give one of shape (n, {k}, {k})"
            )
    rng = np.random.default_rng(seed)
    done, skipped = [], []
    for name, layer in _depthwise(model):
        k, width = layer.kernel_size
        if k != width or k not in keys:
            skipped.append(name)
            continue
        filters = normalise(np.reshape(keys[k], (-1, k * k)))
        channels = layer.out_channels
        dealt = rng.permutation(np.arange(channels) % len(filters))
        signs = rng.choice((-1.0, 1.0), channels)
        values = torch.from_numpy(filters[dealt] * signs[:, None]).to(layer.weight)
        with torch.no_grad():
            norms = layer.weight.flatten(1).norm(dim=1, keepdim=True)
            layer.weight.copy_((norms * values).reshape(layer.weight.shape))
        done.append(name)
    if not done:
        sizes = ", ".join(f"{k}×{k}" for k in sorted(keys))
        raise KernelAtlasError(
            f"{type(model).__name__} has no depthwise layer of {sizes or 'any size given'} "
            f"(others: {', '.join(skipped) or 'none'}): give keys of its kernel sizes"
        )
    return done, skipped


def _depthwise(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            yield name, layer

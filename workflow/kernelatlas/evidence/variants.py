"""Depthwise kernels of a network, replaced by what describes them with fewer numbers.

To add a variant: one more entry in `variants`, with a function of a layer's kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import fits, jet
from kernelatlas.evidence.functions import functions
from kernelatlas.evidence.idealised import idealised
from kernelatlas.evidence.masterkeys import best_filter, load, random_filters
from kernelatlas.evidence.published import read_published
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import degenerate, normalise

UNTOUCHED, MEAN = "untouched", "mean"
SEEDS = (0, 1, 2)  # of random filters
CENTROIDS = (50, 20, 8)  # of k-means
COMPONENTS = (3, 6, 9)  # principal components of the network's own kernels
SUMS = {"seven": 7, "ten": 10}  # numbers of the best sums of derivatives

Kernels = Mapping[str, np.ndarray]  # raw, (n, k·k), by layer
Filters = Mapping[int, np.ndarray]  # normalised, (m, k·k), by k
Render = Callable[[pd.DataFrame, int], np.ndarray]  # kernels of rows of a table of fits, and k
Numbers = Callable[[pd.DataFrame, int], np.ndarray]  # how many numbers they are kept as


@dataclass(frozen=True, eq=False)
class Material:
    """What kernels are replaced by.

    Attributes
    ----------
    keys, prototypes
        Master keys and prototypes of the clusters.
    centroids
        Of k-means, by their number.
    published
        The published filters, of the sizes that they have; other kernels are not replaced.
    table
        Analytic fits of the network, as `kernelatlas.evidence.fitted.fit_model` returns them.
    """

    keys: Filters
    prototypes: Filters
    table: pd.DataFrame
    centroids: Mapping[int, Filters] = field(default_factory=dict)
    published: Filters = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        keys: Sequence[str | Path],
        clusters: Sequence[str | Path],
        baselines: Sequence[str | Path],
        table: str | Path,
        published: str | Path | None = None,
    ) -> "Material":
        """Read master keys, clusters and prototypes of the baselines, a file a size, and fits.

        Published filters are those of the user's file, if there is one.
        """
        prototypes, centroids = {}, dict[int, dict[int, np.ndarray]]()
        by_size = {
            filters.shape[1]: filters.reshape(len(filters), -1) for filters in map(load, keys)
        }
        for path in clusters:
            stack = np.stack(list(pd.read_parquet(path, columns=["prototype"])["prototype"]))
            prototypes[side(stack)] = stack
        for path in baselines:
            found = pd.read_parquet(path, columns=["method", "prototype"])
            for n in CENTROIDS:
                rows = found.loc[found["method"] == f"k-means {n}", "prototype"]
                if len(rows):
                    stack = np.stack(list(rows))
                    centroids.setdefault(n, {})[side(stack)] = stack
        theirs = {7: read_published(published)} if published else {}
        return cls(by_size, prototypes, pd.read_parquet(table), centroids, theirs)


@dataclass(frozen=True, eq=False)
class Replaced:
    """Kernels of one layer, replaced.

    Attributes
    ----------
    weights : ndarray of shape (n, k·k), float32
    numbers : ndarray of shape (n,)
        How many real numbers of each kernel are kept. Which filter or function was chosen is not
        counted.
    """

    weights: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True, eq=False)
class Variant:
    """A way to replace kernels.

    Attributes
    ----------
    name, seed
        The seed is None where nothing is random.
    replace
        Returns a layer's kernels replaced, from its name and kernels.
    sizes
        Kernel sizes that are replaced; None for all.
    """

    name: str
    replace: Callable[[str, np.ndarray], Replaced]
    seed: int | None = None
    sizes: Sequence[int] | None = None

    def of(self, kernels: Kernels) -> dict[str, Replaced]:
        """Return the kernels of the layers that are replaced."""
        return {
            name: self.replace(name, weights)
            for name, weights in kernels.items()
            if self.sizes is None or side(weights) in self.sizes
        }


def variants(kernels: Kernels, material: Material) -> list[Variant]:
    """Return all variants for the kernels of a network, the untouched ones first."""
    sizes = {side(weights) for weights in kernels.values()}

    def filters(name: str, by_size: Filters, seed: int | None = None) -> Variant:
        return Variant(name, partial(_by_filters, by_size), seed, sorted(sizes & by_size.keys()))

    def from_table(name: str, render: Render, numbers: Numbers) -> Variant:
        return Variant(name, partial(_from_table, material.table, render, numbers))

    found = [
        Variant(UNTOUCHED, _untouched),
        from_table("fits", fits.render, _parameters),
        *(
            from_table(f"jet {order}", partial(jet.render_jet, order=order), _constant(n))
            for order, n in zip(jet.KEPT, (5, 7, 10), strict=True)
        ),
        *(
            from_table(f"{name} numbers", partial(jet.render_best, name=name), _constant(n))
            for name, n in SUMS.items()
        ),
        *(
            Variant(f"components {n}", partial(_by_components, _components(kernels, n)))
            for n in COMPONENTS
        ),
        filters("prototypes", material.prototypes),
        *(
            filters(f"k-means {n}", by_size)
            for n, by_size in sorted(material.centroids.items(), reverse=True)
        ),
        filters("master keys", material.keys),
        filters("idealised", {k: idealised(k)[1] for k in material.keys}),
        filters("published", material.published),
        *(
            filters(
                "random", {k: random_filters(len(f), k, s) for k, f in material.keys.items()}, s
            )
            for s in SEEDS
        ),
        filters(MEAN, {k: f[:0] for k, f in material.keys.items()}),
    ]
    return [variant for variant in found if variant.sizes is None or variant.sizes]


def by_filters(weights: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the best a·f + b of each kernel, f one of the filters.

    Parameters
    ----------
    weights : ndarray of shape (n, k·k), float32
        Raw. Degenerate kernels are not replaced.
    filters : ndarray of shape (m, k·k), float32
        Normalised; without any only the mean b is left.
    """
    replaced = weights.copy()
    valid = ~degenerate(weights)
    raw = weights[valid]
    mean = raw.mean(axis=1, keepdims=True, dtype=np.float64)
    if not len(filters):
        replaced[valid] = np.broadcast_to(mean, raw.shape)
        return replaced
    best = filters[best_filter(normalise(raw), filters)[0]].astype(np.float64)
    amplitude = np.einsum("ij,ij->i", raw - mean, best)[:, None]
    replaced[valid] = amplitude * best + mean
    return replaced


def components(weights: np.ndarray, n: int) -> np.ndarray:
    """Return the directions that hold most of the energy of normalised kernels, orthonormal.

    As principal components, but about the origin: the sign of a kernel is free.

    Parameters
    ----------
    weights : ndarray of shape (m, k·k), float32
        Raw; degenerate ones are left out.

    Returns
    -------
    ndarray of shape (min(n, k·k − 1), k·k), float64
    """
    kernels = normalise(weights[~degenerate(weights)]).astype(np.float64)
    directions = np.linalg.eigh(kernels.T @ kernels)[1].T[::-1]
    return directions[: min(n, weights.shape[1] - 1)]


def by_components(weights: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the mean of each kernel plus its projection on orthonormal directions.

    Parameters
    ----------
    weights : ndarray of shape (n, k·k), float32
        Raw. Degenerate kernels are not replaced.
    directions : ndarray of shape (m, k·k)
        As `components` returns them.
    """
    replaced = weights.copy()
    valid = ~degenerate(weights)
    mean = weights[valid].mean(axis=1, keepdims=True, dtype=np.float64)
    replaced[valid] = (weights[valid] - mean) @ directions.T @ directions + mean
    return replaced


def of_layer(table: pd.DataFrame, name: str, weights: np.ndarray) -> pd.DataFrame:
    """Return the rows of a table of fits for a layer's kernels, in their order.

    Raises
    ------
    KernelAtlasError
        If the table has other kernels.
    """
    rows = table[table["layer"] == name].sort_values("channel", ignore_index=True)
    if len(rows) != len(weights):
        raise KernelAtlasError(
            f"layer {name}: {len(rows)} fits of {len(weights)} kernels: delete the model's "
            "table of fits and run again"
        )
    return rows


def _untouched(_: str, weights: np.ndarray) -> Replaced:
    return Replaced(weights, np.full(len(weights), weights.shape[1]))


def _by_filters(filters: Filters, _: str, weights: np.ndarray) -> Replaced:
    chosen = filters[side(weights)]
    return Replaced(by_filters(weights, chosen), np.full(len(weights), 2 if len(chosen) else 1))


def _components(kernels: Kernels, n: int) -> dict[int, np.ndarray]:
    by_size: dict[int, list[np.ndarray]] = {}
    for weights in kernels.values():
        by_size.setdefault(side(weights), []).append(weights)
    return {k: components(np.concatenate(parts), n) for k, parts in by_size.items()}


def _by_components(directions: Filters, _: str, weights: np.ndarray) -> Replaced:
    chosen = directions[side(weights)]
    return Replaced(by_components(weights, chosen), np.full(len(weights), len(chosen) + 1))


def _from_table(
    table: pd.DataFrame, render: Render, numbers: Numbers, name: str, weights: np.ndarray
) -> Replaced:
    """Replace kernels by what a table has fitted to them; degenerate ones stay as they are."""
    k = side(weights)
    rows = of_layer(table, name, weights)
    unfit = rows["degenerate"].to_numpy()[:, None]
    return Replaced(np.where(unfit, weights, render(rows, k)), numbers(rows, k))


def _constant(n: int) -> Numbers:
    return lambda rows, k: np.full(len(rows), n)


def _parameters(rows: pd.DataFrame, k: int) -> np.ndarray:
    """Return the parameters of each kernel's function, amplitude and offset included."""
    known = {name: len(function.parameters) + 2 for name, function in functions(k).items()}
    return rows["function"].astype(object).map(known).fillna(0).to_numpy()

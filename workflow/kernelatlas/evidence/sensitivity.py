"""How the share identified depends on its two thresholds, for trained kernels and nulls.

A kernel is identified if 1 − cos to its reconstruction is below a threshold, and if the most
similar template of the reconstruction has at least a minimum cosine (and most seeds agree on the
shape, which no number decides). Both numbers are choices. Here every pair of a grid is counted,
with the same curves, cross-fitted, as in the table of nulls.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.evidence.crossfit import CrossFit
from kernelatlas.evidence.intervals import Estimate, share
from kernelatlas.evidence.nulls import LAYER, drawn
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import read_square
from kernelatlas.names import ALL_FAMILIES, NO_FOLD, NULLS, TRAINED, UNTRAINED
from kernelatlas.running.progress import tracked

THRESHOLDS = tuple(np.arange(0.02, 0.601, 0.02).round(2).tolist())
COSINES = tuple(np.arange(0.5, 0.951, 0.05).round(2).tolist())
BLOCK = 65_536  # kernels whose votes are in memory, or fewer if they are large
EXCESS = ("excess", "excess_low", "excess_high")
COLUMNS = (
    *("family", "set", "k", "threshold", "minimum_cosine", "in_use", "kernels", "layers"),
    *("share", "low", "high", *EXCESS),
)


@dataclass
class Counts:
    """How many kernels of a set are identified at each pair of thresholds.

    Attributes
    ----------
    models : list of str
        Of each layer.
    sizes : list of int
        Kernels of each layer, degenerate ones included.
    hits : list of ndarray of shape (thresholds, cosines)
        Of each layer.
    alone : list of ndarray of shape (seeds, thresholds, cosines)
        The same by each seed alone.
    """

    models: list[str]
    sizes: list[int]
    hits: list[np.ndarray]
    alone: list[np.ndarray]

    def of(self, models: Sequence[str]) -> tuple[Estimate, np.ndarray] | None:
        """Return the shares of these models over layers, and those by each seed alone."""
        rows = [at for at, model in enumerate(self.models) if model in models]
        if not rows:
            return None
        sizes = np.array(self.sizes)[rows]
        found = share(np.stack([self.hits[at] for at in rows], -1), sizes)
        alone = np.sum([self.alone[at] for at in rows], axis=0) / sizes.sum()
        return found, np.moveaxis(alone, 0, -1)

    def layers(self, models: Sequence[str]) -> list[int]:
        """Return the sizes of the layers of these models."""
        return [n for model, n in zip(self.models, self.sizes, strict=True) if model in models]


@dataclass(frozen=True)
class Grid:
    """Pairs of thresholds, among them those in use."""

    thresholds: tuple[float, ...]
    cosines: tuple[float, ...]

    @classmethod
    def about(cls, threshold: float, minimum_cosine: float) -> "Grid":
        """Return the grid of this module with two more values."""
        return cls(
            tuple(sorted({*THRESHOLDS, threshold})), tuple(sorted({*COSINES, minimum_cosine}))
        )

    def count(
        self, dissimilarity: np.ndarray, cosine: np.ndarray, layer: np.ndarray, layers: int
    ) -> np.ndarray:
        """Count values of each layer below each threshold that have at least each cosine.

        Parameters
        ----------
        dissimilarity, cosine : ndarray of shape (n,), float32
            Both are compared in single precision, in which tables keep them.
        layer : ndarray of shape (n,), int
            The layer of each, below `layers`.

        Returns
        -------
        ndarray of shape (layers, thresholds, cosines)
        """
        limits, least = (np.array(v, np.float32) for v in (self.thresholds, self.cosines))
        row = np.searchsorted(limits, dissimilarity, side="right")  # the first one above
        column = np.searchsorted(least, cosine, side="right")  # how many it reaches
        shape = (layers, len(limits) + 1, len(least) + 1)
        at = np.ravel_multi_index((layer, row, column), shape)
        counts = np.bincount(at, minlength=math.prod(shape)).reshape(shape)
        below = counts.cumsum(axis=1)[:, :-1]
        return below[..., ::-1].cumsum(axis=2)[..., ::-1][..., 1:]


def sensitivity_table(
    kernels: Sequence[str | Path],
    crossfit: CrossFit,
    curves: Sequence[Curve],
    models: Sequence[Sequence],
    in_use: tuple[float, float],
    sample: int,
) -> pd.DataFrame:
    """Return the share identified at each pair of thresholds, and its excess over each null.

    Parameters
    ----------
    kernels
        Kernel tables of `models`, in their order.
    crossfit, curves
        As `kernelatlas.evidence.nulls.null_table` takes them.
    models
        name, family, trained and training data of the zoo's models.
    in_use
        The threshold of the dissimilarity and the minimum cosine of a name in the config.
    sample
        As `kernelatlas.evidence.nulls.drawn` takes it.

    Returns
    -------
    DataFrame
        A row for each family (and all together), set and pair of thresholds; see
        results/README.md. Trained kernels have no share where no curve is left that has not seen
        them.
    """
    grid, k = Grid.about(*in_use), curves[0].k
    by_fold = {NO_FOLD: tuple(curves), **dict(enumerate(crossfit.curves))}
    sets = {name: Counts([], [], [], []) for name in (TRAINED, UNTRAINED, *NULLS)}
    trained = []
    of_models = list(zip(kernels, models, strict=True))
    what = f"thresholds of {k}x{k} kernels"
    for path, (_, _, is_trained, _) in tracked(of_models, what, "networks"):
        rows, raw = read_square(path, k)
        valid = ~rows["degenerate"].to_numpy()
        key = rows[LAYER].astype({"model": "str"})
        if is_trained:
            trained.append(path)
        if len(key) and not (is_trained and crossfit.folds.empty):
            fold = crossfit.fold_of(key) if is_trained else np.full(len(key), NO_FOLD)
            counts = sets[TRAINED if is_trained else UNTRAINED]
            _add(counts, key, raw, valid, fold, by_fold, grid)
    key, nulls = drawn(trained, k, sample)
    fold = crossfit.fold_of(key)
    for name, noise in nulls.items():
        _add(sets[name], key, noise, np.ones(len(key), bool), fold, by_fold, grid)
    families: dict[str, list[str]] = {}
    for name, family, *_ in models:
        families.setdefault(family, []).append(name)
    groups = {ALL_FAMILIES: [name for name, *_ in models], **families}
    parts = [
        part.assign(family=family, k=k)
        for family, names in tracked(list(groups.items()), f"shares of {k}x{k} kernels", "families")
        for part in _rows(sets, names, grid)
    ]
    table = pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))
    here = (table["threshold"] == in_use[0]) & (table["minimum_cosine"] == in_use[1])
    return table.assign(in_use=here)


def _add(
    counts: Counts,
    key: pd.DataFrame,
    raw: np.ndarray,
    valid: np.ndarray,
    fold: np.ndarray,
    curves: Mapping[int, Sequence[Curve]],
    grid: Grid,
) -> None:
    """Count the kernels of each layer."""
    groups = key.groupby(["model", "layer_index"], sort=False)
    layer, sizes = groups.ngroup().to_numpy(), groups.size()
    shape = (len(sizes), len(grid.thresholds), len(grid.cosines))
    hits, alone = np.zeros(shape), np.zeros((len(curves[NO_FOLD]), *shape))
    step = at_once(raw.shape[1], BLOCK)
    for number in np.unique(fold):
        rows = np.flatnonzero(valid & (fold == number))
        for part in np.split(rows, range(step, len(rows), step)):
            votes, own = vote(normalise(raw[part]), curves[number], -1), layer[part]
            agreed = votes.agreement > 0.5
            dissimilarity, cosine = votes.dissimilarity[agreed], votes.names.cosine[agreed]
            hits += grid.count(dissimilarity, cosine, own[agreed], len(sizes))
            for seed, found in enumerate(alone):
                by_seed = votes.dissimilarities[:, seed], votes.seed_cosines[:, seed]
                found += grid.count(*by_seed, own, len(sizes))
    counts.models += [str(model) for model, _ in sizes.index]
    counts.sizes += sizes.to_list()
    counts.hits += list(hits)
    counts.alone += list(alone.swapaxes(0, 1))


def _rows(sets: Mapping[str, Counts], models: Sequence[str], grid: Grid) -> Iterator[pd.DataFrame]:
    """Yield the rows of each set of these models."""
    thresholds, cosines = (
        v.ravel() for v in np.meshgrid(grid.thresholds, grid.cosines, indexing="ij")
    )
    trained = sets[TRAINED].of(models)
    for name, counts in sets.items():
        found = counts.of(models)
        if found is None:
            continue
        of_layers, alone = found
        estimate = of_layers.over_seeds(alone).within(0, 1)
        sizes = counts.layers(models)
        columns = {
            "share": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
        }
        if trained is not None and name != TRAINED:
            excess = trained[0].minus(of_layers).over_seeds(trained[1] - alone).within(-1, 1)
            columns |= dict(zip(EXCESS, (excess.value, excess.low, excess.high), strict=True))
        yield pd.DataFrame(
            {
                "set": name,
                "threshold": thresholds,
                "minimum_cosine": cosines,
                "kernels": sum(sizes),
                "layers": len(sizes),
                **{name: values.ravel() for name, values in columns.items()},
            }
        )

"""Labels of kernels by curves that have not seen their network (cross-fitting).

A curve is fitted to the kernels that it then labels, and null kernels are not among them. So the
networks are divided into folds, curves of all seeds are fitted to the kernels of the other folds,
and each network is labelled by those: as unseen as its nulls are. Where a size has one network, or
nearly all of its kernels are one network's, layers are divided instead.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.table import KEY
from kernelatlas.names import LABELS, NO_FOLD
from kernelatlas.running.progress import Progress
from kernelatlas.running.tensors import read_tensors, write_tensors

log = logging.getLogger(__name__)

FOLDS = 3  # at most
FEWEST = 50  # kernels that a curve is fitted to, at least


@dataclass(frozen=True)
class CrossFit:
    """Folds of kernels, and the curves that have not seen them.

    Attributes
    ----------
    k
        Side of the kernels.
    folds : DataFrame
        model, layer_index and fold of every layer that is in a fold.
    curves
        By fold, one for each seed.
    """

    k: int
    folds: pd.DataFrame
    curves: tuple[tuple[Curve, ...], ...]

    def fold_of(self, key: pd.DataFrame) -> np.ndarray:
        """Return the fold of each kernel, (n,) int; `NO_FOLD` if its layer is in none.

        Parameters
        ----------
        key
            Columns model and layer_index.
        """
        known = self.folds.set_index(["model", "layer_index"])["fold"]
        layers = pd.MultiIndex.from_frame(key[["model", "layer_index"]])
        return known.reindex(layers).fillna(NO_FOLD).to_numpy(np.int64)

    def save(self, path: str | Path) -> None:
        """Write the curves as safetensors, everything else as JSON text in the metadata."""
        seeds = [curve.seed for curve in self.curves[0]] if self.curves else []
        tensors = {
            f"fold{fold}_seed{curve.seed}": curve.points
            for fold, own in enumerate(self.curves)
            for curve in own
        }
        members = [
            [str(model), int(layer), int(fold)] for model, layer, fold in self.folds.to_numpy()
        ]
        concentrations = [[curve.concentration for curve in own] for own in self.curves]
        content = {"k": self.k, "seeds": seeds, "folds": members, "concentration": concentrations}
        write_tensors(path, tensors, content)

    @classmethod
    def load(cls, path: str | Path) -> "CrossFit":
        """Read what `save` wrote."""
        tensors, content = read_tensors(path)
        k, seeds = content["k"], content["seeds"]
        return cls(
            k,
            _frame(content["folds"]),
            tuple(
                tuple(
                    Curve(k, seed, tensors[f"fold{fold}_seed{seed}"], concentration)
                    for seed, concentration in zip(seeds, own, strict=True)
                )
                for fold, own in enumerate(content["concentration"])
            ),
        )


def _frame(rows: Sequence[Sequence]) -> pd.DataFrame:
    kinds = {"model": "str", "layer_index": "int64", "fold": "int64"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def divide(key: pd.DataFrame) -> pd.DataFrame:
    """Divide layers into at most `FOLDS` folds: of networks if possible, else of layers.

    It is possible if all curves see at least `FEWEST` kernels. Networks, or layers, go to the folds
    in turn, in the order of their names and of the layers, so that folds are alike.

    Parameters
    ----------
    key
        Columns model and layer_index of every kernel.

    Returns
    -------
    DataFrame
        model, layer_index and fold of every layer; no rows if neither is possible.
    """
    sizes = key.groupby(["model", "layer_index"], observed=True).size()
    layers = sizes.reset_index(name="kernels").astype({"model": "str"})
    for of in (["model"], ["model", "layer_index"]):
        group = layers.groupby(of).ngroup()
        n = min(FOLDS, group.max() + 1)
        fold = group % n
        seen = len(key) - layers["kernels"].groupby(fold).sum()
        if n > 1 and seen.min() >= FEWEST:
            return layers.assign(fold=fold)[["model", "layer_index", "fold"]]
    return _frame([])


def cross_fit(
    key: pd.DataFrame,
    kernels: np.ndarray,
    settings: Settings,
    seeds: Sequence[int],
    device: str,
) -> CrossFit:
    """Fit curves of every seed to the kernels outside of each fold.

    Parameters
    ----------
    key
        Columns model and layer_index of each kernel.
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    settings, device
        Those of the autoencoders.

    Returns
    -------
    CrossFit
        Without folds where `divide` finds none.
    """
    k = side(kernels)
    found = CrossFit(k, divide(key), ())
    fold = found.fold_of(key)
    curves, folds = [], found.folds["fold"].nunique()
    with Progress(f"cross-fitting of {k}x{k} kernels", folds * len(seeds), "curves") as progress:
        for number in range(folds):
            rest = kernels[fold != number]
            log.info("fold %d: %d kernels", number, len(rest))
            own: list[Curve] = []
            for seed in seeds:
                # κ hardly depends on the seed, and takes a third of the time.
                kappa = own[0].concentration if own else None
                model, _ = fit(
                    rest, settings, seed, device, encoder=False, known_concentration=kappa
                )
                own.append(Curve(k, seed, model.curve().cpu().numpy(), model.concentration))
                progress.advance()
            curves.append(tuple(own))
    return CrossFit(k, found.folds, tuple(curves))


def crossfit_table(
    key: pd.DataFrame, kernels: np.ndarray, crossfit: CrossFit, minimum_cosine: float
) -> pd.DataFrame:
    """Label each kernel by the curves that have not seen it.

    Parameters
    ----------
    key, kernels
        As `cross_fit` takes them; the key has all columns of `kernelatlas.kernels.table.KEY`.
    minimum_cosine
        As `kernelatlas.clustering.labels.vote` takes it.

    Returns
    -------
    DataFrame
        The key, fold, label, agreement, dissimilarity and by_seed; see results/README.md. Without
        folds all but the key is empty.
    """
    fold = crossfit.fold_of(key)
    found = labelled(kernels, fold, dict(enumerate(crossfit.curves)), minimum_cosine)
    return pd.concat([key[KEY].assign(fold=fold.astype(np.int8)), found], axis=1)


def labelled(
    kernels: np.ndarray,
    fold: np.ndarray,
    curves: Mapping[int, Sequence[Curve]],
    minimum_cosine: float,
) -> pd.DataFrame:
    """Label kernels by the curves of their folds.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    fold : ndarray of shape (n,), int
    curves
        By fold, one for each seed. Other folds are left empty.
    minimum_cosine
        As `kernelatlas.clustering.labels.vote` takes it.

    Returns
    -------
    DataFrame of n rows
        label, agreement, dissimilarity and by_seed as in the label table.
    """
    n = len(kernels)
    label = np.full(n, None, dtype=object)
    agreement, dissimilarity = np.full((2, n), np.nan, np.float32)
    seeds = max((len(own) for own in curves.values()), default=0)
    by_seed = np.full((n, seeds), np.nan, np.float32)
    for number, own in curves.items():
        rows = np.flatnonzero(fold == number)
        if len(rows):
            votes = vote(kernels[rows], own, minimum_cosine)
            label[rows], agreement[rows] = votes.names.label, votes.agreement
            dissimilarity[rows], by_seed[rows] = votes.dissimilarity, votes.by_seed
    return pd.DataFrame(
        {
            "label": pd.Categorical(label, categories=LABELS),
            "agreement": agreement,
            "dissimilarity": dissimilarity,
            "by_seed": list(by_seed),
        }
    )

"""Master keys: their search, their description, and how much of each model they explain."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from kernelatlas.clustering.kmeans import spherical_kmeans
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.masterkeys import (
    OPERATORS,
    SIGMAS,
    Search,
    best_filter,
    energies,
    idealised,
    random_filters,
    refit,
    scores,
    search,
)
from kernelatlas.kernels.corpus import usable
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.kernels.table import read_square

KEYS, IDEALISED, REFITTED = "master keys", "idealised", "idealised, refitted"
PROTOTYPES, RANDOM = "prototypes", "random"
RANDOM_SETS = 10
SEED = 0


def corpus_energies(paths: Sequence[str | Path], k: int) -> np.ndarray:
    """Return ‖w − mean(w)‖² of the raw kernels of a corpus, (n,), in its order.

    Parameters
    ----------
    paths
        The kernel tables that the corpus was built from.
    """
    parts = []
    for path in paths:
        rows, weights = read_square(path, k)
        parts.append(energies(weights[usable(rows)]))
    return np.concatenate(parts)


def search_table(
    kernels: np.ndarray, energy: np.ndarray, codes: np.ndarray, curve: np.ndarray, sample: int
) -> tuple[Search, pd.DataFrame]:
    """Search for master keys on the curve, and in the same way among other filters.

    Parameters
    ----------
    kernels, energy
        The corpus, normalised, and the energies of its raw kernels.
    codes, curve : ndarray of shape (m,) and (m, k * k)
        Codes and what they decode to.
    sample
        Largest number of kernels for k-means.

    Returns
    -------
    found : Search
        Among the curve's kernels.
    table : DataFrame
        The steps of the search from m kernels of the curve, m centroids of spherical k-means
        and m filters of white noise: source, filters, removed_code (of the curve), scores.
    """
    k = side(kernels)
    m = len(curve)
    found = search(kernels, curve, energy)
    seen = sample_of(kernels, sample)
    others = {
        "k-means": spherical_kmeans(seen, min(m, len(seen)), SEED),
        RANDOM: random_filters(m, k, SEED),
    }
    removed = found.steps["removed"].astype("float64").map(dict(enumerate(codes.tolist())))
    parts = [found.steps.assign(source="curve", removed_code=removed)]
    for name, filters in others.items():
        parts.append(search(kernels, filters, energy).steps.assign(source=name))
    table = pd.concat(parts, ignore_index=True).drop(columns="removed")
    first = ["source", "filters", "removed_code"]
    return found, table[[*first, *table.columns.difference(first, sort=False)]]


def filter_sets(
    keys: np.ndarray, prototypes: np.ndarray, kernels: np.ndarray, sample: int
) -> tuple[dict[str, list[np.ndarray]], tuple[float, ...]]:
    """Return the sets of filters to compare, and the refitted scales.

    Parameters
    ----------
    keys, prototypes : ndarray of shape (n, k * k) and (m, k * k)
    kernels
        The corpus, normalised.
    sample
        Largest number of kernels for refitting the scales.

    Returns
    -------
    sets : dict
        By name, one set of filters, or several of random ones.
    sigmas : tuple of float
        See `kernelatlas.evidence.masterkeys.refit`.
    """
    k = side(keys)
    sigmas = refit(sample_of(kernels, sample), k)
    sets = {
        KEYS: [keys],
        IDEALISED: [idealised(k)[1]],
        REFITTED: [idealised(k, sigmas)[1]],
        PROTOTYPES: [prototypes],
        RANDOM: [random_filters(len(keys), k, seed) for seed in range(RANDOM_SETS)],
    }
    return sets, sigmas


def filter_table(
    keys: np.ndarray,
    codes: Sequence[float],
    sigmas: Sequence[float],
    kernels: np.ndarray,
    energy: np.ndarray,
) -> pd.DataFrame:
    """Describe the master keys and the idealised filters, as published and refitted.

    Parameters
    ----------
    keys : ndarray of shape (n, k * k)
    codes
        Of the keys.
    sigmas
        The refitted scales.
    kernels, energy
        The corpus, normalised, and the energies of its raw kernels.

    Returns
    -------
    DataFrame
        A row for each filter, columns as in results/README.md. `matched` pairs keys and idealised
        filters one to one, for the greatest sum of |cos|.
    """
    k = side(keys)
    names, published = idealised(k)
    cosine = np.abs(keys @ published.T)
    closest = np.abs(keys @ idealised(k, sigmas)[1].T)
    rows, columns = linear_sum_assignment(cosine, maximize=True)
    matched = pd.Series(columns, index=rows)
    of_keys = pd.DataFrame(
        {
            "code": np.asarray(codes, np.float32),
            "nearest": [names[i] for i in cosine.argmax(axis=1)],
            "nearest_cosine": cosine.max(axis=1),
            "nearest_refitted": [names[i] for i in closest.argmax(axis=1)],
            "nearest_refitted_cosine": closest.max(axis=1),
            "matched": matched.map(dict(enumerate(names))),
            "matched_cosine": pd.Series(cosine[rows, columns], index=rows),
        },
        index=range(len(keys)),
    )
    parts = [_described(KEYS, keys, kernels, energy).join(of_keys)]
    for name, scales in ((IDEALISED, SIGMAS), (REFITTED, sigmas)):
        sigma = dict(zip(OPERATORS, scales, strict=True))
        part = _described(name, idealised(k, scales)[1], kernels, energy)
        parts.append(part.assign(name=list(names), sigma=[sigma[n] for n in names]))
    columns_last = ["label", "label_cosine", "weights"]
    table = pd.concat(parts, ignore_index=True)
    return table[[c for c in table.columns if c not in columns_last] + columns_last]


def _described(
    name: str, filters: np.ndarray, kernels: np.ndarray, energy: np.ndarray
) -> pd.DataFrame:
    index, r2 = best_filter(kernels, filters)
    n = np.bincount(index, minlength=len(filters))
    templates = bank(side(filters))
    found = templates.name(filters, -1)
    return pd.DataFrame(
        {
            "filters": name,
            "number": np.arange(1, len(filters) + 1),
            "share": n / len(kernels),
            "energy": np.bincount(index, energy, len(filters)) / energy.sum(),
            "mean_r2": np.bincount(index, r2, len(filters)) / np.where(n, n, np.nan),
            "label": found.label.astype(str),
            "label_cosine": found.cosine,
            "weights": list(filters),
        }
    )


def model_table(
    paths: Sequence[str | Path],
    models: Sequence[Sequence],
    k: int,
    sets: Mapping[str, Sequence[np.ndarray]],
) -> pd.DataFrame:
    """Score sets of filters on the k×k kernels of each model, trained or not.

    Parameters
    ----------
    paths
        A kernel table for each model.
    models
        name, family, trained and training data of each.
    sets
        As `filter_sets` returns them; scores of several sets of one name are averaged.

    Returns
    -------
    DataFrame
        A row for each model with such kernels and each set: family, model, trained, k, filters,
        number
        (of filters), kernels, degenerate (these are in the shares' denominators) and the scores.
    """
    table = []
    for path, (model, family, trained, _) in zip(paths, models, strict=True):
        rows, weights = read_square(path, k)
        if not len(rows):
            continue
        raw = weights[~rows["degenerate"].to_numpy()]
        kernels, energy = normalise(raw), energies(raw)
        for name, alternatives in sets.items():
            found = [scores(best_filter(kernels, f)[1], energy, len(rows)) for f in alternatives]
            table.append(
                {
                    "family": family,
                    "model": model,
                    "trained": trained,
                    "k": k,
                    "filters": name,
                    "number": len(alternatives[0]),
                    "kernels": len(rows),
                    "degenerate": len(rows) - len(raw),
                    **pd.DataFrame(found).mean().to_dict(),
                }
            )
    return pd.DataFrame(table)

"""Master keys: their search, their description, and how much of each model they explain."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.kmeans import spherical_kmeans
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.idealised import (
    CENTRE_SURROUND,
    OPERATORS,
    SETS,
    Scales,
    idealised,
    refit,
)
from kernelatlas.evidence.intervals import share
from kernelatlas.evidence.masterkeys import (
    Keys,
    best_filter,
    energies,
    random_filters,
    scores,
    search,
    search_curve,
)
from kernelatlas.kernels.corpus import usable
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.kernels.table import read_square
from kernelatlas.running.progress import tracked

KEYS, PUBLISHED, PROTOTYPES, RANDOM = "master keys", "published", "prototypes", "random"
IDEALISED, REFITTED = "idealised", "idealised, refitted"  # the first with the name of a set
RANDOM_SETS = 10
SHOWN = 0.8  # R² of which the share has an interval
SEED = 0


def corpus_energies(paths: Sequence[str | Path], k: int) -> np.ndarray:
    """Return ‖w − mean(w)‖² of the raw kernels of a corpus, (n,), in its order.

    Parameters
    ----------
    paths
        The kernel tables that the corpus was built from.
    """
    parts = []
    for path in tracked(paths, f"energies of {k}x{k} kernels", "networks"):
        rows, weights = read_square(path, k)
        parts.append(energies(weights[usable(rows)]))
    return np.concatenate(parts)


def search_table(
    kernels: np.ndarray, energy: np.ndarray, curve: Curve, codes: int, keys: int, sample: int
) -> tuple[Keys, pd.DataFrame]:
    """Search for master keys on the curve, and in one round among other filters.

    Parameters
    ----------
    kernels, energy
        The corpus, normalised, and the energies of its raw kernels.
    curve
        Its points are the filters to choose from.
    codes, keys
        Number of filters to begin with, and of master keys.
    sample
        Largest number of kernels for k-means.

    Returns
    -------
    found : Keys
        On the curve.
    table : DataFrame
        The steps of the two rounds on the curve, and of one from as many centroids of spherical
        k-means and filters of white noise: source, round, filters, removed_code (of the curve),
        scores.
    """
    found = search_curve(kernels, curve.points, energy, codes, keys)
    begun = int(found.steps["filters"].iloc[0])
    seen = sample_of(kernels, sample)
    others = {
        "k-means": spherical_kmeans(seen, min(begun, len(seen)), SEED),
        RANDOM: random_filters(begun, side(kernels), SEED),
    }
    removed = found.steps["removed"].astype("float64").map(dict(enumerate(curve.codes.tolist())))
    parts = [found.steps.assign(source="curve", removed_code=removed)]
    for name, filters in others.items():
        steps = search(kernels, filters, energy).steps
        parts.append(steps.assign(source=name, round=1))
    table = pd.concat(parts, ignore_index=True).drop(columns="removed")
    first = ["source", "round", "filters", "removed_code"]
    return found, table[[*first, *table.columns.difference(first, sort=False)]]


def filter_sets(
    keys: np.ndarray,
    prototypes: np.ndarray,
    kernels: np.ndarray,
    sample: int,
    published: np.ndarray | None = None,
) -> tuple[dict[str, list[np.ndarray]], Scales]:
    """Return the sets of filters to compare, and the refitted scales.

    Parameters
    ----------
    keys, prototypes : ndarray of shape (n, k * k) and (m, k * k)
    kernels
        The corpus, normalised.
    sample
        Largest number of kernels for refitting the scales.
    published : ndarray of shape (8, 49)
        See `kernelatlas.evidence.published.read_published`; of 7×7 kernels, where they are given.

    Returns
    -------
    sets : dict
        By name, one set of filters, or several of random ones.
    scales
        See `kernelatlas.evidence.idealised.refit`.
    """
    k = side(keys)
    scales = refit(sample_of(kernels, sample), k)
    sets = {
        KEYS: [keys],
        **({} if published is None else {PUBLISHED: [published]}),
        **{name: [idealised(k, of)[1]] for name, of in _idealised_sets(scales).items()},
        PROTOTYPES: [prototypes],
        RANDOM: [random_filters(len(keys), k, seed) for seed in range(RANDOM_SETS)],
    }
    return sets, scales


def _idealised_sets(refitted: Scales) -> dict[str, Scales]:
    return {**{f"{IDEALISED} {name}": of for name, of in SETS.items()}, REFITTED: refitted}


def filter_table(
    sets: Mapping[str, Sequence[np.ndarray]],
    codes: Sequence[float],
    refitted: Scales,
    kernels: np.ndarray,
    energy: np.ndarray,
) -> pd.DataFrame:
    """Describe the master keys, the idealised filters and the published ones.

    Parameters
    ----------
    sets, refitted
        As `filter_sets` returns them.
    codes
        Of the keys.
    kernels, energy
        The corpus, normalised, and the energies of its raw kernels.

    Returns
    -------
    DataFrame
        A row for each filter, columns as in results/README.md. `matched` pairs keys and idealised
        filters one to one, for the greatest sum of |cos|; `published` all with the published
        filters, likewise.
    """
    keys = sets[KEYS][0]
    k = side(keys)
    names, of_default = idealised(k)
    cosine = np.abs(keys @ of_default.T)
    closest = np.abs(keys @ sets[REFITTED][0].T)
    matched = _matched(keys, of_default)
    of_keys = {
        "code": np.asarray(codes, np.float32),
        "nearest": [names[i] for i in cosine.argmax(axis=1)],
        "nearest_cosine": cosine.max(axis=1),
        "nearest_refitted": [names[i] for i in closest.argmax(axis=1)],
        "nearest_refitted_cosine": closest.max(axis=1),
        "matched": matched["filter"].map(dict(enumerate(names))),
        "matched_cosine": matched["cosine"],
    }
    parts = [_described(KEYS, sets, kernels, energy).assign(**of_keys)]
    for name, scales in _idealised_sets(refitted).items():
        sigmas = dict(zip(OPERATORS, scales.sigmas, strict=True))
        gammas = [scales.gamma if n == CENTRE_SURROUND else np.nan for n in names]
        part = _described(name, sets, kernels, energy)
        x, y = zip(*(sigmas[n] for n in names), strict=True)
        parts.append(part.assign(name=list(names), sigma_x=x, sigma_y=y, gamma=gammas))
    if PUBLISHED in sets:
        parts.insert(1, _described(PUBLISHED, sets, kernels, energy).assign(name=list(OPERATORS)))
    columns_last = ["published", "published_r2", "label", "label_cosine", "weights"]
    table = pd.concat(parts, ignore_index=True)
    return table[[c for c in table.columns if c not in columns_last] + columns_last]


def _matched(filters: np.ndarray, others: np.ndarray) -> pd.DataFrame:
    """Pair filters one to one, for the greatest sum of |cos|: filter (of the others) and cosine."""
    cosine = np.abs(filters @ others.T)
    rows, columns = linear_sum_assignment(cosine, maximize=True)
    found = pd.DataFrame({"filter": columns, "cosine": cosine[rows, columns]}, index=rows)
    return found.astype({"filter": "Int16"}).reindex(range(len(filters)))


def _described(
    name: str, sets: Mapping[str, Sequence[np.ndarray]], kernels: np.ndarray, energy: np.ndarray
) -> pd.DataFrame:
    filters = sets[name][0]
    index, r2 = best_filter(kernels, filters)
    n = np.bincount(index, minlength=len(filters))
    found = bank(side(filters)).name(filters, -1)
    published = pd.DataFrame({"filter": pd.NA, "cosine": np.nan}, index=range(len(filters)))
    if PUBLISHED in sets and name != PUBLISHED:
        published = _matched(filters, sets[PUBLISHED][0])
    return pd.DataFrame(
        {
            "filters": name,
            "number": np.arange(1, len(filters) + 1),
            "share": n / len(kernels),
            "energy": np.bincount(index, energy, len(filters)) / energy.sum(),
            "mean_r2": np.bincount(index, r2, len(filters)) / np.where(n, n, np.nan),
            "published": published["filter"].astype("Int16") + 1,
            "published_r2": published["cosine"].astype("float64") ** 2,
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
        number (of filters), kernels, degenerate (these are in the shares' denominators), the
        scores, and low and high: a 95 % interval over layers of the share with R² of `SHOWN`.
    """
    table = []
    of_models = list(zip(paths, models, strict=True))
    for path, (model, family, trained, _) in tracked(of_models, "explained kernels", "networks"):
        rows, weights = read_square(path, k)
        if not len(rows):
            continue
        degenerate = rows["degenerate"].to_numpy()
        _, layer, sizes = np.unique(rows["layer_index"], return_inverse=True, return_counts=True)
        raw, live = weights[~degenerate], layer[~degenerate]
        kernels, energy = normalise(raw), energies(raw)
        for name, alternatives in sets.items():
            r2 = [best_filter(kernels, f)[1] for f in alternatives]
            found = [scores(one, energy, len(rows)) for one in r2]
            passed = np.mean([one >= SHOWN for one in r2], axis=0)
            interval = share(np.bincount(live, passed, minlength=len(sizes)), sizes)
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
                    "low": float(interval.low),
                    "high": float(interval.high),
                }
            )
    return pd.DataFrame(table)

"""Whether networks with more identified kernels are more accurate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import permutation_test, rankdata

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.intervals import independent
from kernelatlas.running.tensors import read_metadata

HELD_OUT, IMAGENET = "held-out subject accuracy", "ImageNet top-1"
FEWEST = 4  # networks, for a correlation
PERMUTATIONS = 9999  # at most; all of them if there are fewer
VALIDATION = 50_000  # pictures of ImageNet's validation set
VIEWS = 4  # crops of one held-out place: its rotations
COLUMNS = (
    *("model", "family", "k", "kernels", "share_identified", "low", "high"),
    *("accuracy", "accuracy_low", "accuracy_high", "measure"),
)


def accuracy_table(
    models: pd.DataFrame,
    networks: Sequence[str],
    weights: Sequence[str | Path],
    imagenet: str | Path,
) -> pd.DataFrame:
    """Return the accuracy of trained networks and their share of identified kernels.

    Parameters
    ----------
    models
        As `kernelatlas.tables.models.model_table` returns them.
    networks, weights
        Names and files of networks that `kernelatlas.training.network.train` made.
    imagenet
        Path of a CSV file with the columns name and top1, in percent; lines with # are comments.

    Returns
    -------
    DataFrame
        The columns of `COLUMNS`, accuracies from 0 to 1; without networks of unknown accuracy.

    Raises
    ------
    KernelAtlasError
        If a file has no accuracy, or is not such a table.
    """
    held_out = {name: _held_out(path) for name, path in zip(networks, weights, strict=True)}
    top1 = {name: (value, VALIDATION) for name, value in _imagenet(imagenet).items()}
    trained = models[models["trained"]]
    parts = []
    for measure, known in ((HELD_OUT, held_out), (IMAGENET, top1)):
        rows = trained[trained["model"].isin(known)]
        values, pictures = np.array([known[name] for name in rows["model"]]).reshape(-1, 2).T
        found = independent(values * pictures, pictures)
        limits = {"accuracy_low": found.low, "accuracy_high": found.high}
        parts.append(rows.assign(accuracy=found.value, **limits, measure=measure))
    table = pd.concat(parts)[list(COLUMNS)]
    return table.sort_values(["measure", "k", "family", "model"], ignore_index=True)


def _held_out(path: str | Path) -> tuple[float, int]:
    """Return the accuracy, and the number of places of which it is; crops of one are alike."""
    try:
        known = read_metadata(path)
        return float(known["held_out"]["accuracy_subject"]), known["held_out_crops"] // VIEWS
    except (KernelAtlasError, KeyError) as error:
        raise KernelAtlasError(
            f"{path}: has no held-out accuracy ({error}): it must be a network that "
            f"`snakemake zoo` trained; without {Path(path).stem}_history.parquet beside it, it is "
            "not taken for one"
        ) from error


def _imagenet(path: str | Path) -> dict[str, float]:
    try:
        table = pd.read_csv(path, comment="#")
        found = dict(zip(table["name"].astype(str), table["top1"].astype(float) / 100, strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise KernelAtlasError(
            f"{path}: not a table of the accuracy on ImageNet ({error}): it needs the columns name "
            "and top1; restore it from the repository"
        ) from error
    return found


def correlation_table(accuracy: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """Correlate ranks of share and accuracy, for each kernel size and over all.

    Over all sizes a network counts once, with its share of the kernels of all sizes.

    Parameters
    ----------
    accuracy
        As `accuracy_table` returns it.
    resamples
        Of the bootstrap over networks.

    Returns
    -------
    DataFrame
        measure, k (empty over all sizes), networks, rho (Spearman), low, high (a 95 % percentile
        interval) and p, two-sided, of a permutation test; empty for fewer than 4 networks, or if
        all have one share or one accuracy.
    """
    table = accuracy.assign(identified=accuracy["share_identified"] * accuracy["kernels"])
    groups = [*table.groupby(["measure", "k"])]
    for measure, rows in table.groupby("measure"):
        sums = rows.groupby("model")[["identified", "kernels"]].sum()
        merged = pd.DataFrame(
            {
                "share_identified": sums["identified"] / sums["kernels"],
                "accuracy": rows.groupby("model")["accuracy"].first(),
            }
        )
        groups.append(((measure, None), merged))
    columns = ["measure", "k", "networks", "rho", "low", "high", "p"]
    found = [
        {
            **{"measure": measure, "k": k, "networks": len(rows)},
            **correlate(rows["share_identified"], rows["accuracy"], resamples),
        }
        for (measure, k), rows in groups
    ]
    kinds = {"k": "Int16", "networks": "int64", **dict.fromkeys(columns[3:], "float64")}
    result = pd.DataFrame(found, columns=columns).astype(kinds)
    return result.sort_values(["measure", "k"], ignore_index=True)


def correlate(first: Sequence, second: Sequence, resamples: int) -> dict[str, float]:
    """Return Spearman's rho with a bootstrap interval and the p of a permutation test.

    Resamples in which one of the two is constant are left out.
    """
    x, y = (np.asarray(values, dtype=float) for values in (first, second))
    blank: dict[str, Any] = dict.fromkeys(("rho", "low", "high", "p"), np.nan)
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return blank
    drawn = np.random.default_rng(0).integers(len(x), size=(resamples, len(x)))
    with np.errstate(invalid="ignore"):
        rhos = _spearman(x[drawn], y[drawn])
    low, high = np.nanquantile(rhos, (0.025, 0.975))
    test = permutation_test(
        (x,),
        lambda sample, axis: _spearman(sample, y),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        rng=np.random.default_rng(0),
    )
    rho = float(test.statistic)
    return {"rho": rho, "low": float(low), "high": float(high), "p": float(test.pvalue)}


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of ranks along the last axis."""
    x, y = (rankdata(values, axis=-1) for values in (x, y))
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    return (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))

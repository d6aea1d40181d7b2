"""Shares of trained kernels that pass a rule, beside those of kernels without structure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.names import ALL_FAMILIES, DEGENERATE, NULLS, OTHER, TRAINED, UNTRAINED
from kernelatlas.tables.fits import beside_fits

SETS = (TRAINED, UNTRAINED, *NULLS)
LAYER = ["model", "layer_index"]
LEVEL = 0.95
POINTS = 101


def gather(
    labels: Sequence[str | Path],
    fits: Sequence[str | Path],
    nulls: str | Path,
    models: Sequence[Sequence],
    k: int,
) -> pd.DataFrame:
    """Return every kernel of a size in the sets of `SETS`.

    Parameters
    ----------
    labels, fits
        Label and fit tables of the same models, in one order.
    models
        name, family, trained and training data of the zoo's models.

    Returns
    -------
    DataFrame
        set, family, model, layer_index, dissimilarity (infinite where the label is no name or most
        seeds give another shape), r2 (0 for degenerate kernels).
    """
    known = {name: (family, trained) for name, family, trained, _ in models}
    real = beside_fits(labels, fits, ["label", "agreement", "dissimilarity"], ["r2"], k)
    real["set"] = real["model"].map(lambda name: TRAINED if known[name][1] else UNTRAINED)
    columns = ["null", *LAYER, "label", "agreement", "dissimilarity", "r2"]
    chance = pd.read_parquet(nulls, columns=columns)
    every = pd.concat([real, chance.rename(columns={"null": "set"})], ignore_index=True)
    every["family"] = every["model"].map(lambda name: known[name][0])
    nameless = every["label"].astype(str).isin([OTHER, DEGENERATE])
    outvoted = ~(every["agreement"].astype("float64") > 0.5)
    distance = every["dissimilarity"].astype("float64").mask(nameless | outvoted)
    return every.assign(dissimilarity=distance.fillna(np.inf), r2=every["r2"].fillna(0.0))[
        ["set", "family", *LAYER, "dissimilarity", "r2"]
    ]


@dataclass
class Share:
    """The share of kernels that pass, and its resampled values over layers."""

    value: float
    resampled: np.ndarray

    def interval(self) -> tuple[float, float]:
        """Return the central 95 % of the resampled values; of one layer there are none."""
        if not self.resampled.size:
            return np.nan, np.nan
        low, high = np.quantile(self.resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def bootstrap(kernels: pd.DataFrame, passed: pd.Series, resamples: int, seed: int) -> Share:
    """Resample layers, with replacement: kernels of one layer are not independent.

    Parameters
    ----------
    kernels
        Columns of `LAYER`.
    passed : Series of bool
        Of the same index.
    """
    counts = passed.groupby([kernels[name] for name in LAYER], observed=True).agg(["sum", "size"])
    hits, sizes = counts["sum"].to_numpy(float), counts["size"].to_numpy(float)
    resampled = np.empty(0)
    if len(hits) > 1:
        even = np.full(len(hits), 1 / len(hits))
        drawn = np.random.default_rng(seed).multinomial(len(hits), even, size=resamples)
        resampled = (drawn @ hits) / (drawn @ sizes)
    return Share(float(hits.sum() / sizes.sum()), resampled)


def calibrated(null: pd.Series, rate: float, upwards: bool) -> float:
    """Return the threshold that a null passes at most at the rate.

    Parameters
    ----------
    null
        What is compared with the threshold.
    rate
        Share of the null that may pass.
    upwards
        Whether values above the threshold pass (R²), or those below it (dissimilarity).
    """
    values = np.sort(null.to_numpy(float))
    allowed = int(rate * len(values))
    return float(values[len(values) - 1 - allowed] if upwards else values[allowed])


def null_shares(
    kernels: pd.DataFrame, threshold: float, r2: float, rate: float, resamples: int
) -> pd.DataFrame:
    """Compare trained kernels with each null, family by family and all together.

    Parameters
    ----------
    kernels
        As `gather` returns them.
    threshold
        Dissimilarity below which a kernel with a name is identified (the paper's rule).
    r2
        Bound of R² of the selected analytic function.
    rate
        False positives that a calibrated threshold lets through.

    Returns
    -------
    DataFrame
        A row a family, set and rule; see results/README.md.
    """
    rows = []
    trained_families = kernels.loc[kernels["set"] == TRAINED, "family"].unique()
    for family in [*sorted(trained_families), ALL_FAMILIES]:
        own = kernels if family == ALL_FAMILIES else kernels[kernels["family"] == family]
        sets = {name: own[own["set"] == name] for name in SETS}
        trained = sets[TRAINED]
        for rule, bound in (("identified", threshold), ("r2", r2)):

            def passed(part: pd.DataFrame, limit: float, rule: str = rule) -> pd.Series:
                return part["dissimilarity"] < limit if rule == "identified" else part["r2"] > limit

            column = "dissimilarity" if rule == "identified" else "r2"
            real = bootstrap(trained, passed(trained, bound), resamples, 0)
            for number, (name, part) in enumerate(sets.items()):
                if part.empty:
                    continue
                share = bootstrap(part, passed(part, bound), resamples, number)
                low, high = share.interval()
                row = {
                    "family": family,
                    "set": name,
                    "rule": rule,
                    "kernels": len(part),
                    "layers": len(part[LAYER].drop_duplicates()),
                    "threshold": bound,
                    "share": share.value,
                    "low": low,
                    "high": high,
                }
                if name != TRAINED:
                    limit = calibrated(part[column], rate, upwards=rule == "r2")
                    strict = bootstrap(trained, passed(trained, limit), resamples, 0)
                    low, high = strict.interval()
                    more = Share(
                        real.value - share.value,
                        real.resampled - share.resampled
                        if real.resampled.size and share.resampled.size
                        else np.empty(0),
                    )
                    more_low, more_high = more.interval()
                    row |= {
                        "excess": more.value,
                        "excess_low": more_low,
                        "excess_high": more_high,
                        "calibrated_threshold": limit,
                        "trained_share": strict.value,
                        "trained_low": low,
                        "trained_high": high,
                        "distinguishable": bool(more_low > 0 and low > rate),
                    }
                rows.append(row)
    table = pd.DataFrame(rows)
    table["distinguishable"] = table["distinguishable"].astype("boolean")
    return table


def null_curves(kernels: pd.DataFrame) -> pd.DataFrame:
    """Return the share that passes either rule at every threshold, of each set and family.

    Returns
    -------
    DataFrame
        family, set, rule, threshold, share; families of trained kernels alone, sets of all.
    """
    grid = np.linspace(0, 1, POINTS)
    groups = [(ALL_FAMILIES, name, kernels[kernels["set"] == name]) for name in SETS]
    trained = kernels[kernels["set"] == TRAINED]
    groups += [(str(family), TRAINED, part) for family, part in trained.groupby("family")]
    rows = []
    for family, name, part in groups:
        if part.empty:
            continue
        below = np.searchsorted(np.sort(part["dissimilarity"]), grid, side="left")
        above = len(part) - np.searchsorted(np.sort(part["r2"]), grid, side="right")
        for rule, counts in (("identified", below), ("r2", above)):
            rows.append(
                pd.DataFrame(
                    {
                        "family": family,
                        "set": name,
                        "rule": rule,
                        "threshold": grid,
                        "share": counts / len(part),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)

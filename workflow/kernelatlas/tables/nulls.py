"""Shares of trained kernels and of nulls that pass a rule: identified, or described by a fit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.evidence.described import described
from kernelatlas.evidence.intervals import Estimate, share
from kernelatlas.names import ALL_FAMILIES, DEGENERATE, NULLS, OTHER, TRAINED, UNTRAINED
from kernelatlas.tables.fits import beside_fits

SETS = (TRAINED, UNTRAINED, *NULLS)
LAYER = ["model", "layer_index"]
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
        set, family, model, layer_index, dissimilarity (infinite without a name, or where most seeds
        give another shape), r2 (0 for degenerate kernels).
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


def layer_share(kernels: pd.DataFrame, passed: pd.Series) -> Estimate:
    """Return the share that passes, with an interval over layers (`intervals.share`).

    Parameters
    ----------
    kernels
        Columns of `LAYER`.
    passed : Series of bool
        Of the same index.
    """
    counts = passed.groupby([kernels[name] for name in LAYER], observed=True).agg(["sum", "size"])
    return share(counts["sum"].to_numpy(), counts["size"].to_numpy())


def calibrated(null: pd.Series, rate: float, upwards: bool) -> float:
    """Return the threshold that a null passes at most at the rate.

    Parameters
    ----------
    null
        Values that are compared with the threshold.
    rate
        Share of the null that may pass.
    upwards
        Whether values from the threshold on pass, as `described` compares R², or those below it,
        as dissimilarities are compared.
    """
    values = np.sort(null.to_numpy(np.float32 if upwards else np.float64))
    allowed = int(rate * len(values))
    if upwards:
        above = np.nextafter(values[len(values) - 1 - allowed], np.float32(np.inf))
        return float(max(above, np.finfo(np.float32).tiny))  # a processor may take less for 0
    return float(values[allowed])


def passes(kernels: pd.DataFrame, rule: str, threshold: float) -> pd.Series:
    """Tell which kernels pass a rule, `identified` or `r2`, at a threshold."""
    if rule == "identified":
        return kernels["dissimilarity"] < threshold
    return described(kernels["r2"], threshold)


def null_shares(kernels: pd.DataFrame, threshold: float, r2: float, rate: float) -> pd.DataFrame:
    """Compare trained kernels with each null, family by family and all together.

    Parameters
    ----------
    kernels
        As `gather` returns them.
    threshold
        Dissimilarity below which a kernel with a name is identified (the paper's rule).
    r2
        Threshold of R² of the selected analytic function, as `described` takes it.
    rate
        False positives that a calibrated threshold lets through.

    Returns
    -------
    DataFrame
        A row for each family, set and rule; see results/README.md.
    """
    rows = []
    trained_families = kernels.loc[kernels["set"] == TRAINED, "family"].unique()
    for family in [*sorted(trained_families), ALL_FAMILIES]:
        own = kernels if family == ALL_FAMILIES else kernels[kernels["family"] == family]
        sets = {name: own[own["set"] == name] for name in SETS}
        trained = sets[TRAINED]
        for rule, in_use in (("identified", threshold), ("r2", r2)):
            real = layer_share(trained, passes(trained, rule, in_use))
            for name, part in sets.items():
                if part.empty:
                    continue
                found = layer_share(part, passes(part, rule, in_use))
                row = {
                    "family": family,
                    "set": name,
                    "rule": rule,
                    "kernels": len(part),
                    "layers": len(part[LAYER].drop_duplicates()),
                    "threshold": in_use,
                    "share": float(found.value),
                    "low": float(found.low),
                    "high": float(found.high),
                }
                if name != TRAINED:
                    column = part["dissimilarity"] if rule == "identified" else part["r2"]
                    strict = calibrated(column, rate, upwards=rule == "r2")
                    passing = layer_share(trained, passes(trained, rule, strict))
                    excess = real.minus(found)
                    row |= {
                        "excess": float(excess.value),
                        "excess_low": float(excess.low),
                        "excess_high": float(excess.high),
                        "calibrated_threshold": strict,
                        "trained_share": float(passing.value),
                        "trained_low": float(passing.low),
                        "trained_high": float(passing.high),
                        "distinguishable": bool(excess.low > 0 and passing.low > rate),
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
        identified = np.searchsorted(np.sort(part["dissimilarity"]), grid, side="left")
        # In single precision, as `described` compares them.
        r2 = np.sort(part["r2"].to_numpy(np.float32))
        fitted = len(part) - np.searchsorted(r2, grid.astype(np.float32), side="left")
        for rule, counts in (("identified", identified), ("r2", fitted)):
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

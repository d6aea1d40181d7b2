"""Shares of trained kernels and of nulls that pass a rule: identified, or described by a fit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.evidence.described import described
from kernelatlas.evidence.intervals import Estimate, share
from kernelatlas.names import ALL_FAMILIES, ALL_NETWORKS, IN_SAMPLE, TRAINED
from kernelatlas.tables.compared import LAYER, SETS, seeds

POINTS = 101
COLUMNS = (
    *("family", "model", "set", "rule", "kernels", "live", "layers", "threshold"),
    *("share", "low", "high", "share_live", "seeds_sd", "share_in_sample"),
    *("excess", "excess_low", "excess_high", "excess_live", "calibrated_threshold"),
    *("trained_share", "trained_low", "trained_high", "distinguishable"),
)
CROSSFIT = (
    "share",
    "low",
    "high",
    "share_live",
    "seeds_sd",
)  # empty where every curve saw a kernel


class Part:
    """Kernels of one set, and how to estimate shares of them.

    Parameters
    ----------
    kernels
        Rows that `kernelatlas.tables.compared.gather` returns.
    """

    def __init__(self, kernels: pd.DataFrame) -> None:
        self.kernels = kernels
        self.layer = kernels.groupby(LAYER, observed=True, sort=False).ngroup().to_numpy()
        self.sizes = np.bincount(self.layer)
        self.live = kernels["live"].to_numpy(bool)

    def over_layers(self, passed: np.ndarray) -> Estimate:
        """Return the share that passes, with an interval over layers."""
        return share(np.bincount(self.layer, passed, minlength=len(self.sizes)), self.sizes)

    def of_live(self, passed: np.ndarray) -> float:
        """Return the share of live kernels that passes; NaN without any."""
        return float(passed[self.live].mean()) if self.live.any() else float("nan")

    def alone(self, rule: str, threshold: float) -> np.ndarray:
        """Return the share that each seed alone identifies, (seeds,); empty for other rules."""
        if rule != "identified":
            return np.empty(0)
        return (self.kernels[seeds(self.kernels)] < threshold).mean().to_numpy()

    def passes(self, rule: str, threshold: float) -> np.ndarray:
        """Tell which kernels pass a rule, `identified` or `r2`, at a threshold."""
        if rule == "identified":
            return (self.kernels["dissimilarity"] < threshold).to_numpy()
        return described(self.kernels["r2"], threshold).to_numpy()

    def estimate(self, rule: str, threshold: float) -> Estimate:
        """Return the share that passes a rule, with an interval over layers and seeds."""
        found = self.over_layers(self.passes(rule, threshold))
        return found.over_seeds(self.alone(rule, threshold)).within(0, 1)

    def excess(self, other: "Part", rule: str, threshold: float) -> Estimate:
        """Return how much more of these kernels pass a rule than of others."""
        both = (part.over_layers(part.passes(rule, threshold)) for part in (self, other))
        one, two = both
        alone = self.alone(rule, threshold) - other.alone(rule, threshold)
        return one.minus(two).over_seeds(alone).within(-1, 1)

    def known(self, rule: str) -> bool:
        """Tell whether the rule applies: not to trained kernels that every curve has seen."""
        return rule != "identified" or not self.kernels["dissimilarity"].isna().any()


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


def null_shares(kernels: pd.DataFrame, threshold: float, r2: float, rate: float) -> pd.DataFrame:
    """Compare trained kernels with each null: by network, by family and all together.

    Parameters
    ----------
    kernels
        As `kernelatlas.tables.compared.gather` returns them.
    threshold
        Dissimilarity below which a kernel with a name is identified (the paper's rule).
    r2
        Threshold of R² of the selected analytic function, as `described` takes it.
    rate
        False positives that a calibrated threshold lets through.

    Returns
    -------
    DataFrame
        A row for each network or group of them, set and rule; see results/README.md.
    """
    rows = []
    for family, model, group in groups(kernels):
        sets = {
            str(name): Part(part.reset_index(drop=True))
            for name, part in group.groupby("set", observed=True)
        }
        for rule, in_use in (("identified", threshold), ("r2", r2)):
            for name in SETS:
                if name in sets:
                    row = {"family": family, "model": model, "set": name, "rule": rule}
                    rows.append({**row, **_row(sets, name, rule, in_use, rate)})
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    numbers = dict.fromkeys(COLUMNS[COLUMNS.index("threshold") : -1], "float64")
    return table.astype({**numbers, "distinguishable": "boolean"})


def groups(kernels: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield family, model and kernels of each trained network, each family, and all."""
    trained = kernels.loc[kernels["set"] == TRAINED, ["family", "model"]].drop_duplicates()
    for family, models in trained.groupby("family", observed=True):
        own = kernels[kernels["family"] == family]
        for model in sorted(models["model"].astype(str)):
            yield str(family), model, own[own["model"] == model]
        yield str(family), ALL_NETWORKS, own
    yield ALL_FAMILIES, ALL_NETWORKS, kernels


def _row(
    sets: dict[str, Part], name: str, rule: str, threshold: float, rate: float
) -> dict[str, Any]:
    part, trained = sets[name], sets[TRAINED]
    passed = part.passes(rule, threshold)
    found = part.estimate(rule, threshold)
    row: dict[str, Any] = {
        "kernels": len(passed),
        "live": int(part.live.sum()),
        "layers": len(part.sizes),
        "threshold": threshold,
        "share": float(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "share_live": part.of_live(passed),
    }
    alone = part.alone(rule, threshold)
    if len(alone) > 1:
        row["seeds_sd"] = float(alone.std(ddof=1))
    if name == TRAINED:
        if rule == "identified":
            row["share_in_sample"] = float((part.kernels["in_sample"] < threshold).mean())
        return row if part.known(rule) else row | dict.fromkeys(CROSSFIT, np.nan)
    column = part.kernels["dissimilarity" if rule == "identified" else "r2"]
    strict = calibrated(column, rate, upwards=rule == "r2")
    row["calibrated_threshold"] = strict
    if not trained.known(rule):
        return row | {"distinguishable": False}
    passing = trained.estimate(rule, strict)
    excess = trained.excess(part, rule, threshold)
    of_live = trained.of_live(trained.passes(rule, threshold))
    return row | {
        "excess": float(excess.value),
        "excess_low": float(excess.low),
        "excess_high": float(excess.high),
        "excess_live": of_live - row["share_live"],
        "trained_share": float(passing.value),
        "trained_low": float(passing.low),
        "trained_high": float(passing.high),
        "distinguishable": bool(excess.low > 0 and passing.low > rate),
    }


def null_curves(kernels: pd.DataFrame) -> pd.DataFrame:
    """Return the share that passes either rule at every threshold, of each set and family.

    Returns
    -------
    DataFrame
        family, set, rule, threshold, share; families of trained kernels alone, sets of all, among
        them `IN_SAMPLE`.
    """
    grid = np.linspace(0, 1, POINTS)
    trained = kernels[kernels["set"] == TRAINED]
    groups = [(ALL_FAMILIES, name, kernels[kernels["set"] == name]) for name in SETS]
    groups += [(str(f), TRAINED, part) for f, part in trained.groupby("family", observed=True)]
    rows = []

    def add(family: str, name: str, rule: str, counts: np.ndarray, n: int) -> None:
        same = {"family": family, "set": name, "rule": rule}
        rows.append(pd.DataFrame({**same, "threshold": grid, "share": counts / n}))

    # In single precision, as they are compared.
    single = grid.astype(np.float32)
    for family, name, part in groups:
        if len(part):
            distance = np.sort(part["dissimilarity"].to_numpy(np.float32))
            if not np.isnan(distance).any():
                add(family, name, "identified", np.searchsorted(distance, single), len(part))
            r2 = np.sort(part["r2"].to_numpy(np.float32))
            add(family, name, "r2", len(part) - np.searchsorted(r2, single), len(part))
    seen = np.sort(trained["in_sample"].to_numpy(np.float32))
    add(ALL_FAMILIES, IN_SAMPLE, "identified", np.searchsorted(seen, single), len(trained))
    return pd.concat(rows, ignore_index=True)

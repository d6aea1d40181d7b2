"""Fits whose parameters ended at a limit of the search: trained kernels beside the nulls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.evidence.described import described
from kernelatlas.evidence.functions import functions
from kernelatlas.evidence.intervals import share
from kernelatlas.evidence.jet import AT_LIMIT, ORDERS, R2
from kernelatlas.names import ALL_FAMILIES, ALL_NETWORKS
from kernelatlas.tables.compared import LAYER, SETS, beside_nulls
from kernelatlas.tables.nulls import groups

SELECTED, DESCRIBED, ANY = "selected", "described", "any"
# What was fitted, with its columns of the limits and of R².
FITTED = {
    SELECTED: ("at_limit", "r2"),
    DESCRIBED: ("at_limit", "r2"),
    **{f"jet {order}": (AT_LIMIT[order], R2[order]) for order in ORDERS},
}
COLUMNS = (
    *("family", "model", "set", "k", "function", "limit", "value", "kernels", "layers"),
    *("at_limit", "share", "low", "high", "mean_r2"),
)


def limit_table(
    fits: Sequence[str | Path],
    nulls: str | Path,
    models: Sequence[Sequence],
    k: int,
    threshold: float,
) -> pd.DataFrame:
    """Count the fits of a size that ended at a limit, by set and network, and by limit.

    Parameters
    ----------
    fits
        Fit tables of the zoo's models.
    nulls
        Table of the null kernels of this size.
    models
        name, family, trained and training data of the zoo's models.
    threshold
        Of `described`.

    Returns
    -------
    DataFrame
        For the selected functions, those that describe their kernels, and the jets of each order a
        row for each set of each network, of each family and of all together; of all together also
        one for each limit of each selected function. Columns as in results/README.md. Degenerate
        kernels are left out.
    """
    columns = [*LAYER, "function", *dict.fromkeys(sum(FITTED.values(), ()))]
    kernels = beside_nulls(fits, nulls, models, k, columns)
    kernels = kernels[kernels["r2"].notna()]
    kernels["layer"] = kernels.groupby(LAYER, sort=False, observed=True).ngroup().astype("int32")
    rows = []
    for family, model, group in groups(kernels):
        for name in SETS:
            own = group[group["set"] == name]
            if own.empty:
                continue
            same = {"family": family, "model": model, "set": name, "k": k, "limit": ANY}
            for fitted, (limit, r2) in FITTED.items():
                part = own[described(own["r2"], threshold)] if fitted == DESCRIBED else own
                if len(part) and part[r2].notna().all():
                    counted = _count(part, part[limit].notna().to_numpy(), r2)
                    rows.append(same | {"function": fitted} | counted)
            if (family, model) == (ALL_FAMILIES, ALL_NETWORKS):
                rows += [same | row for row in _by_limit(own, k)]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def _by_limit(kernels: pd.DataFrame, k: int) -> list[dict[str, Any]]:
    """Return a row for each limit of each function at which fits ended."""
    rows = []
    limits = kernels["at_limit"].cat
    # The last one is for fits without: their code is -1.
    named = [*(str(text).split(", ") for text in limits.categories), []]
    code = limits.codes.to_numpy()
    for name, function in functions(k).items():
        of_function = (kernels["function"] == name).to_numpy()
        for parameter, ends in zip(function.parameters, function.limits, strict=True):
            for word, value in zip(("least", "greatest"), ends, strict=True):
                limit = f"{word} {parameter}"
                there = np.array([limit in names for names in named])[code] & of_function
                if there.any():
                    row = {"function": name, "limit": limit, "value": value}
                    rows.append(row | _count(kernels, there, "r2"))
    return rows


def _count(kernels: pd.DataFrame, there: np.ndarray, r2: str) -> dict[str, Any]:
    """Return how many kernels are there, their share with its 95 % interval, and their mean R²."""
    layer = kernels["layer"].to_numpy()
    sizes = np.bincount(layer)
    sizes, hits = sizes[sizes > 0], np.bincount(layer, there, minlength=len(sizes))[sizes > 0]
    found = share(hits, sizes)
    return {
        "kernels": len(kernels),
        "layers": len(sizes),
        "at_limit": int(there.sum()),
        "share": float(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "mean_r2": float(kernels.loc[there, r2].mean()),
    }

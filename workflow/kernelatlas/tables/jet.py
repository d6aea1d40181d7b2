"""Local jets: how well each order describes kernels, trained ones beside the nulls."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from kernelatlas.evidence.jet import AT_LIMIT, BEST, ENERGIES, ORDERS, R2, SUMMARY
from kernelatlas.names import ALL_FAMILIES, TRAINED, UNTRAINED
from kernelatlas.tables.compared import SETS, beside_nulls


def jet_table(
    fits: Sequence[str | Path], nulls: str | Path, models: Sequence[Sequence], k: int
) -> pd.DataFrame:
    """Summarise the jets of a size by set and family, and of each network.

    Parameters
    ----------
    fits
        Fit tables of the zoo's models.
    nulls
        Table of the null kernels of this size.
    models
        name, family, trained and training data of the zoo's models.

    Returns
    -------
    DataFrame
        A row for each set, family (and all together) and network (empty: all of the family);
        columns as in results/README.md. Degenerate kernels are left out.
    """
    columns = ["model", *(name for name in SUMMARY if name not in AT_LIMIT)]
    every = beside_nulls(fits, nulls, models, k, columns)
    every = every[every[R2[0]].notna()]
    rows = [
        {"family": family, "model": model, "set": name, "k": k} | _summary(own)
        for family, model, part in _parts(every)
        for name in SETS
        if len(own := part[part["set"] == name])
    ]
    return pd.DataFrame(rows)


def _parts(every: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield family, network and kernels of all, of families, and of networks."""
    yield ALL_FAMILIES, "", every
    for family, part in every.groupby("family"):
        yield str(family), "", part
    networks = every[every["set"].isin([TRAINED, UNTRAINED])]
    for (of_family, model), part in networks.groupby(["family", "model"]):
        yield str(of_family), str(model), part


def _summary(kernels: pd.DataFrame) -> dict[str, float]:
    row: dict[str, float] = {"kernels": len(kernels)}
    measured = {f"r2_{order}": name for order, name in zip(ORDERS, R2, strict=True)}
    measured |= {f"{name}_r2": f"{name}_r2" for name in BEST}
    for short, name in measured.items():
        row[f"mean_{short}"] = kernels[name].mean()
        row[f"median_{short}"] = kernels[name].median()
    for order in ORDERS:
        row[f"share_order_{order}"] = float((kernels["jet_order"] == order).mean())
    whole = kernels[R2[2]].mean()
    for name in ENERGIES:
        row[f"share_{name.removeprefix('jet_energy_')}"] = kernels[name].mean() / whole
    return row

"""Analytic fits and labels: which functions are selected, and how well they fit."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.described import agrees, described
from kernelatlas.kernels.table import PLACE
from kernelatlas.names import DEGENERATE
from kernelatlas.tables.grouped import grouped

MODEL = ["family", "model", "trained", "k"]
KEYS = [*PLACE, "k"]


def beside_fits(
    labels: str | Path,
    fits: str | Path,
    of_labels: Sequence[str],
    of_fits: Sequence[str],
    k: int | None = None,
) -> pd.DataFrame:
    """Read the label table of a model and the fits of the same kernels as one table.

    Parameters
    ----------
    labels, fits
        Tables of the model.
    of_labels, of_fits
        Columns in addition to the key.
    k
        Kernels of this size only; without it, all that are fitted.

    Returns
    -------
    DataFrame
        model (str), layer_index, channel, k and these columns.

    Raises
    ------
    KernelAtlasError
        If the rows of the tables are not of the same kernels.
    """
    size = None if k is None else [("k", "==", k)]
    rows = pd.read_parquet(labels, columns=["model", *KEYS, *of_labels], filters=size)
    own = pd.read_parquet(fits, columns=[*KEYS, *of_fits], filters=size)
    own = own.reset_index(drop=True)
    rows = rows[rows["k"].isin(own["k"])].reset_index(drop=True)  # 2×2 are not fitted
    if not rows[KEYS].equals(own[KEYS]):
        raise KernelAtlasError(
            f"{fits}: {len(own)} fits, not of the {len(rows)} kernels of {labels} in "
            "their order: delete both files and run again"
        )
    return pd.concat([rows, own[list(of_fits)]], axis=1).astype({"model": "str"})


def function_table(
    labels: Sequence[str | Path],
    fitted: Sequence[str | Path],
    models: Sequence[Sequence],
    k: int,
    threshold: float,
) -> pd.DataFrame:
    """Count the kernels of a size by model, label and selected function.

    Parameters
    ----------
    labels, fitted
        Label and fit tables of the same models, in one order.
    models
        name, family, trained and training data of the zoo's models.
    threshold
        Of `described`.

    Returns
    -------
    DataFrame
        family, model, trained, k, label, identified, function, form, kernels, described,
        at_limit (of which a parameter ended at a limit of the search), described_at_limit (both),
        agreeing (whose fitted function has the shape of the label), mean_r2,
        mean_gain (of R² over the function's other form).
    """
    known = pd.DataFrame(models, columns=["model", "family", "trained", "trained_on"])
    return grouped(
        (
            _counted(label_path, fit_path, k, threshold).merge(known, on="model")
            for label_path, fit_path in zip(labels, fitted, strict=True)
        ),
        [*MODEL, "label", "identified", "function", "form"],
        kernels=("described", "size"),
        described=("described", "sum"),
        at_limit=("at_limit", "sum"),
        described_at_limit=("described_at_limit", "sum"),
        agreeing=("agreeing", "sum"),
        mean_r2=("r2", "mean"),
        mean_gain=("gain", "mean"),
    )


def _counted(labels: str | Path, fits: str | Path, k: int, threshold: float) -> pd.DataFrame:
    """Return what `function_table` counts of the kernels of one model."""
    columns = ["function", "form", "r2", "other_form_r2", "at_limit", "fit_label"]
    every = beside_fits(labels, fits, ["label", "identified"], columns, k)
    every = every.assign(
        label=every["label"].astype(str),
        function=every["function"].astype(object).fillna(DEGENERATE).astype(str),
        form=every["form"].astype(object).fillna("").astype(str),
        described=described(every["r2"], threshold),
        at_limit=every["at_limit"].notna(),
        gain=every["r2"] - every["other_form_r2"],
        agreeing=agrees(every["label"], every["fit_label"]).fillna(False),
    )
    every["described_at_limit"] = every["described"] & every["at_limit"]
    return every

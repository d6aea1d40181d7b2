"""Which analytic functions kernels and prototypes are, and how well they are described."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas import fits
from kernelatlas.names import DEGENERATE

MODEL = ["family", "model", "trained", "k"]


def function_table(
    labels: Sequence[str | Path],
    fitted: Sequence[str | Path],
    models: Sequence[Sequence],
    k: int,
    bound: float,
) -> pd.DataFrame:
    """Count the kernels of a size by model, label and selected function.

    Parameters
    ----------
    labels, fitted
        Label and fit tables of the same models, in one order.
    models
        name, family, trained and training data of the zoo's models.
    bound
        Of R²: kernels at or above it are `described`.

    Returns
    -------
    DataFrame
        family, model, trained, k, label, identified, function, form, kernels, described, mean_r2,
        mean_gain (of R² over the function's other form).
    """
    known = pd.DataFrame(models, columns=["model", "family", "trained", "trained_on"])
    size = [("k", "==", k)]
    parts = []
    for label_path, fit_path in zip(labels, fitted, strict=True):
        rows = pd.read_parquet(label_path, columns=["model", "label", "identified"], filters=size)
        own = pd.read_parquet(
            fit_path, columns=["function", "form", "r2", "other_form_r2"], filters=size
        )
        parts.append(pd.concat([rows, own], axis=1).astype({"model": str, "label": str}))
    every = pd.concat(parts, ignore_index=True)
    every = every.assign(
        k=np.int16(k),
        function=every["function"].astype(object).fillna(DEGENERATE),
        form=every["form"].astype(object).fillna(""),
        described=every["r2"] >= bound,
        gain=every["r2"] - every["other_form_r2"],
    ).merge(known, on="model")
    return (
        every.groupby([*MODEL, "label", "identified", "function", "form"], sort=True)
        .agg(
            kernels=("described", "size"),
            described=("described", "sum"),
            mean_r2=("r2", "mean"),
            mean_gain=("gain", "mean"),
        )
        .reset_index()
    )


def prototype_table(clusters: Sequence[str | Path], seeds: Sequence[int]) -> pd.DataFrame:
    """Fit the prototypes of cluster tables of one kernel size.

    Returns
    -------
    DataFrame
        seed, the clusters' columns k, cluster, label, template_cosine, members and prototype, the
        columns of `kernelatlas.fits.fit`, and the fitted kernel as `fitted`.
    """
    parts = [
        pd.read_parquet(path).assign(seed=seed) for path, seed in zip(clusters, seeds, strict=True)
    ]
    every = pd.concat(parts, ignore_index=True)
    k = int(every["k"].iloc[0])
    fitted = fits.fit(np.stack(every["prototype"].to_list()))
    columns = ["seed", "k", "cluster", "label", "template_cosine", "members", "prototype"]
    return pd.concat([every[columns], fitted.drop(columns="degenerate")], axis=1).assign(
        fitted=list(fits.render(fitted, k))
    )

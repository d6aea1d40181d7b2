"""Shares identified per model, and labels counted by layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from kernelatlas.clustering.labels import threshold

KNOWN = ("model", "family", "trained", "trained_on")
MODEL = ["family", "model", "trained", "k"]


def read_labels(
    paths: Sequence[str | Path], models: Sequence[Sequence], columns: Sequence[str] = KNOWN
) -> pd.DataFrame:
    """Return label tables as one, with the properties of each model.

    Parameters
    ----------
    models
        A row for each model.
    columns
        Names of the entries of these rows, `model` among them.
    """
    known = pd.DataFrame(models, columns=list(columns))
    labels = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    for column in ("model", "layer", "label"):
        labels[column] = labels[column].astype(str)
    return labels.merge(known, on="model")


def model_table(
    paths: Sequence[str | Path], models: Sequence[Sequence], thresholds: Mapping[str, float]
) -> pd.DataFrame:
    """Count kernels by model and size.

    Parameters
    ----------
    paths
        Label tables.
    models
        name, family, trained and training data of the zoo's models.

    Returns
    -------
    DataFrame
        `share_identified` is over all kernels of the size, degenerate ones included.
    """
    labels = read_labels(paths, models)
    table = (
        labels.groupby([*MODEL, "trained_on"], sort=True)
        .agg(
            kernels=("identified", "size"),
            degenerate=("degenerate", "sum"),
            identified=("identified", "sum"),
            mean_dissimilarity=("dissimilarity", "mean"),
            identified_one_seed=("identified_one_seed", "sum"),
            mean_agreement=("agreement", "mean"),
        )
        .reset_index()
    )
    table["share_identified"] = table["identified"] / table["kernels"]
    table["share_identified_one_seed"] = table["identified_one_seed"] / table["kernels"]
    table["threshold"] = [threshold(int(k), thresholds) for k in table["k"]]
    return table


def composition_table(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Count kernels by model, size, layer and label."""
    return (
        read_labels(paths, models)
        .groupby([*MODEL, "layer_index", "layer", "label"], sort=True)
        .agg(kernels=("identified", "size"), identified=("identified", "sum"))
        .reset_index()
    )

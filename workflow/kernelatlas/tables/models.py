"""Shares identified per model, and labels counted by layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kernelatlas.clustering.labels import SCHEMA, threshold
from kernelatlas.clustering.reasons import COUNTS, with_reasons
from kernelatlas.tables.layers import network_table

KNOWN = ("model", "family", "trained", "trained_on")
MODEL = ["family", "model", "trained", "k"]
REASONS = {name: (name, "sum") for name in COUNTS}
COUNTED = [field.name for field in SCHEMA if not pa.types.is_list(field.type)]


def read_labels(
    paths: Sequence[str | Path], models: Sequence[Sequence], columns: Sequence[str] = KNOWN
) -> pd.DataFrame:
    """Return label tables as one, without lists, with the properties of each model.

    Parameters
    ----------
    models
        A row for each model.
    columns
        Names of the entries of these rows, `model` among them.
    """
    known = pd.DataFrame(models, columns=list(columns))
    labels = pd.concat(
        [pd.read_parquet(path, columns=COUNTED) for path in paths], ignore_index=True
    )
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
        `share_identified` is over all kernels of the size, degenerate ones included;
        `share_identified_live` over live ones (`kernelatlas.kernels.normalise.live`); low and high
        are of `kernelatlas.tables.layers.network_table`.
    """
    labels = _counted(read_labels(paths, models))
    table = (
        labels.groupby([*MODEL, "trained_on"], sort=True)
        .agg(
            kernels=("identified", "size"),
            degenerate=("degenerate", "sum"),
            live=("live", "sum"),
            identified=("identified", "sum"),
            identified_live=("identified_live", "sum"),
            **REASONS,
            mean_dissimilarity=("dissimilarity", "mean"),
            median_dissimilarity=("dissimilarity", "median"),
            identified_one_seed=("identified_one_seed", "sum"),
            mean_agreement=("agreement", "mean"),
        )
        .reset_index()
    )
    table["share_identified"] = table["identified"] / table["kernels"]
    table["share_identified_live"] = table["identified_live"] / table["live"].where(
        table["live"] > 0
    )
    table["share_identified_one_seed"] = table["identified_one_seed"] / table["kernels"]
    table["threshold"] = [threshold(int(k), thresholds) for k in table["k"]]
    return table.merge(network_table(paths, models, thresholds), how="left", on=["model", "k"])


def composition_table(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Count kernels by model, size, layer and label."""
    return (
        _counted(read_labels(paths, models))
        .groupby([*MODEL, "layer_index", "layer", "label"], sort=True)
        .agg(
            kernels=("identified", "size"),
            identified=("identified", "sum"),
            live=("live", "sum"),
            identified_live=("identified_live", "sum"),
            **REASONS,
        )
        .reset_index()
    )


def _counted(labels: pd.DataFrame) -> pd.DataFrame:
    live = labels.assign(identified_live=labels["identified"] & labels["live"])
    return with_reasons(live)

"""Shares identified per model, and labels counted by layer."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kernelatlas.clustering.labels import SCHEMA, threshold
from kernelatlas.clustering.reasons import COUNTS, with_reasons
from kernelatlas.running.progress import tracked
from kernelatlas.tables.grouped import grouped
from kernelatlas.tables.layers import network_table

KNOWN = ("model", "family", "trained", "trained_on")
MODEL = ["family", "model", "trained", "k"]
REASONS = {name: (name, "sum") for name in COUNTS}
COUNTED = [field.name for field in SCHEMA if not pa.types.is_list(field.type)]


def each_network(
    paths: Sequence[str | Path],
    models: Sequence[Sequence],
    columns: Sequence[str],
    of_models: Sequence[str] = KNOWN,
) -> Iterator[pd.DataFrame]:
    """Yield columns of label tables one by one, with the properties of the model.

    Parameters
    ----------
    models
        A row for each model.
    columns
        Of the tables, in addition to the model.
    of_models
        Names of the entries of the models' rows, `model` among them.
    """
    known = pd.DataFrame(models, columns=list(of_models))
    for path in tracked(paths, "label tables", "networks"):
        yield with_model(pd.read_parquet(path, columns=["model", *columns]), known)


def with_model(labels: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return labels of one model, of those in the rows of `known`, as `each_network` does."""
    texts = labels.astype({name: str for name in ("model", "layer", "label") if name in labels})
    if texts.empty:
        return texts.merge(known, on="model")
    # Constants: a merge would look up the model of every kernel.
    row = known[known["model"] == texts["model"].iloc[0]].iloc[0]
    return texts.assign(**row.drop("model"))


def read_labels(
    paths: Sequence[str | Path], models: Sequence[Sequence], of_models: Sequence[str] = KNOWN
) -> pd.DataFrame:
    """Return label tables as one, without lists; parameters as for `each_network`."""
    columns = [name for name in COUNTED if name != "model"]
    return pd.concat(each_network(paths, models, columns, of_models), ignore_index=True)


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
    columns = ["degenerate", "dissimilarity", "agreement", "identified_one_seed"]
    table = grouped(
        _counted(paths, models, columns),
        [*MODEL, "trained_on"],
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
    table["share_identified"] = table["identified"] / table["kernels"]
    table["share_identified_live"] = table["identified_live"] / table["live"].where(
        table["live"] > 0
    )
    table["share_identified_one_seed"] = table["identified_one_seed"] / table["kernels"]
    table["threshold"] = [threshold(int(k), thresholds) for k in table["k"]]
    return table.merge(network_table(paths, models, thresholds), how="left", on=["model", "k"])


def composition_table(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Count kernels by model, size, layer and label."""
    place = ["layer_index", "layer", "label"]
    return grouped(
        _counted(paths, models, place),
        [*MODEL, *place],
        kernels=("identified", "size"),
        identified=("identified", "sum"),
        live=("live", "sum"),
        identified_live=("identified_live", "sum"),
        **REASONS,
    )


def _counted(
    paths: Sequence[str | Path], models: Sequence[Sequence], columns: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Yield each network's k, what tables count, and these columns."""
    for labels in each_network(paths, models, ["k", "identified", "live", "reason", *columns]):
        live = labels.assign(identified_live=labels["identified"] & labels["live"])
        yield with_reasons(live)

"""Kernels of trained networks, of their controls and of nulls, in one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from kernelatlas.clustering.labels import named_by_most, seed_values
from kernelatlas.names import NO_FOLD, NULLS, TRAINED, UNTRAINED
from kernelatlas.running.progress import tracked
from kernelatlas.tables.fits import beside_fits

SETS = (TRAINED, UNTRAINED, *NULLS)
LAYER = ["model", "layer_index"]
VOTED = ["label", "agreement", "dissimilarity"]
SEED = "seed "  # and its number: columns of the dissimilarity by each seed alone


def gather(
    labels: Sequence[str | Path],
    fits: Sequence[str | Path],
    crossfit: str | Path,
    nulls: str | Path,
    models: Sequence[Sequence],
    k: int,
) -> pd.DataFrame:
    """Return every kernel of a size in the sets of `SETS`.

    Kernels of trained networks have the label of curves that have not seen them. Those of which no
    curve has seen the layer, as it is perhaps not depthwise, keep that of the label table, and so
    do untrained networks.

    Parameters
    ----------
    labels, fits
        Label and fit tables of the same models, in one order.
    crossfit, nulls
        Tables of this size.
    models
        name, family, trained and training data of the zoo's models.

    Returns
    -------
    DataFrame
        set, family, model, layer_index; live; dissimilarity (infinite without a name, or where
        most seeds give another shape; NaN where no curve is left that has not seen the kernel),
        in_sample (the same by the label table; of trained kernels alone), columns `SEED` (the
        dissimilarity to each seed's curve, infinite where it gives no name), r2 (0 for degenerate
        kernels).
    """
    known = {name: (family, trained) for name, family, trained, _ in models}
    every = list(known)
    families = list(dict.fromkeys(family for family, _ in known.values()))
    unseen = _Unseen(crossfit)
    parts = []
    paths = list(zip(labels, fits, strict=True))
    for label_path, fit_path in tracked(paths, f"labels of {k}x{k} kernels", "networks"):
        rows = beside_fits(label_path, fit_path, [*VOTED, "live"], ["r2"], k)
        if rows.empty:
            continue
        by_seed = pq.read_table(label_path, columns=["by_seed"], filters=[("k", "==", k)])
        part = _compact(rows, seed_values(by_seed["by_seed"]))
        name = rows["model"].iloc[0]
        family, trained = known[name]
        if trained:
            part["in_sample"] = part["dissimilarity"]
            unseen.replace(part, name)
        part["set"] = _same(TRAINED if trained else UNTRAINED, SETS, len(part))
        part["model"] = _same(name, every, len(part))
        part["family"] = _same(family, families, len(part))
        parts.append(part)
    chance = pq.read_table(nulls, columns=["null", *LAYER, *VOTED, "live", "r2", "by_seed"])
    rows = chance.drop_columns("by_seed").to_pandas()
    part = _compact(rows.assign(channel=-1), seed_values(chance["by_seed"]))
    part["set"] = pd.Categorical(rows["null"], categories=SETS)
    part["model"] = pd.Categorical(rows["model"].astype("str"), categories=every)
    of_model = (
        rows["model"].astype("str").map({name: family for name, (family, _) in known.items()})
    )
    part["family"] = pd.Categorical(of_model, categories=families)
    found = pd.concat([*parts, part], ignore_index=True)
    columns = ["set", "family", *LAYER, "live", "dissimilarity", "in_sample", *seeds(found), "r2"]
    return found.reindex(columns=columns)


def seeds(kernels: pd.DataFrame) -> list[str]:
    """Return the names of the columns of single seeds."""
    return [str(name) for name in kernels if str(name).startswith(SEED)]


def _same(value: str, categories: Sequence[str], n: int) -> Any:
    codes = [categories.index(value)] * n
    return pd.Categorical.from_codes(codes, categories=pd.Index(categories))


def _compact(rows: pd.DataFrame, by_seed: np.ndarray) -> pd.DataFrame:
    """Return what is counted of label tables, in little memory."""
    agreement = rows["agreement"].to_numpy(np.float32, na_value=np.nan)
    distance = rows["dissimilarity"].to_numpy(np.float32, na_value=np.nan)
    alone = np.where(np.isnan(by_seed), np.float32(np.inf), by_seed)
    return pd.DataFrame(
        {
            "layer_index": rows["layer_index"],
            "channel": rows["channel"],
            "live": rows["live"],
            "dissimilarity": np.where(named_by_most(rows["label"], agreement), distance, np.inf),
            **{f"{SEED}{n}": alone[:, n] for n in range(alone.shape[1])},
            "r2": rows["r2"].to_numpy(np.float32, na_value=np.nan),
        }
    ).fillna({"r2": 0.0})


class _Unseen:
    """Labels of trained kernels by curves that have not seen them."""

    def __init__(self, path: str | Path) -> None:
        table = pq.read_table(path)
        self.by_seed = seed_values(table["by_seed"])
        self.rows = table.drop_columns("by_seed").to_pandas()
        self.of_model = self.rows.groupby("model", observed=True).indices

    def replace(self, part: pd.DataFrame, model: str) -> None:
        """Overwrite dissimilarities of one model's kernels, in their order."""
        own = self.of_model.get(model)
        if own is None:
            return
        rows = self.rows.iloc[own]
        found = _compact(rows.assign(live=True, r2=0.0), self.by_seed[own])
        found.loc[rows["fold"].to_numpy() == NO_FOLD, "dissimilarity"] = np.nan
        here = part.set_index(["layer_index", "channel"]).index
        at = here.get_indexer(found.set_index(["layer_index", "channel"]).index)
        for name in ["dissimilarity", *seeds(found)]:
            part.loc[part.index[at], name] = found[name].to_numpy()


def beside_nulls(
    paths: Sequence[str | Path],
    nulls: str | Path,
    models: Sequence[Sequence],
    k: int,
    columns: list[str],
    trained: str = TRAINED,
) -> pd.DataFrame:
    """Return rows of one kernel size of tables of the zoo, then those of its null kernels.

    Parameters
    ----------
    paths
        Label or fit tables of the zoo's models.
    nulls
        Table of the null kernels of this size.
    models
        name, family, trained and training data of the zoo's models.
    columns
        That all tables have, `model` among them.
    trained
        What the set of trained networks is called.

    Returns
    -------
    DataFrame
        The columns, set and family; texts are categories, sorted.
    """
    families = {name: family for name, family, *_ in models}
    kinds = {
        "model": pd.CategoricalDtype(sorted(families)),
        "set": pd.CategoricalDtype(sorted({TRAINED, trained, UNTRAINED, *NULLS})),
    }
    sets = {name: trained if is_trained else UNTRAINED for name, _, is_trained, _ in models}
    size = [("k", "==", k)]
    parts = []
    for path in tracked(paths, f"tables of {k}x{k} kernels", "networks"):
        part = pd.read_parquet(path, columns=columns, filters=size)
        parts.append(part.assign(set=part["model"].map(sets)).astype(kinds))
    chance = pd.read_parquet(nulls, columns=["null", *columns]).rename(columns={"null": "set"})
    parts.append(chance.astype(kinds))
    # Columns of other categories would become objects, of eight bytes each.
    for name in parts[0].select_dtypes("category").columns.difference(list(kinds)):
        texts = [part[name].astype("category") for part in parts]
        known = pd.CategoricalDtype(sorted(set().union(*(text.cat.categories for text in texts))))
        for part, text in zip(parts, texts, strict=True):
            part[name] = text.astype(known)
    every = pd.concat(parts, ignore_index=True)
    family = pd.CategoricalDtype(sorted(set(families.values())))
    return every.assign(family=every["model"].map(families).astype(family))

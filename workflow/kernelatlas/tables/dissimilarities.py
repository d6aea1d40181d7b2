"""Distributions of dissimilarities to the reconstruction, by network and beside the nulls."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.clustering.labels import named_by_most
from kernelatlas.evidence.intervals import share
from kernelatlas.names import IN_SAMPLE, TRAINED
from kernelatlas.tables.compared import LAYER, SETS, beside_nulls
from kernelatlas.tables.nulls import groups

WIDTH = 0.02  # of a bin
BINS = 51  # the last one has all that is from 1 on
# In single precision, as thresholds are compared; a cosine may exceed 1 by rounding.
EDGES = np.array([-np.inf, *(np.arange(1, BINS) * WIDTH).round(2)], np.float32)
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
KEY = ("family", "model", "set", "k")
COLUMNS = (
    *KEY, "kernels", "layers", "threshold", *QUANTILES, "share_below", "low", "high", "share_named",
)  # fmt: skip
READ = [*LAYER, "label", "agreement", "dissimilarity"]


def dissimilarity_tables(
    labels: Sequence[str | Path],
    crossfit: str | Path,
    nulls: str | Path,
    models: Sequence[Sequence],
    k: int,
    threshold: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summarise the dissimilarities of kernels to their reconstruction.

    Trained kernels are compared with curves that have not seen them, as their nulls are, and once
    more with those that have.

    Parameters
    ----------
    labels
        Label tables of the zoo's models.
    crossfit, nulls
        Tables of this size.
    models
        name, family, trained and training data of the zoo's models.
    threshold
        Below which a kernel with a name is identified.

    Returns
    -------
    summary : DataFrame
        A row for each network, family and all together, and set; see results/README.md.
    bins : DataFrame
        Of each of these the kernels in each bin, and how many of them have a name.
    """
    kernels = _gather(labels, crossfit, nulls, models, k)
    summaries, counts = [], []
    for row, own in _parts(kernels, k):
        summaries.append(row | _summary(own, threshold))
        place = np.searchsorted(EDGES, own["dissimilarity"].to_numpy(), side="right") - 1
        for name, chosen in (("kernels", slice(None)), ("named", own["named"].to_numpy())):
            row[name] = np.bincount(place[chosen], minlength=BINS)
        row["dissimilarity"] = (np.arange(BINS) * WIDTH).round(2)
        counts.append(pd.DataFrame(row))
    columns = [*KEY, "dissimilarity", "kernels", "named"]
    return (
        pd.DataFrame(summaries).reindex(columns=list(COLUMNS)),
        pd.concat(counts, ignore_index=True)[columns],
    )


def _parts(kernels: pd.DataFrame, k: int) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    for family, model, group in groups(kernels):
        for name in (TRAINED, IN_SAMPLE, *SETS[1:]):
            own = group[group["set"] == name]
            if len(own):
                yield {"family": family, "model": model, "set": name, "k": k}, own


def _summary(kernels: pd.DataFrame, threshold: float) -> dict[str, Any]:
    below = (kernels["dissimilarity"] < threshold).to_numpy()
    layer = kernels.groupby(LAYER, observed=True, sort=False).ngroup().to_numpy()
    sizes = np.bincount(layer)
    found = share(np.bincount(layer, below, minlength=len(sizes)), sizes)
    quantiles = kernels["dissimilarity"].quantile(list(QUANTILES.values())).to_numpy()
    return {
        "kernels": len(kernels),
        "layers": len(sizes),
        "threshold": threshold,
        **dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
        "share_below": float(found.value),
        "low": float(found.low),
        "high": float(found.high),
        "share_named": float(kernels["named"].mean()),
    }


def _gather(
    labels: Sequence[str | Path],
    crossfit: str | Path,
    nulls: str | Path,
    models: Sequence[Sequence],
    k: int,
) -> pd.DataFrame:
    """Return the kernels of each set that have a dissimilarity: neither degenerate nor all seen."""
    known = beside_nulls(labels, nulls, models, k, READ, IN_SAMPLE)
    families = dict(known.drop_duplicates("model")[["model", "family"]].to_numpy())
    unseen = pd.read_parquet(crossfit, columns=READ).assign(set=TRAINED)
    unseen["family"] = unseen["model"].map(families)
    unseen = unseen.astype({name: known[name].dtype for name in ("model", "set", "family")})
    return pd.concat([_named(part) for part in (known, unseen)], ignore_index=True)


def _named(kernels: pd.DataFrame) -> pd.DataFrame:
    """Return those that have a dissimilarity, and whether they have a name, without the name."""
    kernels = kernels[kernels["dissimilarity"].notna()]
    agreement = kernels["agreement"].to_numpy(np.float32)
    return kernels.drop(columns=["label", "agreement"]).assign(
        named=named_by_most(kernels["label"], agreement),
        dissimilarity=kernels["dissimilarity"].astype("float32"),
    )

"""Codes and a name for every kernel of a model, by vote of the autoencoders of all seeds.

The reconstructions of a kernel by the curves of all seeds (`kernelatlas.clustering.curve`) are
averaged, and the mean is named after its most similar template. `agreement` is the share of the
seeds whose own reconstruction is closest to a template of the same shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.reasons import reasons
from kernelatlas.clustering.templates import Names, bank
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.normalise import degenerate, live, normalise
from kernelatlas.kernels.table import KEY, PLACE, square_kernels
from kernelatlas.running.columns import column, list_column, numbers, text_column
from kernelatlas.running.files import LABELS_VERSION, write_parquet
from kernelatlas.running.progress import tracked

if TYPE_CHECKING:  # jobs that label kernels do without pandas, which takes longer than they work
    import pandas as pd

BLOCK = 16_384  # kernels that are labelled at a time, or fewer if they are large
SCHEMA = pa.schema(
    {
        "model": pa.dictionary(pa.int32(), pa.string()),
        "layer": pa.dictionary(pa.int32(), pa.string()),
        "layer_index": pa.int16(),
        "channel": pa.int32(),
        "k": pa.int16(),
        "label": pa.dictionary(pa.int32(), pa.string()),
        "cluster": pa.int16(),
        "direction": pa.float32(),
        "template_cosine": pa.float32(),
        "agreement": pa.float32(),
        "dissimilarity": pa.float32(),
        "identified": pa.bool_(),
        "reason": pa.dictionary(pa.int32(), pa.string()),
        "identified_one_seed": pa.bool_(),
        "degenerate": pa.bool_(),
        "live": pa.bool_(),
        "codes": pa.list_(pa.float32()),
        "by_seed": pa.list_(pa.float32()),
    }
)


@dataclass(frozen=True)
class Votes:
    """The votes of all seeds on n kernels.

    Attributes
    ----------
    names : Names
        Of the mean reconstruction.
    agreement : ndarray of shape (n,), float32
        Share of the seeds whose most similar template has the same shape; defined for "other" too.
    dissimilarities : ndarray of shape (n, seeds), float32
        1 − cos to the most similar point of each seed's curve.
    codes : ndarray of shape (n, seeds), float32
        Of these points.
    one_seed_named : ndarray of shape (n,), bool
        Whether the first seed's point has a name other than "other".
    seed_shapes : ndarray of shape (n, seeds), int8
        Index into `kernelatlas.names.SHAPES` of each seed's own name.
    seed_cosines : ndarray of shape (n, seeds), float32
        Of each seed's reconstruction and the template that is most similar to it.
    """

    names: Names
    agreement: np.ndarray
    dissimilarities: np.ndarray
    codes: np.ndarray
    one_seed_named: np.ndarray
    seed_shapes: np.ndarray
    seed_cosines: np.ndarray

    @property
    def dissimilarity(self) -> np.ndarray:
        """Mean over the seeds, (n,), float32."""
        return self.dissimilarities.mean(axis=1)

    @property
    def by_seed(self) -> np.ndarray:
        """Dissimilarity where a seed alone gives a name, else NaN, (n, seeds), float32."""
        named = self.seed_shapes != names.SHAPES.index(names.OTHER)
        return np.where(named, self.dissimilarities, np.float32(np.nan))

    def identified(self, threshold: float) -> np.ndarray:
        """Tell which kernels are identified, (n,).

        The mean reconstruction has a name, most seeds agree on its shape, and the dissimilarity is
        below the threshold.
        """
        return named_by_most(self.names.label, self.agreement) & (self.dissimilarity < threshold)

    def identified_one_seed(self, threshold: float) -> np.ndarray:
        """Tell which kernels the paper's rule identifies with the first seed alone, (n,)."""
        return self.one_seed_named & (self.dissimilarities[:, 0] < threshold)


def named_by_most(label: "np.ndarray | pd.Series", agreement: np.ndarray) -> np.ndarray:
    """Tell which kernels have a name of which most seeds give the shape, (n,) bool.

    Kernels without a label have no agreement (NaN).
    """
    known = np.asarray(label, object)
    return (known != names.OTHER) & (known != names.DEGENERATE) & (agreement > 0.5)


def vote(kernels: np.ndarray, curves: Sequence[Curve], minimum_cosine: float) -> Votes:
    """Name kernels by the curves of all seeds.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    curves
        Of one kernel size, one for each seed.
    minimum_cosine
        Reconstructions with a lower cosine to every template are "other".
    """
    templates = bank(curves[0].k)
    other = np.int8(names.SHAPES.index(names.OTHER))
    first = templates.name(curves[0].points, minimum_cosine).shape != other
    found: dict[str, np.ndarray] = {}
    rows, k = at_once(kernels.shape[1], BLOCK), curves[0].k
    begins = range(0, max(len(kernels), 1), rows)
    for begin in tracked(begins, f"labels of {k}x{k} kernels", "blocks"):
        block = np.ascontiguousarray(kernels[begin : begin + rows], np.float32)
        drawn = [curve.draw(block) for curve in curves]
        mean = np.sum([d.mean for d in drawn], axis=0)
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        named = templates.name(mean, minimum_cosine)
        nearest, cosines = (
            np.stack(of_seeds, axis=1)
            for of_seeds in zip(*[templates.nearest(d.mean) for d in drawn], strict=True)
        )
        shapes = templates.shapes[nearest]
        agree = shapes == templates.shapes[named.template][:, None]
        codes = [curve.codes[d.point] for curve, d in zip(curves, drawn, strict=True)]
        values = {
            **vars(named),
            "agreement": agree.mean(axis=1, dtype=np.float32),
            "dissimilarities": np.stack([d.dissimilarity for d in drawn], axis=1),
            "codes": np.stack(codes, axis=1),
            "one_seed_named": first[drawn[0].point],
            "seed_shapes": np.where(cosines >= minimum_cosine, shapes, other),
            "seed_cosines": cosines,
        }
        for name, part in values.items():
            # In place: parts that are joined afterwards would be in memory twice.
            if not begin:
                found[name] = np.empty((len(kernels), *part.shape[1:]), part.dtype)
            found[name][begin : begin + rows] = part
    of_mean = {name: found.pop(name) for name in Names.__dataclass_fields__}
    return Votes(names=Names(**of_mean), **found)


def threshold(k: int, thresholds: Mapping[str, float]) -> float:
    """Return the dissimilarity below which kernels are identified: that of the largest size ≤ k."""
    sizes = [int(size) for size in thresholds]
    return thresholds[str(max((size for size in sizes if size <= k), default=min(sizes)))]


def label_kernels(
    kernels: str | Path,
    curves: Sequence[Curve],
    clusters: "Mapping[str, Sequence[Any]] | pd.DataFrame",
    threshold: float,
    minimum_cosine: float,
) -> pa.Table:
    """Label the kernels of one model and of the curves' size, as `label_weights` does.

    Parameters
    ----------
    kernels
        Path of a kernel table.

    Returns
    -------
    Table
        With the columns of `SCHEMA`.
    """
    rows, weights = square_kernels(kernels, curves[0].k)
    labels = label_weights(weights, curves, clusters, threshold, minimum_cosine)
    columns = [*rows.select(KEY).columns, *labels.columns]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def label_weights(
    weights: np.ndarray,
    curves: Sequence[Curve],
    clusters: "Mapping[str, Sequence[Any]] | pd.DataFrame",
    threshold: float,
    minimum_cosine: float,
) -> pa.Table:
    """Label kernels of the curves' size.

    Degenerate kernels have no codes.

    Parameters
    ----------
    weights : ndarray of shape (n, k * k)
        Raw.
    curves
        One for each seed.
    clusters
        Columns label, cluster and prototype of `kernelatlas.clustering.clusters.cluster_table`, of
        the same curves.
    threshold
        Threshold of the dissimilarity.
    minimum_cosine
        See `vote`.

    Returns
    -------
    Table of n rows
        With the columns of `SCHEMA` from k on.
    """
    valid = ~degenerate(weights)
    kernels = normalise(weights[valid])
    votes = vote(kernels, curves, minimum_cosine)
    why = reasons(votes.names.label, votes.agreement, votes.dissimilarity, threshold)

    def spread(values: np.ndarray, missing: object) -> np.ndarray:
        every = np.full(len(weights), missing, values.dtype)
        every[valid] = values
        return every

    def measured(values: np.ndarray) -> pa.Array:
        return column(spread(values, 0), spread(~np.isnan(values), False))

    columns = {
        "k": column(np.full(len(weights), curves[0].k, np.int16)),
        "label": text_column(spread(votes.names.label, names.DEGENERATE)),
        "cluster": measured(assign(kernels, votes.names.label, clusters)),
        "direction": measured(votes.names.direction),
        "template_cosine": measured(votes.names.cosine),
        "agreement": measured(votes.agreement),
        "dissimilarity": measured(votes.dissimilarity),
        "identified": column(spread(votes.identified(threshold), False)),
        "reason": text_column(spread(why, names.DEGENERATE)),
        "identified_one_seed": column(spread(votes.identified_one_seed(threshold), False)),
        "degenerate": column(~valid),
        "live": column(live(weights)),
        "codes": list_column(votes.codes, valid),
        "by_seed": list_column(votes.by_seed, valid),
    }
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    return pa.Table.from_arrays(list(columns.values()), schema=schema)


def as_frame(labels: pa.Table) -> "pd.DataFrame":
    """Return labels as a DataFrame: texts are objects, numbers that are empty are `pandas.NA`."""
    import pandas as pd

    nullable = {pa.int16(): pd.Int16Dtype(), pa.float32(): pd.Float32Dtype()}
    return pd.DataFrame(
        {
            name: pd.Series(values.to_pylist(), dtype=object)
            if pa.types.is_dictionary(values.type)
            else values.to_pandas(types_mapper=nullable.get)
            for name, values in zip(labels.column_names, labels.columns, strict=True)
        }
    )


def assign(
    kernels: np.ndarray, labels: np.ndarray, clusters: "Mapping[str, Sequence[Any]] | pd.DataFrame"
) -> np.ndarray:
    """Return the cluster of each labelled kernel, (n,), int16.

    That of its label; for kernels without a name, that of the nearest prototype. −1 for a label
    that no kernel of the corpus has.
    """
    numbers = dict(zip(clusters["label"], clusters["cluster"], strict=True))
    found = np.array([numbers.get(label, -1) for label in labels], np.int16)
    unnamed, nameless = np.array(clusters["label"]) == names.OTHER, labels == names.OTHER
    if unnamed.any() and nameless.any():
        prototypes = np.array(list(clusters["prototype"]), np.float32)[unnamed]
        nearest = (kernels[nameless] @ prototypes.T).argmax(axis=1)
        found[nameless] = np.array(clusters["cluster"])[unnamed][nearest]
    return found


def write_labels(
    parts: Sequence[pa.Table], path: str | Path, seeds: Sequence[int], **rule: Any
) -> None:
    """Write the labels of one model, all its kernel sizes, in the order of its layers.

    Parameters
    ----------
    seeds
        Of codes and by_seed, in their order; kept in the metadata.
    rule
        thresholds and minimum_cosine, which made the labels; kept there too.
    """
    # The texts of each part are numbered by themselves.
    texts = [field.name for field in SCHEMA if pa.types.is_dictionary(field.type)]
    kinds = {f.name: pa.string() if f.name in texts else f.type for f in SCHEMA}
    plain = pa.schema(kinds)
    every = [part.select(plain.names).cast(plain) for part in parts]
    # `Schema.empty_table` imports pandas.
    table = pa.concat_tables([pa.Table.from_batches([], plain), *every])
    order = np.lexsort([numbers(table[name]) for name in reversed(PLACE)])
    table = table.take(column(order)).combine_chunks()
    for name in texts:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].dictionary_encode())
    metadata = {"schema_version": LABELS_VERSION, "seeds": list(seeds), **rule}
    write_parquet(table.cast(SCHEMA), path, metadata)


def seed_values(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of lists, one number a seed, as an array.

    Returns
    -------
    ndarray of shape (n, seeds), float32
        NaN where a list or a number is empty.
    """
    lists = column.combine_chunks()
    known = lists.is_valid().to_numpy(zero_copy_only=False)
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    seeds = len(flat) // max(int(known.sum()), 1)
    values = np.full((len(lists), seeds), np.nan, np.float32)
    values[known] = flat.reshape(int(known.sum()), seeds)
    return values

"""One kernel of the workflow's results, with all that the results say about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold
from kernelatlas.clustering.templates import Names, bank
from kernelatlas.errors import KernelAtlasError, suggest
from kernelatlas.kernels.normalise import normalise
from kernelatlas.running.files import LABELS_VERSION, metadata_of

MAKE, MAKE_FITS = "snakemake --cores all all", "snakemake --cores all evidence"
LISTED = 12  # names in a message


@dataclass(frozen=True)
class Kernel:
    """A kernel, and what the results say about it.

    Attributes
    ----------
    place
        Its row of the kernel table: model, layer, layer_index, channel, kh, kw, stride, weights.
    family
        Of its network; None where the tables do not tell.
    label
        Its row of the label table; None if kernels of its size are not studied.
    rule
        seeds, thresholds and minimum_cosine that the labels were made with.
    fit
        Its row of the fit table; None without one.
    curves
        Of each seed; empty where they are gone or not of its size.
    sizes
        Sizes of which the network's kernels have labels.
    """

    place: dict[str, Any]
    family: str | None
    label: dict[str, Any] | None
    rule: dict[str, Any]
    fit: dict[str, Any] | None
    curves: list[Curve]
    sizes: list[int]

    @property
    def weights(self) -> np.ndarray:
        """As stored, (kh, kw), float32."""
        values = np.asarray(self.place["weights"], np.float32)
        return values.reshape(self.place["kh"], self.place["kw"])

    @property
    def k(self) -> int:
        """Side in pixels; of strips their height."""
        return int(self.place["kh"])

    @property
    def threshold(self) -> float:
        """Below which the dissimilarity of an identified kernel of this size is."""
        return threshold(self.k, self.rule["thresholds"])

    @cached_property
    def reconstructions(self) -> np.ndarray:
        """What the curve of each seed draws for it, (seeds, k·k); empty without a shape."""
        if self.place["degenerate"] or not self.curves:
            return np.empty((0, self.k**2), np.float32)
        kernel = normalise(self.weights.reshape(1, -1))
        return np.concatenate([curve.draw(kernel).mean for curve in self.curves])

    @property
    def mean(self) -> np.ndarray:
        """The mean reconstruction, (k·k,), whose name is the label."""
        mean = self.reconstructions.sum(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    def template(self, number: int) -> np.ndarray:
        """Return a template of this size, (k·k,)."""
        return bank(self.k).weights[number]

    def names_of(self, kernels: np.ndarray, minimum_cosine: float) -> Names:
        """Name kernels of this size after their most similar templates."""
        return bank(self.k).name(np.atleast_2d(kernels), minimum_cosine)


def find(results: Path, model: str, layer: str, channel: int) -> Kernel:
    """Find a kernel by its network, layer (name, or number from 0) and channel (from 0).

    Raises
    ------
    KernelAtlasError
        If there are no results, or no such kernel: the message names those that are similar, or
        the command that makes what is missing.
    """
    path = _table(results, "kernels", model)
    keys = _read(path, columns=["layer", "layer_index", "channel"]).to_pandas()
    keys["layer"] = keys["layer"].astype(str)
    index = _layer(keys, layer, model)
    channels = keys.loc[keys["layer_index"] == index, "channel"]
    if channel not in set(channels):
        name = keys.loc[keys["layer_index"] == index, "layer"].iloc[0]
        raise KernelAtlasError(
            f"{model}: layer {name!r} has no channel {channel}: its channels are "
            f"{channels.min()} to {channels.max()}"
        )
    place = _row(path, index, channel)
    assert place is not None
    labels = _table(results, "labels", model)
    rule = metadata_of(labels)
    if rule.get("schema_version", 1) < LABELS_VERSION or "thresholds" not in rule:
        raise KernelAtlasError(f"{labels}: of an earlier version: run `{MAKE}` again")
    label = _row(labels, index, channel)
    fits = results / "fits" / f"{model}.parquet"
    sizes = pq.read_table(labels, columns=["k"])["k"].unique().to_pylist()
    return Kernel(
        place=place,
        family=_family(results, model),
        label=label,
        rule=rule,
        fit=_row(fits, index, channel) if fits.is_file() and label is not None else None,
        curves=_curves(results, label["k"], rule["seeds"]) if label is not None else [],
        sizes=sorted(sizes),
    )


def _table(results: Path, kind: str, model: str) -> Path:
    """Return the path of a network's table."""
    known = sorted(
        path.name.removesuffix(".parquet") for path in results.glob(f"{kind}/[!.]*.parquet")
    )
    if not known:
        raise KernelAtlasError(
            f"{results / kind}: no results: run `{MAKE}`, or name the folder of results with "
            "--results"
        )
    if model not in known:
        where = f"{results / kind} has {_listed(known)}"
        raise KernelAtlasError(
            f"no network {model!r} in {results}: {suggest(model, known, where)}"
            if kind == "kernels"
            else f"{results / kind}/{model}.parquet: missing: run `{MAKE}`"
        )
    return results / kind / f"{model}.parquet"


def _listed(known: Sequence[Any]) -> str:
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return ", ".join(map(str, known[:LISTED])) + more


def _layer(keys: pd.DataFrame, layer: str, model: str) -> int:
    """Return the number of a layer."""
    layers = keys.drop_duplicates("layer_index").set_index("layer")["layer_index"]
    if layer in layers.index:
        return int(layers[layer])
    if layer.isdecimal() and int(layer) in set(layers):
        return int(layer)
    numbered = [f"{number} {name}" for name, number in layers.items()]
    otherwise = f"it has {_listed(numbered)}"
    raise KernelAtlasError(
        f"{model}: no depthwise layer {layer!r}: {suggest(layer, layers.index, otherwise)} "
        f"(numbers {layers.min()} to {layers.max()})"
    )


def _row(path: Path, layer_index: int, channel: int) -> dict[str, Any] | None:
    """Return the row of a kernel, None if the table has none."""
    place = [("layer_index", "==", layer_index), ("channel", "==", channel)]
    rows = _read(path, filters=place).to_pylist()
    return rows[0] if rows else None


def _read(path: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(path, **options)
    except (OSError, pa.ArrowException) as error:
        told = " ".join(str(error).split())[:200]
        raise KernelAtlasError(
            f"{path}: cannot be read ({told}): delete it and run `{MAKE}`"
        ) from error


def _family(results: Path, model: str) -> str | None:
    path = results / "tables/models.parquet"
    if not path.is_file():
        return None
    models = pd.read_parquet(path, columns=["model", "family"])
    own = models.loc[models["model"] == model, "family"]
    return str(own.iloc[0]) if len(own) else None


def _curves(results: Path, k: int, seeds: Sequence[int]) -> list[Curve]:
    paths = [results / f"autoencoders/k{k}_seed{seed}.safetensors" for seed in seeds]
    return [Curve.load(path) for path in paths] if all(p.is_file() for p in paths) else []


def why(kernel: Kernel) -> str:
    """Say in a sentence why a kernel was identified or not."""
    label, k = kernel.label, kernel.k
    if label is None:
        sizes = ", ".join(f"{size}×{size}" for size in kernel.sizes) or "none"
        return (
            f"It has no label: kernels of {kernel.place['kh']}×{kernel.place['kw']} are not "
            f"studied (sizes of this network that are: {sizes})."
        )
    if label["reason"] == names.DEGENERATE:
        return f"Not identified, degenerate: {_flat(kernel.weights)}, so it has no shape."
    distance, limit = label["dissimilarity"], kernel.threshold
    far = f"its dissimilarity to the curves, {distance:.3f},"
    bound = f"the threshold of {k}×{k} kernels, {limit:g}"
    minimum = kernel.rule["minimum_cosine"]
    cosine = f"{label['template_cosine']:.3f}"
    seeds = len(kernel.rule["seeds"])
    agree = f"{round(label['agreement'] * seeds)} of {seeds} seeds"
    if label["reason"] == names.TOO_FAR:
        return f"Not identified, too far: {far} is not below {bound}."
    near = f"{far} is below {bound}"
    if label["reason"] == names.NO_NAME:
        nearest = "the most similar template"
        if len(kernel.reconstructions):
            nearest += f", of {kernel.names_of(kernel.mean, -1).label[0]},"
        return (
            f"Not identified, no name: {near}, but the cosine of its reconstruction to {nearest} "
            f"is {cosine}, and a name needs {minimum:g}."
        )
    named = f"its reconstruction is named {label['label']} (cosine {cosine}, at least {minimum:g})"
    if label["reason"] == names.SEEDS_DISAGREE:
        return (
            f"Not identified, seeds disagree: {near}, and {named}, but only {agree} give that "
            "shape; more than half must."
        )
    return f"Identified: {near}, {named}, and {agree} give that shape."


def _flat(weights: np.ndarray) -> str:
    if not np.isfinite(weights).all():
        return f"{int((~np.isfinite(weights)).sum())} of its weights are not finite"
    if not weights.any():
        return "all its weights are zero"
    return f"its weights are all the same ({weights.flat[0]:.3g}) up to rounding"

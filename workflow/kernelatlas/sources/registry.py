"""The registry of timm's networks: their names, where their weights are, their layers.

Written from timm by `make registry`; reading it needs neither timm nor torch.
"""

import fnmatch
import functools
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.errors import KernelAtlasError, suggest
from kernelatlas.kernels.layer import Layer
from kernelatlas.running.files import metadata_of

TAGS = Path(__file__).with_name("timm.parquet")
LAYERS = TAGS.with_name("timm_layers.parquet")
TENSORS = TAGS.with_name("timm_tensors.parquet")
MAPS = TAGS.with_name("timm_maps.parquet")
COLUMNS = ("name", "architecture", "default", "hub", "filename", "url", "kernels", "digest", "maps")
SEE = "see timm.list_pretrained()"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tag:
    """A pretrained network of timm.

    Attributes
    ----------
    name
        Name with its tag, as in timm.list_pretrained().
    default
        Whether the architecture's bare name stands for it.
    hub, filename, url
        Where its weights are: a repository, with a file name if it is not the usual one, or
        an address.
    kernels
        Number of depthwise kernels.
    digest
        Digest of the architecture's depthwise layers.
    maps
        Digest of their maps in pictures of the size of the tag's weights; None without layers.
    """

    name: str
    architecture: str
    default: bool
    hub: str | None
    filename: str | None
    url: str | None
    kernels: int
    digest: str
    maps: str | None


@functools.cache
def tags() -> dict[str, Tag]:
    """Return all pretrained networks by name, those without depthwise layers too.

    Raises
    ------
    KernelAtlasError
        If the registry is missing or damaged.
    """
    return {row["name"]: Tag(**row) for row in _read(TAGS, COLUMNS).to_pylist()}


@functools.cache
def _by_architecture() -> dict[str, list[Tag]]:
    found: dict[str, list[Tag]] = {}
    for tag in tags().values():
        found.setdefault(tag.architecture, []).append(tag)
    return found


def _read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        # pq.read_table would import pandas; a registry is read whenever Snakemake starts.
        with pq.ParquetFile(path) as file:
            return file.read(columns)
    except (OSError, ValueError, LookupError) as error:
        raise KernelAtlasError(
            f"{path}: not a registry of timm's networks ({error}): run `make registry`"
        ) from error


def timm_version() -> str:
    """Return the version of timm that the registry was made from."""
    return metadata_of(TAGS)["timm"]


def is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def resolve(name: str, every_tag: bool) -> list[Tag]:
    """Return the networks that a name or a pattern stands for, by name.

    With a dot it is a tag, or a pattern of tags; without one an architecture, or a pattern
    of architectures.

    Parameters
    ----------
    every_tag
        Whether an architecture stands for all its tags, or for timm's default one.

    Raises
    ------
    KernelAtlasError
        If there is no such network, or it has no depthwise layers; with suggestions.
    """
    known: dict[str, list[Tag]] = _by_architecture()
    if "." in name:
        known = {tag.name: [tag] for tag in tags().values()}
    names = fnmatch.filter(known, name) if is_pattern(name) else {name} & known.keys()
    found = [tag for name in names for tag in known[name]]
    if "." not in name and not every_tag:
        found = [tag for tag in found if tag.default]
    depthwise = sorted((tag for tag in found if tag.kernels), key=lambda tag: tag.name)
    if depthwise:
        return depthwise
    if found:
        raise KernelAtlasError(f"'{name}' has no depthwise layers in timm: remove it")
    kind = "matches no network" if is_pattern(name) else "is no network"
    raise KernelAtlasError(
        f"'{name}' {kind} of timm {timm_version()}, and no file, hub or url is given: "
        f"{suggest(name, {tag.name for tag in _depthwise()} | architectures(), SEE)}"
    )


def _depthwise() -> list[Tag]:
    return [tag for tag in tags().values() if tag.kernels]


def architectures() -> set[str]:
    """Return the architectures with depthwise layers."""
    return {tag.architecture for tag in _depthwise()}


def digest(architecture: str) -> str:
    """Return a digest of an architecture's layers, on which the result of `conform` depends."""
    return _by_architecture()[architecture][0].digest


def check_architecture(name: str) -> None:
    """Raise KernelAtlasError, with suggestions, if it is not one of `architectures()`."""
    if name not in architectures():
        raise KernelAtlasError(
            f"'{name}' is no architecture with depthwise layers in timm {timm_version()}: "
            f"{suggest(name, architectures(), SEE)}"
        )


def expected_layers(architecture: str) -> list[dict[str, Any]]:
    """Return the rows of an architecture's depthwise layers, in order of definition.

    Raises
    ------
    KernelAtlasError
        If the registry does not have the architecture.
    """
    rows = rows_of(LAYERS, architecture)
    if not rows:
        raise KernelAtlasError(
            f"timm {timm_version()} has no architecture '{architecture}' with depthwise layers: "
            "check `architecture` in the zoo"
        )
    return rows


def rows_of(path: Path, key: str) -> list[dict[str, Any]]:
    """Return the rows with a key in the first column of `LAYERS` or `MAPS`, in their order."""
    table = _read(path)
    keys = table[0].chunk(0)
    known = keys.dictionary.to_pylist()
    code = known.index(key) if key in known else -1
    codes = np.frombuffer(keys.indices.buffers()[1], np.int32)[: len(keys)]
    begin, stop = np.searchsorted(codes, code), np.searchsorted(codes, code, side="right")
    return table.slice(begin, stop - begin).to_pylist()


@functools.cache
def sizes_by_architecture() -> dict[str, dict[tuple[int, int], int]]:
    """Return the number of depthwise kernels by height and width, for every architecture."""
    table = _read(LAYERS, ("architecture", "channels", "kh", "kw"))
    found: dict[str, dict[tuple[int, int], int]] = {}
    for architecture, channels, kh, kw in zip(*map(pa.ChunkedArray.to_pylist, table), strict=True):
        counts = found.setdefault(architecture, {})
        counts[kh, kw] = counts.get((kh, kw), 0) + channels
    return found


def expected_tensors(architecture: str) -> list[str]:
    """Return the shapes of an architecture's tensors (`registry_build.shape_texts`)."""
    table = _read(TENSORS)
    names = table["architecture"].to_pylist()
    return table["shapes"][names.index(architecture)].as_py()


def conform(
    model: str,
    layers: Sequence[Layer],
    architecture: str,
    shapes: Sequence[tuple[int, ...]] = (),
) -> list[Layer]:
    """Check a checkpoint's layers against the registry and complete them from it.

    Layers come in the order of definition, with stride and dilation, and tied ones once. A
    checkpoint may hold the network under a prefix, beside others (a text tower). Layers that are
    perhaps not depthwise (`Layer.inferred`), and that the architecture lacks, are left out. If no
    name is known, layers are matched in the order of definition, for which the shapes of all
    tensors must agree. Where the order is not known either, the number of layers of each shape must
    agree.

    Parameters
    ----------
    shapes
        Of all tensors of the checkpoint, in the order of definition; empty if it is not known.

    Raises
    ------
    KernelAtlasError
        If a layer is missing, or too many, or of another shape.
    """
    rows = expected_layers(architecture)
    by_name = {layer.name: layer for layer in layers}
    first = (rows[0]["layer"], *rows[0]["aliases"])
    prefixes = {
        layer.name.removesuffix(name)
        for layer in layers
        for name in first
        if layer.name.endswith(name)
    }
    for prefix in sorted(prefixes, key=len):
        found = [_find(by_name, prefix, row) for row in rows]
        known = {prefix + name for row in rows for name in (row["layer"], *row["aliases"])}
        extra = [name for name in by_name if name.startswith(prefix) and name not in known]
        complete = [layer for layer in found if layer]
        if len(complete) == len(rows) and all(by_name[name].inferred for name in extra):
            for name in extra:
                log.warning("%s: '%s' is not depthwise in %s: left out", model, name, architecture)
            return complete
    wanted: Counter[Any] = Counter((row["channels"], row["kh"], row["kw"]) for row in rows)
    if len(layers) > len(rows):
        layers = [layer for layer in layers if not layer.inferred]
    counted: Counter[Any] = Counter(map(_shape, layers))
    if counted == wanted and shapes:
        _check_order(model, shapes, architecture)
        return [_completed(layer, row) for layer, row in zip(layers, rows, strict=True)]
    if counted == wanted:
        log.warning(
            "%s: does not name its layers as timm does: their order and strides are unknown", model
        )
        return [replace(layer, inferred=False) for layer in layers]
    differing = sorted((counted - wanted) + (wanted - counted))[:3]
    raise KernelAtlasError(
        f"{model}: {len(layers)} depthwise layers where timm {timm_version()} has {len(rows)} in "
        f"{architecture}; shapes (channels, kh, kw) that differ in number: "
        f"{', '.join(map(str, differing)) or 'none'}; it is another network's file, or the "
        "registry is of another timm: check the source, or run `make registry`"
    )


def _find(by_name: dict[str, Layer], prefix: str, row: dict[str, Any]) -> Layer | None:
    """Return the layer of a row's name and shape, completed from the row; None if there is none."""
    for name in (row["layer"], *row["aliases"]):
        layer = by_name.get(prefix + name)
        if layer and _shape(layer) == (row["channels"], row["kh"], row["kw"]):
            return _completed(layer, row)
    return None


def _completed(layer: Layer, row: dict[str, Any]) -> Layer:
    known = {"name": row["layer"], "stride": row["stride"], "dilation": row["dilation"]}
    return replace(layer, **known, inferred=False)


def _check_order(model: str, shapes: Sequence[tuple[int, ...]], architecture: str) -> None:
    """Raise KernelAtlasError where a network without timm's names differs from its architecture.

    Scalars and the classifier, which depends on the number of classes, are left out.
    """
    found = ["×".join(map(str, shape)) for shape in shapes if shape]
    expected = expected_tensors(architecture)
    for number, (ours, theirs) in enumerate(zip_longest(found, expected), 1):
        if theirs != "" and ours != theirs:
            raise KernelAtlasError(
                f"{model}: does not name its layers as timm does, and its tensor number {number} "
                f"is {ours or 'missing'} where {architecture} has {theirs or 'none'}: check "
                "`architecture` in the zoo, or remove it"
            )


def _shape(layer: Layer) -> tuple[int, ...]:
    return layer.weights.shape

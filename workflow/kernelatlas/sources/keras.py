"""Depthwise weights out of the HDF5 files of Keras 2 and 3.

A depthwise weight has the shape (kh, kw, channels, multiplier) there; its kernels come in the
order of the layer's output, in which the multiplier varies fastest.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.hdf5 import File
from kernelatlas.sources.hdf5_data import Dataset, dataset_of, values_of
from kernelatlas.sources.keras_config import Leaf, layers_of
from kernelatlas.sources.source import DEFLATED, Content, Damaged, Refused, Source, damage
from kernelatlas.sources.weights import as_float32, check_amount, check_dtype, distinct

_NAME_LIMIT = 4096
_DEPTH = 20  # of models in models, and of groups in groups

# Groups that hold a model's layers, and have no name of their own.
_CONTAINERS = {"layers", "_layer_checkpoint_dependencies"}
_DEPTHWISE = re.compile(r"(depthwise|separable)_conv2d(_[0-9]+)?")
_TRANSPOSED = re.compile("transpose|deconv", re.IGNORECASE)


@dataclass
class _Found:
    """The depthwise weights among those of a file."""

    file: File
    layers: list[tuple[str, Dataset, Leaf | None, bool]] = field(default_factory=list)
    tensors: int = 0

    def count(self, dataset: Dataset) -> None:
        self.tensors += 1

    def add(self, name: str, dataset: Dataset, leaf: Leaf | None, inferred: bool) -> None:
        """Choose a weight, unless its layer is an ordinary or a pointwise convolution."""
        kh, kw, channels, multiplier = dataset.shape
        if kh * kw > 1 and (multiplier > 1 if channels == 1 else channels * multiplier > 1):
            self.layers.append((name, dataset, leaf, inferred))
            check_amount(len(self.layers), 0)


def read_hdf5(source: Source, config: bytes | None = None) -> Content:
    """Return the depthwise layers of a file of Keras: a whole model or weights alone.

    Parameters
    ----------
    config
        The model's configuration where another file holds it.
    """
    source.need_whole()
    file = File(source)
    root, links = file.attributes(file.root), file.links(file.root)
    if config is None and root.get("model_config"):
        config = root["model_config"][0].encode()
    leaves = None if config is None else layers_of(config)
    found = _Found(file)
    if "layer_names" in root or "layer_names0" in root or "model_weights" in links:
        _read_named(found, links.get("model_weights", file.root), leaves)
        ordered = True
    else:
        ordered = _read_numbered(found, leaves)
    if not found.tensors:
        raise Refused(
            "is an HDF5 file, but holds no weights as Keras writes them (neither layer_names nor "
            "vars): check that it is the right file"
        )
    return Content(_layers(found, source.size), ordered, found.tensors)


def _layers(found: _Found, size: int) -> list[Layer]:
    """Read the weights that were chosen, after a look at what they claim."""
    claimed = sum(dataset.size for _, dataset, *_ in found.layers)
    plain = sum(dataset.size for _, dataset, *_ in found.layers if not dataset.compressed)
    if plain > size or claimed > DEFLATED * size:
        raise Damaged(f"{claimed} bytes of depthwise weights in a file of {size}")
    check_amount(len(found.layers), claimed)
    layers = []
    for name, dataset, leaf, inferred in found.layers:
        with damage(UnicodeError):
            name.encode()  # half a surrogate pair could not be written to a table
        if len(name) > _NAME_LIMIT:
            raise Damaged(f"a layer's name of {len(name)} letters")
        check_dtype(name, dataset.dtype)
        stored = values_of(found.file, name, dataset)
        values = as_float32(dataset.dtype, stored)
        kh, kw, channels, multiplier = dataset.shape
        kernels = values.transpose(2, 3, 0, 1).reshape(channels * multiplier, kh, kw)
        weights = np.require(kernels, requirements=["C", "A"])
        stride, dilation = (_alike(leaf, key) for key in ("strides", "dilation_rate"))
        layers.append(Layer(name, weights, stride, dilation, inferred))
    distinct(layers)
    return layers


def _alike(leaf: Leaf | None, key: str) -> int | None:
    """Return a number of pixels from a layer's configuration if both directions have it."""
    value = None if leaf is None else leaf.config.get(key)
    first, *others = value if isinstance(value, list) and value else [value]
    if type(first) is int and 0 < first < 1 << 15 and all(other == first for other in others):
        return first
    return None


def _read_named(found: _Found, group: int, leaves: list[Leaf] | None) -> None:
    """Read weights by the name of layer and variable, as Keras 2 writes them."""
    file = found.file
    links = file.links(group)
    inside: dict[str, dict[str, tuple[int, Leaf]]] = defaultdict(dict)
    for index, listed in enumerate(leaves or []):
        inside[listed.names[0]].setdefault(listed.names[-1], (index, listed))
    for layer in _listed(file.attributes(group), "layer_names"):
        if layer not in links:
            raise Damaged(f"layer {layer[:100]!r} is listed, but missing")
        chosen = []
        for weight, dataset in _weights(file, links[layer]):
            found.count(dataset)
            if len(dataset.shape) != 4:
                continue
            *owners, variable = weight.split("/")
            owner = owners[-1] if owners else layer
            # Variables of a layer outside of models in models may be called otherwise.
            known = inside[layer]
            alone = next(iter(known.values())) if len(known) == 1 else (-1, None)
            place, leaf = known.get(owner, alone)
            kind = _kind(variable.partition(":")[0], owner, leaf, leaves is None, dataset)
            if kind is not None:
                chosen.append((place, owner, dataset, leaf, kind == "inferred"))
        if all(place >= 0 for place, *_ in chosen):  # what is not trained is listed last
            chosen.sort(key=lambda item: item[0])
        for _, owner, dataset, leaf, inferred in chosen:
            plain = layer if len(chosen) == 1 else f"{layer}/{owner}"
            found.add("/".join(leaf.names) if leaf else plain, dataset, leaf, inferred)


def _kind(
    variable: str, owner: str, leaf: Leaf | None, unknown: bool, dataset: Dataset
) -> str | None:
    """Tell whether a weight is depthwise: by its layer, or only by its shape ("inferred")."""
    if variable.endswith(("depthwise_kernel", "depthwise_weights")):
        return "depthwise"
    if variable != "kernel":
        return None
    if leaf is not None:
        grouped = leaf.kind == "Conv2D" and leaf.config.get("groups", 1) != 1
        if leaf.kind == "DepthwiseConv2D" or (grouped and dataset.shape[2] == 1):
            return "depthwise"
    elif unknown and dataset.shape[2] == 1 and not _TRANSPOSED.search(owner):
        return "inferred"
    return None


def _listed(attributes: dict[str, list[str]], name: str) -> list[str]:
    """Return a list of names; Keras splits one of over 64 KB into several attributes."""
    if name in attributes:
        return attributes[name]
    names: list[str] = []
    part = 0
    while f"{name}{part}" in attributes:
        names += attributes[f"{name}{part}"]
        part += 1
    return names


def _weights(file: File, group: int) -> Iterator[tuple[str, Dataset]]:
    """Yield the weights of a layer in the order in which they are listed."""
    links = {group: file.links(group)}
    for name in _listed(file.attributes(group), "weight_names"):
        at = group
        for part in name.split("/"):
            if at not in links:
                links[at] = file.links(at)
            if part not in links[at]:
                raise Damaged(f"weight {name[:100]!r} is listed, but missing")
            at = links[at][part]
        dataset = dataset_of(file, at)
        if dataset is None:
            raise Damaged(f"weight {name[:100]!r} is no array")
        yield name, dataset


def _read_numbered(found: _Found, leaves: list[Leaf] | None) -> bool:
    """Read weights by number, as Keras 3 writes them; tell whether their order is known.

    A layer's group is called after its class, and its number among the layers of this class.
    """
    file = found.file
    known = {leaf.keys: (place, leaf) for place, leaf in enumerate(leaves or [])}
    places = []
    for keys, names, group in _groups(file, file.root, (), (), 0, set()):
        for number, address in file.links(group).items():
            dataset = dataset_of(file, address)
            if dataset is None:
                continue
            found.count(dataset)
            if number != "0" or len(dataset.shape) != 4:
                continue
            place, leaf = known.get(keys, (None, None))
            key = keys[-1] if keys else ""
            if leaf is not None and leaf.kind == "SeparableConv2D":
                kind: str | None = "depthwise"
            elif leaf is not None:
                kind = _kind("kernel", key, leaf, False, dataset)
            elif _DEPTHWISE.fullmatch(key) or (names and _DEPTHWISE.fullmatch(names[-1])):
                kind = "depthwise"
            else:
                kind = _kind("kernel", "/".join((*keys[-1:], *names[-1:])), None, True, dataset)
            if kind is not None:
                name = "/".join(leaf.names if leaf else names or keys)
                before = len(found.layers)
                found.add(name, dataset, leaf, kind == "inferred")
                places += [place] * (len(found.layers) - before)
    ordered = None not in places
    pairs = [*zip(places, found.layers, strict=True)]
    pairs.sort(key=(lambda pair: pair[0]) if ordered else (lambda pair: _natural(pair[1][0])))
    found.layers = [layer for _, layer in pairs]
    return ordered


def _groups(
    file: File, group: int, keys: tuple[str, ...], names: tuple[str, ...], depth: int, seen: set
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], int]]:
    """Yield what a layer is called by its class and by its name, and its group of variables."""
    if depth > _DEPTH or group in seen:
        raise Damaged("groups that hold themselves, or too many in one another")
    seen.add(group)
    links = file.links(group)
    if "vars" in links:
        if depth:
            name = file.attributes(links["vars"]).get("name")
            names = (*names[:-1], name[0]) if name and names else names
        yield keys, names, links["vars"]
    for key, address in links.items():
        if key == "vars" or (depth == 0 and key.lstrip("_").startswith("optimizer")):
            continue
        # Keras 2.12 on Windows wrote backslashes into names.
        parts = tuple(part for part in re.split(r"[/\\]", key) if part not in _CONTAINERS)
        yield from _groups(file, address, keys + parts, names + parts, depth + 1, seen)


def _natural(name: str) -> list[Any]:
    """Sort key that compares digits as numbers: 2 comes before 10."""
    key: list[Any] = re.split("([0-9]+)", name)  # text, digits, text, …
    key[1::2] = ((len(run), run) for run in (digits.lstrip("0") for digits in key[1::2]))
    return key

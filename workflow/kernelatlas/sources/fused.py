"""Kernels as they act at inference: branches and norms folded into them.

A batch norm multiplies each channel with weight / sqrt(running_var + eps), and so does the
convolution before it if its kernels are multiplied instead. `kernelatlas.sources.branches` folds
the blocks of several branches. Biases, which no table holds, are left out.

Which norm follows a layer directly is known from the registry where a network is one of timm's;
elsewhere from names that mean it by convention. A norm is left as it is where neither tells.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.branches import EPS, Block, Network, Unlike, block_of, times
from kernelatlas.sources.source import Parts, Tensors
from kernelatlas.sources.weights import plain_name

WEIGHTS_LIMIT = 1 << 24  # of a layer, which is folded in double precision; SLaK's have 5 million

# How a convolution is called, and the norm beside it that always follows it.
_PAIRS = (
    ("conv", "bn"),
    ("conv", "norm"),
    ("c", "bn"),
    ("linear", "bn"),  # LeViT
    ("convolution", "normalization"),  # Transformers
    ("depthwise_conv", "depthwise_norm"),
    ("_depthwise_conv", "_bn1"),  # EfficientNet-PyTorch
    ("conv_dw", "bn_dw"),
    ("Conv2d", "BatchNorm2d"),
)
# Names that say it only where the norm is defined behind the convolution, not before it.
_ORDERED_PAIRS = (("dwconv", "norm"), ("dwconv", "bn"))

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Fused:
    """Layers as they act.

    Attributes
    ----------
    layers
        In the order of what they were made of.
    folded
        How many of them are not as they were stored.
    eps_assumed
        Whether the norms' eps was not known.
    """

    layers: list[Layer]
    folded: int
    eps_assumed: bool


def parts_of(tensors: Tensors) -> Parts:
    """Return the tensors of a state dict that kernels are folded with, and guess the norms."""
    values = {plain_name(name): value for name, value in tensors.parts.items()}
    named = (name for name in tensors.shapes if type(name) is str)  # a pickle may have any key
    listed = list(dict.fromkeys(map(plain_name, named)))
    order = {name: place for place, name in enumerate(listed)}
    norms = {}
    for name in map(plain_name, tensors.values):
        layer = name.removesuffix(".weight")
        after = order[name] if tensors.ordered else None
        norm = _norm_by_name(layer, order, after)
        if norm and after is not None:  # a pointwise convolution between both has its norm instead
            between = listed[after + 1 : order[f"{norm}.running_var"]]
            if not all(x == f"{layer}.bias" or x.startswith(f"{norm}.") for x in between):
                continue
        if norm:
            norms[layer] = norm
    return Parts(values, norms)


def _norm_by_name(layer: str, order: Mapping[str, int], after: int | None) -> str | None:
    """Return the norm whose name says that it follows a layer directly, if there is one.

    Parameters
    ----------
    order
        Places of all tensors in the state dict, by name.
    after
        The layer's place, behind which its norm must be; None if the places are not those of
        definition.
    """
    path, dot, last = layer.rpartition(".")
    candidates = [norm for conv, norm in _PAIRS if conv == last]
    if last.isascii() and last.isdigit() and len(last) < 4:
        candidates.append(str(int(last) + 1))  # of a Sequential
    if last == "conv_dw" and f"{path}{dot}conv_pw.weight" in order:  # timm's EfficientNets
        inverted = f"{path}{dot}conv_pwl.weight" in order
        candidates.append("bn2" if inverted else "bn1")
    if after is not None:
        candidates += [norm for conv, norm in _ORDERED_PAIRS if conv == last]
        number = re.fullmatch(r"conv([0-9]+)", last)
        candidates += [f"bn{number[1]}", f"norm{number[1]}"] if number else []
    for candidate in candidates:
        norm = path + dot + candidate
        place = order.get(f"{norm}.running_var")
        if place is not None and (after is None or place > after):
            return norm
    return None


def fuse(
    model: str,
    layers: Sequence[Layer],
    names: Sequence[str],
    parts: Parts,
    rows: Sequence[dict[str, Any]] | None,
) -> Fused:
    """Fold branches and norms into kernels.

    Parameters
    ----------
    names
        Of the layers in the checkpoint, under which its other tensors are.
    rows
        Of the registry, if the architecture is known.

    Raises
    ------
    KernelAtlasError
        If a layer is too large to be folded.
    """
    for layer in layers:
        if layer.weights.size > WEIGHTS_LIMIT:
            raise KernelAtlasError(
                f"{model}: layer {layer.name!r} has {layer.weights.size} weights, too many to be "
                f"folded (limit {WEIGHTS_LIMIT}): leave `fused` out"
            )
    known = {row["layer"]: row for row in rows or ()}
    kernels = dict(zip(names, (layer.weights for layer in layers), strict=True))
    points = {
        name.removesuffix(".weight"): value[:, 0]
        for name, value in parts.values.items()
        if value.ndim == 4
    }
    network = Network({**points, **kernels}, parts.values)
    eps = {row["eps"] for row in known.values()} - {None}
    default = eps.pop() if len(eps) == 1 else EPS
    found: list[Layer] = []
    used: set[str] = set()
    folded, assumed = 0, False
    for name, layer in zip(names, layers, strict=True):
        if name in used:
            continue
        row = known.get(layer.name)
        epsilon = (row and row["eps"]) or default
        block = block_of(network, name, epsilon)
        if block:
            kernel, path, parted = block
            # The block's path as the layer's name is written, without what stands before both.
            path = path.removeprefix(name.removesuffix(layer.name))
            used |= parted
        else:
            path = layer.name
            norm = _norm(name, layer, row, parts)
            scaled = _scaled(network, name, norm, epsilon) if norm else None
            if scaled is None:
                found.append(layer)
                continue
            kernel = scaled
        folded, assumed = folded + 1, assumed or not rows
        with np.errstate(over="ignore"):
            found.append(replace(layer, name=path, weights=kernel.astype(np.float32, order="C")))
    twice = [name for name, n in Counter(layer.name for layer in found).items() if n > 1]
    if twice:
        raise KernelAtlasError(
            f"{model}: has both the branches and the kernel of '{twice[0]}': leave `fused` out"
        )
    if not folded:
        log.warning("%s: `fused` changes nothing: no norm or branch of it can be folded", model)
    elif assumed:
        log.warning("%s: the eps of its norms is not known: %g is taken", model, default)
    return Fused(found, folded, assumed)


def _norm(name: str, layer: Layer, row: dict[str, Any] | None, parts: Parts) -> str | None:
    """Return the path of the norm that follows a layer directly."""
    if row and row["norm"] is None:
        return None
    if row and name.endswith(layer.name):
        return name.removesuffix(layer.name) + row["norm"]
    return parts.norms.get(name)


def _scaled(network: Network, name: str, norm: str, eps: float) -> np.ndarray | None:
    block = Block(network, "", eps)
    try:
        return times(block.kernel(name), block.norm(norm))
    except Unlike:
        return None

"""Depthwise weights as they lie in checkpoints, whatever the format."""

import logging
import re
from dataclasses import replace
from typing import Any

import numpy as np

from kernelatlas.kernels.layer import Layer, depthwise_shape
from kernelatlas.sources.depthwise import DEPTHWISE, DOUBTFUL, OTHER, judge, judge_values
from kernelatlas.sources.neighbours import is_weight
from kernelatlas.sources.parametrised import in_use, is_original, is_part
from kernelatlas.sources.source import (
    DEFAULT,
    Content,
    Options,
    Refused,
    Tensors,
    damage,
    short,
)

DEPTHWISE_LIMIT = 1 << 30  # bytes of depthwise weights; timm's largest networks have 22 MB
LAYERS_LIMIT = 4096  # depthwise layers of a file; timm's networks have at most 240
WHOLE_LIMIT = 16 << 30  # bytes of a whole network; timm's largest with depthwise kernels has 3 GB
TENSORS_LIMIT = 1 << 15  # of a whole network; timm's have at most 3,000
CHANNELS_LIMIT = 1 << 16  # of a norm that is folded
PARTS_LIMIT = 64 << 20  # bytes of what is folded into kernels; timm's networks have at most 1 MB

log = logging.getLogger(__name__)

# How each dtype that is read lies in the file; bfloat16 has no NumPy dtype.
FLOATS = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}
STORED = {**FLOATS, "bool": "u1"}  # masks of pruned weights


def is_needed(name: object, dtype: str, shape: tuple[int, ...] | list[int]) -> bool:
    """Tell whether the values of a tensor must be read.

    It may be a depthwise weight, or one of the tensors that such a weight is computed from.
    """
    if type(name) is not str:
        return False
    if is_part(name, shape):
        return dtype in STORED
    if not depthwise_shape(shape) or not (is_weight(name) or is_original(name)):
        return False
    return dtype in FLOATS or name.endswith("weight")  # of another dtype it is refused later


def is_wanted(
    options: Options, name: object, dtype: str, shape: tuple[int, ...] | list[int]
) -> bool:
    """Tell whether the values of a tensor must be read: with `Options.whole` of all floats."""
    return dtype in FLOATS if options.whole else is_needed(name, dtype, shape)


def is_foldable(name: object, shape: tuple[int, ...] | list[int]) -> bool:
    """Tell whether a tensor may be folded into kernels: of a norm, a scale or a 1×1 branch."""
    if type(name) is not str or not shape or not 0 < shape[0] <= CHANNELS_LIMIT:
        return False
    n, *rest = shape
    return (
        (not rest and name.endswith((".weight", ".running_var")))
        or (rest == [1, 1, 1] and n > 1 and name.endswith(".weight"))
        or (rest == [1, 1] and "layer_scale" in name)
        or (n == 4 and len(rest) == 1 and name.endswith(".alpha") and rest[0] <= CHANNELS_LIMIT)
    )


def as_float32(dtype: str, stored: np.ndarray) -> np.ndarray:
    """Return values as float32 from what lies in the file."""
    if dtype == "bool":
        return (stored != 0).astype(np.float32)
    if dtype == "bfloat16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.astype(np.float32, copy=False)


def depthwise_content(tensors: Tensors, options: Options = DEFAULT) -> Content:
    """Return the depthwise layers of a state dict, and those that may be (`Layer.inferred`).

    Where the file does not tell, `kernelatlas.sources.depthwise` does. With `Options.depthwise` all
    weights are whose shape is that of a depthwise one. What is left out is logged.
    """
    tensors = in_use(tensors)
    verdicts = judge(tensors.shapes, tensors.ordered)
    layers, left_out = [], 0
    for name in tensors.shapes:
        values = tensors.values.get(name)
        known = tensors.convolutions.get(name.removesuffix(".weight"))
        if known is not None:
            if known.depthwise and values is not None:
                layer = layer_of(name, values)
                layers.append(replace(layer, stride=known.stride, dilation=known.dilation))
            continue
        verdict = verdicts.get(name)
        if verdict is None:
            continue
        if values is not None and verdict.kind != OTHER:
            verdict = judge_values(verdict, values)
        if options.depthwise and verdict.judged:
            verdict = replace(verdict, kind=DEPTHWISE)
        if values is None or verdict.kind == OTHER:
            log.info("%s is left out: it %s", short(name), verdict.reason)
            left_out += 1
            continue
        if verdict.kind == DOUBTFUL:
            log.info("%s is perhaps not depthwise: it %s", short(name), verdict.reason)
        layers.append(layer_of(name, values, verdict.kind == DOUBTFUL))
    distinct(layers)
    if not tensors.ordered:
        layers.sort(key=lambda layer: natural(layer.name))
    shapes = tuple(tensors.shapes.values()) if tensors.ordered else ()
    count = len(tensors.shapes)
    return Content(layers, tensors.ordered, count, shapes=shapes, left_out=left_out)


def layer_of(name: str, values: np.ndarray, inferred: bool = False) -> Layer:
    """Return a layer from its weight of shape (channels, 1, kh, kw), float32."""
    with damage(UnicodeError):
        name.encode()  # half a surrogate pair could not be written to a table
    weights = np.require(values[:, 0], requirements=["C", "A"])
    return Layer(plain_name(name).removesuffix(".weight"), weights, inferred=inferred)


def plain_name(name: str) -> str:
    """Return a tensor's name without what torch.compile and data parallel put before it."""
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):
        name = name.removeprefix(prefix)
    return name


def distinct(layers: list[Layer]) -> None:
    """Refuse two layers of one name."""
    names = set()
    for layer in layers:
        if layer.name in names:
            raise Refused(
                f"has two layers called {short(layer.name)}: rename one and save it again"
            )
        names.add(layer.name)


def check_amount(tensors: int, claimed: int, options: Options = DEFAULT) -> None:
    """Refuse a file with too many depthwise layers or bytes of them; if `whole`, of all tensors."""
    limit, what = LAYERS_LIMIT, "depthwise layers"
    bytes_limit, weights = DEPTHWISE_LIMIT, "depthwise weights"
    if options.whole:
        limit, what, bytes_limit, weights = TENSORS_LIMIT, "tensors", WHOLE_LIMIT, "weights"
    if tensors > limit:
        raise Refused(f"has {tensors} {what} (limit {limit}): check that it is the right file")
    if claimed > bytes_limit:
        raise Refused(
            f"claims {claimed} bytes of {weights} (limit {bytes_limit}): "
            "check that it is the right file"
        )


def check_parts(claimed: int) -> None:
    """Refuse a file with too many bytes of norms."""
    if claimed > PARTS_LIMIT:
        raise Refused(
            f"claims {claimed} bytes of norms and scales (limit {PARTS_LIMIT}): leave `fused` out"
        )


def check_dtype(name: str, dtype: str) -> None:
    if dtype not in STORED or (dtype == "bool" and name.endswith("weight")):
        raise Refused(
            f"layer {short(name)} is stored as {short(dtype)}, only {', '.join(FLOATS)} are "
            "read: save the checkpoint in one of them"
        )


def natural(name: str) -> tuple[Any, ...]:
    """Sort key, part by part, that compares digits as numbers: 2 comes before 10."""
    keys = []
    for part in name.split("."):
        key: list[Any] = re.split("([0-9]+)", part)  # text, digits, text, …
        key[1::2] = ((len(run), run) for run in (digits.lstrip("0") for digits in key[1::2]))
        keys.append(key)
    return keys, name  # the name decides between 1 and 01


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63

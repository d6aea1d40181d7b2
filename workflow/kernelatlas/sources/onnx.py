"""Depthwise weights out of ONNX files."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from kernelatlas.kernels.layer import Layer, depthwise_shape
from kernelatlas.sources.onnx_graph import CONVOLUTIONS, GRAPH, Graphs, Node, Tensor
from kernelatlas.sources.onnx_values import Values
from kernelatlas.sources.pages import Pages
from kernelatlas.sources.protobuf import BYTES, VARINT, Wire
from kernelatlas.sources.quantised import along, check_values, dequantised
from kernelatlas.sources.source import Content, Damaged, Refused, Source, short
from kernelatlas.sources.weights import (
    STORED,
    as_float32,
    check_amount,
    check_dtype,
    distinct,
    layer_of,
)

# Fields of a model, how they are encoded, and those of a graph, which are all messages.
_MODEL = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
_IN_GRAPH = {1, 2, 5, 10, 11, 12, 13, 14, 15, 16}
_VERSIONS = range(1, 100)  # of the format; 13 in 2026

_CASTS = {1: "float32", 10: "float16", 11: "float64"}  # data types that Cast may make
_CASTS_OF_PARAMETERS = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16"}
_INTEGERS = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4"}
_UINT8 = 2
_RANGES = {
    **{"uint8": (0, 255), "int8": (-128, 127), "uint4": (0, 15), "int4": (-8, 7)},
    **{"uint16": (0, 65535), "int16": (-32768, 32767)},
}

_Typed = tuple[str, np.ndarray]  # the name of a data type, and values

log = logging.getLogger(__name__)


def is_onnx(source: Source) -> bool:
    """Tell whether a file is an ONNX model, which has no magic number.

    It is one if all its fields up to the graph are those of a model, a version of the format is
    among them, and the graph begins with a field of a graph.
    """
    pages = Pages(source.fetch, source.size, 64)
    wire, at, version = Wire(pages), 0, False
    try:
        for _ in range(100):  # fields before the graph: a dozen, and lists are behind it
            key, at = wire.varint(at, source.size)
            number, kind = key >> 3, key & 7
            if _MODEL.get(number) != kind:
                return False
            value, at = wire.varint(at, source.size)
            if number == GRAPH:
                first = pages.byte(at) if at < source.size else 0
                return version and first & 7 == BYTES and first >> 3 in _IN_GRAPH
            version = version or (number == 1 and value in _VERSIONS)
            at += value if kind == BYTES else 0
    except Damaged:
        pass
    return False


@dataclass
class _Weight:
    """A depthwise weight, what it passes, and the first convolution that has it."""

    tensor: Tensor
    passed: list[Node]
    node: Node
    stride: int | None
    dilation: int | None

    @property
    def name(self) -> str:
        return (self.tensor.constant and self.node.name) or self.tensor.name


def read_onnx(source: Source) -> Content:
    """Return the depthwise layers of an ONNX model and its number of tensors.

    Depthwise is a 2-D convolution with as many groups as input channels, and more than one.
    Layers have the order of the nodes; a weight of several nodes is one layer. Weights that are
    stored as integers are dequantised; those of ConvInteger, whose scale only later nodes know,
    are in units of it. What is no stored tensor, but computed by the network, is passed over.

    Raises
    ------
    Refused
        If a depthwise weight is stored in a form that is not read.
    Damaged
        If the file contradicts itself.
    """
    source.need_whole()
    graphs = Graphs(Wire(Pages(source.view, source.size)))
    weights = _weights(source, graphs)
    check_amount(len(weights), sum(4 * weight.tensor.numel for weight in weights))
    values = Values(source)
    layers = [_layer(weight, values) for weight in weights]
    # Some pages were read twice.
    source.bytes_read = min(source.bytes_read, source.size + source.shard_bytes)
    distinct(layers)
    return Content(layers, True, graphs.tensors)


def _weights(source: Source, graphs: Graphs) -> list[_Weight]:
    found: dict[int, _Weight] = {}
    computed = 0
    for node in graphs.convolutions:
        groups = node.number("group", 1)
        if groups < 2:
            continue
        if node.scope.local:
            raise Refused(
                "has convolutions in functions of its own: inline them with "
                "onnx.inliner.inline_local_functions and save it again"
            )
        origin = node.origin(CONVOLUTIONS[node.kind])
        if origin is None:
            computed += 1
            continue
        tensor, passed = origin
        if not depthwise_shape(tensor.shape):
            continue
        if tensor.shape[0] % groups:
            raise Damaged(f"{short(tensor.name)} of {tensor.shape[0]} kernels in {groups} groups")
        stride, dilation = (_alike(node, name) for name in ("strides", "dilations"))
        weight = found.setdefault(id(tensor), _Weight(tensor, passed, node, stride, dilation))
        if weight.stride != stride:
            weight.stride = None
        if weight.dilation != dilation:
            weight.dilation = None
    if computed:
        log.warning(
            "%s: %d convolutions in groups are not read: their weights are no stored tensors",
            source.label,
            computed,
        )
    return list(found.values())


def _alike(node: Node, name: str) -> int | None:
    """Return a stride or dilation if it is the same in both directions."""
    values = node.numbers.get(name) or [1, 1]
    if len(values) != 2 or not all(0 < value < 1 << 15 for value in values):
        raise Damaged(f"{name} of node {short(node.name)} are {values}")
    return values[0] if values[0] == values[1] else None


def _layer(weight: _Weight, values: Values) -> Layer:
    name, node = weight.name, weight.node
    dtype, stored = values.read(weight.tensor)
    quantised = dtype not in STORED
    for step in weight.passed:
        dtype, stored = _passed(name, step, dtype, stored, values)
        quantised = quantised or step.kind == "QuantizeLinear"
    if node.kind == "QLinearConv":
        scale = _parameter(name, node, 4, stored.shape, values)
        zero = _parameter(name, node, 5, stored.shape, values)
        dtype, stored = _dequantised(name, dtype, stored, scale, zero, 0)
    elif node.kind == "ConvInteger":
        zero = _parameter(name, node, 3, stored.shape, values)
        dtype, stored = _dequantised(
            name, dtype, stored, ("float32", np.ones((), np.float32)), zero, 0
        )
    check_dtype(name, dtype)
    if quantised:
        name = name.removesuffix("_quantized")  # what ONNX Runtime's quantiser appends
    return replace(
        layer_of(name, as_float32(dtype, stored)),
        stride=weight.stride,
        dilation=weight.dilation,
        inferred=False,
        quantised=quantised,
    )


def _passed(name: str, step: Node, dtype: str, stored: np.ndarray, values: Values) -> _Typed:
    """Return what a node makes of a weight."""
    if step.kind == "Identity":
        return dtype, stored
    if step.kind == "Cast":
        return _cast(name, step, dtype, stored, _CASTS)
    if step.number("block_size", 0):
        raise Refused(
            f"layer {short(name)} is quantised in blocks, which is not read: "
            "export the network in floating point"
        )
    scale = _parameter(name, step, 1, stored.shape, values)
    zero = _parameter(name, step, 2, stored.shape, values)
    if step.kind == "DequantizeLinear":
        return _dequantised(name, dtype, stored, scale, zero, step.number("axis", 1))
    return _quantised(name, step, dtype, stored, scale, zero)


def _cast(name: str, step: Node, dtype: str, stored: np.ndarray, targets: dict[int, str]) -> _Typed:
    """Return what Cast makes of values."""
    target = targets.get(step.number("to", 0))
    if target is None or (targets is _CASTS and dtype not in STORED):
        raise Refused(
            f"layer {short(name)} is cast from {dtype} to the ONNX data type "
            f"{step.number('to', 0)}, which is not read: export the network in floating point"
        )
    if dtype == "bfloat16":
        stored = as_float32(dtype, stored)
    with np.errstate(over="ignore", invalid="ignore"):
        return target, stored.astype(target)


def _parameter(
    name: str, node: Node, index: int, shape: tuple[int, ...], values: Values
) -> _Typed | None:
    """Return type and values of a scale or a zero point; None if it is left out."""
    if not node.input(index):
        return None
    origin = node.origin(index)
    if origin is None or any(step.kind not in ("Identity", "Cast") for step in origin[1]):
        raise Refused(
            f"layer {short(name)} is quantised with a scale or zero point that is no stored "
            "tensor: export the network in floating point"
        )
    tensor, passed = origin
    if tensor.numel > max(shape):
        raise Damaged(f"{short(tensor.name)} has {tensor.numel} values for shape {shape}")
    found = values.read(tensor)
    for step in passed:
        if step.kind == "Cast":
            found = _cast(name, step, *found, _CASTS | _CASTS_OF_PARAMETERS)
    return found


def _scale(name: str, scale: _Typed | None) -> np.ndarray:
    if scale is None or scale[0] not in ("float32", "float16"):
        raise Refused(
            f"layer {short(name)} is quantised with a scale of type {scale and scale[0]}, only "
            "float32 and float16 are read: export the network in floating point"
        )
    return scale[1]


def _dequantised(
    name: str,
    dtype: str,
    stored: np.ndarray,
    scale: _Typed | None,
    zero: _Typed | None,
    axis: int,
) -> _Typed:
    if dtype not in _RANGES or (zero is not None and zero[0] != dtype):
        raise Refused(
            f"layer {short(name)} is dequantised from {dtype} with a zero point of type "
            f"{zero and zero[0]}, only equal integers of at most 16 bits are read: "
            "export the network in floating point"
        )
    steps = _scale(name, scale)
    return steps.dtype.name, dequantised(name, stored, steps, zero and zero[1], axis)


def _quantised(
    name: str,
    node: Node,
    dtype: str,
    stored: np.ndarray,
    scale: _Typed | None,
    zero: _Typed | None,
) -> _Typed:
    """Return what QuantizeLinear makes of a weight."""
    target = zero[0] if zero else _INTEGERS.get(node.number("output_dtype", 0) or _UINT8, "")
    steps = _scale(name, scale)
    if dtype != "float32" or steps.dtype != np.float32 or target not in _RANGES:
        raise Refused(
            f"layer {short(name)} is quantised from {dtype} to {target or 'an unknown type'}, "
            "which is not read: export the network in floating point"
        )
    check_values(name, stored)
    axis = node.number("axis", 1)
    with np.errstate(all="ignore"):
        values = stored / along(name, steps, stored.shape, axis)
        np.rint(values, out=values)
        if zero is not None:
            values += along(name, zero[1], stored.shape, axis).astype(np.float32)
        np.clip(values, *_RANGES[target], out=values)
        return target, values.astype(target.replace("int4", "int8"))

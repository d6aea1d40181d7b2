"""Depthwise weights out of TFLite files.

The numbers of fields and enumerations are those of schema.fbs
(https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs).
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.flatbuffer import Flat, Table
from kernelatlas.sources.pages import Pages
from kernelatlas.sources.quantised import dequantised, nibbles
from kernelatlas.sources.source import Content, Damaged, Refused, Source, short
from kernelatlas.sources.weights import STORED, as_float32, check_amount, distinct, layer_of

TFLITE = b"TFL3"  # bytes 4 to 8 of a file

_CONV, _DEPTHWISE, _DEQUANTIZE, _DENSIFY = 3, 4, 6, 124  # operators
_OPTIONS = {_CONV: 1, _DEPTHWISE: 2}  # the type of their options
_STRIDES = (1, 2)  # slots in the options, width and height
_DILATIONS = {_CONV: (4, 5), _DEPTHWISE: (5, 6)}
_CHANNELS = {_CONV: 0, _DEPTHWISE: 3}  # axis of the weight
_TYPES = {
    0: "float32",
    1: "float16",
    3: "uint8",
    7: "int16",
    9: "int8",
    17: "int4",
    18: "bfloat16",
}
_OPERANDS_LIMIT = 64  # inputs or outputs of the operators that matter
_PASSED_LIMIT = 16  # operators between a weight and its convolution

log = logging.getLogger(__name__)


@dataclass
class _Weight:
    """A depthwise weight: its name, tensor and bytes, and the first convolution that has it."""

    name: str
    tensor: Table
    shape: tuple[int, ...]
    begin: int
    size: int
    operator: int
    stride: int | None
    dilation: int | None


def read_tflite(source: Source) -> Content:
    """Return the depthwise layers of a TFLite file and its number of constant tensors.

    Depthwise is DEPTHWISE_CONV_2D, or CONV_2D with as many groups as input channels, with more
    than one input channel. Layers have the order of the operators; a weight of several operators
    is one layer. Weights that are stored as integers are dequantised.

    Raises
    ------
    Refused
        If a depthwise weight is stored in a form that is not read.
    Damaged
        If the file contradicts itself.
    """
    source.need_whole()
    model = Flat(Pages(source.view, source.size)).root()
    weights: dict[tuple[int, tuple[int, ...]], _Weight] = {}
    computed = 0
    names: set[str] = set()
    for found in _found(model):
        if found is None:
            computed += 1
            continue
        known = weights.setdefault((found.begin, found.shape), found)
        if known is found:
            check_amount(len(weights), 0)
            if found.name in names:  # they need not differ
                found.name += f":{found.begin}"
            names.add(found.name)
        if known.stride != found.stride:
            known.stride = None
        if known.dilation != found.dilation:
            known.dilation = None
    if computed:
        log.warning(
            "%s: %d depthwise convolutions are not read: their weights are no constants",
            source.label,
            computed,
        )
    # Tensors may share bytes, and so could ask for any amount of memory.
    claimed = sum(weight.size for weight in weights.values())
    if claimed > source.size:
        raise Damaged(f"depthwise weights of {claimed} bytes in a file of {source.size}")
    check_amount(len(weights), sum(4 * math.prod(weight.shape) for weight in weights.values()))
    layers = [_layer(source, weight) for weight in weights.values()]
    source.bytes_read = min(source.bytes_read, source.size)  # some pages were read twice
    tensors = sum(_place(buffer) is not None for buffer in model.tables(4))
    distinct(layers)
    return Content(layers, True, tensors)


def _found(model: Table) -> Iterator[_Weight | None]:
    """Yield the weights of depthwise convolutions; None for one that is no constant."""
    # The older field has one byte, 127 for all operators that do not fit into it.
    codes = [max(code.number(0, "<b"), code.number(3, "<i")) for code in model.tables(1)]
    for graph in model.tables(2):
        origins: dict[int, int] = {}  # of what DEQUANTIZE and DENSIFY make
        for node in graph.tables(3):
            index = node.number(0, "<I")
            if index >= len(codes):
                raise Damaged(f"operator code {index} of {len(codes)}")
            code = codes[index]
            if code in (_DEQUANTIZE, _DENSIFY):
                [made], [origin] = _operands(node, 2, 1), _operands(node, 1, 1)
                origins[made] = origin
            elif code in (_CONV, _DEPTHWISE):
                image, weight = _operands(node, 1, 2)
                for _ in range(_PASSED_LIMIT):
                    weight = origins.get(weight, weight)
                yield from _weight(model, graph, node, code, image, weight)


def _operands(node: Table, slot: int, count: int) -> list[int]:
    """Return the first tensors that an operator takes or makes."""
    found = node.numbers(slot, "<i4", _OPERANDS_LIMIT)[:count].tolist()
    if len(found) != count:
        raise Damaged(f"an operator of {len(found)} operands, {count} expected")
    return found


def _weight(
    model: Table, graph: Table, node: Table, code: int, image: int, weight: int
) -> Iterator[_Weight | None]:
    """Yield the weight of a convolution if it is depthwise; None if it is no constant."""
    tensor = graph.element(0, weight)
    shape = tuple(tensor.numbers(0, "<i4", 8).tolist())
    if len(shape) != 4 or min(shape) < 1:
        return  # only what is computed may have no shape
    options = node.table(4) if node.number(3, "<B") == _OPTIONS[code] else None
    channels = (0, *graph.element(0, image).numbers(0, "<i4", 8).tolist())[-1]
    if code == _DEPTHWISE and channels < 1 and options is not None:  # of unknown shape
        channels = shape[3] // max(options.number(3, "<i"), 1)
    kernels, single = (shape[3], shape[0]) if code == _DEPTHWISE else (shape[0], shape[3])
    if channels < 2 or shape[1] * shape[2] < 2 or single != 1:
        return
    if kernels % channels:
        raise Damaged(f"{kernels} kernels for {channels} channels")
    name = tensor.text(3)
    if tensor.has(6):
        raise Refused(
            f"layer {short(name)} is stored as a sparse tensor, which is not read: "
            "convert the network without sparsity"
        )
    if tensor.number(10, "<I"):
        raise Refused(
            f"layer {short(name)} is stored in another file, which is not read: "
            "convert the network into one file"
        )
    place = _place(model.element(4, tensor.number(2, "<I")))
    if place is None:
        yield None
        return
    stride = _alike(options, _STRIDES) if options else None
    dilation = _alike(options, _DILATIONS[code]) if options else None
    yield _Weight(name or f"tensor{weight}", tensor, shape, *place, code, stride, dilation)


def _place(buffer: Table) -> tuple[int, int] | None:
    """Return begin and bytes of a buffer; None if it is empty, as for what is computed."""
    begin, size = buffer.vector(0, 1)
    if not size:  # files of more than 2 GB have buffers behind the tables
        begin, size = buffer.number(1, "<Q"), buffer.number(2, "<Q")
        if begin < 2 or size < 2:
            return None
    buffer.check(begin, size)
    return begin, size


def _alike(options: Table, slots: tuple[int, int]) -> int | None:
    """Return a stride or dilation if it is the same in both directions."""
    # A dilation that is left out is 1; a stride always stands there.
    width, height = (options.number(slot, "<i", 1) for slot in slots)
    if not (0 < width < 1 << 15 and 0 < height < 1 << 15):
        raise Damaged(f"a stride or dilation of {width}, {height}")
    return width if width == height else None


def _layer(source: Source, weight: _Weight) -> Layer:
    kind = weight.tensor.number(1, "<b")
    if kind not in _TYPES:
        raise Refused(
            f"layer {short(weight.name)} has the TFLite tensor type {kind}, which is not read: "
            "convert the network in floating point"
        )
    dtype, numel = _TYPES[kind], math.prod(weight.shape)
    stored = STORED.get(dtype, "u1" if dtype == "int4" else f"<{np.dtype(dtype).str[1:]}")
    size = (numel + 1) // 2 if dtype == "int4" else numel * np.dtype(stored).itemsize
    if size != weight.size:
        raise Damaged(f"{short(weight.name)} has {weight.size} bytes, its shape needs {size}")
    data = source.view(weight.begin, size)
    values = nibbles(data, numel, signed=True) if dtype == "int4" else np.frombuffer(data, stored)
    values = values.reshape(weight.shape)
    quantised = dtype not in STORED
    if quantised:
        dtype, values = "float32", _dequantised(weight, values)
    axes = (3, 0, 1, 2) if weight.operator == _DEPTHWISE else (0, 3, 1, 2)
    return replace(
        layer_of(weight.name, as_float32(dtype, values).transpose(axes)),
        stride=weight.stride,
        dilation=weight.dilation,
        inferred=False,
        quantised=quantised,
    )


def _dequantised(weight: _Weight, values: np.ndarray) -> np.ndarray:
    name, channels = weight.name, _CHANNELS[weight.operator]
    quantisation = weight.tensor.table(4)
    most = weight.shape[channels]
    scale = quantisation.numbers(2, "<f4", most) if quantisation else np.empty(0)
    if quantisation is None or not scale.size or quantisation.number(4, "<B"):
        raise Refused(
            f"layer {short(name)} is quantised without a scale per tensor or per channel, "
            "which is not read: convert the network in floating point"
        )
    axis = quantisation.number(6, "<i")
    if scale.size > 1 and axis != channels:
        raise Refused(
            f"layer {short(name)} has scales along axis {axis}, only those along the channels "
            "are read: convert the network in floating point"
        )
    zero = quantisation.numbers(3, "<i8", most)
    return dequantised(name, values, scale, zero if zero.size else None, axis)

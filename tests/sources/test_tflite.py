"""TFLite files: what is read equals what the interpreter holds, and what its operators apply."""

import random
import struct

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from memory import MEMORY, cost_of, peak_of
from readings import refusal, survives
from test_onnx import normal

from kernelatlas.sources.checkpoints import read_depthwise

CONV, DEPTHWISE = schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D
DEQUANTIZE, DENSIFY = schema.BuiltinOperator.DEQUANTIZE, schema.BuiltinOperator.DENSIFY
ADD = schema.BuiltinOperator.ADD
TYPES = {
    np.dtype("float32"): schema.TensorType.FLOAT32,
    np.dtype("float16"): schema.TensorType.FLOAT16,
    np.dtype("int8"): schema.TensorType.INT8,
    np.dtype("uint8"): schema.TensorType.UINT8,
    np.dtype("int32"): schema.TensorType.INT32,
}


class Writer:
    """A model of one graph, written with the official schema."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, dtype="float32", data=None, scale=None, zero=None, axis=0):
        """Add a tensor, with data if it is constant; return its index."""
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, list(shape), 0
        made.type = dtype if isinstance(dtype, int) else TYPES[np.dtype(dtype)]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.atleast_1d(np.float32(scale))
            zeros = np.zeros(np.size(scale)) if zero is None else zero
            made.quantization.zeroPoint = np.atleast_1d(zeros).astype(np.int64)
            made.quantization.quantizedDimension = axis
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name, values, **options):
        return self.tensor(name, values.shape, values.dtype, values.tobytes(), **options)

    def operator(self, code, inputs, outputs, options=None, older=True):
        """Add an operator, with its code in the older field of one byte or in the newer one."""
        known = schema.OperatorCodeT()
        known.deprecatedBuiltinCode, known.builtinCode = (code, 0) if older else (0, code)
        known.version = 3
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes)
        made.inputs, made.outputs = inputs, outputs
        self.model.operatorCodes.append(known)
        if options is not None:
            made.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self.graph.operators.append(made)

    def convolution(self, weight, code=DEPTHWISE, channels=4, stride=1, dilation=1, **image):
        """Add a convolution of an image of 15×15 pixels, the model's input."""
        width, height = np.broadcast_to(stride, 2).tolist()
        wide, high = np.broadcast_to(dilation, 2).tolist()
        shape = self.graph.tensors[weight].shape
        out = shape[3] if code == DEPTHWISE else shape[0]
        x = self.tensor("x", (1, 15, 15, channels), **image)
        y = self.tensor("y", (1, -(-15 // height), -(-15 // width), out), **image)
        kind = schema.DepthwiseConv2DOptionsT if code == DEPTHWISE else schema.Conv2DOptionsT
        options = kind()
        options.padding = schema.Padding.SAME
        options.strideW, options.strideH = width, height
        options.dilationWFactor, options.dilationHFactor = wide, high
        if code == DEPTHWISE:
            options.depthMultiplier = out // channels
        known = self.graph.tensors[weight].quantization
        scale = known.scale if image else None  # the image's is 1
        zeros = np.zeros(out, np.int32 if image else np.float32)
        bias = self.constant("bias", zeros, scale=scale)
        self.operator(code, [x, weight, bias], [y], options)
        self.graph.inputs.append(x)
        self.graph.outputs.append(y)
        return y

    def bytes(self) -> bytes:
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def applied(data: bytes) -> np.ndarray:
    """The kernels that a model applies, seen in what it makes of one bright pixel of size 1."""
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    [given], [made] = interpreter.get_input_details(), interpreter.get_output_details()
    nothing = given["quantization"][1]
    x = np.full(given["shape"], nothing, given["dtype"])
    x[0, 7, 7] = nothing + 1
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    y = interpreter.get_tensor(made["index"])[0]
    scale, zero = made["quantization"]
    values = (y.astype(np.float32) - zero) * scale if scale else y
    return np.flip(values.transpose(2, 0, 1), (1, 2))


def middle(image: np.ndarray, kh: int, kw: int, dilation: int = 1) -> np.ndarray:
    rows = 7 + dilation * (np.arange(kh) - kh // 2)
    columns = 7 + dilation * (np.arange(kw) - kw // 2)
    return image[:, rows][:, :, columns]


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize(("kh", "kw"), [(3, 3), (5, 5), (1, 7)])
def test_the_kernels_are_those_that_the_interpreter_applies(file, kh, kw, multiplier, dilation):
    writer = Writer()
    weight = writer.constant("net/dw", normal(1, kh, kw, 4 * multiplier))
    writer.convolution(weight, dilation=dilation)
    reading = read_depthwise(file(writer.bytes()))
    [layer] = reading.layers
    assert layer.weights.shape == (4 * multiplier, kh, kw)
    assert layer.weights.flags.c_contiguous
    assert np.array_equal(layer.weights, middle(applied(writer.bytes()), kh, kw, dilation))
    assert (layer.name, layer.stride, layer.dilation) == ("net/dw", 1, dilation)
    assert not layer.inferred
    assert not layer.quantised
    assert reading.ordered
    assert reading.tensors == 2


def test_a_convolution_in_as_many_groups_as_channels_is_depthwise(file):
    writer = Writer()
    writer.convolution(writer.constant("w", normal(8, 3, 3, 1)), CONV, stride=(1, 2))
    [layer] = read_depthwise(file(writer.bytes())).layers
    assert (layer.stride, layer.dilation) == (None, 1)
    writer = Writer()
    writer.convolution(writer.constant("w", normal(8, 3, 3, 1)), CONV)
    assert np.array_equal(layer.weights, middle(applied(writer.bytes()), 3, 3))


def test_half_precision_passes_an_operator(file):
    writer = Writer()
    half = normal(1, 3, 3, 4).astype(np.float16)
    stored = writer.constant("half", half)
    weight = writer.tensor("full", half.shape)
    writer.operator(DEQUANTIZE, [stored], [weight], schema.DequantizeOptionsT())
    writer.convolution(weight)
    [layer] = read_depthwise(file(writer.bytes())).layers
    assert np.array_equal(layer.weights, middle(applied(writer.bytes()), 3, 3))
    assert np.array_equal(layer.weights, half[0].transpose(2, 0, 1).astype(np.float32))
    assert (layer.name, layer.quantised) == ("half", False)


@pytest.mark.parametrize(
    ("dtype", "per_channel", "code"),
    [
        ("int8", True, DEPTHWISE),
        ("int8", False, DEPTHWISE),
        ("uint8", False, DEPTHWISE),
        ("int8", True, CONV),
    ],
)
def test_integers_are_dequantised_as_the_interpreter_does(file, dtype, per_channel, code):
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.01, 0.1, 4 if per_channel else ()).astype(np.float32)
    zero = 0 if dtype == "int8" else 131
    shape, axis = ((1, 3, 3, 4), 3) if code == DEPTHWISE else ((4, 3, 3, 1), 0)
    low = -127 if dtype == "int8" else 0
    values = rng.integers(low, low + 255, shape).astype(dtype)
    zeros = np.full(scale.shape, zero)
    writer = Writer()
    weight = writer.constant("dw", values, scale=scale, zero=zeros, axis=axis)
    image_zero = 0 if dtype == "int8" else 128
    made = writer.convolution(weight, code, dtype=dtype, scale=1.0, zero=image_zero)
    writer.graph.tensors[made].quantization.scale = np.float32([0.1])  # of what it makes
    [layer] = read_depthwise(file(writer.bytes())).layers
    assert layer.quantised

    interpreter = Interpreter(model_content=writer.bytes())
    interpreter.allocate_tensors()
    held = interpreter.get_tensor(weight)
    [details] = [part for part in interpreter.get_tensor_details() if part["index"] == weight]
    known = details["quantization_parameters"]
    assert len(known["scales"]) == (4 if per_channel else 1)
    along = [-1 if i == known["quantized_dimension"] else 1 for i in range(4)]
    scales, zeros = known["scales"].reshape(along), known["zero_points"].reshape(along)
    truth = (held.astype(np.float64) - zeros) * scales
    truth = truth[0].transpose(2, 0, 1) if code == DEPTHWISE else truth[..., 0]
    assert np.allclose(layer.weights, truth, rtol=1e-6, atol=0)
    # What is made has 256 steps of 0.1, so that large kernels are cut.
    expected = np.clip(layer.weights, -12.8, 12.7)
    assert np.abs(middle(applied(writer.bytes()), 3, 3) - expected).max() <= 0.0501


def test_numbers_of_four_bits(file):
    values = np.random.default_rng(2).integers(-8, 8, (1, 3, 3, 5))
    low, high = np.append(values.ravel(), 0).reshape(-1, 2).T & 15
    packed = (low | high << 4).astype(np.uint8).tobytes()
    writer = Writer()
    scale = np.arange(1, 6, dtype=np.float32)
    kind = schema.TensorType.INT4
    weight = writer.tensor("dw", values.shape, kind, packed, scale=scale, axis=3)
    writer.convolution(weight, channels=5)
    [layer] = read_depthwise(file(writer.bytes())).layers
    assert np.array_equal(layer.weights, (values * scale)[0].transpose(2, 0, 1))
    assert layer.quantised


def test_only_depthwise_layers_are_read_in_the_order_of_operators(file):
    writer = Writer()
    last = writer.constant("last", normal(1, 5, 5, 4))
    first = writer.constant("first", normal(1, 3, 3, 4))
    for weight, code, channels in (
        (writer.constant("grey", normal(1, 3, 3, 8)), DEPTHWISE, 1),
        (writer.constant("grey2", normal(8, 3, 3, 1)), CONV, 1),
        (writer.constant("grouped", normal(8, 3, 3, 2)), CONV, 4),
        (writer.constant("dense", normal(8, 3, 3, 4)), CONV, 4),
        (writer.constant("pointwise", normal(1, 1, 1, 4)), DEPTHWISE, 4),
        (first, DEPTHWISE, 4),
        (last, DEPTHWISE, 4),
    ):
        writer.convolution(weight, code, channels)
    writer.convolution(first, stride=2)
    reading = read_depthwise(file(writer.bytes()))
    assert [layer.name for layer in reading.layers] == ["first", "last"]
    assert [layer.stride for layer in reading.layers] == [None, 1]  # of two nodes, and of one


def test_the_newer_field_of_operator_codes(file):
    writer = Writer()
    writer.convolution(writer.constant("dw", normal(1, 3, 3, 4)))
    code = writer.model.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode
    code.deprecatedBuiltinCode = 0
    assert read_depthwise(file(writer.bytes())).layers
    code.builtinCode = 200
    code.deprecatedBuiltinCode = 127
    assert "no depthwise layers" in refusal(file(writer.bytes()))


def test_graphs_share_weights_and_names_need_not_differ(file):
    writer = Writer()
    writer.convolution(writer.constant("dw", normal(1, 3, 3, 4)))
    writer.convolution(writer.constant("dw", normal(1, 3, 3, 4, seed=1)))
    writer.model.subgraphs = [writer.graph, writer.graph]
    first, second = read_depthwise(file(writer.bytes())).layers
    assert first.name == "dw"
    assert second.name.startswith("dw:")
    assert np.array_equal(second.weights, normal(1, 3, 3, 4, seed=1)[0].transpose(2, 0, 1))


def test_buffers_behind_the_tables(file):
    """As in files of more than 2 GB."""
    values = normal(1, 3, 3, 4)
    writer = Writer()
    writer.convolution(writer.constant("dw", values))
    buffer = writer.model.buffers[1]
    buffer.data, buffer.size, buffer.offset = None, values.nbytes, 1 << 40
    size = len(writer.bytes())
    buffer.offset = size + -size % 16
    data = writer.bytes().ljust(buffer.offset, b"\0") + values.tobytes()
    [layer] = read_depthwise(file(data)).layers
    assert np.array_equal(layer.weights, middle(applied(data), 3, 3))
    assert "damaged or truncated" in refusal(file(data[:-1]))


def test_weights_that_the_network_computes_are_passed_over(file, caplog):
    writer = Writer()
    writer.convolution(writer.tensor("computed", (1, 3, 3, 4)))
    writer.convolution(writer.constant("dw", normal(1, 3, 3, 4)))
    assert [layer.name for layer in read_depthwise(file(writer.bytes())).layers] == ["dw"]
    assert "1 depthwise convolutions are not read" in caplog.text


def test_what_the_image_is_need_not_be_known(file):
    writer = Writer()
    writer.convolution(writer.constant("dw", normal(1, 3, 3, 8)))
    [image] = (tensor for tensor in writer.graph.tensors if tensor.name == "x")
    image.shape = []
    assert len(read_depthwise(file(writer.bytes())).layers[0].weights) == 8


def sparse(writer, weight):
    tensor = writer.graph.tensors[weight]
    tensor.sparsity = schema.SparsityParametersT()


def field(name, value):
    return lambda writer, weight: setattr(writer.graph.tensors[weight], name, value)


def quantisation(name, value):
    def change(writer, weight):
        setattr(writer.graph.tensors[weight].quantization, name, value)

    return change


def blockwise(writer, weight):
    made = writer.graph.tensors[weight].quantization
    made.details = schema.BlockwiseQuantizationT()
    made.detailsType = schema.QuantizationDetails.BlockwiseQuantization


def stride(writer, weight):
    writer.graph.operators[-1].builtinOptions.strideW = -1


def operator(name, value):
    return lambda writer, weight: setattr(writer.graph.operators[-1], name, value)


BAD = {
    "sparse": (sparse, "a sparse tensor, which is not read"),
    "other file": (field("externalBuffer", 1), "in another file, which is not read"),
    "type": (field("type", schema.TensorType.INT64), "tensor type 4, which is not read"),
    "unquantised": (field("quantization", None), "without a scale per tensor or per channel"),
    "no scale": (quantisation("scale", None), "without a scale per tensor or per channel"),
    "blocks": (blockwise, "without a scale per tensor or per channel"),
    "axis": (quantisation("quantizedDimension", 2), "scales along axis 2"),
    "few scales": (quantisation("scale", np.ones(3, np.float32)), "scales or zero points of"),
    "many scales": (quantisation("scale", np.ones(5, np.float32)), "at most 4 are expected"),
    "zero points": (quantisation("zeroPoint", np.ones(2, np.int64)), "or zero points of shape"),
    "shape": (field("shape", [1, 3, 4, 4]), "36 bytes, its shape needs 48"),
    "channels": (field("shape", [1, 3, 2, 6]), "6 kernels for 4 channels"),
    "buffer": (field("buffer", 99), "element 99 of a vector of"),
    "stride": (stride, "a stride or dilation of -1, 1"),
    "operands": (operator("inputs", [0]), "1 operands, 2 expected"),
    "no tensor": (operator("inputs", [0, 99]), "element 99 of a vector of"),
    "code": (operator("opcodeIndex", 7), "operator code 7 of 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_read_is_one_error(file, case):
    change, message = BAD[case]
    writer = Writer()
    values = np.ones((1, 3, 3, 4), np.int8)
    weight = writer.constant("dw", values, scale=np.ones(4, np.float32), axis=3)
    writer.convolution(weight)
    assert read_depthwise(file(writer.bytes())).layers
    change(writer, weight)
    assert message in refusal(file(writer.bytes()))


def test_tensors_cannot_claim_the_same_bytes_again_and_again(file):
    values = normal(1, 64, 64, 4)
    writer = Writer()
    for shape in ((1, 64, 64, 4), (1, 32, 128, 4)):
        weight = writer.tensor(f"dw{shape[1]}", shape)
        writer.graph.tensors[weight].buffer = 1
        if len(writer.model.buffers) == 1:
            writer.model.buffers.append(schema.BufferT())
            writer.model.buffers[1].data = np.frombuffer(values.tobytes(), np.uint8)
        writer.convolution(weight)
    assert "depthwise weights of 131072 bytes" in refusal(file(writer.bytes()))


def everything() -> bytes:
    """A model with all that is read."""
    writer = Writer()
    scale = np.ones(4, np.float32)
    writer.convolution(writer.constant("a", np.ones((1, 3, 3, 4), np.int8), scale=scale, axis=3))
    writer.convolution(writer.constant("b", normal(4, 3, 3, 1)), CONV, stride=2)
    half = writer.constant("c", normal(1, 3, 3, 4).astype(np.float16))
    weight = writer.tensor("full", (1, 3, 3, 4))
    writer.operator(DEQUANTIZE, [half], [weight], schema.DequantizeOptionsT())
    writer.convolution(weight)
    return writer.bytes()


def test_no_damage_ends_in_another_error(file):
    data, rng = everything(), random.Random(0)
    assert [layer.name for layer in read_depthwise(file(data)).layers] == ["a", "b", "c"]
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(8 if rng.random() < 0.9 else 0, len(changed))
            changed[at] = rng.choice((0, 1, 127, 128, 255, changed[at] ^ 1 << rng.randrange(8)))
        if rng.random() < 0.2:
            del changed[rng.randrange(8, len(changed)) :]
        if rng.random() < 0.2:
            at = rng.randrange(len(changed) // 4 * 4)
            changed[at : at + 4] = struct.pack("<i", rng.choice((-1, 2**31 - 1, -(2**31), 1000)))
        survives(file(bytes(changed)))


def test_a_file_that_is_cut_off_is_damaged(file):
    data = everything()
    for count in (8, 12, 100):
        assert "damaged or truncated" in refusal(file(data[:count]))


def test_other_weights_are_not_loaded(tmp_path):
    """Between the depthwise weights and the end lie 300 MB of others, here a hole."""
    writer = Writer()
    writer.convolution(writer.constant("big", normal(4, 3, 3, 4)), CONV)
    writer.convolution(writer.constant("dw", normal(1, 3, 3, 4)))
    size = 300 << 20
    buffer, tensor = writer.model.buffers[1], writer.graph.tensors[0]
    tensor.shape = [4, 3, 3, size // 144]
    buffer.data, buffer.offset, buffer.size = None, 1 << 20, size
    path = tmp_path / "net.tflite"
    with path.open("wb") as out:
        out.write(writer.bytes())
        out.truncate((1 << 20) + size)
    grown, layers, bytes_read = cost_of(path)
    assert layers == 1
    assert grown < 32 << 20
    assert bytes_read < 1 << 20


@pytest.mark.parametrize("repeated", ["operator codes", "graphs"])
def test_hostile_models_take_little_memory(file, repeated):
    """A vector of offsets whose elements are all the same table, without end."""
    count = 1_000_000
    table = struct.pack("<HHi", 4, 4, 4)  # a table without fields, behind its list of slots
    slot = {"operator codes": 1, "graphs": 2}[repeated]
    slots = [4 if i == slot else 0 for i in range(5)]
    # The root table, at 28, has one field: the vector at 36.
    head = struct.pack("<I4s7H", 28, b"TFL3", 14, 8, *slots).ljust(28, b"\0")
    root = struct.pack("<iI", 28 - 8, 4)
    vector = struct.pack("<I", count)
    begin = len(head + root + vector)
    behind = begin + 4 * count + 4  # where the table of no fields is
    offsets = (behind - (begin + 4 * np.arange(count))).astype("<u4").tobytes()
    data = head + root + vector + offsets + table
    grown, message = peak_of(file(data))
    assert grown < MEMORY, message
    assert "more than 300000 tables" in message

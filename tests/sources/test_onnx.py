"""ONNX files: what is read equals what PyTorch exported and what the onnx package computes."""

import io
import random
import struct
import warnings

import numpy as np
import onnx
import pytest
import torch
from memory import MEMORY, cost_of, peak_of
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from readings import refusal, survives

from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.onnx import is_onnx
from kernelatlas.sources.source import LocalSource

NUMPY_TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}
INTEGERS = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "UINT16": (0, 65535),
    "INT4": (-8, 7),
    "UINT4": (0, 15),
}
SHAPE = (6, 1, 3, 3)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def stored(values: np.ndarray, name: str, kind: int = TensorProto.FLOAT, raw: bool = True):
    """A tensor of any type, made by the onnx package from values that the type can hold."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    made = numpy_helper.from_array(np.asarray(values).astype(dtype), name)
    if not raw:
        made = helper.make_tensor(name, kind, values.shape, numpy_helper.to_array(made).ravel())
        assert not made.HasField("raw_data")
    return made


def conv(weight: str, group: int = 6, name: str = "node", kind: str = "Conv", **options):
    return helper.make_node(kind, ["x", weight], [f"{name}_out"], name, group=group, **options)


def graph_of(nodes, tensors):
    return helper.make_graph(nodes, "graph", [], [], tensors)


def model_of(nodes, tensors, **options) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph_of(nodes, tensors), opset_imports=opsets, **options)


def computed(nodes, tensors, output: str) -> np.ndarray:
    """What the onnx package's reference computes of constants."""
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", [], [made], tensors)
    [value] = ReferenceEvaluator(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    ).run(None, {})
    return np.asarray(value)


@pytest.fixture
def read(file):
    """Return a function that reads a model of nodes and tensors."""

    def function(nodes, tensors, **options):
        path = file(model_of(nodes, tensors, **options).SerializeToString(), "net.onnx")
        return read_depthwise(path)

    return function


class Net(torch.nn.Module):
    """Depthwise layers among what only looks like them."""

    def __init__(self) -> None:
        super().__init__()
        conv = torch.nn.Conv2d
        self.grey = conv(1, 8, 3, padding=1)
        self.dw = conv(8, 8, 3, stride=2, padding=1, groups=8)
        self.shared = conv(8, 8, 5, padding=4, dilation=2, groups=8)
        self.grouped = conv(8, 8, 3, padding=1, groups=4)
        self.multiplied = conv(8, 16, 3, padding=1, groups=8)
        self.strip = conv(16, 16, (1, 7), stride=(1, 2), padding=(0, 3), groups=16)
        self.pointwise = conv(16, 16, 1, groups=16)
        self.up = torch.nn.ConvTranspose2d(16, 16, 2, stride=2, groups=16)
        self.line = torch.nn.Conv1d(16, 16, 3, groups=16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(self.shared(self.dw(self.grey(x))))
        x = self.up(self.pointwise(self.strip(self.multiplied(self.grouped(x)))))
        return self.line(x.flatten(2))


def test_a_network_exported_by_pytorch_is_read_bit_for_bit(tmp_path):
    torch.manual_seed(0)
    net = Net().eval()
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is the old
        torch.onnx.export(net, (torch.zeros(1, 1, 16, 16),), path, dynamo=False)
    reading = read_depthwise(path)
    assert [layer.name for layer in reading.layers] == ["dw", "shared", "multiplied", "strip"]
    for layer in reading.layers:
        assert np.array_equal(layer.weights, getattr(net, layer.name).weight.detach()[:, 0])
        assert not layer.inferred
        assert not layer.quantised
    known = [(layer.stride, layer.dilation) for layer in reading.layers]
    assert known == [(2, 1), (1, 2), (1, 1), (None, 1)]
    assert reading.ordered
    graph = onnx.load(path).graph
    constants = [node for node in graph.node if node.op_type == "Constant"]
    assert reading.tensors == len(graph.initializer) + len(constants)


@pytest.mark.parametrize("kind", NUMPY_TYPES, ids=NUMPY_TYPES.values())
@pytest.mark.parametrize(
    ("place", "raw"),
    [
        ("initializer", True),
        ("initializer", False),
        ("constant", True),
        ("constant", False),
        ("outside", True),
    ],
)
def test_every_type_in_every_place(tmp_path, kind, raw, place):
    tensor = stored(normal(*SHAPE), "a.weight", kind, raw)
    truth = numpy_helper.to_array(tensor).astype(np.float32)
    nodes, tensors = [conv("a.weight", name="a")], [tensor]
    if place == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["a.weight"], value=tensor))
        tensors = []
    path = tmp_path / "net.onnx"
    if place == "outside":
        tensors.append(stored(normal(5), "bias"))
        model = model_of(nodes, tensors)
        onnx.save(model, path, save_as_external_data=True, location="x y.data", size_threshold=0)
        assert not onnx.load(path, load_external_data=False).graph.initializer[0].raw_data
    else:
        onnx.save(model_of(nodes, tensors), path)
    reading = read_depthwise(path)
    [layer] = reading.layers
    assert layer.name == "a"
    assert layer.weights.dtype == np.float32
    assert np.array_equal(layer.weights, truth[:, 0])
    assert reading.size == sum(part.stat().st_size for part in tmp_path.iterdir())
    assert reading.shards == (("x y.data",) if place == "outside" else ())


@pytest.mark.parametrize("first", ["nodes", "tensors"])
def test_tensors_may_come_before_or_after_the_nodes(file, first):
    """Messages that lie one behind the other are one message."""
    parts = [graph_of([conv("a")], []), graph_of([], [stored(normal(*SHAPE), "a")])]
    parts = parts if first == "nodes" else parts[::-1]
    head = onnx.ModelProto(ir_version=8).SerializeToString()
    graph = b"".join(part.SerializeToString() for part in parts)
    path = file(head + b"\x3a" + varint(len(graph)) + graph)
    assert onnx.load(path).graph.node[0].op_type == "Conv"
    assert np.array_equal(read_depthwise(path).layers[0].weights, normal(*SHAPE)[:, 0])


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def scales(per_channel: bool) -> np.ndarray:
    random_scales = np.random.default_rng(1).uniform(0.01, 0.3, 6).astype(np.float32)
    return random_scales if per_channel else random_scales[0]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", INTEGERS)
def test_dequantised_weights_are_those_of_the_reference(read, kind, per_channel, raw):
    low, high = INTEGERS[kind]
    rng = np.random.default_rng(2)
    number = getattr(TensorProto, kind)
    zero = rng.integers(low, high + 1, 6 if per_channel else ())
    tensors = [
        stored(rng.integers(low, high + 1, (6, 1, 3, 5)), "a.weight_quantized", number, raw),
        stored(scales(per_channel), "scale", raw=raw),
        stored(zero, "zero", number, raw),
    ]
    inputs = ["a.weight_quantized", "scale", "zero"]
    nodes = [
        helper.make_node("DequantizeLinear", inputs, ["b"], axis=0),
        helper.make_node("Identity", ["b"], ["w"]),
    ]
    [layer] = read([*nodes, conv("w")], tensors).layers
    assert layer.name == "a"
    assert layer.quantised
    assert not layer.inferred
    assert np.array_equal(layer.weights, computed(nodes, tensors, "w")[:, 0])


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("kind", INTEGERS)
def test_weights_that_are_quantised_and_back_are_what_acts(read, kind, zero):
    low, high = INTEGERS[kind]
    number = getattr(TensorProto, kind)
    step = np.float32(4 / (high - low))
    tensors = [stored(normal(*SHAPE), "a.weight"), stored(step, "scale")]
    inputs, options = ["scale"], {} if zero else {"output_dtype": number}
    if zero:
        tensors.append(stored(np.array((low + high) // 2 + 1), "zero", number))
        inputs.append("zero")
    nodes = [
        helper.make_node("QuantizeLinear", ["a.weight", *inputs], ["q"], **options),
        helper.make_node("DequantizeLinear", ["q", *inputs], ["w"]),
    ]
    [layer] = read([*nodes, conv("w")], tensors).layers
    truth = computed(nodes, tensors, "w")[:, 0]
    assert layer.quantised
    assert np.array_equal(layer.weights, truth)
    assert len(np.unique(truth)) > 4
    assert not np.array_equal(truth, normal(*SHAPE)[:, 0])


class Fake(torch.nn.Module):
    """A depthwise layer as in training for quantisation."""

    def __init__(self, per_channel: bool) -> None:
        super().__init__()
        self.dw = torch.nn.Conv2d(6, 6, 3, groups=6)
        self.register_buffer("scale", torch.from_numpy(scales(True)) / 10)
        self.register_buffer("zero", torch.arange(6, dtype=torch.int32))
        self.per_channel = per_channel

    def weight(self) -> torch.Tensor:
        if self.per_channel:
            options = (self.dw.weight, self.scale, self.zero, 0, -128, 127)
            return torch.fake_quantize_per_channel_affine(*options)
        return torch.fake_quantize_per_tensor_affine(self.dw.weight, 0.01, 3, -128, 127)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, self.weight(), groups=6)


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_network_trained_for_quantisation_is_read_as_pytorch_applies_it(
    tmp_path, per_channel, folded
):
    torch.manual_seed(0)
    net = Fake(per_channel).eval()
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"dynamo": False, "do_constant_folding": folded}
        torch.onnx.export(net, (torch.zeros(1, 6, 9, 9),), path, **options)
    [layer] = read_depthwise(path).layers
    assert (layer.name, layer.quantised) == ("dw", True)
    assert np.array_equal(layer.weights, net.weight().detach()[:, 0])


@pytest.mark.parametrize("kinds", [(10, 1), (16, 1), (11, 1), (1, 10, 1), (11, 10)])
def test_cast_weights_are_those_of_the_reference(read, kinds):
    tensors = [stored(normal(*SHAPE), "w0", kinds[0])]
    nodes = [
        helper.make_node("Cast", [f"w{i}"], [f"w{i + 1}"], to=kind)
        for i, kind in enumerate(kinds[1:])
    ]
    last = f"w{len(nodes)}"
    [layer] = read([*nodes, conv(last)], tensors).layers
    truth = computed(nodes, tensors, last).astype(np.float32)
    assert np.array_equal(layer.weights, truth[:, 0])
    assert not layer.quantised


def impulse_response(node, tensors, dtype) -> np.ndarray:
    """The kernels that a convolution applies, seen in what it makes of one bright pixel."""
    x = np.zeros((1, 6, 5, 5), dtype)
    x[:, :, 2, 2] = 1
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info("x", kind, x.shape)]
    out = [helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)]
    graph = helper.make_graph([node], "graph", inputs, out, tensors)
    opsets = [helper.make_opsetid("", 21)]
    [y] = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets)).run(None, {"x": x})
    return np.flip(y[0], (1, 2))


def test_integer_convolutions_act_with_their_integers_less_the_zero_point(read):
    weight = np.random.default_rng(3).integers(0, 256, SHAPE)
    tensors = [
        stored(weight, "a.weight_quantized", TensorProto.UINT8),
        stored(np.array(0), "x_zero", TensorProto.UINT8),
        stored(np.array(7), "zero", TensorProto.UINT8),
    ]
    inputs = ["x", "a.weight_quantized", "x_zero", "zero"]
    node = helper.make_node("ConvInteger", inputs, ["y"], group=6, pads=[1] * 4)
    [layer] = read([node], tensors).layers
    assert (layer.name, layer.quantised) == ("a", True)
    expected = impulse_response(node, tensors, np.uint8)[:, 1:4, 1:4]
    assert np.array_equal(layer.weights, expected)


def test_quantised_convolutions_have_their_scale_among_their_inputs(read):
    weight = np.random.default_rng(4).integers(-128, 128, SHAPE)
    tensors = [
        stored(np.float32(1), "x_scale"),
        stored(np.array(0), "x_zero", TensorProto.INT8),
        stored(weight, "a.weight", TensorProto.INT8),
        stored(scales(True), "scale"),
        stored(np.zeros(6), "zero", TensorProto.INT8),
        stored(np.float32(0.5), "y_scale"),
    ]
    inputs = ["x", "x_scale", "x_zero", "a.weight", "scale", "zero", "y_scale", "x_zero"]
    node = helper.make_node("QLinearConv", inputs, ["y"], group=6, strides=[2, 2])
    [layer] = read([node], tensors).layers
    back = helper.make_node("DequantizeLinear", ["a.weight", "scale", "zero"], ["w"], axis=0)
    assert np.array_equal(layer.weights, computed([back], tensors, "w")[:, 0])
    assert (layer.name, layer.stride, layer.quantised) == ("a", 2, True)


def test_the_convolutions_of_a_runtime_are_read(read):
    node = conv("a", kind="FusedConv", domain="com.microsoft", activation="Relu")
    other = conv("b", kind="Conv", domain="org.example")
    tensors = [stored(normal(*SHAPE), name) for name in "ab"]
    assert [layer.name for layer in read([node, other], tensors).layers] == ["a"]


def test_bodies_of_branches_and_loops_are_read_in_order(read):
    inner = graph_of([conv("b"), conv("outer")], [stored(normal(*SHAPE, seed=1), "b")])
    body = graph_of([helper.make_node("If", ["c"], ["y"], then_branch=inner)], [])
    nodes = [
        conv("a"),
        helper.make_node("Loop", ["n", "", "x"], ["z"], body=body),
        conv("last"),
    ]
    tensors = [stored(normal(*SHAPE), name) for name in ("last", "outer", "a")]
    reading = read(nodes, tensors)
    assert [layer.name for layer in reading.layers] == ["a", "b", "outer", "last"]
    assert np.array_equal(reading.layers[1].weights, normal(*SHAPE, seed=1)[:, 0])
    assert reading.tensors == 4


def test_a_weight_of_several_nodes_is_one_layer(read):
    nodes = [
        conv("a", name="1", strides=[2, 2], dilations=[3, 3]),
        conv("a", name="2", strides=[1, 1], dilations=[3, 3]),
    ]
    [layer] = read(nodes, [stored(normal(*SHAPE), "a")]).layers
    assert (layer.stride, layer.dilation) == (None, 3)


def test_a_constant_is_called_as_its_convolution(read):
    tensor = stored(normal(*SHAPE), "")
    nodes = [
        helper.make_node("Constant", [], ["c1"], value=tensor),
        helper.make_node("Constant", [], ["c2"], value=tensor),
        helper.make_node("Constant", [], ["scale"], value_float=1.0),
        conv("c1", name="/stages.0/dw/Conv"),
        helper.make_node("Conv", ["x", "c2"], ["y"], group=6),
    ]
    reading = read(nodes, [])
    assert [layer.name for layer in reading.layers] == ["/stages.0/dw/Conv", "c2"]
    assert reading.tensors == 3


def test_weights_that_the_network_computes_are_passed_over(read, caplog):
    nodes = [
        helper.make_node("Mul", ["a", "a"], ["w"]),
        conv("w", name="1"),
        conv("x", name="2"),
        conv("a", name="3"),
    ]
    assert len(read(nodes, [stored(normal(*SHAPE), "a")]).layers) == 1
    assert "2 convolutions in groups are not read" in caplog.text


def test_a_cycle_of_nodes_is_no_tensor(file):
    nodes = [helper.make_node("Identity", ["w"], ["w"]), conv("w")]
    path = file(model_of(nodes, []).SerializeToString())
    assert "no depthwise layers" in refusal(path)


def outside(**entries: str):
    """A tensor with data in another file, or so it says."""
    tensor = stored(normal(*SHAPE), "a")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "sub/w.data", "..", ".", "", "a\\b", "a\0b", "a" * 300]
)
def test_data_is_read_beside_the_model_and_nowhere_else(tmp_path, name):
    (tmp_path / "secret").write_bytes(bytes(1000))
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "w.data").write_bytes(bytes(1000))
    path = folder / "net.onnx"
    path.write_bytes(model_of([conv("a")], [outside(location=name)]).SerializeToString())
    assert "which is not beside it" in refusal(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "gone.data"}, "cannot be read beside it"),
        ({"location": "folder"}, "not a regular file"),
        ({"location": "w.data", "offset": "-1"}, "no valid place"),
        ({"location": "w.data", "offset": "1"}, "ends beyond 'w.data', which has 216 bytes"),
        ({"location": "w.data", "length": "100"}, "100 bytes where its shape needs 216"),
        ({"location": "w.data", "length": "9" * 19}, "no valid place"),
        ({}, "not beside it"),
    ],
)
def test_data_that_is_not_where_it_should_be_is_one_error(tmp_path, entries, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "w.data").write_bytes(bytes(216))
    path = tmp_path / "net.onnx"
    path.write_bytes(model_of([conv("a")], [outside(**entries)]).SerializeToString())
    assert message in refusal(path)


def test_tensors_cannot_claim_one_file_again_and_again(tmp_path):
    (tmp_path / "w.data").write_bytes(bytes(300))
    tensors = [outside(location="w.data"), outside(location="w.data", offset="84")]
    tensors[1].name = "b"
    path = tmp_path / "net.onnx"
    path.write_bytes(model_of([conv("a"), conv("b")], tensors).SerializeToString())
    assert "claim 432 bytes of 'w.data'" in refusal(path)


def changed(**fields):
    tensor = stored(normal(*SHAPE), "a")
    for name, value in fields.items():
        setattr(tensor, name, value)
    return tensor


def dequantised(*tensors, **options):
    names = [tensor.name for tensor in tensors]
    return [helper.make_node("DequantizeLinear", names, ["w"], **options), conv("w")], tensors


INT8 = stored(np.zeros(SHAPE), "a", TensorProto.INT8)
BAD = {
    "float8": (
        [conv("a")],
        [changed(data_type=TensorProto.FLOAT8E4M3FN)],
        "ONNX data type 17, which is not read",
    ),
    "integers": ([conv("a")], [INT8], "stored as 'int8'"),
    "few bytes": ([conv("a")], [changed(raw_data=bytes(215))], "215 bytes where its shape needs"),
    "no bytes": (
        [conv("a")],
        [TensorProto(name="a", data_type=1, dims=SHAPE)],
        "has no values",
    ),
    "doubles of floats": (
        [conv("a")],
        [TensorProto(name="a", data_type=1, dims=SHAPE, double_data=[0] * 54)],
        "values of another type than float32",
    ),
    "few numbers": (
        [conv("a")],
        [TensorProto(name="a", data_type=10, dims=SHAPE, int32_data=[0] * 53)],
        "53 values, its shape differs",
    ),
    "groups": ([conv("a", 4)], [changed()], "6 kernels in 4 groups"),
    "strides": ([conv("a", strides=[0, 1])], [changed()], "strides of node 'node' are"),
    "many strides": ([conv("a", strides=[1] * 99)], [changed()], "of too many numbers"),
    "many axes": (
        [conv("a")],
        [TensorProto(name="a", data_type=1, dims=[1] * 99)],
        "of too many axes",
    ),
    "names": ([conv("a")], [changed(), changed()], "two tensors are called 'a'"),
    "blocks": (
        *dequantised(INT8, stored(np.ones(6), "s"), block_size=2, axis=0),
        "quantised in blocks",
    ),
    "wrong axis": (*dequantised(INT8, stored(np.ones(6), "s"), axis=2), "along axis 2, only one"),
    "two axes": (*dequantised(INT8, stored(np.ones((3, 2)), "s"), axis=0), "of shape (3, 2)"),
    "many scales": (*dequantised(INT8, stored(np.ones(7), "s"), axis=0), "7 values for shape"),
    "scale of integers": (
        *dequantised(INT8, stored(np.ones(6), "s", TensorProto.INT8), axis=0),
        "a scale of type int8",
    ),
    "scale that is computed": (
        [helper.make_node("DequantizeLinear", ["a", "x"], ["w"]), conv("w")],
        [INT8],
        "a scale or zero point that is no stored tensor",
    ),
    "other zero point": (
        *dequantised(INT8, stored(1, "s"), stored(1, "z", TensorProto.UINT8)),
        "from int8 with a zero point of type uint8",
    ),
    "floats dequantised": (*dequantised(changed(), stored(1, "s")), "dequantised from float32"),
    "cast to integers": (
        [helper.make_node("Cast", ["a"], ["w"], to=3), conv("w")],
        [changed()],
        "cast from float32 to the ONNX data type 3",
    ),
    "nothing depthwise": ([conv("a", 1)], [changed()], "no depthwise layers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_read_is_one_error(file, case):
    nodes, tensors, message = BAD[case]
    assert message in refusal(file(model_of(nodes, tensors).SerializeToString()))


def test_convolutions_in_functions_are_refused(file):
    function = helper.make_function(
        "own", "Block", ["x", "w"], ["y"], [conv("w")], [helper.make_opsetid("", 21)]
    )
    node = helper.make_node("Block", ["x", "a"], ["y"], domain="own")
    model = model_of([node, conv("a")], [changed()], functions=[function])
    assert "inline_local_functions" in refusal(file(model.SerializeToString()))


def test_values_in_parts_are_refused(file):
    """Valid, but no known program writes it."""
    tensor = TensorProto(name="a", data_type=1, dims=SHAPE, float_data=normal(54)[:30])
    more = TensorProto(float_data=normal(54)[30:])
    data = tensor.SerializeToString() + more.SerializeToString()
    assert len(TensorProto.FromString(data).float_data) == 54
    graph = b"\x2a" + varint(len(data)) + data
    graph = graph_of([conv("a")], []).SerializeToString() + graph
    path = file(b"\x08\x08\x3a" + varint(len(graph)) + graph)
    assert "stored in parts" in refusal(path)


def test_deep_graphs_are_refused(file):
    graph = graph_of([conv("a")], [])
    for _ in range(20):
        graph = graph_of([helper.make_node("If", ["c"], ["y"], then_branch=graph)], [])
    data = helper.make_model(graph).SerializeToString()
    assert "deeper than 16" in refusal(file(data))


def test_a_truncated_model_is_called_damaged(file):
    data = model_of([conv("a")], [changed()]).SerializeToString()
    for count in (len(data) // 4, len(data) // 2, len(data) - 1):
        assert "damaged or truncated" in refusal(file(data[:count]))


def test_other_files_are_not_taken_for_onnx(file):
    rng = random.Random(0)
    others = [rng.randbytes(rng.randrange(1, 200)) for _ in range(500)]
    # Beginnings of other protocol buffers: a saved TensorFlow model, its graph, Core ML.
    others += [b"\x08\x01\x12" + varint(100) + bytes(100), b"\x0a\x05\x0a\x03abc" * 9]
    others += [b"", b"\x08\x05\x12\x02ab\x50\x01", b"\x08\x08", b"\x08\x08\x3a", b"\x08\x01" * 9999]
    # Beginnings of safetensors files whose headers have lengths that look like fields.
    lengths = (8, 0x0108, 0x3A0D08, 0x120D08, 0x12000108)
    others += [struct.pack("<Q", length) + b'{"a":{"dtype":"F32"}}' for length in lengths]
    for data in others:
        with file(data).open("rb") as opened:
            assert not is_onnx(LocalSource(opened, "", read_depthwise))


def everything() -> bytes:
    """A model with all that is read."""
    inner = graph_of([conv("b")], [stored(normal(*SHAPE), "b", TensorProto.BFLOAT16, False)])
    nodes, tensors = dequantised(
        stored(np.arange(54).reshape(SHAPE), "c_quantized", TensorProto.INT8, False),
        stored(scales(True), "scale", raw=False),
        axis=0,
    )
    constant = stored(normal(*SHAPE), "d", TensorProto.DOUBLE, False)
    nodes = [
        *nodes,
        helper.make_node("Constant", [], ["d"], value=constant),
        helper.make_node("Cast", ["d"], ["e"], to=10),
        conv("e", name="f", strides=[2, 2], dilations=[1, 1]),
        helper.make_node("If", ["c"], ["y"], then_branch=inner),
        conv("a", name="g"),
    ]
    return model_of(nodes, [*tensors, changed()], producer_name="test").SerializeToString()


def test_a_model_with_everything_is_read(file):
    names = [layer.name for layer in read_depthwise(file(everything())).layers]
    assert names == ["c", "f", "b", "a"]


def test_no_damage_ends_in_another_error(file):
    data, rng = everything(), random.Random(0)
    weights = normal(*SHAPE).tobytes()
    structure = [
        i for i in range(len(data)) if not data.find(weights) <= i < data.find(weights) + 216
    ]
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.choice(structure)
            changed[at] = rng.choice((0, 1, 127, 128, 255, changed[at] ^ 1 << rng.randrange(8)))
        if rng.random() < 0.2:
            del changed[rng.randrange(len(changed)) :]
        if rng.random() < 0.2:
            at = rng.randrange(len(changed) + 1)
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        survives(file(bytes(changed) or b"\0"))


def test_a_huge_quantised_layer_is_refused(file):
    """Computing its weights takes several times its memory."""
    count = (1 << 13) * 65 * 64
    tensor = TensorProto(name="a", data_type=TensorProto.INT8, dims=[1 << 13, 1, 65, 64])
    tensor.raw_data = bytes(count)
    nodes, tensors = dequantised(tensor, stored(np.ones(()), "scale"))
    nodes[-1] = conv("w", 2)
    grown, message = peak_of(file(model_of(nodes, tensors).SerializeToString()))
    assert f"{count} quantised weights" in message
    assert grown < MEMORY


def test_other_weights_are_not_loaded(tmp_path):
    """Between the depthwise weights lie 300 MB of others, here a hole in the file."""
    path, hole = tmp_path / "net.onnx", 150 << 20
    begin = TensorProto(name="big", data_type=1, dims=[hole // 4]).SerializeToString()
    begin += b"\x4a" + varint(hole)  # raw data
    big = b"\x2a" + varint(len(begin) + hole) + begin
    parts = [graph_of([conv(name)], [stored(normal(*SHAPE), name)]) for name in "ab"]
    small = [part.SerializeToString() for part in parts]
    again = big.replace(b"big", b"hug")
    length = sum(map(len, small)) + 2 * (len(big) + hole)
    with path.open("wb") as out:
        out.write(b"\x08\x08\x3a" + varint(length) + small[0])
        for part, following in ((big, b""), (again, small[1])):
            out.write(part)
            out.seek(hole, io.SEEK_CUR)
            out.write(following)
    assert path.stat().st_size > 300 << 20
    grown, layers, bytes_read = cost_of(path)
    assert layers == 2
    assert grown < 32 << 20
    assert bytes_read < 1 << 20


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


HOSTILE = {
    "tensors": lambda: b"".join(field(5, field(8, b"%x" % i)) for i in range(150_000)),
    "long names": lambda: b"".join(
        field(5, field(8, f"\U0001f600{'a' * 60_000}{i}".encode())) for i in range(600)
    ),
    "nodes": lambda: b"".join(
        field(1, field(4, b"Identity") + field(2, b"%x" % i)) for i in range(150_000)
    ),
    "external entries": lambda: field(5, field(13, b"") * 900_000),
    "one wide tensor": lambda: field(5, field(1, b"\1" * 9_000_000)),
    "numbers of varying length": lambda: (
        graph_of([conv("a", 2)], []).SerializeToString()
        + field(5, b"\x10\x03" + field(1, varint(2) + b"\1\1" + varint(4 << 20))
                + field(5, bytes(8 << 20)) + field(8, b"a"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_models_take_little_memory(file, case):
    graph = field(2, b"graph") + HOSTILE[case]()
    grown, message = peak_of(file(b"\x08\x08" + field(7, graph)))
    assert grown < MEMORY, message

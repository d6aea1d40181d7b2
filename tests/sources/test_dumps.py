"""State dicts that `pickle.dump` wrote, of tensors or of NumPy arrays."""

import io
import pickle
import struct

import hostile
import numpy as np
import pytest
import torch
from readings import NAMES, assert_equal, mutations, refusal, survives

from kernelatlas.sources.checkpoints import read_depthwise

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3, 4, 5])


def arrays(dtype: type = np.float32) -> dict[str, np.ndarray]:
    return {k: v.numpy().astype(dtype) for k, v in hostile.state_dict().items()}


def tensors(state: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}


@PROTOCOLS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors(file, protocol, dtype):
    state = hostile.state_dict(dtype)
    for content in (state, {"model": state, "epoch": 3}):
        reading = read_depthwise(file(pickle.dumps(content, protocol)))
        assert_equal(reading.layers, state, NAMES)
        assert reading.tensors == len(state)
        assert reading.bytes_read <= reading.size


def test_a_whole_network(file):
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=4, stride=2))
    layers = read_depthwise(file(pickle.dumps(net))).layers
    assert_equal(layers, {"0.weight": net[0].weight.detach()}, ["0"])
    assert (layers[0].stride, layers[0].inferred) == (2, False)


def test_views_and_tied_tensors(file):
    base = torch.randn(4, 6, 3, 3)
    state = {"view.weight": base[1:, 2:3].transpose(2, 3), "whole.weight": base[:, :1]}
    state["tied.weight"] = state["view.weight"]
    layers = read_depthwise(file(pickle.dumps(state))).layers
    assert_equal(layers, state, ["view", "whole"])


@PROTOCOLS
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_arrays(file, protocol, dtype):
    state = arrays(dtype)
    for data in (
        pickle.dumps(state, protocol),
        pickle.dumps(
            {"model": state, "__author__": "somebody", "matching_heuristics": True}, protocol
        ),
        hostile.torch_bytes(state, pickle_protocol=protocol),
        hostile.legacy_bytes(state, pickle_protocol=protocol),
    ):
        reading = read_depthwise(file(data))
        assert_equal(reading.layers, tensors(state), NAMES)
        assert reading.tensors == len(state)
        assert reading.bytes_read <= reading.size


@PROTOCOLS
def test_orders_and_views_of_arrays(file, protocol):
    base = np.random.default_rng(0).normal(size=(5, 1, 3, 4)).astype(np.float32)
    state = {
        "fortran.weight": np.asfortranarray(base),
        "view.weight": base[1:, :, ::-1, 1:],
        "transposed.weight": base.transpose(0, 1, 3, 2),
        "byte_swapped": base.astype(">i4"),
    }
    layers = read_depthwise(file(pickle.dumps(state, protocol))).layers
    assert_equal(
        layers,
        tensors({k: v for k, v in state.items() if "." in k}),
        ["fortran", "view", "transposed"],
    )


@PROTOCOLS
def test_long_arrays_stay_in_the_file(file, protocol):
    """Of protocol 2 they are texts, of others bytes; both are longer than a pickle may be."""
    big = np.zeros((3000, 3000), np.float32)
    state = {"big": big, "dw.weight": np.ones((9000, 1, 3, 3), np.float32)}
    reading = read_depthwise(file(pickle.dumps(state, protocol)))
    assert_equal(reading.layers, tensors(state), ["dw"])
    assert reading.bytes_read < 1_000_000
    if protocol > 2:
        state = {"big": torch.zeros(3000, 3000), "dw.weight": torch.ones(2, 1, 3, 3)}
        reading = read_depthwise(file(pickle.dumps(state, protocol)))
        assert_equal(reading.layers, state, ["dw"])
        assert reading.bytes_read < 100_000


def test_arrays_of_python_2(file):
    """It pickled the bytes of arrays as texts, short ones with other opcodes."""
    values = np.random.default_rng(0).normal(size=(2, 200)).astype("<f4")

    def array(data: bytes, shape: tuple[int, ...]) -> bytes:
        code = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
        return (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01("
            + b"".join(map(hostile.count, shape))
            + b"tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNN"
            + 2 * b"J\xff\xff\xff\xff"
            + b"K\x00tb\x89"
            + code
            + data
            + b"tb"
        )

    short, long = values[0][:50], values[1]
    data = b"\x80\x02}(U\x08a.weight" + array(short.tobytes(), (2, 1, 5, 5))
    data += b"U\x08b.weight" + array(long.tobytes(), (8, 1, 5, 5)) + b"u."
    state = pickle.loads(data, encoding="latin1")
    assert np.array_equal(state["a.weight"].ravel(), short)  # the handmade pickle is right
    assert_equal(read_depthwise(file(data)).layers, tensors(state), ["a", "b"])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 1, 3, 3), np.int8), "'a.weight' is stored as 'int8'"),
        (np.zeros((2, 1, 3, 3), ">f4"), "is stored as 'big-endian float32'"),
        (np.zeros((2, 1, 3, 3), object), "is stored as 'numpy O8'"),
        (np.zeros((2, 1, 3, 3), "V3"), "is stored as 'numpy V3'"),
    ],
)
def test_other_dtypes_are_named(file, array, words):
    assert words in refusal(file(pickle.dumps({"a.weight": array})))


def changed(old: bytes, new: bytes, content: object) -> bytes:
    data = pickle.dumps(content, 3)
    assert data.count(old) == 1
    return data.replace(old, new)


ARRAY = {"a.weight": np.zeros((2, 1, 3, 3), np.float32)}
TENSOR = {"a.weight": torch.zeros(2, 1, 3, 3)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            changed(b"K\x02K\x01K\x03K\x03t", b"K\x03K\x01K\x03K\x03t", ARRAY),
            "108 bytes expected, 72 found",
        ),
        (
            changed(b"K\x02K\x01K\x03K\x03t", b"N" + b"K\x01K\x03K\x03t", ARRAY),
            "without a valid shape",
        ),
        (changed(b"C\x48", b"C\x47", ARRAY), "damaged"),
        (changed(b"C\x48", b"B\xff\xff\xff\x7f", ARRAY), "bytes expected"),
        (changed(b"\x12\0\0\0\0\0\0\0", b"\x13\0\0\0\0\0\0\0", TENSOR), "a storage of 19 elements"),
        (changed(b"FloatStorage", b"DoubleStorage", TENSOR), "damaged"),
        (pickle.dumps(TENSOR, 3)[:-100], "damaged"),
        (b"\x80\x03ctorch.storage\n_load_from_bytes\nN\x85R.", "values that are no bytes"),
        (b"\x80\x03ctorch.storage\n_load_from_bytes\nC\x03\x80\x02.\x85R.", "damaged"),
    ],
)
def test_dumps_that_lie(file, data, words):
    assert words in refusal(file(data))


def test_storages_inside_each_other(file):
    """PyTorch never writes them; a chain of them could be as deep as the file is long."""
    data = b"\x80\x03N."
    for _ in range(3):
        length = struct.pack("<I", len(data))
        data = b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + length + data + b"\x85R."
        data = b"".join(pickle.dumps(part, 2) for part in (hostile.LEGACY_MAGIC, 1001, {})) + data
    length = struct.pack("<I", len(data))
    data = b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + length + data + b"\x85R."
    assert "a storage inside a storage" in refusal(file(data))


def test_a_storage_of_the_newer_container(file):
    buffer = io.BytesIO()
    torch.save(torch.zeros(2, 1, 3, 3).storage(), buffer)
    inside = buffer.getvalue()
    data = b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(inside)) + inside
    assert "damaged" in refusal(file(data + b"\x85R."))


@PROTOCOLS
@pytest.mark.parametrize("kind", ["tensors", "arrays"])
def test_damaged_dumps(file, protocol, kind):
    small = {"a.weight": torch.ones(2, 1, 2, 2), "b": torch.ones(3)}
    content = small if kind == "tensors" else {k: v.numpy() for k, v in small.items()}
    for data in mutations(pickle.dumps(content, protocol), 150, seed=protocol):
        survives(file(data))

"""Depthwise kernels out of pickles, and pickles that lie or would run something."""

import os
import struct
import tracemalloc
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from hostile import legacy, zipped
from hypothesis import given
from hypothesis import strategies as st
from readings import LIGHT, NAMES, assert_equal, refusal, survives

from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import Reading

BOTH = pytest.mark.parametrize("write", [zipped, legacy])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("write", [hostile.torch_bytes, hostile.legacy_bytes])
def test_pickle_protocols(file, write, protocol):
    state = hostile.state_dict()
    reading = read_depthwise(file(write(state, pickle_protocol=protocol)))
    assert_equal(reading.layers, state, NAMES)


@pytest.mark.parametrize("write", [hostile.torch_bytes, hostile.legacy_bytes])
def test_views_of_one_storage(file, write):
    base = torch.randn(4, 6, 3, 3)
    state = {
        "transposed.weight": base[:, :1].transpose(2, 3),
        "sliced.weight": base[1:, 2:3],
        "stepped.weight": base[::2, 4:5, :, 1:],
        "last_format.weight": base[:, 5:].contiguous(memory_format=torch.channels_last),
        "same_start.weight": base[:2, :1].transpose(2, 3),
    }
    names = [name.removesuffix(".weight") for name in state]
    assert_equal(read_depthwise(file(write(state))).layers, state, names)


def test_tied_tensors(file):
    weight = torch.randn(2, 1, 3, 3)
    state = {"a.weight": weight, "b.weight": weight, "c.weight": weight.clone()}
    for write in (hostile.torch_bytes, hostile.legacy_bytes):
        assert_equal(read_depthwise(file(write(state))).layers, state, ["a", "c"])
    copies = {name: tensor.clone() for name, tensor in state.items()}
    layers = read_depthwise(file(hostile.safetensors_bytes(copies))).layers
    assert_equal(layers, state, ["a", "b", "c"])


def test_parameters_and_buffers(file):
    net = torch.nn.Conv2d(3, 3, 3, groups=3)
    state = {"p.weight": net.weight, "q.weight": torch.nn.Buffer(torch.ones(2, 1, 2, 2))}
    for write in (hostile.torch_bytes, hostile.legacy_bytes):
        layers = read_depthwise(file(write(state))).layers
        assert_equal(layers, {k: v.detach() for k, v in state.items()}, ["p", "q"])


def test_untyped_storage(file):
    """Newer dtypes are saved with an untyped storage and the dtype beside it."""
    state = hostile.state_dict() | {"mask": torch.ones(3, dtype=torch.uint16)}
    assert_equal(read_depthwise(file(hostile.torch_bytes(state))).layers, state, NAMES)
    weights = np.arange(18, dtype="<f4")
    data = hostile.tensor_pickle((2, 1, 3, 3), (9, 9, 3, 1), 0, 72, "storage\nUntypedStorage")
    data = data.replace(b"ctorch\nstorage\nUntyped", b"ctorch.storage\nUntyped")
    data = data.replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3").replace(
        b")RtR", b")Rctorch\nfloat32\ntR"
    )
    layers = read_depthwise(file(hostile.zip_raw(data, {"0": weights.tobytes()}))).layers
    assert np.array_equal(layers[0].weights.ravel(), weights)


def test_old_view_of_a_storage(file):
    """PyTorch before 0.4 named views of a storage: (key, first element, number)."""
    view = b"(" + hostile.text("1") + hostile.count(4) + hostile.count(10) + b"t"
    data = hostile.tensor_pickle((2, 1, 2, 2), (4, 4, 2, 1), 1, 18, view=view)
    weights = np.arange(18, dtype="<f4")
    raw = hostile.legacy_raw(data, ["0"], struct.pack("<q", 18) + weights.tobytes())
    assert np.array_equal(read_depthwise(file(raw)).layers[0].weights.ravel(), weights[5:13])


def test_ordered_dict_of_python_2(file):
    """Python 2 pickled an OrderedDict as a list of [name, tensor]."""
    data = hostile.tensor_pickle(
        (2, 1, 3, 3),
        (9, 9, 3, 1),
        wrap=lambda state: (
            b"ccollections\nOrderedDict\n(]]"
            + state.removeprefix(b"}").removesuffix(b"s").replace(b"ctorch._", b"actorch._", 1)
            + b"aatR"
        ),
    )
    weights = np.arange(18, dtype="<f4")
    layers = read_depthwise(file(hostile.zip_raw(data, {"0": weights.tobytes()}))).layers
    assert [layer.name for layer in layers] == ["dw"]


@BOTH
def test_the_handmade_pickle_is_right(file, write):
    data = write(hostile.tensor_pickle((2, 1, 3, 3), (9, 9, 3, 1)))
    assert isinstance(read_depthwise(file(data)), Reading)


@BOTH
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"offset": 1}, "beyond its storage"),
        ({"offset": -1}, "no count"),
        ({"stride": (9, 9, 3, 2)}, "beyond its storage"),
        ({"stride": (-9, 9, 3, 1)}, "no count"),
        ({"stride": (9, 3, 1)}, "differ in length"),
        ({"shape": (2**40, 1, 3, 3), "stride": (0, 0, 0, 0)}, "bytes of depthwise weights"),
        ({"shape": (2**60, 1, 2**60, 3)}, "bytes of depthwise weights"),
        ({"shape": (2**63, 1, 2, 3)}, "no count"),
        ({"stride": (2**62, 9, 3, 1)}, "beyond its storage"),
        ({"numel": 2**60}, "damaged"),
        ({"numel": 17}, "damaged"),
        ({"numel": -18}, "unknown persistent id"),
        ({"storage": "IntStorage"}, "is stored as 'int32'"),
        ({"storage": "NoStorage"}, "KeyError"),
        ({"key": "1"}, "damaged"),
        ({"view": hostile.count(3)}, "TypeError"),
    ],
)
def test_lying_tensors(file, write, options, words):
    defaults = {"shape": (2, 1, 3, 3), "stride": (9, 9, 3, 1)}
    tracemalloc.start()
    try:
        assert words in refusal(file(write(hostile.tensor_pickle(**(defaults | options)))))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@BOTH
def test_any_stride_is_valid_along_one_element(file, write):
    data_pkl = hostile.tensor_pickle((2, 1, 3, 3), (9, 2**62, 3, 1))
    layers = read_depthwise(file(write(data_pkl, np.arange(18, dtype="<f4").tobytes()))).layers
    assert np.array_equal(layers[0].weights.ravel(), np.arange(18))


@BOTH
def test_name_that_is_no_text(file, write):
    data = hostile.tensor_pickle((2, 1, 3, 3), (9, 9, 3, 1))
    assert "Unicode" in refusal(file(write(data.replace(b"dw.weight", b"\xed\xa0\x80abcd.w"))))


def test_overlapping_views_cannot_fill_the_memory(file):
    base = torch.zeros(1000)
    state = {f"{i}.weight": base[i : i + 900].view(100, 1, 3, 3) for i in range(100)}
    for write in (hostile.torch_bytes, hostile.legacy_bytes):
        assert "bytes of depthwise weights in a file of" in refusal(file(write(state)))


@pytest.mark.parametrize("opcode", list(hostile.malicious(Path("x"))))
@pytest.mark.parametrize("write", [zipped, legacy, bytes])
def test_malicious_pickles_do_not_run(file, tmp_path, write, opcode):
    marker = tmp_path / "marker"
    message = refusal(file(write(hostile.malicious(marker)[opcode])))
    assert not marker.exists()
    if opcode not in ("inert", "hub", "getattr", "name"):
        assert "the pickle calls" in message
        assert "nothing was executed" in message


class Touch:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_malice_beside_real_weights(file, tmp_path):
    content = {"state_dict": hostile.state_dict(), "extra": Touch(tmp_path / "marker")}
    for write in (hostile.torch_bytes, hostile.legacy_bytes):
        message = refusal(file(write(content)))
        assert f"the pickle calls '{os.system.__module__}.system'" in message
        assert "ask its author for a .safetensors file" in message
    assert not (tmp_path / "marker").exists()


@BOTH
@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + b")" + b"\x85" * 300_000 + b"}(0" + b"N" * 10 + b".",  # deep tuple
        b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"Ns.",  # … as a key: its hash would crash
        b"\x80\x04}" + b")" + b"\x94h\x00\x86\x94h\x01\x86" + b"2\x86" * 60 + b"Ns.",  # 2^60 parts
        b"\x80\x02" + b"(" * 300_000 + b".",
        b"\x80\x02Nr\xff\xff\xff\xff.",  # memo index of 4 billion
        b"\x80\x05\x96" + b"\xff" * 5 + b"\0" * 3 + b".",  # byte array of a terabyte
        b"\x80\x04\x8e" + b"\xff" * 6 + b"\0" * 2 + b".",  # bytes of many terabytes
        b"\x80\x04\x95" + b"\xff" * 6 + b"\0" * 2 + b".",  # frame
        b"\x80\x02\x82\x01.",  # extension registry
        b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\x00]q\x01(h\x00Nh\x01Neh\x01R.",
        b"\x80\x02ctorch\nSize\n]R.",
        b"\x80\x02I" + b"9" * 10_000 + b"\n.",
        b"\x80\x02Qq.",
        b"\x80\x02ctorch\nFloatStorage\n\x88\x86Q.",
        b"\x80\x02U\x02\xff\xff.",
        b"\x80\x02K\x01.",
        b"\x80\x02ctorch\nfloat32\n.",
    ],
)
def test_odd_pickles(file, write, data):
    refusal(file(write(data)))


@pytest.mark.parametrize(
    ("content", "kind"),
    [([1, 2], "list"), ((1,), "tuple"), (torch.ones(2, 1, 3, 3), "tensor"), ("text", "str")],
)
def test_no_state_dict(file, content, kind):
    assert f"holds a {kind}, not a state dict" in refusal(file(hostile.torch_bytes(content)))


OPCODES = [opcode.encode("latin1") for opcode in map(chr, range(256))]
FRAGMENTS = [
    b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"ccollections\nOrderedDict\n",
    b"cnumpy\nndarray\n",
    *(b"}", b"]", b")", b"(", b"R", b"b", b"s", b"u", b"e", b"t", b"\x81", b"Q", b"K\x01", b"0"),
    hostile.text("storage"),
    hostile.text("a.weight"),
]


@LIGHT
@given(parts=st.lists(st.sampled_from(FRAGMENTS + OPCODES), max_size=30))
def test_random_opcodes(file, parts):
    survives(file(zipped(b"\x80\x02" + b"".join(parts) + b".")))

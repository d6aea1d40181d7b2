"""Depthwise kernels out of checkpoints: every format read exactly, every bad file refused."""

import argparse
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load as load_safetensors

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.checkpoints import PICKLE_LIMIT, Reading, read_depthwise

NAMES = ["stages.10.dw", "stages.9.dw", "stages.9.strip"]  # in the order of definition
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes to a file and returns its path."""

    def write(data: bytes, name: str = "net.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def refusal(path) -> str:
    """Return the message of a checkpoint that must be refused, checked for its form."""
    with pytest.raises(KernelAtlasError) as caught:
        read_depthwise(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message.removeprefix(f"{path}: ")


def assert_equal(layers, state: dict[str, torch.Tensor], names: list[str]) -> None:
    """Compare bit for bit with what PyTorch holds."""
    assert [layer.name for layer in layers] == names
    for layer in layers:
        expected = state[f"{layer.name}.weight"].float().numpy()[:, 0]
        assert layer.weights.dtype == np.float32
        assert layer.weights.flags.c_contiguous
        assert layer.weights.shape == expected.shape
        assert layer.weights.tobytes() == np.ascontiguousarray(expected).tobytes()


# --- what is read -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("form", hostile.FORMATS)
def test_round_trip(file, form, dtype):
    state = hostile.state_dict(dtype)
    data = hostile.FORMATS[form](state)
    path = file(data)
    if form == "safetensors":
        loaded, names = load_safetensors(data), [*NAMES[1:], NAMES[0]]
    else:
        loaded, names = torch.load(path), NAMES
    reading = read_depthwise(path)
    assert_equal(reading.layers, loaded, names)
    assert reading.bytes_read > 3 * 36 * dtype.itemsize // 2


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_special_values_keep_their_bits(file, dtype):
    values = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-40, 3e38, 1e-7])
    state = {"dw.weight": values.to(dtype).reshape(2, 1, 2, 2)}
    for write in hostile.FORMATS.values():
        assert_equal(read_depthwise(file(write(state))).layers, state, ["dw"])


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


@pytest.mark.parametrize("write", [hostile.torch_bytes, hostile.legacy_bytes])
@pytest.mark.parametrize(
    "keys", [[], ["state_dict"], ["model"], ["model_ema"], ["model_state_dict"], ["net", "params"]]
)
def test_wrapped_state_dicts(file, write, keys):
    state = content = OrderedDict(hostile.state_dict())
    state._metadata = {"": {"version": 1}}
    for key in keys:
        content = {
            "epoch": 3,
            "model_ema_decay": None,
            key: content,
            "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.99), path=Path("x")),
            "metric": np.float64(0.5),
            "history": np.arange(3),
            "classes": {"a", "b"},
            "sizes": torch.Size([1, 2]),
            "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, (1, 2): frozenset([1])},
        }
    assert_equal(read_depthwise(file(write(content))).layers, state, NAMES)


def test_averaged_weights_are_preferred(file):
    plain, averaged = hostile.state_dict(seed=1), hostile.state_dict(seed=2)
    for key in ("state_dict_ema", "model_ema", "params_ema"):
        content = {"state_dict": plain, key: averaged}
        assert_equal(read_depthwise(file(hostile.torch_bytes(content))).layers, averaged, NAMES)
        content[key] = None
        assert_equal(read_depthwise(file(hostile.torch_bytes(content))).layers, plain, NAMES)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrapped_models(file, prefix):
    state = hostile.state_dict()
    for write in hostile.FORMATS.values():
        layers = read_depthwise(file(write({prefix + k: v for k, v in state.items()}))).layers
        assert sorted(layer.name for layer in layers) == NAMES


def test_only_a_suffix_is_removed(file):
    state = {name: torch.ones(2, 1, 2, 2) for name in ("a.weight.x", "b.kernel", "weight")}
    layers = read_depthwise(file(hostile.torch_bytes(state))).layers
    assert [layer.name for layer in layers] == list(state)


def test_safetensors_come_in_natural_order(file):
    names = ["a", "a1", "a1.b2", "a1.b10", "a2", "a10", "b0", "b00", "ä1"]
    state = {f"{name}.weight": torch.randn(2, 1, 2, 2) for name in reversed(names)}
    layers = read_depthwise(file(hostile.safetensors_bytes(state))).layers
    assert_equal(layers, state, names)


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


def test_only_the_depthwise_bytes_are_read(file):
    state = {"big.weight": torch.zeros(512, 512), "dw.weight": torch.ones(2, 1, 3, 3)}
    for write in hostile.FORMATS.values():
        assert read_depthwise(file(write(state))).bytes_read < 20_000


def test_neither_torch_nor_timm_is_imported(file):
    path = file(hostile.safetensors_bytes(hostile.state_dict()))
    code = (
        "import sys; from kernelatlas.sources.checkpoints import read_depthwise; "
        f"assert len(read_depthwise({str(path)!r}).layers) == 3; "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


# --- what is refused ----------------------------------------------------------------------


def test_missing_folder_and_special_files(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.pth")
    assert "is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")


def test_permission_denied(file, monkeypatch):
    path = file(b"x")

    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert "permission denied" in refusal(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\n <?xml version='1.0'?>", "web page"),
        (b"just a text\n", "neither a safetensors file nor"),
        (b"\x89HDF\r\n\x1a\n", "neither a safetensors file nor"),
        (b"1234", "neither"),
        (b"\x80", "damaged or truncated"),
        (pickle.dumps({"a": 1}), "not one of torch.save"),
        (pickle.dumps([1] * 10, 4), "not one of torch.save"),
        (b"PK\x03\x04", "damaged or truncated"),
    ],
)
def test_not_a_checkpoint(file, data, words):
    assert words in refusal(file(data))


def test_no_depthwise_layers(file):
    for write in hostile.FORMATS.values():
        message = refusal(file(write({"a.weight": torch.ones(3, 3), "b": torch.ones(1)})))
        assert "no depthwise layers" in message
        assert "2 tensors read" in message
    assert "0 tensors read" in refusal(file(hostile.torch_bytes({})))


@pytest.mark.parametrize("form", hostile.FORMATS)
@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64, torch.uint16], ids=str
)
def test_other_dtypes_are_named(file, form, dtype):
    if form == "safetensors":
        expected = {torch.int8: "I8", torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3"}
        expected |= {torch.complex64: "C64", torch.uint16: "U16"}
        name = expected[dtype]
    else:
        name = str(dtype).removeprefix("torch.")
    data = hostile.FORMATS[form]({"dw.weight": torch.zeros(2, 1, 3, 3).to(dtype)})
    assert f"'dw.weight' is stored as '{name}'" in refusal(file(data))


def test_same_name_twice(file):
    state = {"a.weight": torch.ones(2, 1, 2, 2), "module.a.weight": torch.zeros(2, 1, 2, 2)}
    assert "two layers called 'a'" in refusal(file(hostile.torch_bytes(state)))


ENTRY = hostile.entry([2, 1, 3, 3], 0, 72)
DATA = bytes(72)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (hostile.safetensors_raw({"a": ENTRY}, DATA, length=2**60), "claims a header of"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA, length=500), "claims a header of"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA, length=9), "damaged"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA[:-1]), "its header needs"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA + b"x"), "its header needs"),
        (hostile.safetensors_raw("{}        ", b"x"), "its header needs"),
        (hostile.safetensors_raw("{}"), "0 tensors read"),
        (hostile.safetensors_raw("{" + '"a":{' * 50_000), "RecursionError"),
        (hostile.safetensors_raw({"a": [1]}), "TypeError"),
        (hostile.safetensors_raw({"a": {}}), "KeyError"),
        (hostile.safetensors_raw('{"a": {}, "a": {}}'), "twice"),
        (hostile.safetensors_raw({"a": ENTRY, "b": ENTRY}, DATA), "should follow"),
        (
            hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 4, 76)}, DATA + b"1234"),
            "should follow",
        ),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], -4, 68)}, DATA), "offsets"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 7.2)}, DATA), "offsets"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], False, 72)}, DATA), "offsets"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 4], 0, 72)}, DATA), "do not fit"),
        (hostile.safetensors_raw({"a": hostile.entry([2**60, 1, 3, 3], 0, 72)}, DATA), "not fit"),
        (hostile.safetensors_raw({"a": hostile.entry([2**70, 1, 3, 3], 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry([-2, -1, 3, 3], 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry([2, True, 3, 3], 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry("2133", 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 72, "F33")}, DATA), "dtype"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 72, [])}, DATA), "TypeError"),
        (
            hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 2**60)}, DATA),
            "do not fit",
        ),
        (
            hostile.safetensors_raw({"a": hostile.entry([2**58, 1, 1, 2], 0, 2**61)}, DATA),
            "its header needs",
        ),
        (hostile.safetensors_raw({"\ud800": ENTRY}, DATA), "Unicode"),
        (hostile.safetensors_raw({"a\nb": hostile.entry([9], 0, 72)}, DATA), "'a\\nb'"),
        (hostile.safetensors_raw({"a" * 10_000: hostile.entry([9], 0, 72)}, DATA), "do not fit"),
    ],
)
def test_damaged_safetensors(file, data, words):
    assert words in refusal(file(data))


def zipped(data_pkl: bytes) -> bytes:
    return hostile.zip_raw(data_pkl, {"0": DATA})


def legacy(data_pkl: bytes) -> bytes:
    return hostile.legacy_raw(data_pkl, ["0"], struct.pack("<q", 18) + DATA)


BOTH = pytest.mark.parametrize("write", [zipped, legacy])


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
        ({"stride": (9, 2**62, 3, 1)}, "OverflowError"),
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
def test_name_that_is_no_text(file, write):
    data = hostile.tensor_pickle((2, 1, 3, 3), (9, 9, 3, 1))
    assert "Unicode" in refusal(file(write(data.replace(b"dw.weight", b"\xed\xa0\x80.weigh"))))


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
    if opcode not in ("inert", "hub"):
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
        assert "ask the author for a .safetensors file" in message
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


def test_whole_module(file):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3, groups=2))
    for content in (net, {"model": net, "epoch": 1}, {"ema": None, "model": {"net": net}}):
        for write in (hostile.torch_bytes, hostile.legacy_bytes):
            message = refusal(file(write(content)))
            assert "holds a whole module ('torch.nn.modules.container.Sequential')" in message
            assert "save model.state_dict()" in message


@pytest.mark.parametrize(
    ("content", "kind"), [([1, 2], "list"), (torch.ones(2, 1, 3, 3), "tensor"), ("text", "str")]
)
def test_no_state_dict(file, content, kind):
    assert f"holds a {kind}, not a state dict" in refusal(file(hostile.torch_bytes(content)))


def test_torchscript(tmp_path):
    net = torch.jit.script(torch.nn.Conv2d(2, 2, 3, groups=2))
    net.save(str(tmp_path / "net.pt"))
    assert "TorchScript" in refusal(tmp_path / "net.pt")


GOOD = hostile.tensor_pickle((2, 1, 3, 3), (9, 9, 3, 1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (hostile.zip_raw(GOOD, {"0": DATA}, byteorder=b"big"), "big-endian"),
        (hostile.zip_raw(GOOD, {"0": DATA}, zipfile.ZIP_DEFLATED), "compressed"),
        (hostile.zip_raw(GOOD), "KeyError"),
        (hostile.zip_raw(GOOD, {"0": DATA[:-4]}), "68 bytes, not 72"),
        (hostile.zip_raw(GOOD, {"0": DATA}, code__a=b""), "TorchScript"),
        (hostile.zip_raw(GOOD, {"0": DATA}).replace(b"data.pkl", b"data.xyz"), "no data.pkl"),
        (hostile.zip_raw(b"\x80\x02" + bytes(PICKLE_LIMIT)), "has a pickle of"),
        (hostile.legacy_raw(GOOD, ["0"], info={"little_endian": False}), "big-endian"),
        (hostile.legacy_raw(GOOD, ["0"], struct.pack("<q", 18) + DATA[:-1]), "cut off"),
        (hostile.legacy_raw(GOOD, ["0"], struct.pack("<q", 17) + DATA), "17 elements"),
        (hostile.legacy_raw(GOOD, [0], struct.pack("<q", 18) + DATA), "no text"),
        (hostile.legacy_raw(GOOD, [], struct.pack("<q", 18) + DATA), "KeyError"),
    ],
)
def test_damaged_containers(file, data, words):
    assert words in refusal(file(data))


def test_changed_weights_fail_their_checksum(file):
    data = hostile.zip_raw(GOOD, {"0": b"weights!" * 9})
    assert "CRC-32" in refusal(file(data.replace(b"weights!", b"Weights!", 1)))


def test_repeated_entry(file, tmp_path):
    path = file(zipped(GOOD))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", GOOD)
    assert "stands twice" in refusal(path)


# --- any other damage ---------------------------------------------------------------------

VALID = {
    form: write({"a.weight": torch.ones(2, 1, 2, 2), "b": torch.zeros(3)})
    for form, write in hostile.FORMATS.items()
}
LIGHT = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def survives(path: Path) -> None:
    try:
        assert isinstance(read_depthwise(path), Reading)
    except KernelAtlasError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize("form", VALID)
def test_every_truncation_is_refused(file, form):
    data = VALID[form]
    for length in {*range(0, len(data), 13), len(data) - 1}:
        refusal(file(data[:length]))


@pytest.mark.parametrize("form", VALID)
@LIGHT
@given(data=st.data())
def test_random_damage(file, form, data):
    content = bytearray(VALID[form])
    place = st.integers(0, len(content) - 1)
    for at, byte in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=4)):
        content[at] = byte
    at, kind = data.draw(place), data.draw(st.sampled_from(["flip", "cut", "insert", "remove"]))
    if kind == "cut":
        del content[at:]
    elif kind == "insert":
        content[at:at] = data.draw(st.binary(max_size=8))
    elif kind == "remove":
        del content[at : at + data.draw(st.integers(1, 16))]
    survives(file(bytes(content)))


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x80\x02", b"\x40" + bytes(7) + b"{"])
@LIGHT
@given(data=st.binary(max_size=200))
def test_random_bytes(file, start, data):
    survives(file(start + data))


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

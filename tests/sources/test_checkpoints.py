"""Checkpoints of every format: read exactly, or refused in one line."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import hostile
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from readings import LIGHT, NAMES, assert_equal, refusal, survives
from safetensors.torch import load as load_safetensors

from kernelatlas.sources import safetensors, state_dict
from kernelatlas.sources.checkpoints import read_depthwise

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


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


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrapped_models(file, prefix):
    state = hostile.state_dict()
    for write in hostile.FORMATS.values():
        layers = read_depthwise(file(write({prefix + k: v for k, v in state.items()}))).layers
        assert sorted(layer.name for layer in layers) == NAMES


def test_only_a_suffix_is_removed(file):
    state = {name: torch.ones(2, 1, 2, 2) for name in ("a.weight.w", "b.kernel", "weight")}
    layers = read_depthwise(file(hostile.torch_bytes(state))).layers
    assert [layer.name for layer in layers] == list(state)


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
        (b"\x89HDF\r\n\x1a\n", "damaged or truncated"),
        (b"1234", "neither"),
        (b"\x80", "damaged or truncated"),
        (pickle.dumps({"a": 1}), "a pickle in which no tensors were found"),
        (pickle.dumps([1] * 10, 4), "holds a list, not a state dict"),
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
        expected = {torch.int8: "I8", torch.bool: "bool", torch.float8_e4m3fn: "F8_E4M3"}
        expected |= {torch.complex64: "C64", torch.uint16: "U16"}
        name = expected[dtype]
    else:
        name = str(dtype).removeprefix("torch.")
    data = hostile.FORMATS[form]({"dw.weight": torch.zeros(2, 1, 3, 3).to(dtype)})
    assert f"'dw.weight' is stored as '{name}'" in refusal(file(data))


def test_same_name_twice(file):
    state = {"a.weight": torch.ones(2, 1, 2, 2), "module.a.weight": torch.zeros(2, 1, 2, 2)}
    assert "two layers called 'a'" in refusal(file(hostile.torch_bytes(state)))


@pytest.mark.parametrize("error", [AttributeError, TypeError, KeyError, ValueError, RuntimeError])
@pytest.mark.parametrize("form", hostile.FORMATS)
def test_a_fault_of_this_program_is_not_called_damage(file, monkeypatch, form, error):
    def faulty(*_):
        raise error("a fault of ours")

    monkeypatch.setattr(safetensors, "as_float32", faulty)
    monkeypatch.setattr(state_dict, "as_float32", faulty)
    with pytest.raises(error, match="a fault of ours"):
        read_depthwise(file(hostile.FORMATS[form](hostile.state_dict())))


VALID = {
    form: write({"a.weight": torch.ones(2, 1, 2, 2), "b": torch.zeros(3)})
    for form, write in hostile.FORMATS.items()
}


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

"""Checkpoints in shards: an index, and the files beside it that it names."""

import json
import subprocess

import hostile
import numpy as np
import pytest
from readings import NAMES, assert_equal, refusal
from safetensors.numpy import load_file, save_file

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.extract import extract
from kernelatlas.sources.shards import shards_of
from kernelatlas.sources.source import Options

INDEX = "model.safetensors.index.json"


def weights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(4, 1, 3, 3)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    shards = {
        "model-1.safetensors": {"b.10.weight": weights(1), "head": np.zeros((2, 2), np.float32)},
        "model-2.safetensors": {"b.2.weight": weights(2), "a.weight": weights(3)},
        "model-3.safetensors": {"bias": np.zeros(3, np.float32)},
    }
    for name, state in shards.items():
        save_file(state, tmp_path / name)
    names = {key: name for name, state in shards.items() for key in state}
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return tmp_path


def test_layers_of_all_shards_come_in_one_order(folder):
    reading = read_depthwise(folder / INDEX)
    assert [layer.name for layer in reading.layers] == ["a", "b.2", "b.10"]
    for layer, seed in zip(reading.layers, (3, 2, 1), strict=True):
        assert np.array_equal(layer.weights, weights(seed)[:, 0])
    assert reading.tensors == 5
    assert reading.size == sum(path.stat().st_size for path in folder.iterdir())
    assert 0 < reading.bytes_read < reading.size


def test_the_digest_covers_index_and_shards(folder, tmp_path):
    """It is the digest of what `sha256sum` prints of them, so that anyone can compute it."""

    def digest() -> str:
        extract(tmp_path / "net.parquet", "net", folder / INDEX)
        return metadata_of(tmp_path / "net.parquet")["sha256"]

    names = [INDEX, *(f"model-{i}.safetensors" for i in (1, 2, 3))]
    command = f"sha256sum {' '.join(names)} | sha256sum"
    seen = set()
    for name in names:
        printed = subprocess.run(
            command, shell=True, cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        assert digest() == printed.split()[0]
        seen.add(digest())
        if name != INDEX:  # which the index does not tell
            save_file({**load_file(folder / name), f"of {name}": weights(9)}, folder / name)
    assert len(seen) == 3


def test_the_digest_of_one_file_is_its_own(folder, tmp_path):
    file = folder / "model-2.safetensors"
    extract(tmp_path / "net.parquet", "net", file)
    printed = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    assert metadata_of(tmp_path / "net.parquet")["sha256"] == printed.split()[0]


def test_shards_are_named_for_the_workflow(folder):
    expected = [str(folder / f"model-{i}.safetensors") for i in (1, 2, 3)]
    assert shards_of(folder / INDEX) == expected
    assert shards_of(folder / "model-1.safetensors") == []
    assert shards_of(folder / "gone.index.json") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight_map": {"a": "../model-1.safetensors"}}, "which is no file beside it"),
        ({"weight_map": {"a": "/etc/passwd"}}, "which is no file beside it"),
        ({"weight_map": {"a": "sub/model.safetensors"}}, "which is no file beside it"),
        ({"weight_map": {"a": "..safetensors"}}, "which is no file beside it"),
        ({"weight_map": {"a": INDEX}}, "which is no file beside it"),
        ({"weight_map": {"a": 3}}, "no index of shards"),
        ({"weight_map": []}, "no index of shards"),
        ({}, "no index of shards"),
        ([], "neither a safetensors file nor"),
        ({"weight_map": {}}, "no depthwise layers"),
        ({"weight_map": {"a": "model-3.safetensors"}}, "no depthwise layers"),
        ({"weight_map": {str(i): f"{i}.safetensors" for i in range(1001)}}, "1001 shards"),
        ({"weight_map": {"a": "gone.safetensors"}}, "no such file"),
    ],
)
def test_a_bad_index_is_one_error(folder, content, message):
    (folder / INDEX).write_text(json.dumps(content))
    with pytest.raises(KernelAtlasError, match=message) as caught:
        read_depthwise(folder / INDEX)
    assert "\n" not in str(caught.value)
    assert all(str(folder) in path for path in shards_of(folder / INDEX))


@pytest.mark.parametrize("text", ["{", '{"weight_map": {"a": "b", "a": "c"}}', "{\x00"])
def test_an_index_that_is_no_json(folder, text):
    (folder / INDEX).write_text(text)
    with pytest.raises(KernelAtlasError, match=r"damaged|index"):
        read_depthwise(folder / INDEX)


def test_a_layer_in_two_shards(folder):
    save_file({"a.weight": weights(4)}, folder / "model-3.safetensors")
    with pytest.raises(KernelAtlasError, match="in two shards"):
        read_depthwise(folder / INDEX)


@pytest.mark.parametrize("name", ["model-3.safetensors", "x.safetensors"])
def test_an_index_named_as_a_shard(folder, name):
    """Otherwise an index that names itself would be read without end."""
    (folder / name).write_text(json.dumps({"weight_map": {"a": name}}))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(KernelAtlasError, match="is an index of shards, named as a shard"):
        read_depthwise(folder / INDEX)


def test_a_damaged_shard_is_named(folder):
    (folder / "model-2.safetensors").write_bytes(b"damaged")
    with pytest.raises(KernelAtlasError, match=r"model-2\.safetensors: "):
        read_depthwise(folder / INDEX)


def pickled(folder, states, write=hostile.torch_bytes, ending="bin"):
    """Write a checkpoint in pickled shards; return the path of its index."""
    names = {}
    for i, state in enumerate(states, 1):
        name = f"pytorch_model-{i:05}-of-{len(states):05}.{ending}"
        (folder / name).write_bytes(write(state))
        names |= dict.fromkeys(state, name)
    path = folder / f"pytorch_model.{ending}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    return path


@pytest.mark.parametrize("ending", ["bin", "pth", "pt"])
@pytest.mark.parametrize("write", [hostile.torch_bytes, hostile.legacy_bytes])
def test_pickled_shards(tmp_path, write, ending):
    """They keep the order of definition, which safetensors files have not."""
    state = hostile.state_dict()
    items = list(state.items())
    index = pickled(
        tmp_path, [dict(items[:2]), dict(items[2:]), {"head": state["scale"]}], write, ending
    )
    reading = read_depthwise(index)
    assert_equal(reading.layers, state, NAMES)
    assert reading.ordered
    assert reading.tensors == len(state) + 1
    assert shards_of(index) == [str(path) for path in sorted(tmp_path.glob(f"*.{ending}"))]
    assert reading.shards == tuple(path.name for path in sorted(tmp_path.glob(f"*.{ending}")))


def test_a_key_may_be_in_some_shards_only(tmp_path):
    state = hostile.state_dict()
    index = pickled(tmp_path, [{f"a.{k}": v for k, v in state.items()}, {"b.w": state["scale"]}])
    reading = read_depthwise(index, Options(key="a"))
    assert_equal(reading.layers, state, NAMES)
    assert reading.tensors == len(state)
    with pytest.raises(
        KernelAtlasError, match=r"has no 'c'; it has 'a', 'b': correct the option `key`"
    ):
        read_depthwise(index, Options(key="c"))


@pytest.mark.parametrize("form", hostile.FORMATS)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pytorch_model-00001-of-00002.bin", "shard 1 of 2: name its index, pytorch_model.bin.i"),
        ("model-00012-of-00030.safetensors", "shard 12 of 30: name its index, model.safetensors.i"),
        ("x.y-00002-of-00002.pt", "is shard 2 of 2: name its index, x.y.pt.index.json"),
    ],
)
def test_one_shard_alone_is_an_error(tmp_path, form, name, words):
    path = tmp_path / name
    path.write_bytes(hostile.FORMATS[form](hostile.state_dict()))
    assert words in refusal(path)


@pytest.mark.parametrize(
    "name", ["model-00001-of-00001.bin", "model-1-of-2.bin", "a-00001-of-00002.bin/net.bin"]
)
def test_other_names_are_no_shards(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(hostile.torch_bytes(hostile.state_dict()))
    assert len(read_depthwise(path).layers) == 3


def test_a_pickled_shard_that_is_no_state_dict(tmp_path):
    index = pickled(tmp_path, [hostile.state_dict()])
    (tmp_path / "pytorch_model-00001-of-00001.bin").write_bytes(hostile.torch_bytes([1, 2]))
    with pytest.raises(KernelAtlasError, match="holds a list, not a state dict"):
        read_depthwise(index)

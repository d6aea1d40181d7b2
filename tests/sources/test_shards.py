"""Checkpoints in shards: an index, and the files beside it that it names."""

import json
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.extract import extract
from kernelatlas.sources.shards import shards_of

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

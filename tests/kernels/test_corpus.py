"""The corpus of one kernel size."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels import corpus
from kernelatlas.kernels.corpus import KEY, build_corpus, corpus_kernels, corpus_keys, write_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import read_square, write_kernels
from kernelatlas.running.files import metadata_of

SIZES = {"b": [(4, 3, 3), (2, 1, 3), (5, 5, 5), (3, 3, 3)], "a": [(2, 5, 5), (6, 3, 3)]}


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return {
        model: [
            Layer(f"{model}.{i}", rng.normal(size=size).astype(np.float32))
            for i, size in enumerate(sizes)
        ]
        for model, sizes in SIZES.items()
    }


@pytest.fixture
def build(tmp_path, layers):
    def build(k=3, minimum=1):
        for model, of_model in layers.items():
            write_kernels(tmp_path / f"{model}.parquet", model, of_model, {})
        return build_corpus([tmp_path / f"{model}.parquet" for model in layers], k, minimum)

    return build


def read(path):
    return corpus_keys(path), corpus_kernels(path)


def test_columns_are_the_contract(tmp_path, build):
    write_corpus(build(), tmp_path / "k3.parquet", 3)
    names = pa.dictionary(pa.int32(), pa.string())
    assert {field.name: field.type for field in pq.read_schema(tmp_path / "k3.parquet")} == {
        "model": names,
        "layer": names,
        "layer_index": pa.int16(),
        "channel": pa.int32(),
        "copies": pa.int32(),
        "weights": pa.list_(pa.float32(), 9),
    }


def test_every_kernel_has_its_key_and_is_normalised(tmp_path, build, layers):
    write_corpus(build(), tmp_path / "k3.parquet", 3)
    keys, kernels = read(tmp_path / "k3.parquet")
    expected = [
        (model, layer.name, index, channel)
        for model, of_model in layers.items()  # in the order given
        for index, layer in enumerate(of_model)
        for channel in range(len(layer.weights))
        if layer.weights.shape[1:] == (3, 3)
    ]
    assert list(keys[KEY].itertuples(index=False, name=None)) == expected
    assert kernels.dtype == np.float32
    assert kernels.shape == (13, 9)
    assert kernels.flags.writeable  # PyTorch shares its memory
    for (model, _, index, channel), kernel in zip(expected, kernels, strict=True):
        raw = layers[model][index].weights[channel].ravel().astype(float)
        centred = raw - raw.mean()
        np.testing.assert_allclose(kernel, centred / np.linalg.norm(centred), atol=1e-6)


def test_a_corpus_in_several_row_groups_is_the_same(tmp_path, build, monkeypatch):
    table = build()
    write_corpus(table, tmp_path / "one", 3)
    monkeypatch.setattr(corpus, "BLOCK", 50)  # five kernels of nine weights
    write_corpus(build(), tmp_path / "several", 3)
    assert pq.ParquetFile(tmp_path / "one").num_row_groups == 1
    assert pq.ParquetFile(tmp_path / "several").num_row_groups == 3
    assert metadata_of(tmp_path / "one") == metadata_of(tmp_path / "several")
    (keys, kernels), (of_several, again) = read(tmp_path / "one"), read(tmp_path / "several")
    np.testing.assert_array_equal(kernels, again)
    pd.testing.assert_frame_equal(keys, of_several)
    np.testing.assert_array_equal(kernels, np.stack(table["weights"].to_numpy()))


def test_the_key_leads_back_to_the_kernel_table(tmp_path, build):
    write_corpus(build(), tmp_path / "k3.parquet", 3)
    keys, kernels = read(tmp_path / "k3.parquet")
    for model in SIZES:
        rows, weights = read_square(tmp_path / f"{model}.parquet", 3)
        position = {
            key: i for i, key in enumerate(zip(rows["layer"], rows["channel"], strict=True))
        }
        mine = (keys["model"] == model).to_numpy()
        found = [
            position[key]
            for key in zip(keys.loc[mine, "layer"], keys.loc[mine, "channel"], strict=True)
        ]
        np.testing.assert_array_equal(normalise(weights[found]), kernels[mine])


def test_degenerate_kernels_are_left_out(build, layers, caplog):
    layers["b"][0].weights[1] = 4
    layers["a"][1].weights[2, 0, 0] = np.nan
    with caplog.at_level("INFO"):
        table = build()
    assert len(table) == 11
    keys = list(zip(table["layer"].to_pylist(), table["channel"].to_pylist(), strict=True))
    assert ("b.0", 1) not in keys
    assert ("a.1", 2) not in keys
    assert "11 kernels of 3x3, 11 of them distinct, 2 degenerate left out" in caplog.messages


def test_doubtful_layers_are_left_out(tmp_path, layers, caplog):
    layers["b"][3] = replace(layers["b"][3], inferred=True)
    write_kernels(tmp_path / "b.parquet", "b", layers["b"], {})
    write_kernels(tmp_path / "a.parquet", "a", layers["a"], {})
    paths = [tmp_path / "b.parquet", tmp_path / "a.parquet"]
    table = build_corpus(paths, 3, 1)
    assert set(table["layer"].to_pylist()) == {"b.0", "a.1"}
    assert "3 kernels of layers that are perhaps not depthwise left out" in caplog.messages
    with pytest.raises(KernelAtlasError, match=r"3 of layers .*`depthwise: true`.*: add"):
        build_corpus(paths, 3, 100)


def test_copies_are_kept_and_counted(tmp_path, build, layers):
    twice = layers["b"][0].weights[1]
    layers["b"][3].weights[2] = twice
    layers["a"][1].weights[0] = twice
    layers["a"][1].weights[3] = layers["a"][1].weights[4]
    layers["a"][1].weights[5] = 2 * twice  # of the same shape, but not the same kernel
    table = build()
    copies = {
        (layer, channel): n
        for layer, channel, n in zip(
            *(table[name].to_pylist() for name in ("layer", "channel", "copies")), strict=True
        )
        if n > 1
    }
    assert copies == {
        **{("b.0", 1): 3, ("b.3", 2): 3, ("a.1", 0): 3},
        **{("a.1", 3): 2, ("a.1", 4): 2},
    }
    write_corpus(table, tmp_path / "k3.parquet", 3)
    metadata = metadata_of(tmp_path / "k3.parquet")
    assert (metadata["k"], metadata["kernels"], metadata["distinct"]) == (3, 13, 10)


def test_equal_kernels_give_equal_bytes(tmp_path, build):
    for name in ("a.out", "b.out"):
        write_corpus(build(), tmp_path / name, 3)
    assert (tmp_path / "a.out").read_bytes() == (tmp_path / "b.out").read_bytes()


@pytest.mark.parametrize(("n", "minimum"), [(0, 1), (1, 2), (5, 6)])
def test_too_few_kernels(tmp_path, n, minimum):
    weights = np.random.default_rng(0).normal(size=(n + 2, 7, 7)).astype(np.float32)
    weights[n:] = 1
    other = Layer("other", np.ones((3, 3, 3), np.float32))
    path = tmp_path / "a.parquet"
    write_kernels(path, "a", [Layer("dw", weights), other], {})
    with pytest.raises(KernelAtlasError) as caught:
        build_corpus([path], 7, minimum)
    message = str(caught.value)
    assert f"7x7 kernels: {n} in the trained models" in message
    assert f"{minimum} needed" in message
    assert "2 more are degenerate" in message
    assert "add models with 7x7 kernels, or take 7 out of kernel_sizes" in message
    if n:
        assert len(build_corpus([path], 7, n)) == n


def test_no_models():
    with pytest.raises(KernelAtlasError, match="0 in the trained models"):
        build_corpus([], 7, 1)

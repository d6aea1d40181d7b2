"""The kernel table: its columns, its bytes and what is read back of it."""

import hashlib
import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import (
    count_sizes,
    kernel_tables,
    read_square,
    write_kernels,
)

SIZES = [(4, 3, 3), (3, 1, 7), (5, 7, 7), (2, 3, 3), (6, 2, 2), (2, 3, 5)]

KNOWN = (2, 3)  # stride and dilation


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return [
        Layer(
            f"stages.{i}.dw",
            rng.normal(size=size).astype(np.float32),
            *(KNOWN if i else ()),
            inferred=i == 1,
            quantised=i % 3 == 0,
        )
        for i, size in enumerate(SIZES)
    ]


@pytest.fixture
def path(tmp_path, layers):
    path = tmp_path / "k=7" / "net.parquet"  # a folder that looks like a partition
    write_kernels(path, "net", layers, {"source": "net.safetensors"})
    return path


def test_columns_are_the_contract(path):
    schema = pq.read_schema(path)
    names = pa.dictionary(pa.int32(), pa.string())
    assert {field.name: field.type for field in schema} == {
        "model": names,
        "layer": names,
        "layer_index": pa.int16(),
        "channel": pa.int32(),
        "kh": pa.int16(),
        "kw": pa.int16(),
        "stride": pa.int16(),
        "dilation": pa.int16(),
        "weights": pa.list_(pa.field("element", pa.float32())),
        "degenerate": pa.bool_(),
        "inferred": pa.bool_(),
        "quantised": pa.bool_(),
    }
    metadata = json.loads(schema.metadata[b"kernelatlas"])
    assert metadata == {"schema_version": 4, "source": "net.safetensors"}


def test_one_row_group_per_layer(path):
    metadata = pq.read_metadata(path)
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert rows == [size[0] for size in SIZES]


def test_rows(path, layers):
    rows = pq.read_table(path, partitioning=None).to_pylist()
    expected = [
        {
            "model": "net",
            "layer": layer.name,
            "layer_index": index,
            "channel": channel,
            "kh": kernel.shape[0],
            "kw": kernel.shape[1],
            "stride": layer.stride,
            "dilation": layer.dilation,
            "weights": kernel.ravel().tolist(),
            "degenerate": False,
            "inferred": layer.inferred,
            "quantised": layer.quantised,
        }
        for index, layer in enumerate(layers)
        for channel, kernel in enumerate(layer.weights)
    ]
    assert rows == expected


@pytest.mark.parametrize("k", [2, 3, 7])
def test_square_kernels(path, layers, k):
    rows, weights = read_square(path, k)
    square = [layer for layer in layers if layer.weights.shape[1:] == (k, k)]
    assert weights.dtype == np.float32
    assert np.array_equal(weights, np.concatenate([x.weights.reshape(-1, k * k) for x in square]))
    assert list(rows["layer"]) == [layer.name for layer in square for _ in layer.weights]
    assert list(rows["channel"]) == [i for layer in square for i in range(len(layer.weights))]
    assert "weights" not in rows
    assert str(rows["layer"].dtype) == "category"


def test_no_kernels_of_a_size(path):
    rows, weights = read_square(path, 5)
    assert len(rows) == 0
    assert weights.shape == (0, 25)


def test_only_layers_of_the_size_need_decoding(path):
    """Row groups hold one size each, so their statistics suffice to skip the others."""
    metadata = pq.read_metadata(path)
    for i, size in enumerate(SIZES):
        statistics = metadata.row_group(i).column(4).statistics
        assert (statistics.min, statistics.max) == (size[1], size[1])


def test_counts(path):
    counts = count_sizes(path)
    assert counts.to_numpy().tolist() == [
        ["net", 1, 7, 3, 0, 0],
        ["net", 2, 2, 6, 0, 6],
        ["net", 3, 3, 6, 0, 6],
        ["net", 3, 5, 2, 0, 2],
        ["net", 7, 7, 5, 0, 5],
    ]
    assert list(counts) == ["model", "kh", "kw", "kernels", "degenerate", "usable"]


def test_layers_that_are_perhaps_not_depthwise_are_not_usable(tmp_path, layers):
    layers[0].weights[0] = 0
    layers = [replace(layer, inferred=i in (0, 2)) for i, layer in enumerate(layers)]
    write_kernels(tmp_path / "net.parquet", "net", layers, {})
    counts = count_sizes(tmp_path / "net.parquet").set_index(["kh", "kw"])
    assert counts.loc[(3, 3)].tolist()[1:] == [6, 1, 2]  # of layers of 4 and of 2 kernels
    assert counts.loc[(7, 7)].tolist()[1:] == [5, 0, 0]


def test_degenerate_kernels_stay_and_are_reported(tmp_path, layers, caplog):
    layers[0].weights[0] = 0
    layers[0].weights[1] = 5
    layers[2].weights[2, 0, 0] = np.nan
    layers[2].weights[3, 0, 0] = np.inf
    with caplog.at_level(logging.WARNING):
        write_kernels(tmp_path / "net.parquet", "net", layers, {})
    assert caplog.messages == ["net: 4 of 22 kernels are degenerate"]
    rows, weights = read_square(tmp_path / "net.parquet", 7)
    assert list(rows["degenerate"]) == [False, False, True, True, False]
    assert np.array_equal(weights, layers[2].weights.reshape(-1, 49), equal_nan=True)
    counts = count_sizes(tmp_path / "net.parquet").set_index(["kh", "kw"])
    assert counts.loc[(3, 3), "degenerate"] == 2


def test_no_warning_without_need(path, layers, caplog):
    assert list(kernel_tables("net", layers))
    assert not caplog.messages


def test_equal_layers_give_equal_bytes(tmp_path, layers):
    digests = set()
    for name in ("a", "b"):
        copies = [replace(layer, weights=layer.weights.copy()) for layer in layers]
        write_kernels(
            tmp_path / name, "net", copies, {"b": 1, "a": 2} if name == "a" else {"a": 2, "b": 1}
        )
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_no_layers(tmp_path):
    write_kernels(tmp_path / "net.parquet", "net", [], {})
    assert read_square(tmp_path / "net.parquet", 3)[1].shape == (0, 9)
    assert count_sizes(tmp_path / "net.parquet").empty


def test_numbers_beyond_the_columns():
    wide = [Layer("wide", np.zeros((2, 1, 40_000), np.float32))]
    with pytest.raises(KernelAtlasError, match="net: layer 'wide' of 1×40000 kernels"):
        list(kernel_tables("net", wide))
    layer = Layer("many", np.zeros((1, 1, 2), np.float32))
    with pytest.raises(KernelAtlasError, match="number 32768"):
        list(kernel_tables("net", [layer] * 40_000))


def test_no_kernel_table(tmp_path):
    with pytest.raises(KernelAtlasError, match="no such kernel table"):
        count_sizes(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(KernelAtlasError, match="not a kernel table"):
        read_square(tmp_path / "text.parquet", 3)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(KernelAtlasError, match="not a kernel table"):
        read_square(tmp_path / "other.parquet", 3)
    with pytest.raises(KernelAtlasError, match="not a kernel table"):
        count_sizes(tmp_path / "other.parquet")


def test_weights_that_do_not_fit_their_size(tmp_path, layers):
    table = pa.concat_tables(kernel_tables("net", layers)).combine_chunks()
    sizes = pa.array(np.full(table.num_rows, 3, np.int16))
    table = table.set_column(4, "kh", sizes).set_column(5, "kw", sizes)
    pq.write_table(table, tmp_path / "net.parquet")
    with pytest.raises(KernelAtlasError, match="weights in 22 kernels of 3×3"):
        read_square(tmp_path / "net.parquet", 3)


def test_sizes_that_share_a_row_group(tmp_path, layers):
    """Beside pandas, on a file that another writer made."""
    write_kernels(tmp_path / "net.parquet", "net", layers, {})
    table = pq.read_table(tmp_path / "net.parquet").combine_chunks()
    pq.write_table(table, tmp_path / "one.parquet")
    assert pq.read_metadata(tmp_path / "one.parquet").num_row_groups == 1
    every = pd.read_parquet(tmp_path / "one.parquet")
    for k in {layer.weights.shape[1] for layer in layers} | {99}:
        mine = every[(every["kh"] == k) & (every["kw"] == k)]
        for name in ("net", "one"):
            rows, weights = read_square(tmp_path / f"{name}.parquet", k)
            assert rows["channel"].tolist() == mine["channel"].tolist()
            assert rows["layer"].tolist() == mine["layer"].tolist()
            assert weights.tolist() == [values.tolist() for values in mine["weights"]]


@pytest.mark.parametrize("name", ["kh", "weights"])
def test_empty_numbers_are_no_kernel_table(tmp_path, layers, name):
    table = pa.concat_tables(kernel_tables("net", layers)).combine_chunks()
    empty = pa.nulls(table.num_rows, table.schema.field(name).type)
    if name == "weights":
        values = [[None] * len(kernel) for kernel in table[name].to_pylist()]
        empty = pa.array(values, table.schema.field(name).type)
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, empty), tmp_path / "net.parquet")
    with pytest.raises(KernelAtlasError, match="not a kernel table"):
        read_square(tmp_path / "net.parquet", 3)

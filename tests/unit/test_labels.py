"""A label for every kernel."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from kernelatlas import names
from kernelatlas.autoencoder import Autoencoder, Settings, fit
from kernelatlas.checkpoints import Layer
from kernelatlas.clusters import cluster_table
from kernelatlas.kernels import write_kernels
from kernelatlas.labels import SCHEMA, label_kernels, threshold, write_labels
from kernelatlas.normalise import normalise
from kernelatlas.templates import bank

THRESHOLDS = {"3": 0.1, "5": 0.2, "7": 0.3}
SETTINGS = Settings(widths=(8,), fourier=3, curve_points=128)


@pytest.mark.parametrize(
    ("k", "expected"),
    [(2, 0.1), (3, 0.1), (4, 0.1), (5, 0.2), (6, 0.2), (7, 0.3), (9, 0.3), (51, 0.3)],
)
def test_thresholds(k, expected):
    assert threshold(k, THRESHOLDS) == expected
    assert threshold(k, dict(reversed(THRESHOLDS.items()))) == expected


def test_sizes_of_thresholds_are_numbers():
    assert threshold(9, {"9": 0.4, "11": 0.5}) == 0.4
    assert threshold(3, {"9": 0.4, "11": 0.5}) == 0.4


@pytest.fixture
def autoencoder():
    torch.manual_seed(0)
    return Autoencoder(3, SETTINGS).eval()


@pytest.fixture
def layers():
    random = np.random.default_rng(0)
    sizes = [(6, 3, 3), (2, 5, 5), (3, 1, 3), (40, 3, 3)]
    layers = [
        Layer(f"dw{i}", random.normal(size=size).astype(np.float32)) for i, size in enumerate(sizes)
    ]
    layers[0].weights[2] = 3
    layers[3].weights[0, 1, 1] = np.inf
    return layers


@pytest.fixture
def path(tmp_path, layers):
    write_kernels(tmp_path / "net.parquet", "net", layers, {})
    return tmp_path / "net.parquet"


@pytest.fixture
def clusters():
    return pd.DataFrame(
        {
            "code_high": np.array([0.4, 0.7, 1], np.float32),
            "label": ["on-cross", "other", "off-cross"],
        }
    )


def test_every_kernel_of_the_size_has_a_row(path, autoencoder, clusters):
    table = label_kernels(path, autoencoder, clusters, 0.5)
    assert list(table) == SCHEMA.names
    assert table["layer"].tolist() == ["dw0"] * 6 + ["dw3"] * 40
    assert table["layer_index"].tolist() == [0] * 6 + [3] * 40
    assert table["channel"].tolist() == [*range(6), *range(40)]
    assert set(table["model"]) == {"net"}
    assert set(table["k"]) == {3}


def test_labels_belong_to_their_kernels(path, autoencoder, clusters, layers):
    below = 0.45
    table = label_kernels(path, autoencoder, clusters, below)
    grid, curve = (values.detach().numpy() for values in autoencoder.curve(128))
    seen = set()
    for row in table[~table["degenerate"]].itertuples():
        raw = layers[row.layer_index].weights[row.channel].reshape(1, 9)
        cosines = (normalise(raw) @ curve.T)[0]
        code, dissimilarity = grid[cosines.argmax()], 1 - cosines.max()
        assert row.code == pytest.approx(code, abs=1e-6)
        assert row.dissimilarity == pytest.approx(dissimilarity, abs=1e-5)
        assert row.code_encoder == pytest.approx(
            autoencoder.encode(torch.from_numpy(normalise(raw))).item(), abs=1e-6
        )
        assert row.dissimilarity_encoder >= row.dissimilarity - 1e-3  # but for the grid
        cluster = 0 if code < 0.4 else 1 if code < 0.7 else 2
        assert row.cluster == cluster
        assert row.label == clusters["label"][cluster]
        assert row.identified == (dissimilarity < below and row.label != names.OTHER)
        seen.add((row.label, row.identified))
    # The rule was put to the test only if every case occurs.
    assert seen >= {("other", False), ("on-cross", True), ("on-cross", False)}
    close = table[(table["dissimilarity"] < below) & (table["label"] == names.OTHER)]
    assert len(close) > 0


def test_the_threshold_itself_is_not_below(path, autoencoder, clusters):
    clusters["label"] = "on-cross"
    values = label_kernels(path, autoencoder, clusters, 2)["dissimilarity"].dropna().sort_values()
    below = float(values.iloc[10])
    table = label_kernels(path, autoencoder, clusters, below)
    assert table["identified"].sum() == 10
    assert label_kernels(path, autoencoder, clusters, 0)["identified"].sum() == 0


def test_degenerate_kernels_have_no_code(path, autoencoder, clusters):
    table = label_kernels(path, autoencoder, clusters, 2)
    rows = table[table["degenerate"]]
    assert list(zip(rows["layer"], rows["channel"], strict=True)) == [("dw0", 2), ("dw3", 0)]
    columns = ["code", "code_encoder", "cluster", "dissimilarity", "dissimilarity_encoder"]
    assert rows[columns].isna().all(axis=None)
    assert set(rows["label"]) == {names.DEGENERATE}
    assert not rows["identified"].any()
    assert not table.drop(rows.index)[columns].isna().any(axis=None)


def test_nothing_but_degenerate_kernels(tmp_path, autoencoder, clusters):
    path = tmp_path / "flat.parquet"
    write_kernels(path, "flat", [Layer("dw", np.ones((4, 3, 3), np.float32))], {})
    table = label_kernels(path, autoencoder, clusters, 2)
    write_labels([table], tmp_path / "labels.parquet")
    read = pd.read_parquet(tmp_path / "labels.parquet")
    assert read["degenerate"].tolist() == [True] * 4
    assert read["code"].isna().all()


def test_written_labels_are_in_the_order_of_the_layers(tmp_path, path, autoencoder, clusters):
    torch.manual_seed(1)
    of_5 = label_kernels(path, Autoencoder(5, SETTINGS).eval(), clusters, 0.5)
    of_3 = label_kernels(path, autoencoder, clusters, 0.5)
    write_labels([of_3, of_5], tmp_path / "a.parquet")
    write_labels([of_5, of_3], tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = pd.read_parquet(tmp_path / "a.parquet")
    assert read["layer_index"].tolist() == [0] * 6 + [1] * 2 + [3] * 40
    assert read["channel"].tolist() == [*range(6), *range(2), *range(40)]
    assert read["k"].tolist() == [3] * 6 + [5] * 2 + [3] * 40
    written = read[read["k"] == 3].reset_index(drop=True)
    assert written["label"].tolist() == of_3["label"].tolist()
    assert written["identified"].tolist() == of_3["identified"].tolist()
    np.testing.assert_array_equal(
        written["code"], of_3["code"].to_numpy(np.float32, na_value=np.nan)
    )


def test_columns_are_the_contract(tmp_path, path, autoencoder, clusters):
    write_labels([label_kernels(path, autoencoder, clusters, 0.5)], tmp_path / "a.parquet")
    write_labels([], tmp_path / "b.parquet")
    text = pa.dictionary(pa.int32(), pa.string())
    for name, rows in (("a", 46), ("b", 0)):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert table.num_rows == rows
        assert {field.name: field.type for field in table.schema} == {
            "model": text,
            "layer": text,
            "layer_index": pa.int16(),
            "channel": pa.int32(),
            "k": pa.int16(),
            "code": pa.float32(),
            "code_encoder": pa.float32(),
            "cluster": pa.int16(),
            "label": text,
            "dissimilarity": pa.float32(),
            "dissimilarity_encoder": pa.float32(),
            "identified": pa.bool_(),
            "degenerate": pa.bool_(),
        }


def test_noise_is_not_identified(tmp_path):
    """The null: what is found in planted kernels must not be found in white noise."""
    random = np.random.default_rng(0)
    templates = bank(7).weights

    def planted(n):
        chosen = templates[random.integers(len(templates), size=n)]
        return (chosen + random.normal(0, 0.03, chosen.shape)).astype(np.float32)

    kernels = normalise(planted(500))
    settings = Settings(
        widths=(64,), fourier=16, centroids=24, epochs=20, batch=64, curve_points=512
    )
    autoencoder = fit(kernels, settings, 0, "cpu")[0]
    clusters = cluster_table(*autoencoder.sample(kernels), price=0.008, minimum_cosine=0.8)
    shares = {}
    for name, weights in {
        "planted": planted(300),
        "noise": random.normal(size=(1000, 49)).astype(np.float32),
    }.items():
        path = tmp_path / f"{name}.parquet"
        write_kernels(path, name, [Layer("dw", weights.reshape(-1, 7, 7))], {})
        shares[name] = label_kernels(path, autoencoder, clusters, 0.3)["identified"].mean()
    assert shares["planted"] > 0.7
    assert shares["noise"] < 0.05

"""Checkpoints of trainings: their zoo, and the tables made of them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from test_network import RECIPE
from test_tables import write

from kernelatlas.clustering.shares import UNIDENTIFIED
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.sizes import size_table_of_others
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.sources.zoo import Model, load_dynamics
from kernelatlas.tables.data import N_SAMPLES, data_tables
from kernelatlas.tables.dynamics import (
    emergence_table,
    initial_energy,
    network_tables,
    shape_shares,
    state_composition,
)

MODELS = [
    ["a0", "one", False, "pictures", "a", 0],
    ["a9", "one", True, "pictures", "a", 9],
    ["b0", "one", False, "pictures", "b", 0],
    ["b9", "one", True, "pictures", "b", 9],
    ["c0", "two", False, "noise", "c", 0],
]
ON, OFF = "on-centre", "off-centre"
LIMIT = {"7": 0.3}
# layer_index, channel, k, cluster, label, dissimilarity, identified
ROWS = {
    "a0": [(0, i, 7, 0, ON, 0.9, False) for i in range(4)],
    "a9": [(0, i, 7, 0, ON, 0.1, i < 3) for i in range(4)],
    "b0": [(0, 0, 7, 0, ON, 0.8, False), (0, 1, 7, 1, OFF, 0.2, True)],
    "b9": [(0, 0, 7, 0, ON, 0.1, True), (0, 1, 7, None, "degenerate", None, False)],
    "c0": [(0, i, 7, 0, ON, 0.9, False) for i in range(2)],
}


def kernel_table(path, weights, names=("x.dw",)):
    layers = [Layer(name, np.asarray(weights, np.float32)) for name in names]
    write_kernels(path, path.stem, layers, {})
    return path


@pytest.fixture
def labels(tmp_path):
    return [write(tmp_path / f"{name}.parquet", name, rows) for name, rows in ROWS.items()]


@pytest.fixture
def kernels(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "kernels").mkdir()
    return [
        kernel_table(tmp_path / "kernels" / f"{name}.parquet", rng.normal(size=(len(rows), 7, 7)))
        for name, rows in ROWS.items()
    ]


def test_emergence(labels, kernels):
    table = emergence_table(labels, kernels, MODELS, LIMIT).set_index(["network", "step"])
    assert table.loc[("a", 9), "kernels"] == 4
    assert table["share_identified"].to_dict() == {
        ("a", 0): 0,
        ("a", 9): 0.75,
        ("b", 0): 0.5,
        ("b", 9): 0.5,
        ("c", 0): 0,
    }
    assert table.loc[("b", 9), "degenerate"] == 1
    assert table.loc[("b", 0), "mean_dissimilarity"] == pytest.approx(0.5)
    assert table.loc[("a", 0), "initial_energy"] == pytest.approx(1)
    assert table.loc[("a", 9), "initial_energy"] == pytest.approx(
        initial_energy(kernels[1], kernels[0], 7)
    )
    assert (table["initial_energy_chance"] == 1 / 48).all()
    assert table[["low", "high"]].isna().all(axis=None)  # of one layer


def test_a_training_whose_beginning_is_unknown_has_no_initial_energy(labels, kernels):
    table = emergence_table(labels[1:2], kernels[1:2], MODELS[1:2], LIMIT)
    assert table["initial_energy"].isna().all()


def test_initial_energy_of_known_kernels(tmp_path):
    rng = np.random.default_rng(1)
    begun = rng.normal(size=(50, 7, 7))
    first = kernel_table(tmp_path / "begun.parquet", begun)
    scaled = kernel_table(tmp_path / "scaled.parquet", begun * rng.normal(size=(50, 1, 1)) + 3)
    assert initial_energy(scaled, first, 7) == pytest.approx(1, abs=1e-6)
    # w = u + v with v orthogonal to u and of the same norm: half of the energy is u's.
    centred = begun - begun.mean((1, 2), keepdims=True)
    other = rng.normal(size=begun.shape)
    other -= other.mean((1, 2), keepdims=True)
    norms = (centred**2).sum((1, 2), keepdims=True)
    other -= centred * (other * centred).sum((1, 2), keepdims=True) / norms
    other *= np.sqrt(norms / (other**2).sum((1, 2), keepdims=True))
    half = kernel_table(tmp_path / "half.parquet", centred + other)
    assert initial_energy(half, first, 7) == pytest.approx(0.5, abs=1e-5)


def test_initial_energy_of_unrelated_kernels_is_chance(tmp_path):
    rng = np.random.default_rng(2)
    paths = [kernel_table(tmp_path / f"{i}.parquet", rng.normal(size=(4000, 7, 7))) for i in "ab"]
    assert initial_energy(*paths, 7) == pytest.approx(1 / 48, rel=0.1)


def test_initial_kernels_are_found_by_layer_and_channel(tmp_path):
    """Also where the layers stand in another order, and where a kernel has no shape."""
    rng = np.random.default_rng(3)
    p, q = rng.normal(size=(2, 3, 7, 7)).astype(np.float32)
    flat = p.copy()
    flat[1] = 1
    write_kernels(tmp_path / "a.parquet", "a", [Layer("p", p), Layer("q", q)], {})
    write_kernels(tmp_path / "b.parquet", "b", [Layer("q", q), Layer("p", flat)], {})
    found = initial_energy(tmp_path / "a.parquet", tmp_path / "b.parquet", 7)
    assert found == pytest.approx(1, abs=1e-6)


def test_shares_of_shapes_at_the_last_step_and_their_spread(labels):
    composition = state_composition(labels, MODELS)
    assert composition["kernels"].sum() == 14
    counts = composition.groupby("network")[["identified", "too_far", "no_name"]].sum()
    assert counts.loc["a"].tolist() == [3, 5, 0]
    table = shape_shares(composition)
    share = table.set_index(["network", "shape"])["share"]
    assert share["a", ON] == 0.75
    assert share["a", UNIDENTIFIED["too far"]] == pytest.approx(0.25)
    assert share["a", UNIDENTIFIED["no name"]] == 0
    assert share["b", ON] == 0.5
    assert share["b", "degenerate"] == 0.5
    assert table.groupby("network")["share"].sum().to_list() == pytest.approx([1, 1, 1])
    assert set(table.loc[table["network"] == "a", "step"]) == {9}
    row = table[(table["family"] == "one") & (table["shape"] == ON)].iloc[0]
    assert row["mean"] == pytest.approx(0.625)
    assert row["sd"] == pytest.approx(np.std([0.75, 0.5], ddof=1))
    assert row["networks"] == 2
    single = table[table["family"] == "two"]
    assert single["sd"].isna().all()
    assert (single["networks"] == 1).all()


def test_sizes_of_states_are_those_studied_of_the_zoo(tmp_path):
    rng = np.random.default_rng(0)
    layers = [Layer(f"l{k}", rng.normal(size=(2, k, k)).astype(np.float32)) for k in (3, 7)]
    write_kernels(tmp_path / "a.parquet", "a0", layers, {})
    write_frame(
        pd.DataFrame({"kh": [7, 9, 3], "studied": [True, True, False]}), tmp_path / "z.parquet"
    )
    table = size_table_of_others([tmp_path / "a.parquet"], MODELS[:1], tmp_path / "z.parquet")
    assert table.set_index("kh")["studied"].to_dict() == {3: False, 7: True}
    assert set(table["family"]) == {"one"}


def test_networks_are_described(tmp_path):
    metadata = {
        "recipe": RECIPE,
        "held_out_crops": 24,
        "subjects": 2,
        "device": "CPU",
        "threads": 1,
        "versions": {"kernelatlas": "1", "timm": "2", "torch": "3"},
        "held_out": {"accuracy": 0.5, "accuracy_subject": 0.75, "accuracy_rotation": 0.625},
    }
    text = json.dumps(metadata)
    save_file({"w": torch.zeros(1)}, tmp_path / "net.safetensors", metadata={"kernelatlas": text})
    history = pd.DataFrame({"step": [2, 3], "loss": [2.0, 1.0], "accuracy_training": [0.1, 0.2]})
    write_frame(history, tmp_path / "h.parquet")
    paths = [tmp_path / "net.safetensors"], [tmp_path / "h.parquet"]
    networks, learning = network_tables([["net", "fam", "pictures"]], *paths)
    row = networks.iloc[0]
    assert row["chance"] == 1 / 8
    assert row["accuracy"] == 0.5
    assert row["accuracy_training"] == 0.2
    assert row["loss_training"] == 1.0
    assert row["held_out"] == "the last 40% of each photograph's columns"
    assert "grey with probability 0.3" in row["augmentation"]
    assert "shuffled" not in row["augmentation"]
    assert learning["network"].to_list() == ["net", "net"]


def test_data_are_sampled_as_they_were_trained_on():
    leaves = {"dead_leaves": {"worlds": 2, "pictures": 1, "side": 96, "seed": 0}}
    common = {"size": 64, "scale": [1, 1], "grey": 0, "jitter": 0}
    recipes = {
        "leaves": {"data": {**leaves, **common}},
        "shuffled": {"data": {**leaves, **common, "shuffled": True}},
    }
    spectra, samples = data_tables(recipes)
    alpha = spectra.groupby("trained_on")["exponent"].first()
    assert alpha["leaves"] > 1.5
    assert abs(alpha["shuffled"]) < 0.1  # white
    assert samples.groupby("trained_on").size().to_dict() == {
        "leaves": N_SAMPLES,
        "shuffled": N_SAMPLES,
    }
    assert {len(pixels) for pixels in samples["pixels"]} == {64 * 64 * 3}
    assert {pixels.dtype for pixels in samples["pixels"]} == {np.dtype("uint8")}


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.safetensors").write_bytes(b"")

    def write_and_load(text):
        (tmp_path / "d.yaml").write_text(f"families:\n{text}")
        return load_dynamics("d.yaml", [Model("taken", "x")])

    return write_and_load


def entry(name, network="n", step=0):
    return f"    - {{name: {name}, file: net.safetensors, network: {network}, step: {step}}}\n"


def test_states_are_sorted_by_network_and_step(load):
    states = load("  f:\n" + entry("a", step=10) + entry("b", step=9) + entry("c", "m", 11))
    assert [(s.network, s.step, s.name) for s in states] == [
        ("m", 11, "c"),
        ("n", 9, "b"),
        ("n", 10, "a"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "  f:\n    - {name: a, file: net.safetensors}\n",
            "'a': a checkpoint of a training needs `network` and",
        ),
        ("  f:\n" + entry("Taken"), "'Taken' is also in the zoo: give it another name"),
        ("  f:\n" + entry("a") + entry("b"), "'b': network 'n' has step 0 also as 'a': keep one"),
        (
            "  f:\n" + entry("a") + "  g:\n" + entry("b", step=1),
            "'n' is of the families 'f' and 'g'",
        ),
        ("  f:\n    - {name: a, file: net.safetensors, step: 1}\n", "'network' is a dependency"),
        ("  f:\n" + entry("a", step=-1), "step: -1 is less than the minimum"),
    ],
)
def test_what_is_no_training_is_one_clear_error(load, text, message):
    with pytest.raises(KernelAtlasError, match=rf"^d\.yaml: .*{message}"):
        load(text)

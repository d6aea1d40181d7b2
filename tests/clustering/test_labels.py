"""A label for every kernel, by vote."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curves import at_random

from kernelatlas import names
from kernelatlas.clustering import labels as module
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import (
    SCHEMA,
    as_frame,
    assign,
    label_kernels,
    label_weights,
    seed_values,
    threshold,
    vote,
    write_labels,
)
from kernelatlas.clustering.reasons import reasons
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.files import metadata_of, write_frame
from kernelatlas.running.tensors import write_tensors

WORKFLOW = Path(__file__).parents[2] / "workflow"

THRESHOLDS = {"3": 0.1, "5": 0.2, "7": 0.3}
CURVES = [at_random(seed=seed, m=m) for seed, m in ((3, 30), (5, 40), (8, 50))]
MINIMUM = 0.9
COLUMNS = [
    name for name in SCHEMA.names if name not in ("model", "layer", "layer_index", "channel")
]


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


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


def drawn(curve: Curve, kernel: np.ndarray) -> np.ndarray:
    """Return what a curve draws for a kernel, by its definition."""
    points = curve.points.astype(float)
    weights = np.exp(curve.concentration * (points @ kernel))
    mean = weights @ points
    return mean / np.linalg.norm(mean)


def best_shape(kernel: np.ndarray, minimum: float = -1.0) -> int:
    cosines = bank(3).weights.astype(float) @ kernel
    shape = bank(3).shapes[cosines.argmax()]
    return shape if cosines.max() >= minimum else names.SHAPES.index(names.OTHER)


@pytest.mark.parametrize("curves", [CURVES, CURVES[:2], CURVES[1:2]])
def test_votes_are_what_their_definition_says(curves):
    kernels = np.concatenate([noise(150), bank(3).weights[::5]])
    votes = vote(kernels, curves, MINIMUM)
    below = 0.25
    identified, alone = votes.identified(below), votes.identified_one_seed(below)
    cases = set()
    for i, kernel in enumerate(kernels.astype(float)):
        means = [drawn(curve, kernel) for curve in curves]
        mean = sum(means)
        mean /= np.linalg.norm(mean)
        shape = best_shape(mean)
        agreement = np.mean([best_shape(m) == shape for m in means])
        assert votes.agreement[i] == pytest.approx(agreement)
        named = best_shape(mean, MINIMUM) != names.SHAPES.index(names.OTHER)
        assert (votes.names.label[i] != names.OTHER) == named
        if named:
            assert names.shape_of(votes.names.label[i]) == names.SHAPES[shape]
        assert votes.seed_shapes[i].tolist() == [best_shape(m, MINIMUM) for m in means]
        near = []
        for j, curve in enumerate(curves):
            cosines = curve.points.astype(float) @ kernel
            near.append(1 - cosines.max())
            assert votes.dissimilarities[i, j] == pytest.approx(near[-1], abs=1e-6)
            code = (cosines.argmax() + 0.5) / len(curve.points)
            assert votes.codes[i, j] == pytest.approx(code, abs=1e-6)
        assert votes.dissimilarity[i] == pytest.approx(np.mean(near), abs=1e-6)
        assert identified[i] == (named and agreement > 0.5 and np.mean(near) < below)
        point = curves[0].points[(curves[0].points.astype(float) @ kernel).argmax()]
        one = best_shape(point.astype(float), MINIMUM) != names.SHAPES.index(names.OTHER)
        assert alone[i] == (one and near[0] < below)
        cases.add((bool(named), bool(agreement > 0.5), bool(np.mean(near) < below)))
    # The rule was put to the test only if each of its parts alone decided somewhere.
    assert {(True, True, True), (False, True, True), (True, True, False)} <= cases
    if len(curves) > 1:
        assert any(not agree for _, agree, _ in cases)
    assert 0 < alone.sum() < len(kernels)


def test_the_first_reason_that_holds_is_why_a_kernel_is_not_identified(path, clusters):
    """Against the columns themselves, kernel by kernel, at thresholds that each reason meets."""
    seen = []
    for below in (0.05, 0.2, 0.4):
        # Two seeds: one half of them is not most.
        for curves in (CURVES, CURVES[:2]):
            table = as_frame(label_kernels(path, curves, clusters, below, MINIMUM))
            for row in table.itertuples():
                if row.degenerate:
                    expected = "degenerate"
                elif row.dissimilarity >= below:
                    expected = "too far"
                elif row.label == names.OTHER:
                    expected = "no name"
                elif row.agreement <= 0.5:
                    expected = "seeds disagree"
                else:
                    expected = None
                assert row.reason == expected
                assert row.identified == (expected is None)
                seen.append(expected)
    assert set(seen) == {*names.REASONS, None}


def test_reasons_are_told_of_tables_that_are_read_back():
    label = np.array(["on-cross", "on-cross", "other", "other", "degenerate", "on-cross"], object)
    agreement = np.array([1, 0.5, 1, 0.5, np.nan, 0.5])
    dissimilarity = np.array([0.1, 0.1, 0.1, 0.3, np.nan, 0.3])
    assert reasons(label, agreement, dissimilarity, 0.3).tolist() == [
        *(None, "seeds disagree", "no name"),
        *("too far", "degenerate", "too far"),
    ]
    assert reasons(label[:0], agreement[:0], dissimilarity[:0], 0.3).tolist() == []


def test_one_seed_agrees_with_itself():
    votes = vote(noise(50), CURVES[:1], MINIMUM)
    assert (votes.agreement == 1).all()
    assert votes.codes.shape == (50, 1)


def test_half_of_the_seeds_are_not_most():
    """Two seeds that draw different shapes: none is identified, whatever the threshold."""
    weights = bank(3).weights
    labels = np.array(bank(3).labels)
    one, other = (weights[labels == label][:1] for label in ("on-centre", "first-derivative 0°"))
    curves = [Curve(3, 0, one, 20.0), Curve(3, 1, other, 20.0)]
    votes = vote(noise(20), curves, -1)
    assert (votes.agreement <= 0.5).all()
    assert not votes.identified(3).any()
    curves.append(Curve(3, 2, one, 20.0))
    votes = vote(noise(20), curves, -1)
    assert set(votes.names.label) == {"on-centre"}
    np.testing.assert_allclose(votes.agreement, 2 / 3, rtol=1e-6)
    assert votes.identified(3).all()


def test_blocks_do_not_matter(monkeypatch):
    kernels = noise(100)
    whole = vote(kernels, CURVES, MINIMUM)
    monkeypatch.setattr(module, "BLOCK", 33)
    parts = vote(kernels, CURVES, MINIMUM)
    assert whole.names.label.tolist() == parts.names.label.tolist()
    for name in ("agreement", "dissimilarities", "codes", "one_seed_named", "seed_shapes"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), atol=1e-6)
    assert vote(kernels[:0], CURVES, MINIMUM).codes.shape == (0, 3)


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    sizes = [(6, 3, 3), (2, 5, 5), (3, 1, 3), (80, 3, 3)]
    layers = [
        Layer(f"dw{i}", rng.normal(size=size).astype(np.float32)) for i, size in enumerate(sizes)
    ]
    layers[0].weights[2] = 3
    layers[3].weights[0, 1, 1] = np.inf
    return layers


@pytest.fixture
def path(tmp_path, layers):
    write_kernels(tmp_path / "net.parquet", "net", layers, {})
    return tmp_path / "net.parquet"


@pytest.fixture(scope="module")
def clusters():
    return cluster_table(noise(400, seed=7), CURVES, 0.2, MINIMUM)


def test_every_kernel_of_the_size_has_a_row(path, clusters):
    table = as_frame(label_kernels(path, CURVES, clusters, 0.2, MINIMUM))
    assert list(table) == SCHEMA.names
    assert table["layer"].tolist() == ["dw0"] * 6 + ["dw3"] * 80
    assert table["layer_index"].tolist() == [0] * 6 + [3] * 80
    assert table["channel"].tolist() == [*range(6), *range(80)]
    assert set(table["model"]) == {"net"}
    assert set(table["k"]) == {3}


def test_labels_belong_to_their_kernels(path, clusters, layers):
    table = as_frame(label_kernels(path, CURVES, clusters, 0.2, MINIMUM))
    prototypes = np.stack(clusters["prototype"])
    numbers = clusters.drop_duplicates("label").set_index("label")["cluster"]
    seen = set()
    for row in table[~table["degenerate"]].itertuples():
        raw = layers[row.layer_index].weights[row.channel].reshape(1, 9)
        kernel = normalise(raw)
        votes = vote(kernel, CURVES, MINIMUM)
        assert row.label == votes.names.label[0]
        assert row.template_cosine == pytest.approx(votes.names.cosine[0], abs=1e-6)
        assert row.agreement == pytest.approx(votes.agreement[0])
        assert row.dissimilarity == pytest.approx(votes.dissimilarity[0], abs=1e-6)
        assert row.identified == votes.identified(0.2)[0]
        assert row.identified_one_seed == votes.identified_one_seed(0.2)[0]
        np.testing.assert_array_equal(row.codes, votes.codes[0])
        np.testing.assert_allclose(row.by_seed, votes.by_seed[0], rtol=1e-5)
        directed = names.shape_of(row.label) in (names.FIRST, names.SECOND)
        assert pd.notna(row.direction) == directed
        if directed:
            assert row.direction == pytest.approx(votes.names.direction[0], abs=1e-2)
        if row.label == names.OTHER:
            unnamed = np.flatnonzero(clusters["label"] == names.OTHER)
            nearest = unnamed[(prototypes[unnamed] @ kernel[0]).argmax()]
            assert row.cluster == clusters["cluster"][nearest]
        else:
            assert row.cluster == numbers.get(row.label, -1)
        seen.add((row.label == names.OTHER, row.identified))
    assert seen == {(True, False), (False, True), (False, False)}


def test_a_label_that_the_corpus_does_not_have_is_in_no_cluster():
    table = pd.DataFrame(
        {
            "cluster": np.array([0, 1, 2], np.int16),
            "label": ["on-cross", names.OTHER, names.OTHER],
            "prototype": list(np.eye(9, dtype=np.float32)[:3]),
        }
    )
    kernels = np.eye(9, dtype=np.float32)[[0, 0, 1, 2]]
    labels = np.array(["on-cross", "off-cross", names.OTHER, names.OTHER], dtype=object)
    found = assign(kernels, labels, table)
    assert found.tolist() == [0, -1, 1, 2]  # the nearest of what has no name
    assert found.dtype == np.int16
    # A corpus of which every kernel has a name.
    assert assign(kernels, labels, table[:1]).tolist() == [0, -1, -1, -1]


def test_the_threshold_itself_is_not_below(path, clusters):
    curves = [CURVES[0]]
    values = as_frame(label_kernels(path, curves, clusters, 2, -1))["dissimilarity"]
    values = values.dropna().sort_values()
    below = float(values.iloc[10])
    table = as_frame(label_kernels(path, curves, clusters, below, -1))
    assert table["identified"].sum() == 10
    none = as_frame(label_kernels(path, curves, clusters, 0, -1))
    assert none["identified"].sum() == 0


MEASURED = ["direction", "template_cosine", "agreement", "dissimilarity", "cluster", "codes"]


def test_kernels_are_live_with_one_weight_above_a_ten_thousandth(clusters):
    weights = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    weights *= 1e-4 / np.abs(weights).max(axis=1, keepdims=True)
    weights[0] *= 0.99
    weights[1] *= -1.01
    weights[2] = 1  # degenerate, not dead
    weights[3] = 0
    weights[4] *= 1000
    weights[5] = np.nan
    table = as_frame(label_weights(weights, CURVES, clusters, 2, MINIMUM))
    assert table["live"].tolist() == [False, True, True, False, True, False]
    assert table["degenerate"].tolist() == [False, False, True, True, False, True]
    scaled = as_frame(label_weights(weights[[0, 4]] * 7, CURVES, clusters, 2, MINIMUM))
    assert scaled["label"].tolist() == table.loc[[0, 4], "label"].tolist()


def test_numbers_of_seeds_are_read_back_with_what_is_empty():
    lists = pa.chunked_array([[[0.5, None]], [None, [0.25, 0.75]]], pa.list_(pa.float32()))
    nan = np.nan
    np.testing.assert_array_equal(seed_values(lists), [[0.5, nan], [nan, nan], [0.25, 0.75]])
    assert seed_values(pa.chunked_array([[None, []]], pa.list_(pa.float32()))).shape == (2, 0)


def test_degenerate_kernels_have_no_codes(path, clusters):
    table = as_frame(label_kernels(path, CURVES, clusters, 2, MINIMUM))
    rows = table[table["degenerate"]]
    assert list(zip(rows["layer"], rows["channel"], strict=True)) == [("dw0", 2), ("dw3", 0)]
    assert rows[MEASURED].isna().all(axis=None)
    assert set(rows["label"]) == {names.DEGENERATE}
    assert not rows[["identified", "identified_one_seed"]].any(axis=None)
    assert set(rows["reason"]) == {"degenerate"}
    others = table.drop(rows.index)
    assert not others[[c for c in MEASURED if c != "direction"]].isna().any(axis=None)


def test_nothing_but_degenerate_kernels(tmp_path, clusters):
    path = tmp_path / "flat.parquet"
    write_kernels(path, "flat", [Layer("dw", np.ones((4, 3, 3), np.float32))], {})
    table = label_kernels(path, CURVES, clusters, 2, MINIMUM)
    write_labels([table], tmp_path / "labels.parquet", [3, 5, 8])
    read = pd.read_parquet(tmp_path / "labels.parquet")
    assert read["degenerate"].tolist() == [True] * 4
    assert read["codes"].isna().all()
    assert len(label_weights(np.empty((0, 9)), CURVES, clusters, 2, MINIMUM)) == 0


def test_weights_are_labelled_as_kernels_are(path, clusters, layers):
    weights = np.concatenate([layers[0].weights, layers[3].weights]).reshape(-1, 9)
    table = as_frame(label_weights(weights, CURVES, clusters, 0.2, MINIMUM))
    assert list(table) == COLUMNS
    expected = as_frame(label_kernels(path, CURVES, clusters, 0.2, MINIMUM))[COLUMNS]
    pd.testing.assert_frame_equal(table, expected)


def test_written_labels_are_in_the_order_of_the_layers(tmp_path, path, clusters):
    fives = [at_random(5, seed) for seed in (3, 5, 8)]
    known = cluster_table(noise(100, 5), fives, 0.5, MINIMUM)
    of_5 = label_kernels(path, fives, known, 0.5, MINIMUM)
    of_3 = label_kernels(path, CURVES, clusters, 0.2, MINIMUM)
    write_labels([of_3, of_5], tmp_path / "a.parquet", [3, 5, 8])
    write_labels([of_5, of_3], tmp_path / "b.parquet", [3, 5, 8])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    of_3 = as_frame(of_3)
    read = pd.read_parquet(tmp_path / "a.parquet")
    assert read["layer_index"].tolist() == [0] * 6 + [1] * 2 + [3] * 80
    assert read["channel"].tolist() == [*range(6), *range(2), *range(80)]
    assert read["k"].tolist() == [3] * 6 + [5] * 2 + [3] * 80
    written = read[read["k"] == 3].reset_index(drop=True)
    assert written["reason"].astype(object).where(written["reason"].notna(), None).tolist() == (
        of_3["reason"].tolist()
    )
    for name in ("label", "identified", "identified_one_seed"):
        assert written[name].tolist() == of_3[name].tolist()
    for name in ("dissimilarity", "agreement", "direction"):
        np.testing.assert_array_equal(
            written[name], of_3[name].to_numpy(np.float32, na_value=np.nan)
        )
    for one, other in zip(written["codes"], of_3["codes"], strict=True):
        assert (one is None and other is None) or np.array_equal(one, other)


LABELLING = """
import runpy, sys
from types import SimpleNamespace as Job
inputs = Job(kernels="net.parquet", clusters=["clusters.parquet"], autoencoders=sys.argv[2:])
params = Job(thresholds={"3": 0.2}, minimum_cosine=0.9, seeds=[3, 5, 8])
job = Job(input=inputs, output=["labels.parquet"], log=["log"], params=params)
runpy.run_path(sys.argv[1], {"snakemake": job})
print(sorted({"pandas", "torch", "scipy", "sklearn", "matplotlib"} & set(sys.modules)))
"""


def test_a_job_that_labels_kernels_loads_nothing_heavy(tmp_path, path, clusters):
    """Its output goes to the log: what it prints after that is in it."""
    write_frame(clusters, tmp_path / "clusters.parquet")
    files = [f"seed{curve.seed}.safetensors" for curve in CURVES]
    for curve, file in zip(CURVES, files, strict=True):
        content = {"k": 3, "seed": curve.seed, "concentration": curve.concentration}
        write_tensors(tmp_path / file, {"curve": curve.points}, content)
    script = WORKFLOW / "scripts/clustering/labels.py"
    command = [sys.executable, "-c", LABELLING, str(script), *files]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    assert (tmp_path / "log").read_text().splitlines()[-1] == "[]"
    found = pq.read_table(tmp_path / "labels.parquet", columns=["label", "identified"])
    expected = label_kernels(path, CURVES, clusters, 0.2, MINIMUM)
    for name in found.column_names:
        assert found[name].to_pylist() == expected[name].to_pylist()


def test_columns_are_the_contract(tmp_path, path, clusters):
    table = label_kernels(path, CURVES, clusters, 0.2, MINIMUM)
    write_labels([table], tmp_path / "a.parquet", [3, 5, 8])
    write_labels([], tmp_path / "b.parquet", [3, 5, 8])
    text = pa.dictionary(pa.int32(), pa.string())
    for name, rows in (("a", 86), ("b", 0)):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert table.num_rows == rows
        assert {field.name: field.type for field in table.schema} == {
            "model": text,
            "layer": text,
            "layer_index": pa.int16(),
            "channel": pa.int32(),
            "k": pa.int16(),
            "label": text,
            "cluster": pa.int16(),
            "direction": pa.float32(),
            "template_cosine": pa.float32(),
            "agreement": pa.float32(),
            "dissimilarity": pa.float32(),
            "identified": pa.bool_(),
            "reason": text,
            "identified_one_seed": pa.bool_(),
            "degenerate": pa.bool_(),
            "live": pa.bool_(),
            "codes": pa.list_(pa.float32()),
            "by_seed": pa.list_(pa.float32()),
        }
        metadata = metadata_of(tmp_path / f"{name}.parquet")
        assert (metadata["schema_version"], metadata["seeds"]) == (4, [3, 5, 8])

"""Curves that have not seen what they label."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from curves import QUICK, at_random, trained

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.crossfit import (
    FEWEST,
    CrossFit,
    cross_fit,
    crossfit_table,
    divide,
)
from kernelatlas.kernels.normalise import normalise
from kernelatlas.names import NO_FOLD, OTHER, SHAPES
from kernelatlas.running.files import write_frame

TINY = Settings(
    points=32, centroids=4, rounds=4, widths=(8,), fourier=16, decoder_steps=40, steps=10, batch=32
)
MINIMUM = 0.75


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


def keys(**layers):
    """Return the key of models with layers of so many kernels."""
    rows = [
        (model, f"dw{index}", index, channel)
        for model, sizes in layers.items()
        for index, size in enumerate(sizes)
        for channel in range(size)
    ]
    return pd.DataFrame(rows, columns=["model", "layer", "layer_index", "channel"])


def folds_of(key):
    return divide(key).set_index(["model", "layer_index"])["fold"].to_dict()


@pytest.mark.parametrize("networks", [2, 3, 4, 7])
def test_networks_are_whole_in_at_most_three_folds(networks):
    folds = folds_of(keys(**{f"net{i}": [60, 60] for i in range(networks)}))
    assert sorted(set(folds.values())) == list(range(min(3, networks)))
    for i in range(networks):
        assert folds[f"net{i}", 0] == folds[f"net{i}", 1] == i % 3


def test_layers_of_a_single_network_are_divided():
    assert folds_of(keys(net=[40] * 6)) == {("net", i): i % 3 for i in range(6)}
    assert folds_of(keys(net=[100, 100])) == {("net", 0): 0, ("net", 1): 1}


def test_layers_are_divided_where_one_network_has_nearly_all_kernels():
    folds = folds_of(keys(big=[200] * 2, small=[FEWEST - 1]))
    assert folds == {("big", 0): 0, ("big", 1): 1, ("small", 0): 2}
    assert folds_of(keys(big=[200] * 2, small=[FEWEST])).keys() == folds.keys()
    assert folds_of(keys(big=[200] * 2, small=[FEWEST]))["big", 1] == 0


@pytest.mark.parametrize("sizes", [{"net": [500]}, {"net": [FEWEST - 1] * 2}, {}])
def test_where_nothing_can_be_held_out_there_are_no_folds(sizes, tmp_path):
    key = keys(**sizes)
    assert divide(key).empty
    kernels = noise(len(key))
    found = cross_fit(key, kernels, TINY, [0], "cpu")
    found.save(tmp_path / "none.safetensors")
    found = CrossFit.load(tmp_path / "none.safetensors")
    assert (found.k, found.curves) == (3, ())
    write_frame(crossfit_table(key, kernels, found, MINIMUM), tmp_path / "none.parquet")
    table = pd.read_parquet(tmp_path / "none.parquet")
    assert len(table) == len(key)
    assert (table["fold"] == NO_FOLD).all()
    assert table[["label", "agreement", "dissimilarity"]].isna().all(axis=None)


def test_a_fold_is_labelled_by_the_training_without_it(tmp_path):
    key = keys(a=[40, 30], b=[60], c=[50, 50])
    kernels = noise(len(key))
    found = cross_fit(key, kernels, TINY, [3, 5], "cpu")
    found.save(tmp_path / "curves.safetensors")
    found = CrossFit.load(tmp_path / "curves.safetensors")
    table = crossfit_table(key, kernels, found, MINIMUM)
    pd.testing.assert_frame_equal(table[list(key)], key)
    for model in "abc":
        mine = (key["model"] == model).to_numpy()
        # The whole training, of the encoder too.
        curves = trained(kernels[~mine], TINY, (3, 5), encoder=True)
        for curve, own in zip(curves, found.curves["abc".index(model)], strict=True):
            assert own.seed == curve.seed
            assert own.concentration == curves[0].concentration  # of the fold
            assert np.array_equal(own.points, curve.points)
        curves = [replace(curve, concentration=curves[0].concentration) for curve in curves]
        expected = vote(kernels[mine], curves, MINIMUM)
        rows = table[mine]
        assert (rows["fold"] == "abc".index(model)).all()
        assert rows["label"].tolist() == expected.names.label.tolist()
        np.testing.assert_array_equal(rows["agreement"], expected.agreement)
        np.testing.assert_array_equal(rows["dissimilarity"], expected.dissimilarity)
        by_seed = np.stack(rows["by_seed"])
        named = expected.seed_shapes != SHAPES.index(OTHER)
        assert 0 < named.mean() < 1
        np.testing.assert_array_equal(np.isnan(by_seed), ~named)
        np.testing.assert_array_equal(by_seed[named], expected.dissimilarities[named])


def test_layers_that_are_in_no_fold_are_labelled_by_any_curve():
    folds = pd.DataFrame({"model": ["a", "b"], "layer_index": [0, 1], "fold": [0, 1]})
    found = CrossFit(3, folds, ((at_random(),), (at_random(seed=1),)))
    key = pd.DataFrame({"model": ["b", "a", "b", "c"], "layer_index": [1, 0, 0, 0]})
    assert found.fold_of(key).tolist() == [1, 0, NO_FOLD, NO_FOLD]
    as_stored = key.astype({"model": "category", "layer_index": "int16"})
    assert found.fold_of(as_stored).tolist() == [1, 0, NO_FOLD, NO_FOLD]


def test_a_network_with_a_shape_of_its_own_is_not_described_by_the_others():
    rng = np.random.default_rng(0)
    templates = bank(5)
    labels = np.array(templates.labels)
    common = templates.weights[np.isin(labels, ["on-centre", "first-derivative 0°"])]
    lonely = templates.weights[labels == "off-cross"]
    parts = {
        "a": common[rng.integers(len(common), size=150)],
        "b": common[rng.integers(len(common), size=150)],
        "c": lonely[rng.integers(len(lonely), size=150)],
    }
    key = keys(a=[150], b=[150], c=[150])
    kernels = np.concatenate(list(parts.values()))
    kernels = normalise(kernels + rng.normal(0, 0.03, kernels.shape))
    table = crossfit_table(key, kernels, cross_fit(key, kernels, QUICK, (0,), "cpu"), MINIMUM)
    mean = table.groupby("model")["dissimilarity"].mean()
    assert (mean[["a", "b"]] < 0.1).all()
    assert mean["c"] > 0.4
    seen = vote(kernels[300:], trained(kernels, QUICK, (0,)), MINIMUM)
    assert seen.dissimilarity.mean() < 0.1

"""Seeds against each other, and networks on curves that have not seen them."""

import itertools
from itertools import combinations

import numpy as np
import pytest
import torch
from curves import QUICK, at_random, trained

from kernelatlas import names
from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import stability
from kernelatlas.evidence.stability import COLUMNS, cross_fit, stability_table
from kernelatlas.kernels.normalise import normalise

TINY = Settings(
    points=32, centroids=4, rounds=4, widths=(8,), fourier=16, decoder_steps=40, steps=10, batch=32
)
CURVES = [at_random(seed=seed) for seed in (3, 5, 8)]
BELOW, MINIMUM = 0.4, 0.75
OTHER = names.SHAPES.index(names.OTHER)


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


@pytest.fixture(scope="module")
def table():
    models = np.array(["one"] * 300)
    return stability_table(models, noise(300), CURVES, TINY, BELOW, MINIMUM, "cpu")


def rand_index(one, other):
    """Return the adjusted Rand index, pair of kernels by pair of kernels."""
    together = {}
    for i, j in combinations(range(len(one)), 2):
        pair = one[i] == one[j], other[i] == other[j]
        together[pair] = together.get(pair, 0) + 1
    a, b, c, d = (
        together.get(pair, 0) for pair in ((True, True), (True, False), (False, True), (False,) * 2)
    )
    return 2 * (a * d - b * c) / ((a + b) * (b + d) + (a + c) * (c + d))


def test_pairs_of_seeds(table):
    pairs = table[table["kind"] == "pair"]
    assert list(zip(pairs["seed"], pairs["other"], strict=True)) == [(3, 5), (3, 8), (5, 8)]
    kernels = noise(300)
    shapes, near = [], []
    for curve in CURVES:
        drawn = curve.draw(kernels)
        shapes.append(bank(3).name(drawn.mean, MINIMUM).shape)
        near.append((shapes[-1] != OTHER) & (drawn.dissimilarity < BELOW))
    for (i, j), row in zip(combinations(range(3), 2), pairs.itertuples(), strict=True):
        same = both = 0
        for n in range(300):
            if near[i][n] and near[j][n]:
                both += 1
                same += shapes[i][n] == shapes[j][n]
        assert 20 < both < 300
        assert 0 < row.agreement < 1
        assert row.agreement == pytest.approx(same / both)
        assert row.adjusted_rand_index == pytest.approx(rand_index(shapes[i], shapes[j]))
    for (i, curve), row in zip(
        enumerate(CURVES), table[table["kind"] == "seed"].itertuples(), strict=True
    ):
        assert (row.seed, row.kernels) == (curve.seed, 300)
        assert row.share_identified == pytest.approx(near[i].mean())
        nearest = 1 - (kernels @ curve.points.T).max(axis=1)
        assert row.mean_dissimilarity == pytest.approx(nearest.mean(), abs=1e-5)


def test_the_vote_and_the_columns(table):
    assert list(table) == list(COLUMNS)
    votes = vote(noise(300), CURVES, MINIMUM)
    row = table[table["kind"] == "vote"].iloc[0]
    assert row["share_identified"] == pytest.approx(votes.identified(BELOW).mean())
    assert row["agreement"] == pytest.approx(votes.agreement.mean())
    assert table["kind"].tolist() == ["pair"] * 3 + ["seed"] * 3 + ["vote", "network"]


def test_of_one_network_there_is_nothing_to_hold_out(table):
    assert cross_fit(np.array(["a"] * 50), noise(50), TINY, [0], MINIMUM, "cpu") == {}
    row = table[table["kind"] == "network"].iloc[0]
    assert (row["model"], row["kernels"]) == ("one", 300)
    columns = ["share_identified_crossfit", "mean_dissimilarity_crossfit", "agreement"]
    assert row[columns].isna().all()
    vote_row = table[table["kind"] == "vote"].iloc[0]
    assert row["share_identified"] == vote_row["share_identified"]


def test_equal_seeds_agree():
    curves = [CURVES[0], CURVES[0]]
    table = stability_table(
        np.array(["one"] * 200), noise(200), curves, TINY, BELOW, MINIMUM, "cpu"
    )
    pair = table[table["kind"] == "pair"].iloc[0]
    assert (pair["agreement"], pair["adjusted_rand_index"]) == (1, 1)
    assert (table["kind"] == "vote").sum() == 1
    assert table.loc[table["kind"] == "vote", "agreement"].item() == 1


@pytest.mark.parametrize("networks", [2, 3, 4, 7])
def test_no_network_is_on_curves_that_have_seen_it(monkeypatch, networks):
    models = np.repeat([f"net{i}" for i in range(networks)], 10)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(models))
    models, kernels = models[order], noise(len(models))
    own = {name: {bytes(kernel) for kernel in kernels[models == name]} for name in set(models)}
    asked = []

    def fit(rest, settings, seed, device):
        asked.append((seed, {bytes(kernel) for kernel in rest}))
        return TrainedModel(len(asked)), []

    class TrainedModel:
        k, concentration = 3, 20.0

        def __init__(self, number):
            self.number = number

        def curve(self):
            return torch.from_numpy(at_random(seed=100 + self.number).points)

    monkeypatch.setattr(stability, "fit", fit)
    found = cross_fit(models, kernels, TINY, [3, 5], MINIMUM, "cpu")
    assert set(found) == set(models)
    folds = min(4, networks)
    assert [seed for seed, _ in asked] == [3, 5] * folds
    for (_, one), (_, other) in zip(asked[::2], asked[1::2], strict=True):
        assert one == other  # both seeds
        assert all(kernels <= one or not kernels & one for kernels in own.values())
    held_out = [[name for name in own if not own[name] & seen] for _, seen in asked[::2]]
    assert sorted(itertools.chain.from_iterable(held_out)) == sorted(own)  # each is held out once
    for fold, names_of_fold in enumerate(held_out):
        curves = [at_random(seed=100 + 2 * fold + i) for i in (1, 2)]
        for name in names_of_fold:
            expected = vote(kernels[models == name], curves, MINIMUM)
            assert np.array_equal(found[name].dissimilarities, expected.dissimilarities)
            assert np.array_equal(found[name].names.label, expected.names.label)


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
    models = np.repeat(list(parts), 150)
    kernels = np.concatenate(list(parts.values()))
    kernels = normalise(kernels + rng.normal(0, 0.03, kernels.shape))
    curves = trained(kernels, QUICK, (0,))
    table = stability_table(models, kernels, curves, QUICK, 0.2, MINIMUM, "cpu")
    rows = table[table["kind"] == "network"].set_index("model")
    assert (rows["mean_dissimilarity"] < 0.1).all()
    assert rows.loc["c", "mean_dissimilarity_crossfit"] > 0.4
    assert rows.loc["c", "share_identified"] > 0.9
    assert rows.loc["c", "share_identified_crossfit"] < 0.1
    assert (rows.loc[["a", "b"], "mean_dissimilarity_crossfit"] < 0.1).all()
    assert (rows.loc[["a", "b"], "share_identified_crossfit"] > 0.9).all()
    assert (rows.loc[["a", "b"], "agreement"] > 0.95).all()

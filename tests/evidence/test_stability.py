"""Seeds against each other, and labels in sample against cross-fitted ones."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from curves import at_random

from kernelatlas import names
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.crossfit import CrossFit, crossfit_table, divide
from kernelatlas.evidence.stability import COLUMNS, stability_table
from kernelatlas.kernels.normalise import normalise

CURVES = [at_random(seed=seed) for seed in (3, 5, 8)]
BELOW, MINIMUM = 0.4, 0.75
OTHER = names.SHAPES.index(names.OTHER)


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


def without_folds(n):
    key = pd.DataFrame({"model": ["one"] * n, "layer": "dw", "layer_index": 0, "channel": range(n)})
    return crossfit_table(key, noise(n), CrossFit(3, divide(key), ()), MINIMUM)


@pytest.fixture(scope="module")
def table():
    models = np.array(["one"] * 300)
    return stability_table(models, noise(300), CURVES, without_folds(300), BELOW, MINIMUM)


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


def test_without_folds_there_is_nothing_to_compare(table):
    row = table[table["kind"] == "network"].iloc[0]
    assert (row["model"], row["kernels"]) == ("one", 300)
    columns = ["share_identified_crossfit", "mean_dissimilarity_crossfit", "agreement"]
    assert row[columns].isna().all()
    vote_row = table[table["kind"] == "vote"].iloc[0]
    assert row["share_identified"] == vote_row["share_identified"]


def test_equal_seeds_agree():
    curves = [CURVES[0], CURVES[0]]
    models = np.array(["one"] * 200)
    table = stability_table(models, noise(200), curves, without_folds(200), BELOW, MINIMUM)
    pair = table[table["kind"] == "pair"].iloc[0]
    assert (pair["agreement"], pair["adjusted_rand_index"]) == (1, 1)
    assert (table["kind"] == "vote").sum() == 1
    assert table.loc[table["kind"] == "vote", "agreement"].item() == 1


def test_networks_are_compared_with_their_cross_fitted_labels():
    kernels, models = noise(200), np.repeat(["b", "a"], 100)
    key = pd.DataFrame({"model": models, "layer": "dw", "layer_index": 0, "channel": 0})
    other = [at_random(seed=seed) for seed in (13, 15, 18)]
    unseen = CrossFit(3, divide(key), (CURVES, other))  # a, then b
    crossfit = crossfit_table(key, kernels, unseen, MINIMUM)
    table = stability_table(models, kernels, CURVES, crossfit, BELOW, MINIMUM)
    rows = table[table["kind"] == "network"].set_index("model")
    # The curves of a's fold are the very same.
    assert rows.loc["a", "agreement"] == 1
    for after, before in (
        ("share_identified_crossfit", "share_identified"),
        ("mean_dissimilarity_crossfit", "mean_dissimilarity"),
    ):
        assert rows.loc["a", after] == pytest.approx(rows.loc["a", before])
    mine = kernels[:100]
    one, two = (vote(mine, curves, MINIMUM) for curves in (CURVES, other))
    both = one.identified(BELOW) & two.identified(BELOW)
    assert both.sum() > 10
    assert rows.loc["b", "share_identified_crossfit"] == two.identified(BELOW).mean()
    same = (one.names.shape == two.names.shape)[both]
    assert rows.loc["b", "agreement"] == pytest.approx(same.mean())

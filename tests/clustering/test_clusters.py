"""The clusters of a corpus: its labels, and prototypes of what has no name."""

from itertools import pairwise

import numpy as np
import pytest
from curves import at_random

from kernelatlas import names
from kernelatlas.clustering.clusters import UNNAMED, cluster_table, name_points
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.normalise import normalise

AXIS = np.arange(7) - 3
X, Y = np.meshgrid(AXIS, -AXIS)


def gaussian(sigma):
    return np.exp(-(X**2 + Y**2) / (2 * sigma**2)) / sigma**2


DIAGONAL = (X + Y) / np.sqrt(2)
PLANTED = {
    "on-centre": gaussian(1.0) - gaussian(1.6),
    "off-centre": gaussian(1.6) - gaussian(1.0),
    "off-cross": -np.maximum(
        np.exp(-(X**2) / 0.5 - Y**2 / 12.5), np.exp(-(Y**2) / 0.5 - X**2 / 12.5)
    ),
    "on-square": ((abs(X) <= 1) & (abs(Y) <= 1)).astype(float),
    "first-derivative 0°": X * gaussian(1.0),
    "first-derivative 90°": Y * gaussian(1.0),
    "first-derivative 225°": -DIAGONAL * gaussian(1.0),
    "second-derivative 0° +": (X**2 - 1) * gaussian(1.0),
    "second-derivative 45° -": -(DIAGONAL**2 - 1) * gaussian(1.0),
    "second-derivative 90° -": -(Y**2 - 1) * gaussian(1.0),
    names.OTHER: np.random.default_rng(0).normal(size=(7, 7)),
}
EACH = 20 + np.arange(len(PLANTED))


@pytest.fixture
def planted():
    """Kernels around the planted ones, and curves of two seeds with all of them as points."""
    points = normalise(np.stack([w.ravel() for w in PLANTED.values()]))
    rng = np.random.default_rng(1)
    kernels = np.repeat(points, EACH, axis=0)
    kernels = normalise(kernels + rng.normal(0, 0.02, kernels.shape))
    curve = np.repeat(points, 3, axis=0)
    shuffled = points[rng.permutation(len(points))]
    return kernels, [Curve(7, 4, curve, 100.0), Curve(7, 9, shuffled, 100.0)]


def test_planted_kernels_are_in_the_cluster_of_their_name(planted):
    kernels, curves = planted
    table = cluster_table(kernels, curves, 0.3, 0.8)
    assert table["label"].tolist() == list(PLANTED)  # the order of the labels
    assert table["cluster"].tolist() == list(range(len(PLANTED)))
    assert (table["k"] == 7).all()
    assert table["members"].tolist() == EACH.tolist()
    assert table["identified"].tolist() == [*EACH[:-1], 0]
    named = table[table["label"] != names.OTHER]
    assert (named["template_label"] == named["label"]).all()
    assert (named["template_cosine"] > 0.9).all()
    assert table["template_cosine"].iloc[-1] < 0.8
    assert table["template_label"].iloc[-1] != names.OTHER  # the best one is still told
    products = (np.stack(table["prototype"]) * np.stack(table["template_weights"])).sum(axis=1)
    np.testing.assert_allclose(table["template_cosine"], products, atol=1e-5)


def test_prototypes_are_mean_directions(planted):
    kernels, curves = planted
    table = cluster_table(kernels, curves, 0.3, 0.8)
    parts = np.split(kernels, np.cumsum(EACH)[:-1])
    for name, part, prototype in zip(PLANTED, parts, table["prototype"], strict=True):
        assert prototype.dtype == np.float32
        if name not in names.SQUARES:  # which may be mirrored
            mean = part.astype(float).sum(axis=0)
            np.testing.assert_allclose(prototype, mean / np.linalg.norm(mean), atol=1e-6)


def test_squares_at_all_corners_have_a_square_for_their_prototype():
    corners = []
    for dx in (0, 1):
        for dy in (0, 1):
            kernel = np.zeros((7, 7))
            kernel[2 + dy : 4 + dy, 2 + dx : 4 + dx] = 1
            corners.append(kernel.ravel())
    corners = normalise(np.stack(corners))
    rng = np.random.default_rng(0)
    kernels = np.repeat(corners, (40, 60, 30, 30), axis=0)
    kernels = normalise(kernels + rng.normal(0, 0.02, kernels.shape))
    row = cluster_table(kernels, [Curve(7, 0, corners, 100.0)], 0.3, 0.8).iloc[0]
    assert (row["label"], row["members"], row["identified"]) == ("on-square", 160, 160)
    assert row["template_label"] == "on-square"
    assert (corners @ row["prototype"]).argmax() == 1  # the commonest
    assert (corners @ row["prototype"]).max() > 0.99


def test_the_names_depend_on_the_minimum_cosine(planted):
    every = cluster_table(*planted, 0.3, -1)
    assert names.OTHER not in set(every["label"])
    none = cluster_table(*planted, 0.3, 1.01)
    assert set(none["label"]) == {names.OTHER}
    assert none["identified"].sum() == 0
    for table in (every, none):
        assert table["members"].sum() == EACH.sum()


def test_identified_kernels_depend_on_the_threshold(planted):
    kernels, curves = planted
    values = vote(kernels, curves, 0.8).dissimilarity
    below = float(np.median(values))
    table = cluster_table(kernels, curves, below, 0.8)
    label = np.repeat(list(PLANTED), EACH)
    expected = [int(((label == n) & (values < below) & (n != names.OTHER)).sum()) for n in PLANTED]
    assert table["identified"].tolist() == expected
    assert cluster_table(kernels, curves, 0, 0.8)["identified"].sum() == 0


@pytest.mark.parametrize("minimum", [0.75, 1.01])
def test_the_places_of_each_seed_tile_the_code_once(planted, minimum):
    random_curves = [at_random(seed=seed, m=m) for seed, m in ((0, 40), (1, 57))]
    noise = normalise(np.random.default_rng(2).normal(size=(500, 9)))
    for kernels, curves in (planted, (noise, random_curves)):
        table = cluster_table(kernels, curves, 0.3, minimum)
        places = table.drop_duplicates("label")["places"]
        for curve in curves:
            own = sorted(
                (p["code_low"], p["code_high"])
                for stretches in places
                for p in stretches
                if p["seed"] == curve.seed
            )
            # What no kernel is called has no row: its places are missing, and only they.
            there = set(table["label"])
            labels = name_points(curve, minimum)
            missing = np.mean([label not in there for label in labels])
            assert sum(high - low for low, high in own) == pytest.approx(1 - missing)
            for (_, end), (begin, _) in pairwise(own):
                assert end <= begin
            if not missing:
                assert (own[0][0], own[-1][1]) == (0, 1)
                assert all(a[1] == b[0] for a, b in pairwise(own))
            for label, stretches in zip(table["label"], table["places"], strict=True):
                for p in stretches:
                    if p["seed"] == curve.seed:
                        inside = (curve.codes > p["code_low"]) & (curve.codes < p["code_high"])
                        assert set(labels[inside]) == {label}


def test_what_has_no_name_is_split_the_most_frequent_first():
    rng = np.random.default_rng(0)
    directions = normalise(rng.normal(size=(3, 49)))
    each = (30, 90, 60)
    kernels = np.repeat(directions, each, axis=0)
    kernels = normalise(kernels + rng.normal(0, 0.01, kernels.shape))
    curves = [Curve(7, 0, directions, 100.0)]
    table = cluster_table(kernels, curves, 0.3, 1.01)
    assert set(table["label"]) == {names.OTHER}
    assert len(table) == min(UNNAMED, sum(each) // 20)
    members = table["members"].tolist()
    assert members == sorted(members, reverse=True)
    assert sum(members) == sum(each)
    found = (np.stack(table["prototype"]) @ directions.T).argmax(axis=1)
    counts = np.bincount(found, table["members"], minlength=3)
    assert counts.tolist() == list(each)


def test_few_kernels_without_a_name_have_one_prototype():
    kernels = normalise(np.random.default_rng(0).normal(size=(30, 9)))
    table = cluster_table(kernels, [at_random()], 0.3, 1.01)
    assert len(table) == 1
    assert table["members"].tolist() == [30]


def test_members_are_all_kernels_of_a_corpus():
    kernels = normalise(np.random.default_rng(3).normal(size=(700, 9)))
    curves = [at_random(seed=seed) for seed in range(3)]
    table = cluster_table(kernels, curves, 0.3, 0.75)
    label = vote(kernels, curves, 0.75).names.label
    assert table["members"].sum() == 700
    counts = table.groupby("label")["members"].sum().to_dict()
    assert counts == {name: (label == name).sum() for name in set(label)}
    assert 1 < (table["label"] == names.OTHER).sum() <= UNNAMED
    order = [names.LABELS.index(name) for name in table["label"]]
    assert order == sorted(order)


def test_points_are_named_as_the_seed_alone_names_kernels_there():
    curve = at_random(seed=2)
    drawn = curve.draw(curve.points).mean
    expected = bank(3).name(drawn, 0.75).label
    assert name_points(curve, 0.75).tolist() == expected.tolist()
    votes = vote(curve.points, [curve], 0.75)
    assert votes.names.label.tolist() == expected.tolist()

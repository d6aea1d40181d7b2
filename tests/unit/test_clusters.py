"""The cut of a decoded curve, and the names of its segments."""

import itertools

import numpy as np
import pytest

from kernelatlas import names
from kernelatlas.clusters import assign, cluster_table, cut, weights
from kernelatlas.normalise import normalise

AXIS = np.arange(7) - 3
X, Y = np.meshgrid(AXIS, -AXIS)


def gaussian(sigma):
    return np.exp(-(X**2 + Y**2) / (2 * sigma**2)) / sigma**2


DIAGONAL = (X + Y) / np.sqrt(2)
PLANTED = {
    "on-centre": gaussian(1.0) - gaussian(1.6),
    "off-centre": gaussian(1.6) - gaussian(1.0),
    "first-derivative 0°": X * gaussian(1.0),
    "first-derivative 90°": Y * gaussian(1.0),
    "first-derivative 225°": -DIAGONAL * gaussian(1.0),
    "second-derivative 0° +": (X**2 - 1) * gaussian(1.0),
    "second-derivative 90° -": -(Y**2 - 1) * gaussian(1.0),
    "second-derivative 45° -": -(DIAGONAL**2 - 1) * gaussian(1.0),
    "off-cross": -(
        np.exp(-(X**2) / 0.5 - Y**2 / 12.5) + np.exp(-(Y**2) / 0.5 - X**2 / 12.5)
    ),
    "on-square": ((abs(X) <= 1) & (abs(Y) <= 1)).astype(float),
    names.OTHER: np.random.default_rng(0).normal(size=(7, 7)),
}  # fmt: skip


def stepped(lengths, d=49, seed=0):
    """Return a curve of constant stretches, and where they begin."""
    vectors = normalise(np.random.default_rng(seed).normal(size=(len(lengths), d)))
    return np.repeat(vectors, lengths, axis=0), np.cumsum([0, *lengths[:-1]])


@pytest.mark.parametrize("lengths", [[300], [40, 3, 100, 57, 1, 20], [1, 1, 1, 1]])
def test_planted_segments_are_found(lengths):
    curve, begins = stepped(lengths)
    counts = np.random.default_rng(0).integers(1, 20, len(curve))
    assert cut(curve, counts, 1e-4).tolist() == begins.tolist()


def test_planted_segments_of_a_long_curve_are_found_where_cuts_may_be():
    curve, begins = stepped([400, 4, 848, 796])
    assert cut(curve, np.ones(2048), 1e-3).tolist() == begins.tolist()


def test_the_curve_alone_decides_where_no_kernels_are():
    curve, begins = stepped([30, 40, 30])
    assert cut(curve, np.zeros(100), 1e-3).tolist() == begins.tolist()
    counts = np.zeros(100)
    counts[5] = 1000  # the other stretches are cut too, for their share of the floor
    assert cut(curve, counts, 1e-3).tolist() == begins.tolist()
    assert cut(curve, counts, 0.1).tolist() == [0]


def test_weights_are_shares():
    share = weights(np.array([3, 0, 1]))
    assert share.sum() == pytest.approx(1)
    assert 0 < share[1] < 0.01
    assert share[0] / share[2] == pytest.approx(3, rel=0.1)
    assert weights(np.zeros(4)).sum() > 0


def cost(curve, share, begins, price):
    """Return what a partition costs, by its definition."""
    total = price * len(begins)
    for a, b in itertools.pairwise([*begins, len(curve)]):
        prototype = share[a:b] @ curve[a:b]
        prototype /= np.linalg.norm(prototype)
        total += (share[a:b] * (1 - curve[a:b] @ prototype)).sum()
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("price", [0.003, 0.02, 0.08])
def test_no_partition_is_cheaper(seed, price):
    random = np.random.default_rng(seed)
    m = 10
    steps = np.cumsum(random.normal(0, 0.5, size=(m, 9)), axis=0) + random.normal(size=9)
    curve, counts = normalise(steps), random.integers(0, 9, m)
    share = weights(counts)
    found = cut(curve, counts, price)
    every = [(0, *inner) for n in range(m) for inner in itertools.combinations(range(1, m), n)]
    cheapest = min(every, key=lambda begins: cost(curve, share, begins, price))
    assert cost(curve, share, found, price) == pytest.approx(
        cost(curve, share, cheapest, price), abs=1e-7
    )


def test_a_higher_price_never_buys_more_segments():
    random = np.random.default_rng(0)
    curve = normalise(np.cumsum(random.normal(0, 1, size=(200, 25)), axis=0))
    counts = random.integers(0, 50, 200)
    numbers = [len(cut(curve, counts, price)) for price in np.geomspace(1e-5, 1, 20)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > 20
    assert numbers[-1] == 1


@pytest.fixture
def planted():
    kernels = normalise(np.stack([w.ravel() for w in PLANTED.values()]))
    lengths = 20 + np.arange(len(PLANTED))
    curve = np.repeat(kernels, lengths, axis=0)
    codes = np.linspace(0, 1, len(curve), dtype=np.float32)
    counts = np.random.default_rng(0).integers(0, 9, len(curve))
    return codes, curve, counts, lengths, kernels


def test_planted_segments_get_their_names(planted):
    codes, curve, counts, lengths, kernels = planted
    table = cluster_table(codes, curve, counts, price=1e-3, minimum_cosine=0.8)
    assert table["label"].tolist() == list(PLANTED)
    assert table["cluster"].tolist() == list(range(len(PLANTED)))
    assert (table["k"] == 7).all()
    np.testing.assert_allclose(np.stack(table["prototype"]), kernels, atol=1e-5)
    named = table[table["label"] != names.OTHER]
    assert (named["template_label"] == named["label"]).all()
    assert (named["template_cosine"] > 0.9).all()
    assert table["template_cosine"].iloc[-1] < 0.8
    assert table["template_label"].iloc[-1] != names.OTHER  # the best one is still told
    products = (np.stack(table["prototype"]) * np.stack(table["template_weights"])).sum(axis=1)
    np.testing.assert_allclose(table["template_cosine"], products, atol=1e-5)
    ends = np.cumsum(lengths)
    assert table["members"].tolist() == [
        counts[end - n : end].sum() for end, n in zip(ends, lengths, strict=True)
    ]
    assert table["members"].sum() == counts.sum()


def test_the_names_depend_on_the_minimum_cosine(planted):
    every = cluster_table(*planted[:3], price=1e-3, minimum_cosine=-1)
    assert names.OTHER not in set(every["label"])
    assert (every["label"] == every["template_label"]).all()
    none = cluster_table(*planted[:3], price=1e-3, minimum_cosine=1.01)
    assert set(none["label"]) == {names.OTHER}


def test_the_ranges_of_codes_are_contiguous(planted):
    codes, curve, counts, lengths, _ = planted
    table = cluster_table(codes, curve, counts, price=1e-3, minimum_cosine=0.8)
    low, high = table["code_low"].to_numpy(), table["code_high"].to_numpy()
    assert (low[0], high[-1]) == (0, 1)
    assert np.array_equal(low[1:], high[:-1])
    assert (low < high).all()
    for end, bound in zip(np.cumsum(lengths)[:-1], high, strict=False):
        assert codes[end - 1] < bound < codes[end]


def test_codes_are_assigned_by_the_ranges(planted):
    codes, curve, counts, lengths, _ = planted
    table = cluster_table(codes, curve, counts, price=1e-3, minimum_cosine=0.8)
    assigned = assign(codes, table)
    assert assigned.dtype == np.int16
    assert np.array_equal(assigned, np.repeat(np.arange(len(lengths)), lengths))
    bounds = table["code_high"].to_numpy()[:-1]
    inner = np.arange(len(bounds))
    assert np.array_equal(assign(bounds, table), inner + 1)
    assert np.array_equal(assign(np.nextafter(bounds, np.float32(0)), table), inner)
    assert assign(np.array([0.0, 1.0]), table).tolist() == [0, len(bounds)]
    whole = cluster_table(codes, curve, counts, price=10, minimum_cosine=0.8)
    assert assign(np.array([0.0, 0.5, 1.0]), whole).tolist() == [0, 0, 0]
    assert (whole["code_low"].item(), whole["code_high"].item()) == (0, 1)

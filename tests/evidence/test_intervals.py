"""Intervals of shares: how often they hold the truth, against SciPy and against matrices."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, sem
from scipy.stats import t as student

from kernelatlas.evidence import intervals
from kernelatlas.evidence.intervals import share
from kernelatlas.names import TRAINED
from kernelatlas.tables.nulls import null_shares

REPETITIONS = 600


def layers(n: int, m: int, p: float, rho: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return hits and sizes, (n, m): 16 to 1,000 kernels, and shares of a beta distribution."""
    rng = np.random.default_rng([seed, m, round(1000 * p), round(1000 * rho)])
    sizes = np.exp(rng.uniform(np.log(16), np.log(1000), (n, m))).astype(int)
    shares = np.full((n, m), p)
    if rho:
        spread = (1 - rho) / rho
        shares = rng.beta(p * spread, (1 - p) * spread, (n, m))
    return rng.binomial(sizes, shares), sizes


def held(found: intervals.Estimate, truth: float) -> float:
    return ((found.low <= truth) & (truth <= found.high)).mean()


@pytest.mark.parametrize("m", [3, 5, 8, 12, 40])
@pytest.mark.parametrize(
    ("p", "rho"), [(0.005, 0), (0.05, 0.03), (0.3, 0.1), (0.5, 0.3), (0.95, 0.03)]
)
def test_intervals_hold_the_share_of_all_layers(m, p, rho):
    found = share(*layers(REPETITIONS, m, p, rho))
    assert held(found, p) >= 0.925
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()
    assert found.low.min() >= 0
    assert found.high.max() <= 1


@pytest.mark.parametrize("m", [3, 8, 40])
@pytest.mark.parametrize(("p", "q"), [(0.3, 0.02), (0.1, 0.1), (0.95, 0.9)])
def test_intervals_hold_differences_of_shares(m, p, q):
    first = share(*layers(REPETITIONS, m, p, 0.1))
    second = share(*layers(REPETITIONS, m, q, 0.01, seed=1))
    assert held(first.minus(second), p - q) >= 0.925


def voted(m: int, spread: float, level: float, seeds: np.ndarray, majority: bool):
    """Return hits by vote of three seeds in m layers of 50 kernels, and shares by each seed alone.

    A kernel is identified if its score is positive: the sum of effects of layer, kernel, and seed.
    """
    rng = np.random.default_rng([round(100 * abs(level)), m, len(seeds)])
    score = level + rng.normal(0, 0.3, (len(seeds), m, 1, 1))
    score = score + rng.normal(0, 1, (len(seeds), m, 50, 1))
    score = score + rng.normal(0, 0.2, (len(seeds), m, 50, 3)) + spread * seeds[:, None, None]
    vote = np.median(score, axis=3) if majority else score.mean(axis=3)
    return (vote > 0).sum(axis=2), (score > 0).mean(axis=(1, 2))


@pytest.mark.parametrize("majority", [False, True])
@pytest.mark.parametrize("m", [5, 40])
def test_intervals_hold_the_share_by_votes_of_other_seeds(m, majority):
    rng = np.random.default_rng(4)
    estimates, truths = [], []
    for level in (0.2, -0.5):
        hits, _ = voted(20, 0.1, level, rng.normal(size=(1500, 3)), majority)
        truths.append(hits.mean() / 50)
    seeds = rng.normal(size=(300, 3))  # of both shares
    for level in (0.2, -0.5):
        hits, alone = voted(m, 0.1, level, seeds, majority)
        estimates.append((share(hits, np.full_like(hits, 50)), alone))
    (one, alone), (other, others) = estimates
    assert held(one.over_seeds(alone), truths[0]) >= 0.925
    both = one.minus(other).over_seeds(alone - others)
    assert held(both, truths[0] - truths[1]) >= 0.925
    if m == 40:  # many layers do not tell how seeds differ
        assert held(one, truths[0]) < 0.9
        # Which raise both shares, and so change their difference less.
        apart = one.over_seeds(alone).minus(other.over_seeds(others))
        assert (both.high - both.low).mean() < 0.8 * (apart.high - apart.low).mean()


def test_half_a_width_of_seeds_is_students():
    found = share(np.full(8, 30), np.full(8, 100))
    alone = np.array([0.2, 0.3, 0.35])
    low, high = student.interval(0.95, 2, loc=0.3, scale=sem(alone))
    wide = found.over_seeds(alone)
    assert wide.high - 0.3 == pytest.approx(np.hypot(found.high - 0.3, high - 0.3))
    assert 0.3 - wide.low == pytest.approx(np.hypot(0.3 - found.low, 0.3 - low))
    assert wide.within(0, 0.4).high == 0.4
    for few in ([], [0.2]):
        assert found.over_seeds(np.array(few)) == found


def test_intervals_are_not_much_wider_than_they_must_be():
    """Of 40 layers of equal sizes that differ: 1.96 standard deviations of a mean of 40 shares."""
    rng = np.random.default_rng(2)
    hits = rng.binomial(200, rng.beta(4.5, 4.5, (REPETITIONS, 40)))
    found = share(hits, np.full_like(hits, 200))
    deviation = np.sqrt(0.5 * 0.5 * (0.1 + 0.9 / 200) / 40)
    assert (found.high - found.low).mean() == pytest.approx(2 * 1.96 * deviation, rel=0.1)


@pytest.mark.parametrize("m", [3, 5, 8, 12, 40])
def test_shares_of_none_and_of_all_have_a_width(m):
    sizes = np.full(m, 64)
    none, every = share(np.zeros(m), sizes), share(sizes, sizes)
    assert none.value == none.low == 0 < none.high
    assert every.low < every.high == every.value == 1
    assert every.low == pytest.approx(1 - none.high)
    # No more than if each layer were one kernel, no less than if all kernels were independent.
    one, independent = (binomtest(0, n).proportion_ci(method="wilson").high for n in (m, m * 64))
    assert independent < none.high < 1.5 * one


def test_without_layers_that_differ_it_is_wilsons_interval_of_fewer_kernels():
    found = share(np.full(4000, 30), np.full(4000, 100))
    for n, compare in ((400_000, np.less), (40_000, np.greater)):
        expected = binomtest(3 * n // 10, n).proportion_ci(method="wilson")
        assert compare(expected.high - expected.low, found.high - found.low)
    low, high = intervals._wilson(np.array(0.3), np.array(1000.0), 1.959964)
    expected = binomtest(300, 1000).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_working_model_is_that_of_its_covariance_matrix():
    sizes = np.random.default_rng(3).integers(16, 1000, 7).astype(float)
    kernels = np.repeat(np.arange(7), sizes.astype(int))
    # Of kernels that correlate within layers; residuals of hits are linear in the kernels.
    same = kernels[:, None] == kernels
    rho = intervals.CORRELATION
    covariance = rho * same + (1 - rho) * np.eye(len(kernels))
    mean = np.full(len(kernels), 1 / len(kernels))
    sums = (np.arange(7)[:, None] == kernels) / len(kernels)
    linear = sums - np.outer(sizes / len(kernels), mean)
    residual = linear @ covariance @ linear.T
    (variance, trace), freedom = intervals._working_model(sizes)
    assert variance == pytest.approx(mean @ covariance @ mean)
    assert trace == pytest.approx(np.trace(residual))
    assert freedom == pytest.approx(np.trace(residual) ** 2 / np.trace(residual @ residual))
    assert intervals._working_model(np.full(12, 50.0))[1] == pytest.approx(11)


def test_of_one_layer_there_is_no_interval():
    found = share(np.array([3]), np.array([10]))
    assert found.value == pytest.approx(0.3)
    assert np.isnan([found.low, found.high, found.minus(found).low]).all()


@pytest.mark.parametrize("m", [5, 8])
def test_the_table_of_nulls_has_such_intervals(m):
    """Every repetition is a family, of whose trained kernels 30 % are identified on average."""
    n = 150
    hits, sizes = layers(n, m, 0.3, 0.1)
    family, layer = (index.ravel() for index in np.indices((n, m)))
    of_size = np.repeat(np.arange(n * m), sizes.ravel())
    identified = np.concatenate(
        [np.arange(size) < hit for hit, size in zip(hits.ravel(), sizes.ravel(), strict=True)]
    )
    kernels = pd.DataFrame(
        {
            "set": TRAINED,
            "family": family[of_size].astype(str),
            "model": family[of_size].astype(str),
            "layer_index": layer[of_size],
            "live": True,
            "dissimilarity": np.where(identified, 0.1, 0.9),
            "in_sample": 0.1,
            "r2": 0.0,
        }
    )
    kernels = pd.concat([kernels, kernels.assign(set="white")], ignore_index=True)
    table = null_shares(kernels, 0.3, 0.8, 0.01).query("model != 'all networks'")
    rows = table[(table["rule"] == "identified") & (table["set"] == TRAINED)]
    assert ((rows["low"] <= 0.3) & (rows["high"] >= 0.3)).mean() >= 0.925
    assert (table.loc[table["rule"] == "r2", "high"] > 0).all()

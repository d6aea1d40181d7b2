"""The labels of planted kernels, drawn by formulas that share nothing with the library's.

Really trained, with the settings of config.yaml: the slowest of the unit tests.
"""

from dataclasses import dataclass

import independent
import numpy as np
import pytest
from curves import trained
from independent import Planted

from kernelatlas import names
from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import Votes, vote
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.normalise import normalise

# Size: expected length of the noise on unit vectors, seeds, threshold.
WORLDS = {3: (0.2, 3, 0.12), 5: (0.5, 6, 0.2), 7: (0.7, 3, 0.3)}
N = 2000
MINIMUM = 0.75


@dataclass(frozen=True)
class World:
    known: Planted
    planted: Planted
    noise: float
    below: float
    curves: list[Curve]

    def vote(self, kernels: np.ndarray, seeds: slice = slice(3)) -> Votes:
        return vote(normalise(kernels.astype(np.float32)), self.curves[seeds], MINIMUM)


@pytest.fixture(scope="module")
def worlds():
    found = {}

    def world(k: int) -> World:
        if k not in found:
            noise, seeds, below = WORLDS[k]
            known = independent.clear(k)
            planted, _ = independent.plant(known, N, noise, seed=1)
            kernels = normalise(planted.kernels.astype(np.float32))
            curves = trained(kernels, Settings(), range(seeds))
            found[k] = World(known, planted, noise, below, curves)
        return found[k]

    return world


def shapes(votes: Votes) -> np.ndarray:
    return np.array(names.SHAPES)[votes.names.shape]


def test_the_formulas_are_not_those_of_the_library():
    for k in WORLDS:
        known = independent.clear(k)
        cosines = known.kernels @ bank(k).weights.T
        assert np.median(cosines.max(axis=1)) < 0.9999
        # But they are of the same shapes, of which none is missing.
        assert set(known.shapes) == set(independent.SHAPES) == set(names.SHAPES) - {names.OTHER}


def test_what_is_clear_is_like_no_other_shape():
    known = independent.clear(5)
    for shape in independent.SHAPES:
        own = known.shapes == shape
        assert own.sum() > 3
        assert (known.kernels[own] @ known.kernels[~own].T).max() < 0.9


@pytest.mark.parametrize("k", WORLDS)
def test_planted_kernels_get_their_shape(worlds, k):
    world = worlds(k)
    votes = world.vote(world.planted.kernels)
    identified = votes.identified(world.below)
    right = shapes(votes) == world.planted.shapes
    assert identified.mean() >= 0.97
    assert right[identified].mean() >= 0.99
    for shape in independent.SHAPES:
        own = world.planted.shapes == shape
        assert identified[own].mean() >= 0.95, shape
        assert right[own & identified].mean() >= 0.97, shape


@pytest.mark.parametrize("k", WORLDS)
def test_hardly_anything_is_lost_to_who_knows_the_templates_and_the_noise(worlds, k):
    world = worlds(k)
    votes = world.vote(world.planted.kernels)
    identified = votes.identified(world.below)
    right = (shapes(votes) == world.planted.shapes)[identified].mean()
    ideal = independent.ideal(world.known, world.planted.kernels, world.noise)
    assert right >= (ideal == world.planted.shapes)[identified].mean() - 0.02


@pytest.mark.parametrize("k", [5, 7])
def test_directions_of_planted_kernels_are_measured(worlds, k):
    world = worlds(k)
    votes = world.vote(world.planted.kernels)
    identified = votes.identified(world.below)
    for shape, turn in ((names.FIRST, 360), (names.SECOND, 180)):
        own = identified & (shapes(votes) == shape) & (world.planted.shapes == shape)
        wrong = votes.names.direction[own] - world.planted.degrees[own]
        wrong = np.abs((wrong + turn / 2) % turn - turn / 2)
        assert own.sum() > 100
        assert np.median(wrong) < 8
        assert np.quantile(wrong, 0.95) < 25


@pytest.mark.parametrize("k", [5, 7])
def test_kernels_without_structure_are_not_identified(worlds, k):
    world = worlds(k)
    rng = np.random.default_rng(3)
    white = rng.normal(size=(4000, k * k))
    assert world.vote(white).identified(world.below).mean() < 0.01
    shuffled = rng.permuted(world.planted.kernels, axis=1)
    identified = world.vote(shuffled).identified(world.below)
    # One of 25 kernels with one bright pixel comes out as a centre again: that is no null.
    chance = (normalise(shuffled) @ independent.every(k).kernels.T).max(axis=1) >= 0.8
    assert chance.mean() < 0.02
    assert identified.mean() < (0.02 if k == 5 else 0.01)
    assert (identified & ~chance).mean() < 0.005


def test_other_seeds_give_the_same(worlds):
    world = worlds(5)
    one, other = (world.vote(world.planted.kernels, seeds) for seeds in (slice(3), slice(3, 6)))
    found = [votes.identified(world.below) for votes in (one, other)]
    both = found[0] & found[1]
    assert (one.names.shape == other.names.shape)[both].mean() >= 0.95
    shares = [
        np.bincount(votes.names.shape[rows], minlength=len(names.SHAPES)) / N
        for votes, rows in zip((one, other), found, strict=True)
    ]
    np.testing.assert_allclose(*shares, atol=0.01)


def test_kernels_that_were_not_trained_on_get_their_shape(worlds):
    world = worlds(5)
    planted, _ = independent.plant(world.known, 1000, world.noise, seed=9)
    votes = world.vote(planted.kernels)
    identified = votes.identified(world.below)
    assert identified.mean() >= 0.95
    assert (shapes(votes) == planted.shapes)[identified].mean() >= 0.98

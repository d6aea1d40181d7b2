"""Second moments of directions of normal noise, by formulas of two axes and by sampling."""

import numpy as np
import pytest

from kernelatlas.evidence.noise import direction_moments, matched
from kernelatlas.kernels.normalise import normalise

DRAWS = 60_000
SPECTRA = {
    "equal": np.ones(9),
    "falling": np.exp(-np.arange(24) / 4),
    "one axis of nothing": np.array([0, 1.0, 2, 3]),
    "nearly rank one": np.array([1, 1e-3, 1e-3, 1e-4]),
    "of 81 weights": np.exp(-np.arange(81) / 8),
}


def sampled(values, seed=0):
    """Return the moments of directions of drawn noise, and their standard errors."""
    rng = np.random.default_rng(seed)
    squares = (rng.standard_normal((DRAWS, len(values))) * np.sqrt(values)) ** 2
    squares /= squares.sum(axis=1, keepdims=True)
    return squares.mean(axis=0), squares.std(axis=0) / DRAWS**0.5


@pytest.mark.parametrize("name", SPECTRA)
def test_moments_of_directions_are_those_of_drawn_noise(name):
    values = SPECTRA[name]
    found, (drawn, error) = direction_moments(values), sampled(values)
    assert (np.abs(found - drawn) <= 5 * error).all()
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_on_a_circle_moments_are_as_the_standard_deviations():
    # ∫ a² cos² / (a² cos² + b² sin²) over the circle is a / (a + b).
    for a, b in ((1, 1), (3, 1), (1, 1e4), (1e-3, 7)):
        assert direction_moments(np.array([a**2, b**2])) == pytest.approx(
            np.array([a, b]) / (a + b)
        )
    assert matched(np.array([0.9, 0.1])) == pytest.approx([81 / 82, 1 / 82], abs=1e-7)
    assert direction_moments(np.array([0, 5.0])).tolist() == [0, 1]


@pytest.mark.parametrize("name", SPECTRA)
def test_matched_noise_has_the_moments_that_were_asked_for(name):
    target = SPECTRA[name] / SPECTRA[name].sum()
    values = matched(SPECTRA[name])
    drawn, error = sampled(values, seed=1)
    assert (np.abs(drawn - target) <= 5 * error).all()
    assert (values[target == 0] == 0).all()
    if len(np.unique(target[target > 0])) > 1:  # normalising makes a spectrum flatter
        assert values.max() > target.max()
        unmatched, error = sampled(target, seed=2)
        assert unmatched.max() < target.max() - 3 * error.max()


def test_rounding_errors_are_no_axis():
    values = matched(np.array([-1e-17, 1e-16, 0.25, 0.75]))
    assert values[:2].tolist() == [0, 0]
    assert matched(np.array([1e-16, 1.0])).tolist() == [0, 1]  # one kernel


def test_kernels_of_matched_noise_are_centred_with_the_moments_of_trained_ones():
    rng = np.random.default_rng(3)
    # Kernels of a moving bump are far from normal.
    x, y = np.meshgrid(np.arange(5), np.arange(5))
    cx, cy = rng.uniform(0, 4, (2, 3000, 1, 1))
    trained = np.exp(-((x - cx) ** 2) - (y - cy) ** 2).reshape(3000, 25)
    units = normalise(trained).astype(float)
    target = units.T @ units / len(units)
    values, vectors = np.linalg.eigh(target)
    noise = rng.standard_normal((DRAWS, 25)) * np.sqrt(matched(values)) @ vectors.T
    assert np.abs(noise.mean(axis=1)).max() < 1e-6
    again = normalise(noise).astype(float)
    products = np.einsum("ni,nj->nij", again[:10_000], again[:10_000])
    error = products.std(axis=0) / DRAWS**0.5
    assert (np.abs(again.T @ again / DRAWS - target) <= 5 * error).all()

"""Principal curves, against curves that were planted by formulas of their own."""

import numpy as np
import pytest
import torch

from kernelatlas.clustering import principal
from kernelatlas.clustering.principal import (
    CONCENTRATIONS,
    CurveSettings,
    concentration,
    principal_curve,
)
from kernelatlas.kernels.normalise import normalise

CPU = torch.device("cpu")
SETTINGS = CurveSettings(points=256, centroids=16, rounds=40)


def arc(phases: np.ndarray, reach: float = 1.5 * np.pi) -> np.ndarray:
    """Return points on a part of a circle of 25-dimensional vectors without a mean."""
    basis = np.linalg.qr(
        np.column_stack([np.ones(25), np.random.default_rng(9).normal(size=(25, 2))])
    )[0][:, 1:]
    angles = reach * phases
    return np.cos(angles)[:, None] * basis[:, 0] + np.sin(angles)[:, None] * basis[:, 1]


def loop(phases: np.ndarray) -> np.ndarray:
    """Return points on a closed curve that lies in six dimensions."""
    basis = np.linalg.qr(
        np.column_stack([np.ones(25), np.random.default_rng(8).normal(size=(25, 6))])
    )[0][:, 1:]
    waves = [f(j * 2 * np.pi * phases) for j in (1, 2, 3) for f in (np.cos, np.sin)]
    return np.column_stack(waves) / 3**0.5 @ basis.T


def noisy(points: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """Add noise of this expected length."""
    rng = np.random.default_rng(seed)
    return normalise((points + rng.normal(0, noise / 5, points.shape)).astype(np.float32))


def phases(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


@pytest.mark.parametrize("planted", [arc, loop])
def test_a_planted_curve_is_recovered(planted):
    kernels = noisy(planted(phases(4000)), 0.3)
    seen = []
    curve = principal_curve(kernels, SETTINGS, 0, CPU, seen.append)
    assert curve.shape == (256, 25)
    assert curve.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(curve, axis=1), 1, atol=1e-5)
    along = np.arange(3000) / 3000
    truth = planted(along)
    cosines = curve @ truth.T
    # Kernels are 17° from the true curve; a mean of a few of them is much nearer.
    assert np.rad2deg(np.arccos(np.clip(cosines.max(axis=1), -1, 1))).mean() < 6
    # Every part of the true curve is drawn.
    assert np.rad2deg(np.arccos(np.clip(cosines.max(axis=0), -1, 1))).max() < 15
    steps = np.diff(along[cosines.argmax(axis=1)])
    if planted is loop:  # it is cut open somewhere
        steps = (steps + 0.5) % 1 - 0.5
    assert max((steps >= -0.01).mean(), (steps <= 0.01).mean()) > 0.97
    assert np.abs(steps).sum() == pytest.approx(1, abs=0.15)
    assert len(seen) == 40
    widths = [row["width"] for row in seen]
    assert widths == sorted(widths, reverse=True)
    assert (widths[0], widths[-1]) == (8, 1)
    assert seen[-1]["dissimilarity"] < seen[0]["dissimilarity"]
    near = 1 - (kernels @ curve.T).max(axis=1).mean()
    assert near == pytest.approx(seen[-1]["dissimilarity"], abs=0.003)


def test_neighbours_on_the_curve_are_alike():
    curve = principal_curve(noisy(loop(phases(4000)), 0.3), SETTINGS, 0, CPU)
    steps = 1 - (curve[1:] * curve[:-1]).sum(axis=1)
    assert np.median(steps) < 0.01
    assert np.quantile(steps, 0.99) < 0.1


def test_a_seed_gives_the_same_bytes():
    kernels = noisy(loop(phases(1000)), 0.3)
    one, same, other = (principal_curve(kernels, SETTINGS, seed, CPU) for seed in (3, 3, 4))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()
    one, same = (concentration(kernels, SETTINGS, 3, CPU) for _ in range(2))
    assert one == same


@pytest.mark.parametrize("n", [8, 20, 100])
def test_few_kernels(n):
    kernels = noisy(loop(phases(n)), 0.1)
    curve = principal_curve(kernels, SETTINGS, 0, CPU)
    assert curve.shape == (min(n, 256), 25)
    assert np.isfinite(curve).all()
    assert 1 - (kernels @ curve.T).max(axis=1).mean() < 0.2
    assert np.isfinite(concentration(kernels, SETTINGS, 0, CPU))


def test_a_sample_at_most_is_looked_at(monkeypatch):
    kernels = noisy(loop(phases(400)), 0.3)
    kernels[200:] = -kernels[200:]
    monkeypatch.setattr(principal, "SAMPLE", 100)
    monkeypatch.setattr(principal, "sample_of", lambda rows, n, seed: rows[:n])
    few = principal_curve(kernels, SETTINGS, 0, CPU)
    assert len(few) == 100
    assert few.tobytes() == principal_curve(kernels[:100], SETTINGS, 0, CPU).tobytes()


def test_the_concentration_is_in_the_range_tried_and_falls_with_noise():
    found = []
    for noise in (0.3, 0.9, 1.2):
        kernels = noisy(loop(phases(3000)), noise)
        found.append(concentration(kernels, SETTINGS, 0, CPU))
        assert CONCENTRATIONS[0] <= found[-1] <= CONCENTRATIONS[-1] + 1e-3
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.3 * found[-1]


def test_what_is_drawn_is_nearer_to_the_truth_than_the_kernel_is():
    truth = loop(phases(3000))
    kernels = noisy(truth, 0.5)
    points = principal_curve(kernels, SETTINGS, 0, CPU)
    kappa = concentration(kernels, SETTINGS, 0, CPU)
    new = loop(phases(2000, seed=5))
    held_out = noisy(new, 0.5, seed=6)
    drawn = principal.Curve(5, 0, points, kappa).draw(held_out)
    far = {
        "kernel": 1 - (held_out * new).sum(axis=1).mean(),
        "point": 1 - (points[drawn.point] * new).sum(axis=1).mean(),
        "mean": 1 - (drawn.mean * new).sum(axis=1).mean(),
    }
    assert far["mean"] < far["point"] < far["kernel"], far
    assert far["mean"] < far["kernel"] / 2, far

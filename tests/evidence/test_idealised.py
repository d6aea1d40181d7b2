"""The idealised eight: against direct sums, their published scales, and planted scales."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.signal import correlate2d

from kernelatlas.evidence.idealised import OPERATORS, SETS, Scales, idealised, refit
from kernelatlas.kernels.normalise import normalise


def smooth(sigma: float, reach: int) -> np.ndarray:
    """Return the discrete Gaussian of one axis by its Fourier integral, not by Bessel functions."""

    def value(n: int) -> float:
        def wave(u: float) -> float:
            return np.exp(-(sigma**2) * (1 - np.cos(u))) * np.cos(n * u)

        return quad(wave, 0, np.pi)[0] / np.pi

    return np.array([value(abs(n)) for n in range(-reach, reach + 1)])


# Stencils with the row above first: y runs upwards.
STENCILS = {
    "δy⁺T": [[0, 1, 0], [0, -1, 0], [0, 0, 0]],
    "δx⁻T": [[0, 0, 0], [-1, 1, 0], [0, 0, 0]],
    "δy⁻T": [[0, 0, 0], [0, 1, 0], [0, -1, 0]],
    "δx⁺T": [[0, 0, 0], [0, -1, 1], [0, 0, 0]],
    "δxT": [[0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]],
    "δyT": [[0, 0.5, 0], [0, 0, 0], [0, -0.5, 0]],
    "1 − γ∇²T": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],  # ∇² alone
    "T": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
}


@pytest.mark.parametrize(
    ("k", "scales"), [(3, "D2"), (4, "B"), (7, "A"), (7, "B"), (7, "C1"), (7, "D1"), (8, "C2")]
)
def test_idealised_filters_are_differences_of_the_discrete_gaussian(k: int, scales: str) -> None:
    names, filters = idealised(k, scales)
    assert names == OPERATORS == tuple(STENCILS)
    reach = k // 2 + 3
    impulse = np.zeros((2 * reach + 1,) * 2)
    impulse[reach, reach] = 1
    for name, (x, y), found in zip(names, SETS[scales].sigmas, filters, strict=True):
        gaussian = np.outer(smooth(y, reach), smooth(x, reach))
        values = correlate2d(gaussian, np.array(STENCILS[name], float), mode="same")
        if name == "1 − γ∇²T":
            values = impulse - SETS[scales].gamma * values
        if k % 2 == 0:
            values = correlate2d(values, np.full((2, 2), 0.25), mode="valid")
        margin = (len(values) - k) // 2
        values = values[margin : margin + k, margin : margin + k]
        np.testing.assert_allclose(found, normalise(values.reshape(1, -1))[0], atol=2e-6)


def test_there_are_the_six_published_sets_of_scales() -> None:
    """Their facts, as arXiv 2509.12746 describes them, hold of the numbers."""
    assert list(SETS) == ["A", "B", "C1", "C2", "D1", "D2"]
    assert all(len(scales.sigmas) == 8 for scales in SETS.values())
    for name, scales in SETS.items():
        alike = [x == y for x, y in scales.sigmas]
        assert all(alike) if name in ("C2", "D2") else sum(alike) == 1
        assert alike[6]  # the seventh has one scale in all
        assert all(0 <= sigma < 1.4 for pair in scales.sigmas for sigma in pair)
    # Fine scales for six filters, coarser ones for both central derivatives.
    for scales in SETS.values():
        areas = [np.hypot(x, y) for x, y in scales.sigmas]
        assert min(areas[4], areas[5]) > max(np.delete(areas, (4, 5)))


def test_idealised_filters_of_the_smallest_kernels() -> None:
    names, filters = idealised(2)  # four pixels around the centre: T is constant on them
    assert names == OPERATORS[:6]
    assert np.isfinite(filters).all()


def planted(filters: np.ndarray, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    a = rng.uniform(0.5, 2, (len(filters) * n, 1)) * rng.choice([-1, 1], (len(filters) * n, 1))
    return normalise(a * np.repeat(filters, n, axis=0) + rng.normal(size=a.shape))


def mean_r2(kernels: np.ndarray, filters: np.ndarray) -> float:
    return float(((kernels @ filters.T) ** 2).max(axis=1).mean(dtype=np.float64))


def test_refit_finds_planted_scales() -> None:
    true = (0.6, 0.6, 0.6, 0.6, 1.5, 1.5, 0.9, 1.2)
    gamma = SETS["D2"].gamma
    kernels = planted(idealised(7, Scales(tuple((s, s) for s in true), gamma))[1], 5)
    found = refit(kernels, 7)
    assert mean_r2(kernels, idealised(7, found)[1]) > 0.99
    assert mean_r2(kernels, idealised(7)[1]) < 0.98
    np.testing.assert_allclose([x for x, _ in found.sigmas[:6]], true[:6], rtol=0.06)
    assert all(x == y for x, y in found.sigmas)


def test_scipy_finds_no_better_scale_of_one_filter() -> None:
    """Of the central difference among kernels of one scale that is not in any set."""

    def of(sigma: float) -> np.ndarray:
        profile = smooth(sigma, 4)
        along = (profile[2:] - profile[:-2]) / 2
        return normalise(np.outer(profile[1:-1], along).reshape(1, -1))

    kernels = planted(of(1.7), 20)
    best = minimize(lambda s: -mean_r2(kernels, of(float(s[0]))), [1.2], method="Nelder-Mead").x[0]
    assert refit(kernels, 7).sigmas[4][0] == pytest.approx(best, rel=0.05)

"""Gaussians against differences, SciPy and numerical integrals; NumPy against torch."""

import numpy as np
import pytest
import torch
from scipy import ndimage, special, stats

from kernelatlas.kernels import gaussians

T = np.linspace(-3, 3, 13)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_profiles_are_the_normal_density_and_its_derivatives(sigma):
    density = stats.norm(scale=sigma).pdf
    step = 1e-4
    ahead, here, behind = density(T + step), density(T), density(T - step)
    found = gaussians.profiles(T, sigma, 2)
    np.testing.assert_allclose(found[0], here, rtol=1e-12)
    np.testing.assert_allclose(found[1], (ahead - behind) / (2 * step), atol=1e-5)
    np.testing.assert_allclose(found[2], (ahead - 2 * here + behind) / step**2, atol=1e-5)
    np.testing.assert_allclose(gaussians.bell(T, sigma), here / density(0), rtol=1e-12)
    assert len(gaussians.profiles(T, sigma, 0)) == 1


def test_a_box_is_the_part_of_a_normal_distribution_within_it():
    normal = stats.norm(loc=T, scale=0.6)
    expected = normal.cdf(1.2) - normal.cdf(-0.5)
    np.testing.assert_allclose(gaussians.box(T, -0.5, 1.2, 0.6), expected, atol=1e-12)


def test_derivatives_agree_with_differences():
    step = 1e-4
    x, y = np.meshgrid(np.linspace(-3, 3, 13), np.linspace(-3, 3, 13))
    for angle in (0.0, 0.7, 2.0):
        dx, dy = step * np.cos(angle), step * np.sin(angle)
        ahead = gaussians.gaussian(x + dx, y + dy, 1.3)
        here = gaussians.gaussian(x, y, 1.3)
        behind = gaussians.gaussian(x - dx, y - dy, 1.3)
        np.testing.assert_allclose(
            -gaussians.first_derivative(x, y, 1.3, angle), (ahead - behind) / (2 * step), atol=1e-8
        )
        np.testing.assert_allclose(
            gaussians.second_derivative(x, y, 1.3, angle),
            (ahead - 2 * here + behind) / step**2,
            atol=1e-6,
        )


@pytest.mark.parametrize("k", [3, 7])
def test_the_discrete_gaussian_is_of_bessel_functions(k):
    n = np.arange(k) - k // 2
    smooth, forward, backward, central, second = gaussians.discrete_profiles(k, 0.8)
    wide = np.exp(-0.64) * special.iv(np.arange(-20, 21), 0.64)
    np.testing.assert_allclose(smooth, wide[20 + n], rtol=1e-10)
    for found, kernel in ((forward, [1, -1, 0]), (backward, [0, 1, -1]), (second, [1, -2, 1])):
        np.testing.assert_allclose(found, np.convolve(wide, kernel, "same")[20 + n], atol=1e-12)
    np.testing.assert_allclose(central, ndimage.convolve1d(wide, [0.5, 0, -0.5])[20 + n])
    assert wide.sum() == pytest.approx(1)


@pytest.mark.parametrize("sigma", [0.3, 1.1])
def test_series_and_transform_give_the_discrete_gaussian(sigma):
    n = 128
    u = np.arange(n) * 2 * np.pi / n
    transform = gaussians.discrete_transform(u, np.array([sigma]))
    found = gaussians.discrete_series(np.arange(7.0) - 3, u, np.full(n, 1 / n))
    profiles = gaussians.discrete_profiles(7, sigma)
    for series, expected in zip(found, profiles[[0, 3, 4]], strict=True):
        np.testing.assert_allclose((series @ transform)[:, 0], expected, atol=1e-12)


def test_torch_gives_what_numpy_gives():
    def tensor(values):
        return torch.tensor(values, dtype=torch.float64)

    sigma = np.full(len(T), 0.7)
    pairs = [
        (gaussians.profiles(T, sigma, 2), gaussians.profiles(tensor(T), tensor(sigma), 2)),
        ([gaussians.box(T, -1, 1, sigma)], [gaussians.box(tensor(T), -1, 1, tensor(sigma))]),
        (
            gaussians.discrete_series(T, T, sigma),
            gaussians.discrete_series(tensor(T), tensor(T), tensor(sigma)),
        ),
    ]
    for ours, theirs in pairs:
        for one, other in zip(ours, theirs, strict=True):
            assert isinstance(other, torch.Tensor)
            np.testing.assert_allclose(one, other.numpy(), atol=1e-12)

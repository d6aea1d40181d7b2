"""Pictures of dead leaves, and the spectra of pictures."""

import numpy as np
import pytest

from kernelatlas.training import dead_leaves
from kernelatlas.training.dead_leaves import LARGEST, SHAPES, SMALLEST, picture
from kernelatlas.training.spectra import exponent, radial_power


def test_a_picture_is_of_its_numbers():
    first = picture(3, 1, 64, 5)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, picture(3, 1, 64, 5))
    for other in (picture(4, 1, 64, 5), picture(3, 2, 64, 5), picture(3, 1, 64, 6)):
        assert not np.array_equal(first, other)


def test_pictures_of_a_world_share_its_colour():
    means = np.array(
        [[picture(world, n, 128).mean((0, 1)) for n in range(3)] for world in range(4)]
    )
    within = means.std(axis=1).mean()
    between = means.mean(axis=1).std(axis=0).mean()
    assert between > 2 * within


def test_diameters_follow_their_density():
    drawn = dead_leaves._diameters(np.random.default_rng(0), 200_000)
    assert drawn.min() >= SMALLEST
    assert drawn.max() <= LARGEST
    # p(d) ∝ d⁻³: the share above d is (d⁻² − b⁻²) / (a⁻² − b⁻²).
    for d in (6.0, 10.0, 40.0):
        expected = (d**-2 - LARGEST**-2) / (SMALLEST**-2 - LARGEST**-2)
        assert (drawn > d).mean() == pytest.approx(expected, rel=0.1)
    assert (drawn**2).mean() == pytest.approx(dead_leaves._mean_square(), rel=0.1)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_leaf_covers_what_is_inside_it(shape):
    canvas = np.zeros((101, 101, 3), np.float32)
    dead_leaves._paint(canvas, shape, 50.0, 50.0, 20.0, 0.0, np.array([1.0, 0.5, 0.25]), 0.0)
    assert canvas[50, 50] == pytest.approx([1.0, 0.5, 0.25])
    assert not canvas[:, [0, -1]].any()
    assert not canvas[[0, -1]].any()
    area = canvas[:, :, 0].sum()
    exact = {
        "disc": np.pi * 20**2,
        "ellipse": np.pi * 20 * 10,
        "square": 36**2,
        "triangle": 3**1.5 * 12**2,  # of inradius 12
        "rod": 12 * 52,
    }
    assert area == pytest.approx(exact[shape], rel=0.04)
    edge = (canvas[:, :, 0] > 0) & (canvas[:, :, 0] < 1)
    assert edge.any()  # soft, not jagged


def test_light_falls_from_above():
    canvas = np.zeros((64, 64, 3), np.float32)
    dead_leaves._paint(canvas, "disc", 32.0, 32.0, 20.0, 1.0, np.full(3, 0.5), 0.2)
    assert canvas[20, 32] == pytest.approx(0.5 + 0.2 * 12 / 20)
    assert canvas[44, 32] == pytest.approx(0.5 - 0.2 * 12 / 20)


def test_their_power_falls_as_that_of_photographs():
    """Measured: 1.9 to 2.6 by the world; photographs have about 2."""
    crops = np.stack([picture(world, 0, 128).mean(2) / 255 for world in range(5)])
    assert 1.6 < exponent(*radial_power(crops)) < 2.8


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_of_noise_with_a_known_spectrum(power):
    rng = np.random.default_rng(0)
    axis = np.fft.fftfreq(128)
    frequency = np.hypot(axis, axis[:, None])
    frequency[0, 0] = 1
    noise = np.fft.fft2(rng.normal(size=(40, 128, 128))) * frequency ** (-power / 2)
    found = exponent(*radial_power(np.fft.ifft2(noise).real))
    assert found == pytest.approx(power, abs=0.1)


def test_power_of_white_noise_is_its_variance():
    noise = np.random.default_rng(0).normal(3, 2, size=(50, 64, 64))
    frequency, power = radial_power(noise)
    assert frequency[0] == pytest.approx(1 / 64)
    assert frequency[-1] < 0.5
    # The window lets some of the mean into the lowest rings.
    assert power[3:] == pytest.approx(np.full(len(power) - 3, 4.0), rel=0.15)


def test_a_wave_is_at_its_frequency():
    x = np.arange(64)
    wave = np.sin(2 * np.pi * 8 * x / 64) * np.ones((64, 1))
    frequency, power = radial_power(wave[None])
    assert frequency[power.argmax()] == pytest.approx(8 / 64)

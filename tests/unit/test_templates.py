import numpy as np
import pytest

from kernelatlas import names, templates
from kernelatlas.normalise import degenerate, normalise


@pytest.mark.parametrize("k", [2, 3, 5, 7, 9, 11])
def test_templates_are_normalised_and_every_label_is_known(k):
    bank = templates.bank(k)
    np.testing.assert_allclose(np.linalg.norm(bank.weights, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(bank.weights.sum(axis=1), 0, atol=1e-4)
    assert set(bank.labels) <= set(names.LABELS)
    if k >= 3:
        assert set(bank.labels) == set(names.LABELS) - {names.OTHER, names.DEGENERATE}


@pytest.mark.parametrize("k", [5, 7, 9])
def test_every_template_is_its_own_best_match(k):
    bank = templates.bank(k)
    index, cosine = bank.match(bank.weights)
    np.testing.assert_allclose(cosine, 1, atol=1e-5)
    wrong = [
        (label, bank.labels[i])
        for label, i in zip(bank.labels, index, strict=True)
        if bank.labels[i] != label
    ]
    assert not wrong


@pytest.mark.parametrize("direction", range(0, 360, 45))
def test_a_first_derivative_increases_in_its_direction(direction):
    k = 7
    bank = templates.bank(k)
    axis = np.arange(k) - 3
    x, y = np.meshgrid(axis, -axis)
    angle = np.deg2rad(direction)
    slope = (x * np.cos(angle) + y * np.sin(angle)).ravel()
    for label, kernel in zip(bank.labels, bank.weights, strict=True):
        if label == names.first_derivative(direction):
            assert kernel @ slope > 0
            assert abs(kernel.sum()) < 1e-5


def test_directions_count_from_the_right_anticlockwise():
    bank = templates.bank(7)
    kernels = {label: w.reshape(7, 7) for label, w in zip(bank.labels, bank.weights, strict=True)}
    right, up = kernels["first-derivative 0°"], kernels["first-derivative 90°"]
    assert right[3, 4] > 0 > right[3, 2]
    assert up[2, 3] > 0 > up[4, 3]  # rows run downwards
    assert kernels["second-derivative 0° +"][3, 3] < 0 < kernels["second-derivative 0° -"][3, 3]


def test_derivatives_agree_with_differences():
    step = 1e-4
    x, y = np.meshgrid(np.linspace(-3, 3, 13), np.linspace(-3, 3, 13))
    for angle in (0.0, 0.7, 2.0):
        dx, dy = step * np.cos(angle), step * np.sin(angle)
        ahead = templates.gaussian(x + dx, y + dy, 1.3)
        here = templates.gaussian(x, y, 1.3)
        behind = templates.gaussian(x - dx, y - dy, 1.3)
        np.testing.assert_allclose(
            -templates.first_derivative(x, y, 1.3, angle), (ahead - behind) / (2 * step), atol=1e-8
        )
        np.testing.assert_allclose(
            templates.second_derivative(x, y, 1.3, angle),
            (ahead - 2 * here + behind) / step**2,
            atol=1e-6,
        )


def test_planted_kernels_with_noise_get_their_label():
    random = np.random.default_rng(0)
    bank = templates.bank(7)
    noisy = normalise(bank.weights + random.normal(0, 0.02, bank.weights.shape))
    index, _ = bank.match(noisy)
    right = [bank.labels[i] == label for i, label in zip(index, bank.labels, strict=True)]
    assert np.mean(right) > 0.9


def test_noise_does_not_match():
    noise = normalise(np.random.default_rng(0).normal(size=(2000, 49)))
    _, cosine = templates.bank(7).match(noise)
    assert cosine.max() < 0.8


def test_degenerate_kernels():
    kernels = np.array(
        [[0, 0, 0, 0], [3, 3, 3, 3], [np.nan, 1, 2, 3], [np.inf, 1, 2, 3], [1, 2, 3, 4],
         [1e-20, 0, 0, 0], [1e7, 1e7, 1e7, 1e7 + 1]]
    )  # fmt: skip
    assert degenerate(kernels).tolist() == [True, True, True, True, False, True, True]

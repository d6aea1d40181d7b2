import itertools

import numpy as np
import pytest
from independent import first_derivative, gaussian, second_derivative, steered, unit
from scipy.special import erf

from kernelatlas import names
from kernelatlas.clustering import templates
from kernelatlas.kernels.normalise import degenerate, normalise

OTHER = names.SHAPES.index(names.OTHER)


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
    found = bank.name(bank.weights, 0.75)
    np.testing.assert_allclose(found.cosine, 1, atol=1e-5)
    assert [bank.labels[i] for i in found.template] == list(bank.labels)
    assert found.label.tolist() == list(bank.labels)
    assert (found.shape == bank.shapes).all()
    directed = np.isin(bank.shapes, [names.SHAPES.index(s) for s in (names.FIRST, names.SECOND)])
    assert np.isnan(found.direction[~directed]).all()
    turn = np.where(bank.shapes == names.SHAPES.index(names.FIRST), 360, 180)[directed]
    np.testing.assert_allclose(
        between(found.direction[directed], bank.directions[directed], turn), 0, atol=0.1
    )


@pytest.mark.parametrize("k", [31, 51])
@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_large_kernels_are_named_at_every_scale(k, share):
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis, -axis)
    sigma = share * k
    centre = gaussian(x, y, sigma) - 0.8 * gaussian(x, y, 1.6 * sigma)
    degrees = np.arange(5, 360, 30)
    first = [first_derivative(x, y, sigma, angle) for angle in np.deg2rad(degrees)]
    second = [second_derivative(x, y, sigma, angle) for angle in np.deg2rad(degrees)]
    kernels = np.stack([centre, -centre, *first, *second]).reshape(2 + 24, -1)
    found = templates.bank(k).name(normalise(kernels), 0.75)
    shapes = [*names.CENTRES, *[names.FIRST] * 12, *[names.SECOND] * 12]
    assert [names.SHAPES[i] for i in found.shape] == shapes
    assert found.cosine.min() > 0.95
    assert between(found.direction[2:14], degrees, 360).max() < 1
    assert between(found.direction[14:], degrees % 180, 180).max() < 1


def between(one, other, turn):
    """Return by how many degrees directions differ."""
    return np.abs((one - other + turn / 2) % turn - turn / 2)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 7, 9])
def test_a_template_names_one_shape(k):
    bank = templates.bank(k)
    order = [names.CENTRES, names.CROSSES, names.SQUARES, (names.FIRST,), (names.SECOND,)]
    groups = [[names.SHAPES.index(shape) for shape in group] for group in order]
    for number, group in enumerate(groups):
        own = bank.weights[np.isin(bank.shapes, group)]
        earlier = bank.weights[np.isin(bank.shapes, list(itertools.chain(*groups[:number])))]
        if len(own) and len(earlier):
            assert (own @ earlier.T).max() <= templates.APART + 1e-6
    assert (np.diff(bank.shapes) >= 0).all()


@pytest.mark.parametrize("k", [3, 5, 7])
def test_the_name_is_that_of_the_most_similar_shape(k):
    bank = templates.bank(k)
    kernels = normalise(np.random.default_rng(0).normal(size=(50, k * k)))
    found = bank.name(kernels, 0.5)
    for i, kernel in enumerate(kernels):
        best = {}
        for shape, template in zip(bank.shapes, bank.weights, strict=True):
            best[shape] = max(best.get(shape, -1), float(kernel @ template))
        shape = max(best, key=best.get)
        assert bank.shapes[found.template[i]] == shape
        assert found.cosine[i] == pytest.approx(best[shape], abs=1e-6)
        assert found.shape[i] == (shape if best[shape] >= 0.5 else OTHER)
        assert (found.label[i] == names.OTHER) == (best[shape] < 0.5)
    assert 0 < (found.shape == OTHER).sum() < 50


def test_blocks_do_not_matter(monkeypatch):
    kernels = normalise(np.random.default_rng(0).normal(size=(100, 25)))
    whole = templates.bank(5).name(kernels, 0.5)
    monkeypatch.setattr(templates, "BLOCK", 33)
    parts = templates.bank(5).name(kernels, 0.5)
    assert whole.label.tolist() == parts.label.tolist()
    np.testing.assert_allclose(whole.direction, parts.direction, atol=1e-3)
    assert len(templates.bank(5).name(kernels[:0], 0.5).label) == 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sigma", [0.8, 1.2, 1.7])
def test_directions_are_measured_continuously(order, sigma):
    """Differences of blurred impulses, averaged over pixels, at any angle."""
    rng = np.random.default_rng(order)
    degrees = rng.uniform(0, 360, 40)
    signs = np.ones(40, int) if order == 1 else rng.choice([-1, 1], 40)
    drawn = [s * steered(7, sigma, d, order) for s, d in zip(signs, degrees, strict=True)]
    turn = 360 if order == 1 else 180
    expected = degrees % turn
    found = templates.bank(7).name(normalise(unit(np.stack(drawn))), 0.75)
    assert set(found.shape) == {names.SHAPES.index((names.FIRST, names.SECOND)[order - 1])}
    assert between(found.direction, expected, turn).max() < 3
    assert len(np.unique(found.direction.round(1))) > 30  # not in steps of the templates
    for label, direction, d, sign in zip(
        found.label, found.direction, expected, signs, strict=True
    ):
        near = round(direction / 45) * 45 % turn
        assert between(near, d, turn) < 22.5 + 3
        if order == 1:
            assert label == f"first-derivative {near}°"
        else:
            assert label == f"second-derivative {near}° {'+' if sign > 0 else '-'}"


@pytest.mark.parametrize("width", [2, 3.5])
def test_squares_have_edges_of_an_error_function(width):
    x, y = templates.grid(7)
    edge = np.sqrt(2) * 0.3

    def box(t):
        return (erf((t + width / 2) / edge) - erf((t - width / 2) / edge)) / 2

    np.testing.assert_allclose(templates.square(x, y, width, 0.3), box(x) * box(y), atol=1e-12)


def test_a_cross_is_the_union_of_two_bars():
    x, y = templates.grid(7)
    drawn = templates.cross(x, y, 0.5, 2.5)
    assert drawn[3, 3] == 1
    assert drawn[3, 6] == drawn[0, 3] == pytest.approx(np.exp(-9 / 12.5))
    assert drawn[0, 0] == pytest.approx(np.exp(-9 / 0.5 - 9 / 12.5))


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


def test_planted_kernels_with_noise_get_their_label():
    rng = np.random.default_rng(0)
    bank = templates.bank(7)
    noisy = normalise(bank.weights + rng.normal(0, 0.02, bank.weights.shape))
    found = bank.name(noisy, 0.75)
    assert (found.shape == bank.shapes).mean() > 0.97
    assert (found.label == np.array(bank.labels)).mean() > 0.9


def test_noise_does_not_match():
    noise = normalise(np.random.default_rng(0).normal(size=(2000, 49)))
    found = templates.bank(7).name(noise, 0.8)
    assert found.cosine.max() < 0.8
    assert set(found.label) == {names.OTHER}
    assert set(found.shape) == {OTHER}
    assert np.isnan(found.direction).all()


def test_degenerate_kernels():
    kernels = np.array(
        [[0, 0, 0, 0], [3, 3, 3, 3], [np.nan, 1, 2, 3], [np.inf, 1, 2, 3], [1, 2, 3, 4],
         [1e-20, 0, 0, 0], [1e7, 1e7, 1e7, 1e7 + 1]]
    )  # fmt: skip
    assert degenerate(kernels).tolist() == [True, True, True, True, False, True, True]

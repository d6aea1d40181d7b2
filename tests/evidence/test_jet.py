"""Local jets against planted sums of derivatives, other formulas and SciPy's search."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.polynomial.hermite_e import hermeval
from scipy.optimize import least_squares

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import derivatives, fits, jet, newton
from kernelatlas.kernels.normalise import normalise

ORDERS_OF = {"g": (0, 0), "gx": (1, 0), "gy": (0, 1), "gxx": (2, 0), "gxy": (1, 1), "gyy": (0, 2)}
N = 30


def derivative(t: np.ndarray, sigma: float, order: int) -> np.ndarray:
    """∂ⁿ of a normalised Gaussian, by Hermite's polynomials."""
    g = np.exp(-(t**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return hermeval(t / sigma, [0] * order + [1]) / (-sigma) ** order * g


def part(k: int, sigma: float, x: float, y: float, i: int, j: int) -> np.ndarray:
    axis = np.arange(k) - (k - 1) / 2
    return np.outer(derivative(-axis - y, sigma, j), derivative(axis - x, sigma, i)).ravel()


def image(k: int, row: dict[str, float]) -> np.ndarray:
    place = (row["sigma"], row["x"], row["y"])
    return sum(row[name] * part(k, *place, *ORDERS_OF[name]) for name in ORDERS_OF)


def draw(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.normal(size=n) for name in ORDERS_OF})
    return table.assign(
        sigma=rng.uniform(0.8, 1.3, n), x=rng.uniform(-0.7, 0.7, n), y=rng.uniform(-0.7, 0.7, n)
    )


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, pd.DataFrame]:
    truth = draw(N)
    kernels = np.stack([image(7, row) for row in truth.to_dict("records")]) + 0.3
    return kernels, jet.fit(kernels).assign(offset=kernels.mean(axis=1))


def test_a_planted_jet_is_described_exactly(planted) -> None:
    _, found = planted
    assert found["jet_r2_2"].median() > 0.9999
    assert found["jet_r2_2"].quantile(0.1) > 0.99
    assert found["jet_order"].ge(2).mean() > 0.8


def test_coefficients_are_those_of_the_named_derivatives(planted) -> None:
    """By the formula that made the kernels, with what was found instead of what was planted."""
    kernels, found = planted
    for order in jet.KEPT:
        names = [*jet.PLACE, *jet.DERIVATIVES[: derivatives.count(order)]]
        own = found[list(jet.numbers(order))].set_axis(names, axis=1)
        own = own.reindex(columns=[*jet.PLACE, *ORDERS_OF]).fillna(0.0).astype(float)
        made = np.stack([image(7, row) for row in own.to_dict("records")])
        made += (kernels - made).mean(axis=1, keepdims=True)
        energy = ((kernels - kernels.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        r2 = 1 - ((kernels - made) ** 2).sum(axis=1) / energy
        np.testing.assert_allclose(found[f"jet_r2_{order}"], r2, atol=1e-3)
        np.testing.assert_allclose(jet.render_jet(found, 7, order), made, atol=1e-3)


def test_parameters_of_a_planted_jet_are_found() -> None:
    """Without first derivatives, which a move of the centre nearly is."""
    truth = draw(N, 1).assign(g=1.0, gx=0.0, gy=0.0)
    truth[["gxx", "gxy", "gyy"]] *= 0.3
    kernels = np.stack([image(7, row) for row in truth.to_dict("records")])
    found = jet.fit(kernels)
    near = found["jet2_sigma"].sub(truth["sigma"]).abs() < 0.05
    assert near.mean() > 0.6  # other jets of ten numbers may be as near
    good = found[near & (found["jet_r2_2"] > 0.99999)]
    for name in ("x", "y", "gxx", "gxy", "gyy"):
        away = good[f"jet2_{name}"] - truth.loc[good.index, name]
        assert away.abs().median() < 0.05


def test_least_squares_finds_no_better_coefficients(planted) -> None:
    kernels, found = planted
    for row, kernel in zip(found.to_dict("records")[:10], kernels, strict=False):
        place = [row[f"jet1_{name}"] for name in jet.PLACE]
        parts = [part(7, *place, *ORDERS_OF[name]) for name in ("g", "gx", "gy")]
        design = np.stack([*parts, np.ones(49)], axis=1)
        rest = np.linalg.lstsq(design, kernel)[1][0]
        assert row["jet_r2_1"] == pytest.approx(
            1 - rest / ((kernel - kernel.mean()) ** 2).sum(), abs=1e-4
        )


@pytest.mark.parametrize(
    ("coefficients", "energy"),
    [
        ({"g": 1.0}, "gaussian"),
        ({"gx": 0.8, "gy": 0.6}, "first"),
        ({"gxx": 1.0, "gyy": -1.0, "gxy": 0.5}, "oriented"),
    ],
)
def test_energy_is_that_of_the_part_that_was_planted(coefficients, energy: str) -> None:
    row = dict.fromkeys(ORDERS_OF, 0.0) | {"sigma": 1.0, "x": 0.0, "y": 0.0} | coefficients
    kernel = image(9, row)[None]
    grid = jet._grid(9, torch.device("cpu"))
    place = torch.tensor([[1.0, 0.0, 0.0, *(row[name] for name in ORDERS_OF)]]).double()
    units = torch.from_numpy(normalise(kernel)).double()
    found = jet._describe(units, grid, place)
    assert float(found[f"jet_energy_{energy}"][0]) == pytest.approx(1, abs=1e-3)


def test_energies_add_up_to_r2(planted) -> None:
    _, found = planted
    total = found[list(jet.ENERGIES)].sum(axis=1)
    np.testing.assert_allclose(total, found["jet_r2_2"], atol=2e-3)


@pytest.mark.parametrize("degrees", [30, 115, 200, 340])
def test_direction_is_where_the_kernel_increases(degrees: int) -> None:
    angle = np.deg2rad(degrees)
    axis = np.arange(7) - 3
    x, y = np.meshgrid(axis, -axis)
    along = x * np.cos(angle) + y * np.sin(angle)
    kernel = along * np.exp(-(x**2 + y**2) / (2 * 1.1**2))
    found = jet.fit(kernel.reshape(1, -1)).iloc[0]
    if abs(found["jet2_x"]) + abs(found["jet2_y"]) < 0.2:
        away = (found["jet_direction"] - angle + np.pi) % (2 * np.pi) - np.pi
        assert abs(away) < 0.1
    assert found["jet_r2_2"] > 0.999


@pytest.mark.parametrize("degrees", [20, 75, 150])
def test_axis_is_that_of_the_second_derivative(degrees: int) -> None:
    angle = np.deg2rad(degrees)
    axis = np.arange(9) - 4
    x, y = np.meshgrid(axis, -axis)
    along = x * np.cos(angle) + y * np.sin(angle)
    kernel = (along**2 / 1.2**2 - 1) * np.exp(-(x**2 + y**2) / (2 * 1.2**2))
    found = jet.fit(kernel.reshape(1, -1)).iloc[0]
    away = (found["jet_axis"] - angle + np.pi / 2) % np.pi - np.pi / 2
    assert abs(away) < 0.02
    assert found["seven_r2"] > 0.999


def parts_of(name: str, k: int, p: np.ndarray) -> np.ndarray:
    """The parts of a sum at its parameters, (q, k·k), by Hermite's polynomials along each axis."""
    place, angle = (p[0], p[-2], p[-1]), p[1]
    if name == "hessian":
        return np.stack([part(k, *place, *ij) for ij in ((2, 0), (1, 1), (0, 2))])
    if name.startswith("jet"):
        known = [(i, j) for i, j in itertools.product(range(4), repeat=2) if i + j <= int(name[-1])]
        return np.stack([part(k, *place, *ij) for ij in known])
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis - place[1], -axis - place[2])
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    pairs = {"ridge": ((0, 0), (2, 0)), "edge": ((1, 0), (3, 0))}.get(
        name, ((0, 0), (1, 0), (2, 0), (3, 0), (0, 2))
    )
    made = [derivative(u, p[0], i) * derivative(v, p[0], j) for i, j in pairs]
    return np.stack(made).reshape(len(pairs), -1)


def left_by(parts: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What the best sum of centred parts leaves of a kernel, by NumPy's QR."""
    centred = parts - parts.mean(axis=1, keepdims=True)
    basis = np.linalg.qr((centred / np.linalg.norm(centred, axis=1, keepdims=True)).T)[0]
    return kernel - basis @ (basis.T @ kernel)


@pytest.mark.parametrize("k", [4, 7])
@pytest.mark.parametrize(
    "name", ["jet0", "jet1", "jet2", "jet3", "hessian", "ridge", "edge", "gauge"]
)
def test_gradient_and_hessian_are_those_of_the_formula(name: str, k: int) -> None:
    """Differences of R²/2 of parts that are made, and fitted, by NumPy."""
    total, n = jet.sums(k)[name], 5
    rng = np.random.default_rng(3)
    kernels = normalise(rng.standard_normal((n, k * k))).astype(np.float64)
    kernels -= kernels.mean(axis=1, keepdims=True)
    p = len(total.parameters)
    here = np.stack([rng.uniform(-0.3, 0.4, n), *rng.uniform(-1.2, 1.2, (p - 1, n))])

    def values(at: np.ndarray) -> np.ndarray:
        natural = np.vstack([np.exp(at[:1]), at[1:]]).T
        rests = [
            left_by(parts_of(name, k, row), w) for row, w in zip(natural, kernels, strict=True)
        ]
        return np.array([(w @ w - r @ r) / 2 for w, r in zip(kernels, rests, strict=True)])

    block = torch.from_numpy(kernels).T.unflatten(0, (k, k)).flip(0).contiguous()
    grid = jet._grid(k, block.device)
    cosine, _, gradient, curvature = derivatives.expand(block, total, grid, torch.from_numpy(here))
    np.testing.assert_allclose(cosine**2 / 2, values(here), atol=1e-9)
    h = 1e-3
    for i, j in itertools.product(range(p), repeat=2):
        one, two = np.zeros((p, 1)), np.zeros((p, 1))
        one[i], two[j] = h, h
        slope = (values(here + one) - values(here - one)) / (2 * h)
        np.testing.assert_allclose(gradient[i], slope, atol=1e-5)
        bend = values(here + one + two) - values(here + one - two)
        bend = (bend - values(here - one + two) + values(here - one - two)) / (4 * h * h)
        np.testing.assert_allclose(-curvature[i, j], bend, atol=1e-4)


def test_nothing_is_better_than_a_jet_that_leaves_nothing() -> None:
    kernels = np.random.default_rng(8).standard_normal((60, 9))
    found = jet.fit(kernels)
    exact = found["jet_r2_2"] >= 1 - 1e-6
    assert exact.mean() > 0.5  # ten numbers of nine pixels
    assert (found["ten_sum"][exact] == "jet2").all()
    assert (found["ten_r2"] >= found["jet_r2_2"]).all()
    np.testing.assert_array_equal(np.stack(found["ten"][exact]), found.loc[exact, list(
        jet.numbers(2))])  # fmt: skip
    assert (found["ten_sum"][~exact] == "gauge").any()


@pytest.mark.parametrize("name", ["jet1", "jet2", "hessian", "ridge", "edge", "gauge"])
def test_scipy_finds_nothing_better_than_a_sum(name: str) -> None:
    k, total = 5, jet.sums(5)[name]
    noise = 0.02 * np.random.default_rng(5).standard_normal((12, k * k))
    rows = draw(12, 4).to_dict("records")
    kernels = torch.from_numpy(normalise(np.stack([image(k, row) for row in rows]) + noise))
    start, _ = jet.begin(kernels, k, name)
    _, cosine = newton.refine(kernels, total, jet._grid(k, kernels.device), start)

    def residuals(p: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return left_by(parts_of(name, k, p), kernel)

    low, high = np.array(total.limits).T
    theirs = [
        1 - 2 * least_squares(residuals, p, bounds=(low, high), args=(kernel,)).cost
        for kernel, p in zip(kernels.double().numpy(), start.numpy(), strict=True)
    ]
    worse = np.array(theirs) - cosine.numpy() ** 2
    assert (worse > 1e-3).sum() <= 1  # R² may have more than one maximum
    assert np.median(np.abs(worse)) < 1e-4


def test_the_better_sum_of_as_many_numbers_is_kept(planted) -> None:
    kernels, found = planted
    for name, members in jet.BEST.items():
        assert set(found[f"{name}_sum"]) <= set(members)
        rest = kernels - jet.render_best(found, 7, name)
        energy = ((kernels - kernels.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        np.testing.assert_allclose(
            1 - (rest**2).sum(axis=1) / energy, found[f"{name}_r2"], atol=1e-3
        )
    assert (found["seven_r2"] >= found["jet_r2_1"] - 1e-6).all()
    assert (found["ten_r2"] >= found["jet_r2_2"] - 1e-6).all()
    assert {len(values) + 1 for values in found["seven"]} == {7}  # and the offset
    assert {len(values) + 1 for values in found["ten"]} == {10}


def test_the_criterion_prefers_the_lower_order_for_a_moved_gaussian() -> None:
    rng = np.random.default_rng(6)
    clean = np.stack([part(7, 1.0, x, y, 0, 0) for x, y in rng.uniform(-0.8, 0.8, (40, 2))])
    noisy = clean / np.linalg.norm(clean, axis=1, keepdims=True) + rng.normal(0, 0.03, clean.shape)
    assert (jet.fit(noisy)["jet_order"] == 0).mean() > 0.8


def test_noise_needs_more_than_a_jet() -> None:
    noise = np.random.default_rng(7).standard_normal((100, 49))
    found = jet.fit(noise)
    assert found["jet_r2_2"].median() < 0.5
    assert found["jet_r2_2"].mean() > found["jet_r2_1"].mean() > found["jet_r2_0"].mean()


def test_degenerate_kernels_stay_empty_and_in_place() -> None:
    kernels = np.stack([image(5, row) for row in draw(4).to_dict("records")])
    kernels[2] = 0.5
    found = jet.fit(kernels)
    assert found["jet_r2_2"].isna().tolist() == [False, False, True, False]
    assert found.loc[2].isna().all()
    table = pd.concat([fits.fit(kernels), found], axis=1)
    assert not jet.render_jet(table, 5, 2)[2].any()
    assert not jet.render_best(table, 5, "ten")[2].any()


def test_3x3_kernels_have_no_third_order() -> None:
    found = jet.fit(np.random.default_rng(8).standard_normal((20, 9)))
    assert found["jet_r2_3"].isna().all()
    assert found["jet_order"].isin([0, 1]).all()


def test_nothing_gives_an_empty_table() -> None:
    found = jet.fit(np.empty((0, 25), np.float32))
    assert list(found) == list(jet.SCHEMA)
    assert jet.render_jet(found.assign(offset=0.0), 5, 1).shape == (0, 25)


def test_equal_kernels_give_equal_bytes() -> None:
    kernels = np.random.default_rng(9).standard_normal((30, 25))
    pd.testing.assert_frame_equal(jet.fit(kernels), jet.fit(kernels.copy()), check_exact=True)


def test_kernels_too_small_for_a_jet_are_refused() -> None:
    with pytest.raises(KernelAtlasError, match="2×2"):
        jet.fit(np.ones((3, 4)))

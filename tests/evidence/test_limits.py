"""Fits that end at a limit of the search, beside SciPy's bounded search for the same kernels."""

import numpy as np
import pandas as pd
import pytest
import torch
from independent import first_derivative, gaussian, second_derivative
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from kernelatlas.evidence import fits, formulas, functions, jet, newton
from kernelatlas.kernels.normalise import normalise

K = 7
AXIS = np.arange(K) - (K - 1) / 2
X, Y = np.meshgrid(AXIS, -AXIS)
FORMULAS = {
    "gaussian": lambda sigma: gaussian(X, Y, sigma),
    "shifted": lambda sigma, x, y: gaussian(X - x, Y - y, sigma),
    "first": lambda sigma, angle: first_derivative(X, Y, sigma, angle),
    "second": lambda sigma, angle: second_derivative(X, Y, sigma, angle),
    "dog": lambda sigma, ratio, surround: (
        gaussian(X, Y, sigma) - surround * gaussian(X, Y, ratio * sigma)
    ),
    "gabor": lambda sigma, frequency, angle, phase: (
        gaussian(X, Y, sigma) * np.cos(frequency * (X * np.cos(angle) + Y * np.sin(angle)) - phase)
    ),
}
# Optima within the limits of 7×7 kernels, and beyond those that are named.
WITHIN = {
    "gaussian": [(0.9,), (2.0,)],
    "shifted": [(0.9, 0.3, -1.1), (1.5, -1.2, 0.0)],
    "first": [(1.2, 0.4)],
    "second": [(1.0, 1.0)],
    "dog": [(0.8, 2.0, 0.7)],
    "gabor": [(1.5, 1.2, 0.5, 0.3)],
}
BEYOND = {
    "gaussian": [((6.0,), "greatest sigma")],
    "shifted": [
        ((0.9, 2.4, 0.2), "greatest x"),
        ((0.9, -2.1, -2.3), "least x, least y"),
        ((5.0, 0.3, 0.6), "greatest sigma"),
    ],
    "first": [((6.0, 0.4), "greatest sigma")],
    "second": [((5.0, 1.0), "greatest sigma")],
    "dog": [((0.6, 6.0, 0.9), "greatest ratio"), ((0.8, 2.0, -0.6), "least surround")],
    "gabor": [((5.5, 1.2, 0.5, 0.3), "greatest sigma")],
}
CASES = [
    (name, truth, text)
    for name in FORMULAS
    for truth, text in [*((truth, None) for truth in WITHIN[name]), *BEYOND[name]]
]


def plane(name: str, truth: tuple[float, ...]) -> np.ndarray:
    return FORMULAS[name](*truth).ravel()


def ours(kernels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Limits by name, R² and the start of our search, in the continuous form."""
    units = torch.from_numpy(normalise(kernels))
    function = functions.functions(K)[name]
    start, _ = fits.begin(units, K, name)
    grid = formulas.grid_of(K, name, "continuous", units.device)
    found, cosine = newton.refine(units, function, grid, start)
    return function.at_limits(found), (cosine**2).double().numpy(), start


def theirs(kernel: np.ndarray, name: str, start: np.ndarray) -> tuple[str | None, float]:
    """The same by SciPy, which says itself which bounds are active where it ends."""
    function = functions.functions(K)[name]
    low, high = np.array(function.limits).T
    kernel = (kernel - kernel.mean()) / np.linalg.norm(kernel - kernel.mean())

    def residuals(p: np.ndarray) -> np.ndarray:
        shape = plane(name, tuple(p))
        shape = (shape - shape.mean()) / np.linalg.norm(shape - shape.mean())
        return kernel - (kernel @ shape) * shape

    starts = [start]
    if function.closed in ("angle", "phase"):  # which our search knows in closed form
        at = function.parameters.index(function.closed)
        starts = [np.where(np.arange(len(start)) == at, a, start) for a in np.arange(4) * np.pi / 4]
    ends = [
        least_squares(residuals, s.clip(low + 1e-6, high - 1e-6), bounds=(low, high),
                      method="dogbox", xtol=1e-12, ftol=1e-12, gtol=1e-12)
        for s in starts
    ]  # fmt: skip
    best = min(ends, key=lambda end: end.cost)
    words = {-1: "least", 1: "greatest"}
    active = zip(function.parameters, best.active_mask, strict=True)
    text = ", ".join(f"{words[mask]} {parameter}" for parameter, mask in active if mask)
    return text or None, 1 - 2 * best.cost


@pytest.mark.parametrize(("name", "truth", "text"), CASES)
def test_an_optimum_beyond_the_search_is_named_and_one_within_is_not(
    name: str, truth: tuple[float, ...], text: str | None
) -> None:
    kernel = plane(name, truth)
    (found,), (r2,), start = ours(kernel[None], name)
    assert found == text
    witness, best = theirs(kernel, name, start[0].double().numpy())
    assert witness == text
    assert r2 == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("name", ["gaussian", "shifted", "first", "second"])
def test_scipy_stops_at_the_same_limits_for_smooth_noise(name: str) -> None:
    """Where both find the same maximum: R² may have several."""
    rng = np.random.default_rng(3)
    noise = gaussian_filter(rng.standard_normal((60, 15, 15)), (0, 1.2, 1.2))[:, 4:11, 4:11]
    kernels = noise.reshape(60, -1)
    found, r2, start = ours(kernels, name)
    pairs = [theirs(k, name, s) for k, s in zip(kernels, start.double().numpy(), strict=True)]
    same = np.abs(r2 - [best for _, best in pairs]) < 1e-4
    assert same.mean() > 0.8
    witness = np.array([text for text, _ in pairs], object)
    assert 0.1 < np.mean([text is not None for text in witness[same]]) < 0.95
    assert (found == witness)[same].mean() > 0.95


def test_the_table_names_the_limits_of_the_selected_function() -> None:
    flat = np.full(K * K, 0.2)
    within, moved, wide = (
        plane("shifted", p) for p in ((0.9, 0.5, 0.5), (0.9, 2.4, 0.2), (5, 1, 1))
    )
    table = fits.fit(np.stack([within, flat, moved, wide]))
    assert table["at_limit"][:2].isna().all()
    assert table["shifted_at_limit"][:2].isna().all()
    assert table["shifted_at_limit"][2] == "greatest x"
    assert "greatest sigma" in table["shifted_at_limit"][3]
    # Whatever was selected, its own parameters are named.
    named = table["at_limit"].dropna()
    for row, text in named.items():
        known = functions.functions(K)[table["function"][row]]
        for part in text.split(", "):
            end, parameter = part.split(" ")
            limit = known.limits[known.parameters.index(parameter)][end == "greatest"]
            assert table[parameter][row] == pytest.approx(limit, rel=1e-3, abs=1e-3)


def test_limits_are_named_of_each_kernel_in_its_place() -> None:
    rng = np.random.default_rng(4)
    kernels = rng.standard_normal((40, K * K)).astype(np.float32)
    kernels[:20] = [plane("first", (s, 0.3)) for s in np.linspace(4, 8, 20)]
    table = fits.fit(kernels)
    order = rng.permutation(40)
    turned = fits.fit(kernels[order])
    assert (table["at_limit"][:20] == "greatest sigma").all()
    pd.testing.assert_series_equal(
        turned["at_limit"], table["at_limit"][order].reset_index(drop=True)
    )


def test_jets_beyond_their_limits_are_named() -> None:
    """Of order 0 the jet is a Gaussian: σ is searched from 0.3 pixels to the kernel's side."""
    place = [(1.0, 0.5, -0.5), (0.2, 0.0, 0.0), (12.0, 0.0, 0.0)]
    found = jet.fit(np.stack([plane("shifted", p) for p in place]))
    assert pd.isna(found["jet_at_limit_0"][0])
    assert found["jet_at_limit_0"].tolist()[1:] == ["least sigma", "greatest sigma"]
    small = jet.fit(np.random.default_rng(0).standard_normal((5, 9)))
    assert small["jet_at_limit_3"].isna().all()

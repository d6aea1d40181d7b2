"""Distances between sets of kernels, and the layers' statistics, against known values."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from scipy.integrate import quad
from scipy.stats import entropy

from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import distances as measures
from kernelatlas.figures import distances as figure
from kernelatlas.figures import style
from kernelatlas.kernels.corpus import build_corpus, write_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.tables.distances import LAYER_COLUMNS, distance_table, layer_table

RNG = np.random.default_rng


def gaussians(shift: float, n: int = 200_000, seed: int = 0) -> np.ndarray:
    """Points on a line: all variance is along the first axis, of standard deviation 1."""
    points = np.zeros((n, 3), np.float32)
    points[:, 0] = RNG(seed).normal(shift, 1, n)
    return points


def test_divergence_of_gaussians_is_the_analytic_one() -> None:
    # KL(N(0,1)‖N(d,1)) = d²/2, in both directions.
    line = measures.Coordinates(np.concatenate([gaussians(0), gaussians(1)]))
    assert line.weights == pytest.approx([1.0])
    a, b = line.histogram(gaussians(0, seed=1)), line.histogram(gaussians(1, seed=2))
    found = measures.divergence(a, b, line.weights)
    assert found == pytest.approx(1.0, rel=0.03)
    assert measures.divergence(b, a, line.weights) == pytest.approx(float(found), rel=1e-12)


def test_divergence_weighs_components_by_their_variance() -> None:
    rng = RNG(0)
    scale = np.sqrt([9.0, 1.0])
    corpus = (rng.normal(size=(100_000, 2)) * scale).astype(np.float32)
    plane = measures.Coordinates(corpus)
    assert plane.weights == pytest.approx([0.9, 0.1], abs=0.005)
    moved = [corpus + np.float32(d) * scale * axis for d, axis in ((1, [1, 0]), (1, [0, 1]))]
    base = plane.histogram(corpus)
    found = [measures.divergence(base, plane.histogram(m), plane.weights) for m in moved]
    assert found == pytest.approx([0.9, 0.1], rel=0.1)


def test_a_set_is_at_no_distance_from_itself_nor_from_a_copy() -> None:
    rng = RNG(0)
    space = measures.Coordinates(rng.normal(size=(1000, 9)).astype(np.float32))
    counts = space.histogram(rng.normal(size=(500, 9)).astype(np.float32))
    assert measures.divergence(counts, counts, space.weights) == 0
    assert counts.sum(axis=1) == pytest.approx(500)


@pytest.mark.parametrize(("n_a", "n_b"), [(200, 200), (200, 3000), (1500, 1500)])
def test_equal_distributions_come_to_the_noise_floor(n_a: int, n_b: int) -> None:
    rng = RNG(0)
    space = measures.Coordinates(rng.normal(size=(5000, 9)).astype(np.float32))
    found, floors = [], []
    for _ in range(15):
        a, b = (space.histogram(rng.normal(size=(n, 9)).astype(np.float32)) for n in (n_a, n_b))
        found.append(measures.divergence(a, b, space.weights))
        floors.append(measures.noise_floor(a, b, space.weights))
    assert np.mean(floors) == pytest.approx(np.mean(found), rel=0.1)
    shifted = space.histogram(rng.normal(1, 1, (n_b, 9)).astype(np.float32))
    assert measures.divergence(a, shifted, space.weights) > 1.5 * np.mean(floors)


@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (3, 500), (60, 60), (2000, 100_000)])
@pytest.mark.parametrize("evenness", [0.05, 3])
def test_noise_floor_is_the_mean_of_samples(n_a: int, n_b: int, evenness: float) -> None:
    rng = RNG(n_b)
    weights = np.array([0.7, 0.3])
    drawn = rng.dirichlet(np.full(measures.BINS, evenness), 2)
    a, b = (rng.multinomial(n, drawn) for n in (n_a, n_b))
    pool = (a + b) / (n_a + n_b)
    samples = [rng.multinomial(n, pool, size=(4000, 2)) for n in (n_a, n_b)]
    p, q = ((counts + 0.5) / (counts.sum(axis=2, keepdims=True) + 35) for counts in samples)
    ways = [(entropy(*pair, axis=2) @ weights) for pair in ((p, q), (q, p))]
    found = sum(ways)
    error = found.std() / len(found) ** 0.5
    assert measures.noise_floor(a, b, weights) == pytest.approx(found.mean(), abs=4 * error)


def mean_logarithm(n: int, share: float, added: float) -> float:
    """E ln(X + added) of a binomial X, by ln z = ∫ (e⁻ᵗ − e⁻ᶻᵗ) / t dt and E e⁻ᵗˣ."""

    def integrand(t: float) -> float:
        of_x = np.exp(n * np.log1p(share * np.expm1(-t)))
        return (np.exp(-t) - np.exp(-added * t) * of_x) / t

    near = 1 / (n * share + 1)
    parts = [(0, near), (near, 30 * near), (30 * near, 60), (60, np.inf)]
    return sum(quad(integrand, *ends, epsabs=1e-13, limit=200)[0] for ends in parts)


@pytest.mark.parametrize("mean", [0.1, 3.0, 199.0, 201.0, 1000.0, 4000.0])
def test_means_of_logarithms_are_those_of_an_integral(mean: float) -> None:
    """Interpolated least exactly where they are nearly zero."""
    n, share, m = 5000, mean / 5000, mean + 0.5
    logarithm = mean_logarithm(n, share, 0.5) - np.log(m)
    # E X f(X) = n p E f(X' + 1), with X' of n − 1.
    one_more = mean_logarithm(n - 1, share, 1.5) - np.log(m)
    excess = (mean * one_more + 0.5 * logarithm) / m
    smoothed, *found = measures._expected(n, np.array([share]))
    assert smoothed == pytest.approx(m / (n + 35))
    assert np.ravel(found) == pytest.approx([excess, logarithm], rel=2e-3 if mean < 1 else 2e-4)


def test_kernels_beyond_the_corpus_are_counted() -> None:
    line = measures.Coordinates(gaussians(0, 1000))
    counts = line.histogram(gaussians(100, 50))
    assert counts[0, 0] + counts[0, -1] == 50


def test_variance_entropy_of_known_spectra() -> None:
    rng = RNG(0)
    one = np.outer(rng.normal(size=50), rng.normal(size=9)).astype(np.float32)
    assert measures.variance_entropy(one) == pytest.approx(0, abs=1e-6)
    # Orthogonal columns of mean zero and equal norm: as even as can be.
    even = np.concatenate([np.eye(9), -np.eye(9)])
    assert measures.variance_entropy(even) == pytest.approx(np.log10(9))
    assert measures.variance_entropy(even + 5.0) == pytest.approx(np.log10(9))
    # Half of the variance along one axis, a quarter along two: 1.5 bits.
    uneven = np.concatenate([np.diag([2**0.5, 1, 1]), -np.diag([2**0.5, 1, 1])])
    assert measures.variance_entropy(uneven) == pytest.approx(1.5 * np.log10(2))
    assert measures.variance_entropy(np.ones((5, 9), np.float32)) == 0
    assert measures.variance_entropy(1e-30 * uneven.astype(np.float32)) == pytest.approx(
        0.4515, 1e-3
    )
    noise = measures.variance_entropy(rng.normal(size=(5000, 9)))
    assert noise > 0.999 * np.log10(9)
    assert measures.noise_entropy(5000, 9) == pytest.approx(noise, abs=1e-3)
    assert measures.noise_entropy(12, 49) < np.log10(11)


def test_sparsity_by_hand() -> None:
    weights = np.array([[1.0, 0.0], [0.02, 0.0], [0.009, -0.009], [0.0, 0.0], [0.0, -0.5]])
    assert measures.sparsity(weights) == pytest.approx(2 / 5)
    assert measures.sparsity(np.zeros((3, 4))) == 1


def test_orthogonality_by_hand() -> None:
    assert measures.orthogonality(np.eye(4)) == 1
    assert measures.orthogonality(np.array([[1.0, 1], [-2, -2], [3, 3]])) == pytest.approx(0)
    # The pairs' cosines are 0, 1/√2 and 1/√2.
    weights = np.array([[1.0, 0], [0, 5], [1, 1]])
    assert measures.orthogonality(weights) == pytest.approx(1 - (2 / 3) / 2**0.5)
    with_zeros = np.concatenate([np.eye(3), np.zeros((1, 3))])
    assert measures.orthogonality(with_zeros) == 1
    assert np.isnan(measures.orthogonality(np.ones((1, 9))))


@pytest.mark.parametrize("pixels", [4, 9, 49])
def test_orthogonality_of_noise_is_as_expected(pixels: int) -> None:
    found = measures.orthogonality(RNG(0).normal(size=(1500, pixels)))
    assert found == pytest.approx(measures.noise_orthogonality(pixels), abs=2e-3)


MODELS = [
    ["b", "second", True, ""],
    ["b.untrained", "second", False, ""],
    ["a", "first", True, ""],
    ["c", "first", True, ""],
]


def write_models(tmp_path, k: int = 5, n: int = 300) -> list[str]:
    """Write kernel tables: a and c are draws of one distribution, b of another."""
    rng, templates = RNG(0), bank(k)
    centres, second = (
        templates.weights[templates.shapes < 2],
        templates.weights[templates.shapes == 7],
    )
    chosen = {"a": centres, "c": centres, "b": second}
    paths = []
    for name, *_ in MODELS:
        weights = rng.normal(0, 0.05, (n, k * k))
        if name in chosen:
            weights += chosen[name][rng.integers(len(chosen[name]), size=n)]
        weights[0] = 1.0  # degenerate
        kernels = weights.astype(np.float32).reshape(n, k, k)
        strip = Layer("strip", kernels[:, :1, :].copy(), None, None)
        layers = [Layer("dw", kernels, 1, 1), strip]
        paths.append(str(tmp_path / f"{name}.kernels"))
        write_kernels(paths[-1], name, layers, {})
    return paths


def table_of(tmp_path, k: int = 5) -> pd.DataFrame:
    paths = write_models(tmp_path, k)
    write_corpus(build_corpus([paths[0], *paths[2:]], k, 10), tmp_path / "corpus", k)
    return distance_table(tmp_path / "corpus", paths, MODELS, k)


@pytest.mark.parametrize("k", [4, 5])
def test_distance_table_tells_families_apart(tmp_path, k: int) -> None:
    table = table_of(tmp_path, k)
    sets = ["first (all trained)", "a", "c", "b", "b.untrained"]
    assert table["set_a"].unique().tolist() == sets
    assert len(table) == 5 * 6 // 2
    pairs = table.set_index(["set_a", "set_b"])
    assert (table.loc[table["set_a"] == table["set_b"], "divergence"] == 0).all()
    assert pairs.loc[("first (all trained)", "a"), "n_a"] == 598  # without degenerate ones
    same, other, control = (
        pairs.loc[pair] for pair in (("a", "c"), ("a", "b"), ("a", "b.untrained"))
    )
    assert same["divergence"] < 1.3 * same["floor"]
    assert other["divergence"] > 3 * other["floor"]
    assert control["divergence"] > other["floor"]
    assert not control["trained_b"]
    for suffix in ("parquet", "csv"):
        write_frame(table, tmp_path / f"one.{suffix}")
        write_frame(table_of(tmp_path, k), tmp_path / f"two.{suffix}")
        assert (tmp_path / f"one.{suffix}").read_bytes() == (
            tmp_path / f"two.{suffix}"
        ).read_bytes()


def test_distances_of_one_model_without_controls(tmp_path) -> None:
    paths = write_models(tmp_path)
    write_corpus(build_corpus(paths[:1], 5, 10), tmp_path / "corpus", 5)
    table = distance_table(tmp_path / "corpus", paths[:1], MODELS[:1], 5)
    assert table["set_a"].tolist() == ["b"]
    figure.draw(table, 5)


def test_layer_table(tmp_path) -> None:
    rng = RNG(0)
    dead = rng.normal(size=(40, 3, 3)).astype(np.float32)
    dead[:10] = 0
    dead[10] = np.nan
    layers = [
        Layer("z", dead, None, None),
        Layer("one", np.ones((1, 31, 31), np.float32), None, None),
        Layer("a", np.ones((6, 2, 2), np.float32), None, None),
        Layer("strip", np.ones((6, 1, 7), np.float32), None, None),
    ]
    write_kernels(tmp_path / "net", "net", layers, {})
    table = layer_table([tmp_path / "net"], [["net", "fam", True, ""]])
    assert table.columns.tolist() == list(LAYER_COLUMNS)
    assert table["layer"].tolist() == ["z", "one", "a"]
    assert table["k"].tolist() == [3, 31, 2]
    noise = table.iloc[0]
    assert noise["kernels"] == 39
    assert noise["sparsity"] == pytest.approx(10 / 39)
    assert noise["variance_entropy"] < noise["variance_entropy_max"] == pytest.approx(np.log10(9))
    assert noise["variance_entropy"] == pytest.approx(noise["variance_entropy_noise"], abs=0.06)
    one, equal = table.iloc[1], table.iloc[2]
    assert np.isnan(one["variance_entropy"])
    assert np.isnan(one["orthogonality"])
    assert equal["variance_entropy"] == 0
    assert equal["orthogonality"] == pytest.approx(0)


def texts(drawn) -> list[str]:
    return [text.get_text() for text in drawn.findobj(Text)]


def test_figure_shows_every_distance_and_the_floors(tmp_path) -> None:
    table = table_of(tmp_path)
    drawn = figure.draw(table, 5)
    shown = texts(drawn)
    pair = table[(table["set_a"] == "a") & (table["set_b"] == "b")].iloc[0]
    assert shown.count(f"{pair['divergence']:.2f}") >= 2
    assert any("first (all trained)" in text and "598" in text for text in shown)
    floor = table.iloc[0]["floor"]
    assert f"{floor:.2f}" in [
        t.get_text() for t in drawn.findobj(Text) if t.get_style() == "italic"
    ]
    boxes = list(drawn.axes[0].texts)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    extents = [text.get_window_extent(canvas.get_renderer()) for text in boxes]
    assert not any(a.overlaps(b) for i, a in enumerate(extents) for b in extents[:i])
    style.save(figure.draw(table, 5), tmp_path / "1.pdf")
    style.save(figure.draw(table, 5), tmp_path / "2.pdf")
    assert (tmp_path / "1.pdf").read_bytes() == (tmp_path / "2.pdf").read_bytes()


def test_figure_of_many_sets_shows_one_of_each_family() -> None:
    names = [f"n{i}" for i in range(2 * figure.MOST)]
    rows = [
        {
            **{"set_a": a, "family_a": f"f{i // 4}", "trained_a": True, "n_a": 10},
            **{"set_b": b, "family_b": f"f{j // 4}", "trained_b": True, "n_b": 10},
            **{"divergence": float(j - i), "floor": 0.1},
        }
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i <= j
    ]
    shown = texts(figure.draw(pd.DataFrame(rows), 7))
    assert "n4" in shown
    assert "n5" not in shown
    assert any("Only one set of each family" in text for text in shown)

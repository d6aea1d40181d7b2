"""Master keys: the search against brute force, the tables on planted kernels, the figure."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from safetensors import safe_open
from scipy.integrate import quad
from scipy.stats import beta

from kernelatlas.clustering.curve import Curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import masterkeys
from kernelatlas.evidence.idealised import OPERATORS, SETS, idealised
from kernelatlas.evidence.masterkeys import (
    best_filter,
    energies,
    load,
    random_filters,
    save,
    scores,
    search,
    search_curve,
)
from kernelatlas.figures import _masterkeys_models, style
from kernelatlas.figures import masterkeys as figure
from kernelatlas.kernels.corpus import build_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.tensors import read_metadata
from kernelatlas.tables.masterkeys import (
    IDEALISED,
    KEYS,
    PUBLISHED,
    RANDOM,
    corpus_energies,
    filter_sets,
    filter_table,
    model_table,
    search_table,
)


def planted(filters: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Return raw kernels a·f + b, n of each filter, a of either sign."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.5, 2, (len(filters) * n, 1)) * rng.choice([-1, 1], (len(filters) * n, 1))
    b = rng.normal(size=(len(filters) * n, 1))
    return (a * np.repeat(filters, n, axis=0) + b).astype(np.float32)


def mean_r2(kernels: np.ndarray, filters: np.ndarray) -> float:
    return float(((kernels @ filters.T) ** 2).max(axis=1).mean(dtype=np.float64))


def test_planted_filters_are_what_is_left() -> None:
    curve = random_filters(20, 7, 1)
    own = [2, 5, 9, 14, 17]
    raw = planted(curve[own], 40)
    found = search(normalise(raw), curve, energies(raw))
    assert found.kept(5).tolist() == own
    steps = found.steps.set_index("filters")
    assert steps["mean_r2"][5] == pytest.approx(1, abs=1e-6)
    assert steps["energy_explained"][5] == pytest.approx(1, abs=1e-6)
    assert steps["share_r2_90"][5] == 1
    assert steps["mean_r2"][4] < 0.9
    assert steps["share_r2_90"][4] == pytest.approx(0.8)


def test_the_order_worked_out_by_hand() -> None:
    # e1 explains 3 kernels, e2 explains 2, e3 one; without its filter a kernel is not explained
    # at all, but those of e2 are by half by the filter between e2 and e3.
    e = normalise(np.array([[1, -1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0, 0, 0, 0.0]]))
    e3 = normalise(np.array([[0, 0, 0, 0, 1, -1, 0, 0, 0.0]]))
    between = (e[1:] + e3) / np.sqrt(2)
    filters = np.concatenate([e, e3, between]).astype(np.float32)
    kernels = filters[[0, 0, 0, 1, 1, 2]]
    found = search(kernels, filters, np.array([1, 1, 1, 1, 1, 5.0]))
    assert found.order.tolist() == [3, 2, 1, 0]
    assert found.steps["filters"].tolist() == [4, 3, 2, 1]
    assert found.steps["removed"].isna().tolist() == [True, False, False, False]
    assert found.steps["removed"].tolist()[1:] == [3, 2, 1]
    assert found.steps["mean_r2"].tolist() == pytest.approx([1, 1, 5 / 6, 3 / 6], abs=1e-6)
    assert found.steps["energy_explained"].tolist() == pytest.approx([1, 1, 0.5, 0.3], abs=1e-6)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_every_step_is_that_of_brute_force(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masterkeys, "CHUNK", chunk)
    kernels, filters = random_filters(150, 5, 2), random_filters(12, 5, 3)
    found = search(kernels, filters, np.ones(150))
    left = list(range(12))
    for step, removed in enumerate(found.order):
        assert found.steps["mean_r2"][step] == pytest.approx(mean_r2(kernels, filters[left]))
        if len(left) > 1:
            rest = {j: mean_r2(kernels, filters[[i for i in left if i != j]]) for j in left}
            assert rest[removed] == pytest.approx(max(rest.values()), abs=1e-9)
        left.remove(removed)
    assert not left


def curve_with(keys: np.ndarray, places: list[int], m: int) -> np.ndarray:
    """Return m filters of white noise, with some in their places."""
    points = random_filters(m, int(np.sqrt(keys.shape[1])), 77)
    points[places] = keys
    return points


def test_the_second_round_finds_keys_between_the_codes_of_the_first() -> None:
    """Of 301 points, 11 codes at distances of 30; a key lies a third of that beside the best."""
    keys = random_filters(2, 7, 0)
    points = curve_with(keys, [70, 240], 301)
    for place, key in ((60, keys[0]), (240, keys[1])):  # what the first round can see of them
        points[place] = normalise((0.8 * key + 0.6 * points[place])[None])[0]
    raw = planted(keys, 50)
    kernels, energy = normalise(raw), energies(raw)
    found = search_curve(kernels, points, energy, codes=11, keys=2)
    assert found.places.tolist() == [70, 240]
    steps = found.steps
    first, second = (steps[steps["round"] == number] for number in (1, 2))
    assert first["filters"].tolist() == list(range(11, 0, -1))
    # 10 of the first round are left; each is tried with four more, 10 and 20 points away.
    best = set(range(0, 301, 30)) - {int(first["removed"].iloc[1])}
    tried = {p + d for p in best for d in (-20, -10, 0, 10, 20)} & set(range(301))
    clipped = tried | {p for p, d in ((0, -10), (300, 10)) if p in best}
    assert second["filters"].iloc[0] == len(clipped)
    assert set(second["removed"].dropna()) <= clipped
    two = steps[steps["filters"] == 2].set_index("round")["mean_r2"]
    assert two[1] < 0.9
    assert two[2] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("m", "codes", "keys"), [(5, 50, 2), (64, 20, 12), (3, 1, 1), (9, 9, 9)])
def test_short_curves_and_many_keys(m: int, codes: int, keys: int) -> None:
    found = search_curve(
        random_filters(40, 5, 1), random_filters(m, 5, 2), np.ones(40), codes, keys
    )
    assert len(set(found.places.tolist())) == keys
    assert found.places.max() < m


def test_more_keys_than_codes_is_refused() -> None:
    with pytest.raises(KernelAtlasError, match=r"evidence\.keys: 8 .* of 5 filters"):
        search_curve(random_filters(9, 5, 1), random_filters(30, 5, 2), np.ones(9), 5, 8)


def test_equal_filters_cost_nothing() -> None:
    filters = random_filters(3, 3, 0)
    kernels = random_filters(50, 3, 1)
    found = search(kernels, filters[[0, 1, 1, 2]], np.ones(50))
    assert found.order[0] in (1, 2)
    assert found.steps["mean_r2"][1] == found.steps["mean_r2"][0]


def test_one_filter_and_too_many_keys() -> None:
    found = search(random_filters(5, 3, 0), random_filters(1, 3, 1), np.ones(5))
    assert found.order.tolist() == [0]
    with pytest.raises(KernelAtlasError, match=r"evidence\.keys: 2 .* of 1 filters"):
        found.kept(2)


def test_noise_is_explained_by_random_filters_as_chance_has_it() -> None:
    # cos² of unrelated directions in d dimensions is Beta(1/2, (d − 1)/2); the best of m.
    k, m = 7, 8
    law = beta(0.5, (k * k - 2) / 2)
    expected = quad(lambda t: 1 - law.cdf(t) ** m, 0, 1)[0]
    _, r2 = best_filter(random_filters(20_000, k, 5), random_filters(m, k, 6))
    assert r2.mean() == pytest.approx(expected, rel=0.03)
    assert scores(r2, np.ones(len(r2)))["share_r2_50"] < 1e-3


def test_scores_by_hand() -> None:
    found = scores(np.array([0.95, 0.75, 0.5, 0.1]), np.array([1.0, 1, 1, 7]), total=5)
    assert found == pytest.approx(
        {
            "mean_r2": 2.3 / 4,
            "energy_explained": 2.9 / 10,
            "share_r2_50": 3 / 5,
            "share_r2_70": 2 / 5,
            "share_r2_80": 1 / 5,
            "share_r2_90": 1 / 5,
        }
    )
    nothing = scores(np.empty(0), np.empty(0), total=3)
    assert np.isnan(nothing["mean_r2"])
    assert nothing["share_r2_50"] == 0


def test_energies_leave_the_mean_out() -> None:
    raw = np.array([[1, 2, 3, 4], [1000, 1000, 1000, 1002]], np.float32)
    assert energies(raw) == pytest.approx([5, 3])


def test_keys_are_written_alike_and_read_back(tmp_path) -> None:
    keys = random_filters(3, 5, 0).reshape(3, 5, 5)
    for name in "ab":
        save(tmp_path / name, keys, {"k": 5, "codes": [0.1, 0.5, 1.0]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    np.testing.assert_array_equal(load(tmp_path / "a"), keys)
    assert read_metadata(tmp_path / "a") == {"k": 5, "codes": [0.1, 0.5, 1.0]}
    with safe_open(tmp_path / "a", "np") as file:
        assert list(file.metadata()) == ["kernelatlas"]
    (tmp_path / "bad").write_bytes(b"nothing")
    for name in ("bad", "none"):
        with pytest.raises(KernelAtlasError, match=f"{name}: cannot be read as safetensors"):
            load(tmp_path / name)


def write_model(path, raw: np.ndarray, k: int) -> None:
    layer = Layer("dw", raw.reshape(-1, k, k), None, None)
    write_kernels(path, path.name, [layer], {})


def test_energies_are_of_the_kernels_of_the_corpus(tmp_path) -> None:
    """Which leaves layers out that are perhaps not depthwise, and degenerate kernels."""
    rng = np.random.default_rng(0)
    stem, dw = (rng.normal(size=(n, 5, 5)).astype(np.float32) for n in (6, 9))
    dw[3] = 1
    for name, inferred in (("a", True), ("b", False)):
        layers = [Layer("stem", stem, inferred=inferred), Layer("dw", dw)]
        write_kernels(tmp_path / name, name, layers, {})
    paths = [tmp_path / "a", tmp_path / "b"]
    energy = corpus_energies(paths, 5)
    assert len(energy) == len(build_corpus(paths, 5, 1)) == 8 + 14
    assert energy[:8] == pytest.approx(energies(np.delete(dw, 3, 0).reshape(8, -1)))


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")  # few kernels differ
def test_tables_of_planted_kernels(tmp_path) -> None:
    k = 5
    keys = idealised(k)[1][[2, 4, 7]]
    raw = planted(keys, 20)
    flat = np.ones((10, k * k), np.float32)
    noise = planted(random_filters(30, k, 9), 1)
    for name, kernels in {"a": np.concatenate([raw, flat]), "b": noise}.items():
        write_model(tmp_path / name, kernels, k)
    write_model(tmp_path / "c", planted(random_filters(4, 3, 0), 1), 3)
    kernels, energy = normalise(raw), corpus_energies([tmp_path / "a"], k)
    assert energy == pytest.approx(energies(raw))

    curve = Curve(k, 0, curve_with(keys, [1, 6, 8], 12), 1.0)
    found, table = search_table(kernels, energy, curve, 12, 3, 50)
    assert found.places.tolist() == [1, 6, 8]
    counts = table.groupby(["source", "round"], sort=False).size().to_dict()
    assert {key: counts[key] for key in counts if key != ("curve", 2)} == {
        ("curve", 1): 12,
        ("k-means", 1): 12,
        (RANDOM, 1): 12,
    }
    three = table[(table["filters"] == 3) & (table["round"] == 1)].set_index("source")
    assert three["mean_r2"]["curve"] == pytest.approx(1, abs=1e-5)
    assert three["mean_r2"]["random"] < 0.5
    for number in (1, 2):
        rows = table[(table["source"] == "curve") & (table["round"] == number)]
        removed = set(rows["removed_code"].dropna().iloc[: len(rows) - 3])
        assert removed <= set(curve.codes.tolist()) - set(curve.codes[[1, 6, 8]].tolist())
        assert rows["removed_code"].isna().sum() == 1

    sets, scales = filter_sets(keys, keys[:1], kernels, 50)
    assert set(_masterkeys_models.SETS) - {PUBLISHED} < set(sets)
    filters = filter_table(sets, curve.codes[[1, 6, 8]], scales, kernels, energy)
    own = filters[filters["filters"] == KEYS]
    assert own["nearest"].tolist() == own["matched"].tolist() == ["δy⁻T", "δxT", "T"]
    assert own["matched_cosine"].tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert own["share"].tolist() == pytest.approx([1 / 3] * 3)
    assert own["energy"].sum() == pytest.approx(1)
    assert own["label"].tolist()[1:] == ["first-derivative 180°", "on-centre"]
    assert own["published"].isna().all()
    for name, of in SETS.items():
        ideal = filters[filters["filters"] == f"{IDEALISED} {name}"]
        assert ideal["name"].tolist() == list(OPERATORS)
        assert list(zip(ideal["sigma_x"], ideal["sigma_y"], strict=True)) == list(of.sigmas)
        assert ideal["gamma"].dropna().tolist() == [of.gamma]

    known = [["a", "f", True, ""], ["b", "f", False, ""], ["c", "f", True, ""]]
    models = model_table([tmp_path / n for n in "abc"], known, k, sets)
    assert models["model"].unique().tolist() == ["a", "b"]
    of_keys = models[models["filters"] == KEYS].set_index("model")
    assert of_keys["degenerate"].to_dict() == {"a": 10, "b": 0}
    assert of_keys["mean_r2"]["a"] == pytest.approx(1, abs=1e-5)
    assert of_keys["share_r2_90"]["a"] == pytest.approx(60 / 70)  # of all kernels
    assert of_keys["mean_r2"]["b"] < 0.3
    assert of_keys[["low", "high"]].isna().all(axis=None)  # intervals are over layers
    chance = models[models["filters"] == RANDOM].set_index("model")["mean_r2"]
    assert chance["a"] < 0.3
    each = [mean_r2(kernels, filters) for filters in sets[RANDOM]]
    assert chance["a"] == pytest.approx(np.mean(each), abs=1e-6)


def drawn(keys: int, k: int = 5, models: int = 2) -> tuple[pd.DataFrame, ...]:
    """Return the three tables behind a figure."""
    curve = Curve(k, 0, random_filters(max(keys, 12), k, 1), 1.0)
    raw = planted(random_filters(60, k, 2), 1)
    kernels, energy = normalise(raw), energies(raw)
    found, table = search_table(kernels, energy, curve, len(curve.points), keys, 60)
    points = curve.points[found.places]
    published = idealised(k)[1] if k == 7 else None
    sets, scales = filter_sets(points, curve.points[:2], kernels, 60, published)
    filters = filter_table(sets, np.linspace(0, 1, keys), scales, kernels, energy)
    rows = []
    for model, (name, alternatives) in itertools.product(range(models), sets.items()):
        scored = scores(best_filter(kernels, alternatives[0])[1], energy)
        same = {"family": "f", "model": f"net_number_{model}", "trained": model % 2 == 0, "k": k}
        limits = {"low": 0.9 * scored["share_r2_80"], "high": 0.1 + 0.9 * scored["share_r2_80"]}
        counts = {"filters": name, "number": 8, "kernels": 60, "degenerate": 0}
        rows.append({**same, **counts, **scored, **limits})
    return table, filters, pd.DataFrame(rows)


@pytest.mark.parametrize(("keys", "models"), [(8, 2), (1, 1), (11, 7)])
def test_figure(keys: int, models: int) -> None:
    k = 7 if keys == 8 else 5  # with published filters, and without
    pages = figure.draw(*drawn(keys, k, models), k=k)
    shown = [ax for page in pages for ax in page.axes if ax.images]
    assert len(shown) == keys + min(keys, 8)  # and their partners
    assert any(
        f"the {keys} master keys" in text.get_text().replace("\n", " ") for text in pages[0].texts
    )
    for page in pages:
        assert_apart(page)
        width, height = page.get_size_inches()
        assert (width <= style.LONG) & (height <= style.SHORT)


def test_same_bytes_each_time(tmp_path) -> None:
    for turn in "ab":
        style.save(figure.draw(*drawn(2), k=5), tmp_path / f"{turn}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def assert_apart(page) -> None:
    """No text of the page's own overlaps another or leaves the page."""
    canvas = FigureCanvasAgg(page)
    canvas.draw()
    texts = [t for t in page.texts if t.get_text().strip()]
    texts += [ax.title for ax in page.axes if isinstance(ax.title, Text)]
    texts += [text for ax in page.axes for text in (ax._left_title, *ax.texts)]
    boxes = [
        (t.get_text(), t.get_window_extent(canvas.get_renderer()).padded(-1))
        for t in texts
        if t.get_text().strip()
    ]
    for text, box in boxes:
        assert page.bbox.x0 <= box.x0 <= box.x1 <= page.bbox.x1, text
        assert page.bbox.y0 <= box.y0 <= box.y1 <= page.bbox.y1, text
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} and {other!r}"

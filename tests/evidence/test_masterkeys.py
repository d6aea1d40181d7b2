"""Master keys: the search against brute force, the idealised eight against direct sums."""

import itertools

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from safetensors import safe_open
from scipy.integrate import quad
from scipy.signal import correlate2d
from scipy.stats import beta
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import masterkeys
from kernelatlas.evidence.masterkeys import (
    GAMMA,
    OPERATORS,
    SIGMAS,
    best_filter,
    energies,
    idealised,
    initialise_depthwise,
    load,
    random_filters,
    refit,
    save,
    scores,
    search,
)
from kernelatlas.figures import masterkeys as figure
from kernelatlas.figures import style
from kernelatlas.kernels.corpus import build_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.tensors import read_metadata
from kernelatlas.tables.masterkeys import (
    IDEALISED,
    KEYS,
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


def smooth(sigma: float, reach: int) -> np.ndarray:
    """Return the discrete Gaussian by its Fourier integral, not by Bessel functions."""

    def value(n: int) -> float:
        def wave(u: float) -> float:
            return np.exp(-(sigma**2) * (1 - np.cos(u))) * np.cos(n * u)

        return quad(wave, 0, np.pi)[0] / np.pi

    line = np.array([value(abs(n)) for n in range(-reach, reach + 1)])
    return np.outer(line, line)


# Stencils with the row above first: y runs upwards.
STENCILS = {
    "δy⁺T": [[0, 1, 0], [0, -1, 0], [0, 0, 0]],
    "δx⁻T": [[0, 0, 0], [-1, 1, 0], [0, 0, 0]],
    "δy⁻T": [[0, 0, 0], [0, 1, 0], [0, -1, 0]],
    "δx⁺T": [[0, 0, 0], [0, -1, 1], [0, 0, 0]],
    "δxT": [[0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]],
    "δyT": [[0, 0.5, 0], [0, 0, 0], [0, -0.5, 0]],
    "T − γ∇²T": [[0, -GAMMA, 0], [-GAMMA, 1 + 4 * GAMMA, -GAMMA], [0, -GAMMA, 0]],
    "T": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
}


@pytest.mark.parametrize("k", [3, 4, 7, 8])
def test_idealised_filters_are_differences_of_the_discrete_gaussian(k: int) -> None:
    names, filters = idealised(k)
    assert names == OPERATORS == tuple(STENCILS)
    reach = k // 2 + 3
    for name, sigma, found in zip(names, SIGMAS, filters, strict=True):
        values = correlate2d(smooth(sigma, reach), np.array(STENCILS[name], float), mode="same")
        if k % 2 == 0:
            values = correlate2d(values, np.full((2, 2), 0.25), mode="valid")
        margin = (len(values) - k) // 2
        values = values[margin : margin + k, margin : margin + k]
        np.testing.assert_allclose(found, normalise(values.reshape(1, -1))[0], atol=2e-6)


def test_idealised_filters_of_the_smallest_kernels() -> None:
    names, filters = idealised(2)  # four pixels around the centre: T is constant on them
    assert names == OPERATORS[:6]
    assert np.isfinite(filters).all()


def test_refit_finds_planted_scales() -> None:
    true = (0.6, 0.6, 0.6, 0.6, 1.5, 1.5, 0.9, 1.2)
    kernels = normalise(planted(idealised(7, true)[1], 5))
    found = refit(kernels, 7)
    assert mean_r2(kernels, idealised(7, found)[1]) > 0.995
    assert mean_r2(kernels, idealised(7)[1]) < 0.98
    # T and T − γ∇²T of a greater scale are nearly the same: which is which is open.
    np.testing.assert_allclose(found[:6], true[:6], rtol=0.06)


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


KEYS_OF = {k: random_filters(8, k, 0).reshape(8, k, k) for k in (3, 5, 7)}
MODELS = {
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
    "mobilenetv3_small_050": {},
    "mixnet_s": {},
    "convmixer_768_32": {"depth": 2, "dim": 32},  # 7×7
    "mobilenetv1_100": {},
}


@pytest.mark.parametrize("name", MODELS)
def test_initialise_depthwise_of_timm_models(name: str) -> None:
    torch.manual_seed(0)
    builder = (
        timm.models.ConvMixer(kernel_size=7, **MODELS[name])
        if name.startswith("convmixer")
        else timm.create_model(name, pretrained=False, **MODELS[name])
    )
    model = builder.eval()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    done, skipped = initialise_depthwise(model, KEYS_OF, seed=1)
    modules = dict(model.named_modules())
    depthwise = [
        key for key, m in modules.items() if isinstance(m, nn.Conv2d) and m.groups > 1 and m.groups
    ]
    assert sorted([*done, *skipped]) == sorted(depthwise)
    assert done
    assert all(modules[key].kernel_size[0] not in KEYS_OF for key in skipped)
    for key, tensor in model.state_dict().items():
        if key.removesuffix(".weight") not in done:
            assert torch.equal(tensor, before[key]), key
            continue
        k = tensor.shape[-1]
        new, old = tensor.flatten(1).numpy(), before[key].flatten(1).numpy()
        norms = np.linalg.norm(old, axis=1)
        np.testing.assert_allclose(np.linalg.norm(new, axis=1), norms, rtol=1e-5)
        cosine = new / norms[:, None] @ KEYS_OF[k].reshape(8, -1).T
        np.testing.assert_allclose(np.abs(cosine).max(axis=1), 1, atol=1e-5)
        counts = np.bincount(np.abs(cosine).argmax(axis=1), minlength=8)
        assert counts.max() - counts.min() <= 1
        signs = cosine[np.arange(len(cosine)), np.abs(cosine).argmax(axis=1)] > 0
        assert len(signs) < 8 or 0 < signs.mean() < 1
    size = 64 if name != "convmixer_768_32" else 28
    with torch.no_grad():
        assert torch.isfinite(model(torch.randn(2, 3, size, size))).all()


def test_initialise_depthwise_with_a_multiplier_and_seeds() -> None:
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3),  # groups and inputs are 1: not depthwise
            nn.Conv2d(8, 24, 3, groups=8),
            nn.Conv2d(24, 24, (1, 3), groups=24),
            nn.Conv2d(24, 24, 3, groups=12),
        )

    one, same, other = network(), network(), network()
    stem = one[0].weight.clone()
    assert initialise_depthwise(one, KEYS_OF) == (["1"], ["2"])
    assert torch.equal(one[0].weight, stem)
    initialise_depthwise(same, KEYS_OF, seed=0)
    initialise_depthwise(other, KEYS_OF, seed=1)
    assert torch.equal(one[1].weight, same[1].weight)
    assert not torch.equal(one[1].weight, other[1].weight)


def test_initialise_depthwise_refuses() -> None:
    with pytest.raises(KernelAtlasError, match="ResNet has no depthwise layer of 3×3, 5×5, 7×7"):
        initialise_depthwise(timm.create_model("resnet10t", pretrained=False), KEYS_OF)
    layer = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(KernelAtlasError, match=r"others: 0"):
        initialise_depthwise(layer, {5: KEYS_OF[5]})
    with pytest.raises(KernelAtlasError, match=r"of 3×3: an array of shape \(8, 5, 5\)"):
        initialise_depthwise(layer, {3: KEYS_OF[5]})


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

    codes = np.linspace(0, 1, 12).astype(np.float32)
    curve = random_filters(12, k, 4)
    curve[[1, 6, 8]] = keys
    found, table = search_table(kernels, energy, codes, curve, 50)
    assert found.kept(3).tolist() == [1, 6, 8]
    assert table.groupby("source", sort=False).size().to_dict() == {
        "curve": 12,
        "k-means": 12,
        "random": 12,
    }
    three = table[table["filters"] == 3].set_index("source")
    assert three["mean_r2"]["curve"] == pytest.approx(1, abs=1e-5)
    assert three["mean_r2"]["random"] < 0.5
    removed = table.loc[table["source"] == "curve", "removed_code"]
    assert set(removed.dropna().head(9)) == set(codes.tolist()) - set(codes[[1, 6, 8]].tolist())
    assert removed.isna().sum() == 1

    sets, sigmas = filter_sets(keys, keys[:1], kernels, 50)
    assert set(sets) == set(figure.SETS)
    filters = filter_table(keys, codes[[1, 6, 8]], sigmas, kernels, energy)
    own = filters[filters["filters"] == KEYS]
    assert own["nearest"].tolist() == own["matched"].tolist() == ["δy⁻T", "δxT", "T"]
    assert own["matched_cosine"].tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert own["share"].tolist() == pytest.approx([1 / 3] * 3)
    assert own["energy"].sum() == pytest.approx(1)
    assert own["label"].tolist()[1:] == ["first-derivative 180°", "on-centre"]
    ideal = filters[filters["filters"] == IDEALISED]
    assert ideal["name"].tolist() == list(OPERATORS)
    assert ideal["sigma"].tolist() == list(SIGMAS)

    known = [["a", "f", True, ""], ["b", "f", False, ""], ["c", "f", True, ""]]
    models = model_table([tmp_path / n for n in "abc"], known, k, sets)
    assert models["model"].unique().tolist() == ["a", "b"]
    of_keys = models[models["filters"] == KEYS].set_index("model")
    assert of_keys["degenerate"].to_dict() == {"a": 10, "b": 0}
    assert of_keys["mean_r2"]["a"] == pytest.approx(1, abs=1e-5)
    assert of_keys["share_r2_90"]["a"] == pytest.approx(60 / 70)  # of all kernels
    assert of_keys["mean_r2"]["b"] < 0.3
    chance = models[models["filters"] == RANDOM].set_index("model")["mean_r2"]
    assert chance["a"] < 0.3
    each = [mean_r2(kernels, filters) for filters in sets[RANDOM]]
    assert chance["a"] == pytest.approx(np.mean(each), abs=1e-6)


def drawn(keys: int, k: int = 5, models: int = 2) -> tuple[pd.DataFrame, ...]:
    """Return the three tables behind a figure."""
    curve = random_filters(max(keys, 12), k, 1)
    raw = planted(random_filters(60, k, 2), 1)
    kernels, energy = normalise(raw), energies(raw)
    found, table = search_table(kernels, energy, np.linspace(0, 1, len(curve)), curve, 60)
    kept = found.kept(keys)
    sets, sigmas = filter_sets(curve[kept], curve[:2], kernels, 60)
    filters = filter_table(curve[kept], np.linspace(0, 1, keys), sigmas, kernels, energy)
    rows = []
    for model, (name, alternatives) in itertools.product(range(models), sets.items()):
        scored = scores(best_filter(kernels, alternatives[0])[1], energy)
        same = {"family": "f", "model": f"net_number_{model}", "trained": model % 2 == 0, "k": k}
        rows.append({**same, "filters": name, "number": 8, "kernels": 60, "degenerate": 0} | scored)
    return table, filters, pd.DataFrame(rows)


@pytest.mark.parametrize(("keys", "models"), [(8, 2), (1, 1), (11, 7)])
def test_figure(keys: int, models: int) -> None:
    page = figure.draw(*drawn(keys, models=models), k=5)
    shown = [ax for ax in page.axes if ax.images]
    assert len(shown) == keys + min(keys, 8)  # and their partners
    assert any(
        f"the {keys} master keys" in text.get_text().replace("\n", " ") for text in page.texts
    )
    assert_apart(page)


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

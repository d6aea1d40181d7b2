"""Networks tested with replaced kernels, against least squares and the network itself."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from safetensors.torch import save_file
from sklearn.decomposition import TruncatedSVD

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import fits, jet
from kernelatlas.evidence.masterkeys import random_filters
from kernelatlas.evidence.replacements import SCHEMA, evaluate, explained, skipped
from kernelatlas.evidence.trials import Trial, layers, load_network, on_crops, put
from kernelatlas.evidence.variants import (
    MEAN,
    SEEDS,
    UNTOUCHED,
    Material,
    by_components,
    by_filters,
    components,
    of_layer,
    variants,
)
from kernelatlas.figures import replacements as figure
from kernelatlas.figures import style
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.training.architectures import from_recipe
from kernelatlas.training.network import accuracies
from kernelatlas.training.pictures import Crops

RECIPE = {
    "architecture": "convnextv2_atto",
    "arguments": {"depths": [1, 1, 1, 0], "dims": [6, 6, 8, 8], "patch_size": 2},
    "seed": 3,
    "data": {"dead_leaves": {"worlds": 3, "pictures": 1, "side": 48, "seed": 0}, "size": 32},
    "test": {"per_subject": 3},
}
CROPS = 3 * 3 * 4


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network that nobody trained, with smooth kernels and one without a shape."""
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    model = from_recipe(RECIPE)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(6, 7, 7))
    kernels = noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2)
    kernels[2] = 0.25
    put(model, {"stages.0.blocks.0.conv_dw": kernels.astype(np.float32)})
    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata={"kernelatlas": json.dumps({"recipe": RECIPE})})
    return path


@pytest.fixture(scope="module")
def kernels(network: Path) -> dict[str, np.ndarray]:
    return layers(load_network(network)[0], [7])


@pytest.fixture(scope="module")
def table(kernels: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the network's table of fits, its rows out of order."""
    parts = [
        pd.concat([fits.fit(weights), jet.fit(weights)], axis=1).assign(
            layer=name, channel=np.arange(len(weights))
        )
        for name, weights in kernels.items()
    ]
    table = pd.concat(parts, ignore_index=True).sample(frac=1, random_state=0)
    return table.astype({"layer": "category"})


def test_the_best_of_filters_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(1, 2, (20, 25)).astype(np.float32)
    filters = random_filters(4, 5, 2)
    found = by_filters(weights, filters)
    for w, replaced in zip(weights.astype(float), found, strict=True):
        fitted_by = []
        for f in filters.astype(float):
            design = np.stack([f, np.ones(25)], axis=1)
            fitted_by.append(design @ np.linalg.lstsq(design, w, rcond=None)[0])
        best = min(fitted_by, key=lambda values: ((values - w) ** 2).sum())
        np.testing.assert_allclose(replaced, best, atol=1e-5)


def test_own_kernels_replace_themselves_and_degenerate_ones_stay() -> None:
    weights = np.random.default_rng(2).normal(5, 1, (6, 9)).astype(np.float32)
    weights[3] = 0.5
    weights[4] = 0
    own = normalise(weights[~degenerate(weights)])
    np.testing.assert_allclose(by_filters(weights, own), weights, atol=2e-6)
    flat = by_filters(weights, own[:0])
    np.testing.assert_allclose(flat, np.repeat(weights.mean(1)[:, None], 9, 1), rtol=1e-6)
    np.testing.assert_array_equal(flat[3:5], weights[3:5])


def test_explained_by_hand() -> None:
    weights = np.array([[0, 2, 0, 2], [1, 1, 1, 1], [3, 0, 0, -3]], np.float32)
    replaced = np.array([[1, 1, 1, 1], [9, 9, 9, 9], [3, 0, 0, 0]], np.float32)
    r2, energy = explained(weights, replaced)
    assert r2.tolist() == [0, 0.5]
    assert energy.tolist() == [4, 18]


def test_put_changes_nothing_else(network: Path) -> None:
    model, known = load_network(network)
    assert known["recipe"] == RECIPE
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    name = "stages.1.blocks.0.conv_dw"
    put(model, {name: np.ones((6, 49), np.float32)})
    changed = [key for key, tensor in model.state_dict().items() if (tensor != before[key]).any()]
    assert changed == [f"{name}.weight"]


def test_layers_are_copies_of_the_sizes_asked_for(network: Path) -> None:
    model, _ = load_network(network)
    assert layers(model, [3, 5]) == {}
    found = layers(model, [7])
    assert [(name, weights.shape) for name, weights in found.items()] == [
        (f"stages.{stage}.blocks.0.conv_dw", (n, 49)) for stage, n in enumerate((6, 6, 8))
    ]
    found["stages.0.blocks.0.conv_dw"][:] = 7
    assert not (layers(model, [7])["stages.0.blocks.0.conv_dw"] == 7).any()


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(5)
    weights = (
        rng.normal(size=(60, 3)) @ rng.normal(size=(3, 25)) + rng.normal(size=(60, 1))
    ).astype(np.float32)
    weights += rng.normal(0, 0.1, weights.shape).astype(np.float32)
    weights[7] = 1.5
    kept = np.delete(weights, 7, axis=0)
    found = components(weights, 4)
    svd = TruncatedSVD(4, algorithm="arpack", random_state=0).fit(normalise(kept))
    np.testing.assert_allclose(np.abs(np.sum(found * svd.components_, axis=1)), 1, atol=1e-6)
    replaced = by_components(weights, found)
    design = np.concatenate([found, np.ones((1, 25))]).T
    fit = design @ np.linalg.lstsq(design, kept.T.astype(float), rcond=None)[0]
    np.testing.assert_allclose(np.delete(replaced, 7, axis=0), fit.T, atol=1e-5)
    assert (replaced[7] == 1.5).all()
    np.testing.assert_allclose(by_components(weights, components(weights, 99)), weights, atol=1e-5)


def test_fits_go_to_their_kernels(kernels: dict[str, np.ndarray], table: pd.DataFrame) -> None:
    found = {v.name: v for v in variants(kernels, Material({}, {}, table))}["fits"].of(kernels)
    for name, weights in kernels.items():
        rows = table[table["layer"] == name].sort_values("channel")
        replaced = found[name].weights
        np.testing.assert_array_equal(replaced[0], fits.render(rows.iloc[:1], 7)[0])
        flat = degenerate(weights)
        np.testing.assert_array_equal(replaced[flat], weights[flat])
        r2, _ = explained(weights, replaced)
        np.testing.assert_allclose(r2, rows["r2"].dropna(), atol=1e-4)
        searched = ["sigma", "ratio", "surround", "aspect", "angle", "width", "x", "y"]
        known = rows[[*searched, "frequency", "phase"]]
        np.testing.assert_array_equal(
            found[name].numbers[~flat], 2 + known.notna().sum(axis=1)[~flat]
        )
    with pytest.raises(KernelAtlasError, match=r"conv_dw: 5 fits of 6 kernels"):
        of_layer(table.query("channel > 0"), "stages.0.blocks.0.conv_dw", np.zeros((6, 49)))


@pytest.fixture
def trial(network: Path) -> Trial:
    return on_crops(network, [7], "cpu")


@pytest.fixture
def material(kernels: dict[str, np.ndarray], table: pd.DataFrame) -> Material:
    """Return keys that are noise, and as prototypes and centroids the kernels themselves."""
    own = np.concatenate([normalise(w[~degenerate(w)]) for w in kernels.values()])
    centroids = {8: {7: own[:8]}, 20: {7: own}}
    return Material({7: random_filters(8, 7, 99)}, {7: own}, table, centroids)


def test_evaluation(
    network: Path,
    trial: Trial,
    material: Material,
    kernels: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    found = evaluate(trial, variants(kernels, material), tmp_path / "resume")
    assert list(dict.fromkeys(found["variant"])) == [
        *(UNTOUCHED, "fits", "jet 0", "jet 1", "jet 2", "seven numbers", "ten numbers"),
        *("components 3", "components 6", "components 9", "prototypes", "k-means 20", "k-means 8"),
        *("master keys", "idealised", "random", MEAN),
    ]
    assert found.loc[found["variant"] == "random", "seed"].tolist() == list(SEEDS)
    assert (found["kernels"] == 20).all()
    assert (found["kept"] == 0).all()
    assert (found["pictures"] == CROPS).all()
    assert (found["measure"] == "subject").all()
    assert found["chance"].tolist() == pytest.approx([1 / 3] * len(found))
    assert found["accuracy_top5"].isna().all()
    assert (found["skipped"] == "").all()
    assert (found["low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["high"]).all()
    rows = found.drop_duplicates("variant").set_index("variant")
    right = ["accuracy_both", "accuracy", "accuracy_rotation"]
    model, _ = load_network(network)
    direct = list(accuracies(model, *Crops(**RECIPE["data"]).held_out(3)).values())
    for variant in (UNTOUCHED, "prototypes", "k-means 20"):  # each kernel is its own filter
        assert rows.loc[variant, right].tolist() == direct
    flat = {name: by_filters(weights, weights[:0]) for name, weights in kernels.items()}
    put(model, flat)
    without = list(accuracies(model, *Crops(**RECIPE["data"]).held_out(3)).values())
    assert rows.loc[MEAN, right].tolist() == without != direct
    assert rows["mean_r2"][[UNTOUCHED, "prototypes", MEAN]].tolist() == pytest.approx(
        [1, 1, 0], abs=1e-6
    )
    assert 0 < rows["mean_r2"]["random"] < rows["mean_r2"]["fits"] < 1
    jets = rows["mean_r2"][["jet 0", "jet 1", "seven numbers", "jet 2", "ten numbers"]]
    assert jets.is_monotonic_increasing
    assert rows["energy_explained"][UNTOUCHED] == pytest.approx(1)
    numbers = rows["numbers"].drop("fits").to_dict()
    assert numbers == {
        **dict.fromkeys(("prototypes", "k-means 20", "k-means 8", "master keys"), 2),
        **{"components 3": 4, "components 6": 7, "components 9": 10},
        **{"jet 0": 5, "jet 1": 7, "jet 2": 10, "seven numbers": 7, "ten numbers": 10},
        **{UNTOUCHED: 49, "idealised": 2, "random": 2, MEAN: 1},
    }
    again = evaluate(trial, variants(kernels, material), tmp_path / "resume")
    pd.testing.assert_frame_equal(found, again)
    assert not list(tmp_path.iterdir())


def test_published_filters_replace_kernels_of_their_size(
    material: Material, kernels: dict[str, np.ndarray], tmp_path: Path
) -> None:
    theirs = np.random.default_rng(8).normal(size=(8, 7, 7))
    np.save(tmp_path / "eight.npy", theirs)
    material.table.to_parquet(tmp_path / "fits.parquet")
    read = Material.read([], [], [], tmp_path / "fits.parquet", tmp_path / "eight.npy")
    other = {"small": np.random.default_rng(3).normal(size=(4, 25)).astype(np.float32)}
    found = {v.name: v for v in variants({**kernels, **other}, read)}["published"].of(
        {**kernels, **other}
    )
    assert set(found) == set(kernels)
    name, weights = next(iter(kernels.items()))
    fitted = [
        min(
            (
                np.column_stack([f.ravel(), np.ones(49)])
                @ np.linalg.lstsq(np.column_stack([f.ravel(), np.ones(49)]), w, rcond=None)[0]
                for f in theirs
            ),
            key=lambda image, w=w: ((image - w) ** 2).sum(),
        )
        for w in weights[~degenerate(weights)].astype(float)
    ]
    np.testing.assert_allclose(
        found[name].weights[~degenerate(weights)], fitted, rtol=1e-4, atol=1e-5
    )


def test_filters_of_some_sizes_replace_some_kernels(
    trial: Trial, material: Material, kernels: dict[str, np.ndarray]
) -> None:
    other = Material(material.keys, material.prototypes, material.table, {8: {5: np.eye(8, 25)}})
    assert "k-means 8" not in [v.name for v in variants(kernels, other)]
    mixed = {**kernels, "more": np.random.default_rng(3).normal(size=(4, 25)).astype(np.float32)}
    found = {v.name: v for v in variants(mixed, other)}
    assert list(found["k-means 8"].of(mixed)) == ["more"]
    assert set(found["prototypes"].of(mixed)) == set(kernels)


def test_what_is_finished_is_not_tested_again(
    trial: Trial, material: Material, kernels: dict[str, np.ndarray], tmp_path: Path
) -> None:
    resume = tmp_path / "resume"
    chosen = [v for v in variants(kernels, material) if v.name in (UNTOUCHED, "master keys", MEAN)]
    expected = evaluate(trial, chosen, resume, "a")
    tested = []

    def failing(replacement: dict[str, np.ndarray], progress: object) -> dict[str, np.ndarray]:
        if len(tested) == 2:
            raise KeyboardInterrupt
        tested.append(replacement)
        return trial.answers(replacement)

    interrupted = replace_answers(trial, failing)
    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, chosen, resume, "a")
    assert resume.is_file()
    tested.pop()  # one more may be tested, which is enough
    pd.testing.assert_frame_equal(evaluate(interrupted, chosen, resume, "a"), expected)
    assert not resume.exists()

    # Of other code, other weights, or damaged: everything is tested again.
    for code, content in (("b", None), ("a", "{"), ("a", "[1]")):
        tested.clear()
        with pytest.raises(KeyboardInterrupt):
            evaluate(interrupted, chosen, resume, "a")
        if content is not None:
            resume.write_text(content)
        tested.clear()
        with pytest.raises(KeyboardInterrupt):
            evaluate(interrupted, chosen, resume, code)
        assert len(tested) == 2
        resume.unlink()


def replace_answers(trial: Trial, answers: object) -> Trial:
    class Interrupted(Trial):
        def answers(self, replacement, progress=lambda n: None):
            return answers(replacement, progress)

    return Interrupted(**vars(trial))


def test_a_network_that_is_not_tested_has_one_row_with_the_reason() -> None:
    found = skipped("net: has 12 classes")
    assert list(found.columns) == list(SCHEMA)
    assert found["skipped"].tolist() == ["net: has 12 classes"]
    assert found[["accuracy", "kernels", "pictures"]].isna().all(axis=None)


def test_wrecked_kernels_cost_accuracy() -> None:
    # A network that reads its answer off one kernel loses it with the kernel's shape.
    class Edges(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 2, 3, groups=2, bias=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            scores = self.conv(images[:, :2]).abs().mean((2, 3))
            return torch.cat([scores, torch.zeros(len(images), 4)], dim=1)

    model = Edges()
    edge = np.array([[1, 0, -1]] * 3, np.float32).reshape(1, 9)
    put(model, {"conv": np.concatenate([edge, edge.reshape(3, 3).T.reshape(1, 9)])})
    stripes = (torch.arange(12) // 3 % 2).float().expand(1, 3, 12, 12)
    images = torch.cat([stripes, stripes.transpose(2, 3)])
    shown = torch.tensor([[0, 0], [1, 0]])
    assert accuracies(model, images, shown)["accuracy_subject"] == 1
    kernels = layers(model, [3])
    put(model, {"conv": by_filters(kernels["conv"], normalise(edge))})
    assert accuracies(model, images, shown)["accuracy_subject"] == 0.5
    put(model, {"conv": by_filters(kernels["conv"], normalise(edge)[:0])})
    assert accuracies(model, images, shown)["accuracy_subject"] == 0.5


def test_files_without_a_recipe_are_refused(network: Path, tmp_path: Path) -> None:
    state = {"a": torch.zeros(1)}
    save_file(state, tmp_path / "plain.safetensors")
    other = {"kernelatlas": json.dumps({"recipe": RECIPE})}
    save_file(state, tmp_path / "other.safetensors", metadata=other)
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    for name in ("plain", "other", "broken", "none"):
        with pytest.raises(KernelAtlasError, match=rf"{name}\.safetensors: no network with"):
            load_network(tmp_path / f"{name}.safetensors")


VARIANTS = (UNTOUCHED, "fits", "k-means 8", "idealised", "random", MEAN)


def results(networks: int, kept: int = 0, measure: str = "subject") -> pd.DataFrame:
    rows = []
    for number in range(networks):
        for place, variant in enumerate(VARIANTS):
            for seed in SEEDS if variant == "random" else (None,):
                accuracy = 0.9 - 0.1 * place + 0.02 * (seed or 0)
                rows.append(
                    {
                        "family": "f",
                        "model": f"network_number_{number}",
                        "measure": measure,
                        "variant": variant,
                        "seed": seed,
                        "kernels": 20,
                        "kept": kept,
                        "mean_r2": 1 - place / 6,
                        "accuracy": accuracy,
                        "low": accuracy - 0.03,
                        "high": accuracy + 0.03,
                        "accuracy_both": accuracy / 4,
                        "accuracy_top5": accuracy + 0.05,
                        "pictures": 800,
                        "chance": 0.05,
                        "skipped": "",
                    }
                )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("networks", [1, 4])
@pytest.mark.parametrize("measure", ["subject", "top-1"])
def test_figure(networks: int, measure: str) -> None:
    table = results(networks, networks - 1, measure)
    reason = skipped("other: has 12 classes").assign(family="f", model="other")
    pages = figure.draw(pd.concat([table, reason.dropna(axis=1)]))
    for page in pages:
        FigureCanvasAgg(page).draw()
    assert len(pages) == -(-networks // figure.ACROSS)
    shown = [ax for page in pages for ax in page.axes]
    assert [ax.get_title(loc="left") for ax in shown] == [
        f"network_number_{n}" for n in range(networks)
    ]
    lengths = [bar.get_width() for bar in shown[0].patches]
    assert lengths == pytest.approx([90, 80, 70, 60, 52, 40])
    caption = " ".join(text.get_text() for text in pages[0].texts).replace("\n", " ")
    assert "mean of 3 seeds" in caption
    assert "Not tested: other: has 12 classes." in caption
    assert ("Pictures: 800 of ImageNet" in caption) == (measure == "top-1")
    assert ("of sizes not studied were kept" in caption) == (networks > 1)


def test_same_bytes_each_time(tmp_path: Path) -> None:
    for turn in "ab":
        style.save(figure.draw(results(1)), tmp_path / f"{turn}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()

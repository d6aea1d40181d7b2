"""Networks tested with replaced kernels, against least squares and the network itself."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from safetensors.torch import save_file

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import fits
from kernelatlas.evidence.masterkeys import random_filters
from kernelatlas.evidence.replacements import (
    MEAN,
    SEEDS,
    UNTOUCHED,
    by_filters,
    evaluate,
    explained,
    fitted,
    layers,
    load_network,
    put,
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
        fits.fit(weights).assign(layer=name, channel=np.arange(len(weights)))
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


def test_fits_go_to_their_kernels(kernels: dict[str, np.ndarray], table: pd.DataFrame) -> None:
    found = fitted(table, kernels)
    for name, weights in kernels.items():
        rows = table[table["layer"] == name].sort_values("channel")
        np.testing.assert_array_equal(found[name][0], fits.render(rows.iloc[:1], 7)[0])
        flat = degenerate(weights)
        np.testing.assert_array_equal(found[name][flat], weights[flat])
        r2, _ = explained(weights, found[name])
        np.testing.assert_allclose(r2, rows["r2"].dropna(), atol=1e-4)
    with pytest.raises(KernelAtlasError, match=r"conv_dw: 5 fits of 6 kernels"):
        fitted(table.query("channel > 0"), kernels)


def test_evaluation(network: Path, kernels: dict[str, np.ndarray], table: pd.DataFrame) -> None:
    model, _ = load_network(network)
    own = np.concatenate([normalise(w[~degenerate(w)]) for w in kernels.values()])
    keys = {7: random_filters(8, 7, 99)}
    found = evaluate(network, keys, {7: own}, table)
    assert list(dict.fromkeys(found["variant"])) == list(figure.VARIANTS)
    assert found.loc[found["variant"] == "random", "seed"].tolist() == list(SEEDS)
    assert (found["kernels"] == 20).all()
    assert (found["kept"] == 0).all()
    assert (found["crops"] == CROPS).all()
    assert found["chance_subject"].iloc[0] == pytest.approx(1 / 3)
    assert found["chance"].iloc[0] == pytest.approx(1 / 12)
    rows = found.drop_duplicates("variant").set_index("variant")
    right = ["accuracy", "accuracy_subject", "accuracy_rotation"]
    direct = accuracies(model, *Crops(**RECIPE["data"]).held_out(3))
    assert rows.loc[UNTOUCHED, right].to_dict() == direct
    assert rows.loc["prototypes", right].to_dict() == direct  # each kernel is its own prototype
    flat = {name: by_filters(weights, own[:0]) for name, weights in kernels.items()}
    put(model, flat)
    without = accuracies(model, *Crops(**RECIPE["data"]).held_out(3))
    assert rows.loc[MEAN, right].to_dict() == without != direct
    assert rows["mean_r2"][[UNTOUCHED, "prototypes", MEAN]].tolist() == pytest.approx(
        [1, 1, 0], abs=1e-6
    )
    assert 0 < rows["mean_r2"]["random"] < rows["mean_r2"]["fits"] < 1
    assert rows["energy_explained"][UNTOUCHED] == pytest.approx(1)
    pd.testing.assert_frame_equal(found, evaluate(network, keys, {7: own}, table))


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


def results(networks: int, kept: int = 0) -> pd.DataFrame:
    rows = []
    for number in range(networks):
        for place, variant in enumerate(figure.VARIANTS):
            for seed in SEEDS if variant == "random" else (None,):
                subject = 0.9 - 0.1 * place + 0.02 * (seed or 0)
                rows.append(
                    {
                        "family": "f",
                        "model": f"network_number_{number}",
                        "variant": variant,
                        "seed": seed,
                        "kernels": 20,
                        "kept": kept,
                        "mean_r2": 1 - place / 6,
                        "accuracy": subject / 4,
                        "accuracy_subject": subject,
                        "crops": 800,
                        "chance_subject": 0.05,
                    }
                )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("networks", [1, 4])
def test_figure(networks: int) -> None:
    page = figure.draw(results(networks, kept=networks - 1))
    FigureCanvasAgg(page).draw()
    shown = [ax for ax in page.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown] == [
        f"network_number_{n}" for n in range(networks)
    ]
    lengths = [bar.get_width() for bar in shown[0].patches]
    assert lengths == pytest.approx([90, 80, 70, 60, 50, 42, 30])
    caption = " ".join(text.get_text() for text in page.texts).replace("\n", " ")
    assert "mean of 3 seeds" in caption
    assert ("of sizes not studied were kept" in caption) == (networks > 1)


def test_same_bytes_each_time(tmp_path: Path) -> None:
    for turn in "ab":
        style.save(figure.draw(results(1)), tmp_path / f"{turn}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()

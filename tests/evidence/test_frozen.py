"""Trainings with frozen kernels: what stays, what is learned, and their tables and figure."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from kernelatlas.evidence import frozen
from kernelatlas.evidence.frozen import filters, train
from kernelatlas.evidence.masterkeys import random_filters
from kernelatlas.figures import frozen as figure
from kernelatlas.figures import style
from kernelatlas.kernels.normalise import normalise
from kernelatlas.tables.frozen import tables
from kernelatlas.training import architectures, network
from kernelatlas.training.recipes import read_recipe

RECIPE: dict[str, Any] = {
    "architecture": "convnextv2_atto",
    "arguments": {"depths": [1, 1, 0, 0], "dims": [8, 12, 12, 12], "patch_size": 2},
    "seed": 0,
    "data": {
        "dead_leaves": {"worlds": 3, "pictures": 1, "side": 48, "seed": 0},
        "size": 32,
        "scale": [0.8, 1.25],
        "grey": 0.3,
        "jitter": 0.3,
    },
    "optimiser": {
        "steps": 4,
        "batch": 4,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "depthwise_weight_decay": 0.2,
        "warmup": 1,
        "label_smoothing": 0.1,
        "gradient_clip": 1.0,
    },
    "test": {"per_subject": 2, "every": 2},
    "trajectory": 0,
}
KEYS = random_filters(3, 7, 1).reshape(3, 7, 7)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of all variants, of one seed."""
    folder = tmp_path_factory.mktemp("frozen")
    for variant in frozen.VARIANTS:
        source = None if variant == frozen.LEARNED else folder / "learned.safetensors"
        done = train(RECIPE, 4, filters(variant, KEYS, 4), source, "cpu")
        done.write_weights(folder / f"{variant}.safetensors")
        pd.DataFrame(done.history).to_parquet(folder / f"{variant}.parquet")
    return folder


def kernels(folder: Path, variant: str) -> dict[str, np.ndarray]:
    found = load_file(folder / f"{variant}.safetensors")
    return {
        name: values.reshape(len(values), -1)
        for name, values in found.items()
        if name.endswith("conv_dw.weight")
    }


def test_learned_is_the_training_of_the_rule_network() -> None:
    own = train(RECIPE, 4, device="cpu")
    other = network.train({**RECIPE, "seed": 4}, "cpu")
    assert own.state.keys() == other.state.keys()
    for name, tensor in other.state.items():
        torch.testing.assert_close(own.state[name].half(), tensor)
    assert [row["step"] for row in own.history] == [2, 4]
    assert own.metadata["recipe"] == other.metadata["recipe"]
    assert own.metadata["chance"] == 1 / 12
    # Float32 weights are tested here, half precision there.
    assert own.metadata["held_out"] == pytest.approx(other.metadata["held_out"], abs=0.1)


@pytest.mark.parametrize("variant", [frozen.KEYS, frozen.RANDOM])
def test_frozen_kernels_keep_their_filter_and_size_and_learn_their_mean(
    variant: str, trained: Path
) -> None:
    chosen = KEYS if variant == frozen.KEYS else random_filters(3, 7, 4)
    rows = normalise(chosen.reshape(3, -1))
    before = kernels(trained, frozen.LEARNED)
    for name, found in kernels(trained, variant).items():
        # The least squares of each learned kernel by each filter; the best of them.
        centred = before[name] - before[name].mean(axis=1, keepdims=True)
        a = centred @ rows.T
        best = np.abs(a).argmax(axis=1)
        expected = a[np.arange(len(a)), best][:, None] * rows[best]
        np.testing.assert_allclose(
            found - found.mean(axis=1, keepdims=True), expected, atol=1e-5 * np.abs(a).max()
        )
        assert not np.allclose(found.mean(axis=1), before[name].mean(axis=1), atol=1e-5)


def test_the_variants_of_filters() -> None:
    assert filters(frozen.LEARNED, None, 0) is None
    assert filters(frozen.KEYS, KEYS, 0)[7] is KEYS
    one, other = (filters(frozen.RANDOM, KEYS, seed)[7] for seed in (0, 1))
    assert one.shape == other.shape == KEYS.shape
    assert not np.allclose(one, other)


def test_the_same_bytes_again(trained: Path, tmp_path: Path) -> None:
    source = trained / "learned.safetensors"
    train(RECIPE, 4, {7: KEYS}, source, "cpu").write_weights(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (trained / "keys.safetensors").read_bytes()


def test_the_recipe_is_of_a_network_with_7x7_kernels() -> None:
    """As the workflow takes it, whose master keys are of that size."""
    folder = Path(__file__).parents[2] / "workflow/zoos/recipes/short"
    (path,) = folder.glob("*.yaml")
    weights = architectures.depthwise(architectures.from_recipe(read_recipe(path)))
    assert {tuple(tensor.shape[2:]) for tensor in weights.values()} == {(7, 7)}


def gathered(trained: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = [(variant, 4) for variant in frozen.VARIANTS]
    weights = [trained / f"{variant}.safetensors" for variant, _ in runs]
    return tables(weights, [path.with_suffix(".parquet") for path in weights], runs)


def test_tables(trained: Path) -> None:
    accuracies, learning = gathered(trained)
    assert accuracies["variant"].tolist() == list(frozen.VARIANTS)
    assert accuracies["held_out_crops"].tolist() == [24] * 3
    assert accuracies["chance_subject"].tolist() == [1 / 3] * 3
    learned, keys, random = accuracies["parameters"]
    assert keys == random == learned - 20 * 48  # b instead of 49 weights a kernel
    last = learning[learning["step"] == 4].set_index("variant")
    ends = accuracies.set_index("variant")
    assert last["accuracy_subject"].to_dict() == ends["accuracy_subject"].to_dict()
    assert learning.columns[:3].tolist() == ["variant", "seed", "step"]


def test_figure(trained: Path, tmp_path: Path) -> None:
    found = gathered(trained)
    accuracies, learning = (pd.concat([t, t.assign(seed=5)]) for t in found)
    for name in "ab":
        style.save(figure.draw(accuracies, learning), tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    page = figure.draw(accuracies, learning)
    assert len(page.axes[0].lines) == 7  # a line for each training, and chance
    assert any("2 seeds" in text.get_text().replace("\n", " ") for text in page.texts)

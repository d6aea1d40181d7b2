"""Crops of pictures, and the small networks trained on them."""

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save

from kernelatlas.errors import KernelAtlasError
from kernelatlas.training import dead_leaves, network, pictures
from kernelatlas.training.architectures import create, depthwise, from_recipe, write_untrained
from kernelatlas.training.network import (
    accuracies,
    both_losses,
    correct,
    learning_rate,
    parameter_groups,
    train,
    trajectory_steps,
)
from kernelatlas.training.pictures import Crops, load, standardise
from kernelatlas.training.recipes import read_recipe, recipe_files

RECIPE = {
    "architecture": "convnextv2_atto",
    "arguments": {"depths": [1, 1, 1, 0], "dims": [4, 4, 6, 6], "patch_size": 2},
    "seed": 5,
    "data": {
        "photographs": {"names": ["one", "two"], "held_out": 0.4},
        "size": 32,
        "scale": [0.8, 1.25],
        "grey": 0.3,
        "jitter": 0.3,
    },
    "optimiser": {
        "steps": 3,
        "batch": 4,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "depthwise_weight_decay": 0.2,
        "warmup": 1,
        "label_smoothing": 0.1,
        "gradient_clip": 1.0,
    },
    "test": {"per_subject": 3, "every": 2},
    "trajectory": 2,
}
LEAVES = {"worlds": 3, "pictures": 2, "side": 48, "seed": 0}
SMALL = {"depths": [1, 1, 0, 0], "dims": [4, 6, 6, 6]}
WIDTH, HEIGHT, BORDER = 80, 40, 48  # with two fifths of the columns held out


def picture(name):
    """Return a picture in which red tells the column, green the row and blue the picture."""
    values = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    values[:, :, 0] = np.arange(WIDTH)
    values[:, :, 1] = np.arange(HEIGHT)[:, None]
    values[:, :, 2] = {"one": 100, "two": 200}[name]
    return values


@pytest.fixture(autouse=True)
def _painted(monkeypatch):
    monkeypatch.setattr(pictures, "load", picture)


def of(*names, held_out=0.4):
    return {"names": list(names), "held_out": held_out}


def raw(crops):
    """Return crops, (n, 3, h, w), as the bytes that they were."""
    return ((crops * 0.25 + 0.5) * 255).round().int()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_rate_rises_and_falls_to_zero():
    rates = [learning_rate(step, 100, 10, 0.5) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[4] == pytest.approx(0.25)
    assert rates[9] == max(rates) == 0.5
    assert rates[54] == pytest.approx(0.25)  # half way down
    assert rates[99] == pytest.approx(0, abs=1e-12)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert learning_rate(1, 2, 0, 1.0) == pytest.approx(0.5)
    assert learning_rate(2, 2, 2, 1.0) == 1


def test_a_generator_gives_the_same_crops():
    crops = Crops(**RECIPE["data"])
    first, again = crops.batch(6, generator()), crops.batch(6, generator())
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], crops.batch(6, generator(1))[0])
    assert first[0].shape == (6, 3, 32, 32)
    assert first[0].dtype == torch.float32


def test_what_is_shown_is_the_picture_and_its_turn():
    crops = Crops(16, of("one", "two"))
    images, classes = crops.batch(200, generator())
    assert set(map(tuple, classes.tolist())) == {(s, r) for s in range(2) for r in range(4)}
    flips, columns = set(), set()
    for image, (subject, turns) in zip(raw(images), classes.tolist(), strict=True):
        upright = torch.rot90(image, -turns, (1, 2))
        if upright[0, 0, 0] > upright[0, 0, -1]:
            upright = upright.flip(2)
            flips.add(True)
        else:
            flips.add(False)
        x, y = upright[0, 0, 0].item(), upright[1, 0, 0].item()
        source = torch.from_numpy(picture(("one", "two")[subject])).permute(2, 0, 1)
        assert torch.equal(upright, source[:, y : y + 16, x : x + 16].int())
        columns.add(x)
    assert flips == {True, False}
    assert columns == set(range(BORDER - 16 + 1))  # every column of the training part


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 1.25)])
def test_training_never_sees_held_out_columns(monkeypatch, scale):
    def painted(name):
        values = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        values[:, BORDER:] = 255
        return values

    monkeypatch.setattr(pictures, "load", painted)
    crops = Crops(16, of("one"), scale=scale)
    images, _ = crops.batch(300, generator())
    assert (raw(images) == 0).all()
    tests, _ = crops.held_out(5)
    assert (raw(tests) == 255).all()


def test_held_out_crops():
    crops = Crops(16, of("one", "two"))
    images, classes = crops.held_out(5)
    assert images.shape == (2 * 5 * 4, 3, 16, 16)
    every = [(s, r) for s in range(2) for r in range(4)]
    assert sorted(map(tuple, classes.tolist())) == sorted(every * 5)
    places = set()
    for image, (subject, turns) in zip(raw(images), classes.tolist(), strict=True):
        upright = torch.rot90(image, -turns, (1, 2))
        x, y = upright[0, 0, 0].item(), upright[1, 0, 0].item()
        source = torch.from_numpy(picture(("one", "two")[subject])).permute(2, 0, 1)
        assert torch.equal(upright, source[:, y : y + 16, x : x + 16].int())
        places.add((x, y))
    assert {x for x, _ in places} == {48, 52, 56, 60, 64}
    assert {y for _, y in places} == {0, 6, 12, 18, 24}
    again = crops.held_out(5)
    assert torch.equal(images, again[0])
    assert torch.equal(classes, again[1])


def test_grey_and_jitter():
    grey = Crops(16, of("one"), grey=1.0).batch(20, generator())[0]
    assert torch.allclose(grey[:, 0], grey[:, 1])
    assert torch.allclose(grey[:, 0], grey[:, 2])
    plain = Crops(16, of("one")).batch(20, generator())[0] * 0.25 + 0.5
    changed = Crops(16, of("one"), jitter=0.5).batch(20, generator())[0] * 0.25 + 0.5
    brightness = changed.mean((1, 2, 3)) / plain.mean((1, 2, 3))
    contrast = changed.std((1, 2, 3)) / plain.std((1, 2, 3))
    for factor in (brightness, contrast):
        assert 0.5 <= factor.min() < 0.8 < 1.2 < factor.max() <= 1.5
    assert not torch.allclose(brightness, contrast, atol=0.05)


def test_standardised_values():
    assert standardise(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-2, 0, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 41, "held_out": 0.5},  # the height
        {"size": 33},  # the columns held out
        {"size": 20, "scale": (1.0, 2.5)},  # the other columns
        {"size": 20, "scale": (1.0, 2.05)},  # the height of the largest region
        {"held_out": 0.0},
        {"held_out": 0.9},
    ],
)
def test_a_picture_that_is_too_small(changes):
    options = {"size": 16, **changes}
    photographs = of("one", held_out=options.pop("held_out", 0.4))
    with pytest.raises(KernelAtlasError, match=r"'one' is 80x40 pixels, too small.*lower one"):
        Crops(photographs=photographs, **options)


def test_a_picture_that_just_fits():
    crops = Crops(32, of("one"), scale=(1.0, 1.25))  # 40 rows, 32 columns held out
    assert crops.batch(50, generator())[0].shape == (50, 3, 32, 32)
    assert crops.held_out(2)[0].shape == (8, 3, 32, 32)


def test_pictures_that_are_installed():
    for name in ("camera", "china"):
        values = load(name)
        assert values.dtype == np.uint8
        assert values.ndim == 3
        assert values.shape[2] == 3
        assert values.std() > 0
        values[0, 0] = 0  # may be written to
    grey = load("camera")
    assert (grey[:, :, 0] == grey[:, :, 2]).all()


@pytest.mark.parametrize("name", ["no_such_picture", "__doc__", ""])
def test_a_picture_that_is_not_installed(name):
    with pytest.raises(KernelAtlasError, match=f"picture '{name}' is not installed.*skimage.data"):
        load(name)


@pytest.fixture(scope="module")
def trained():
    """Two runs of one recipe, and the networks they tested on the way."""
    runs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "load", picture)
        for _ in range(2):
            seen = []
            result = train(
                copy.deepcopy(RECIPE),
                "cpu",
                on_test=lambda row, model, seen=seen: seen.append((row, copy.deepcopy(model))),
            )
            runs.append((result, seen))
    return runs


def test_a_recipe_gives_the_same_bytes(trained, tmp_path):
    (first, _), (again, _) = trained
    assert equal_files(first, again, tmp_path)
    assert first.history == again.history


def equal_files(first, second, folder):
    """Tell whether all that two trainings leave is the same, byte for byte."""
    for name, trained in (("a", first), ("b", second)):
        trained.write_weights(folder / name / "net.safetensors")
        trained.write_trajectory(folder / name / "steps")
    found = [sorted((folder / name).rglob("*.safetensors")) for name in "ab"]
    assert len(found[0]) == len(found[1]) == 1 + len(first.trajectory)
    return all(a.read_bytes() == b.read_bytes() for a, b in zip(*found, strict=True))


def test_another_seed_gives_another_network(trained, monkeypatch):
    state = trained[0][0].state
    assert save(train({**RECIPE, "seed": 6}, "cpu").state) != save(state)
    monkeypatch.setattr(network.architectures, "from_recipe", lambda _: from_recipe(RECIPE))
    # Of the same beginning, on other crops.
    assert save(train({**RECIPE, "seed": 6}, "cpu").state) != save(state)
    assert save(train(RECIPE, "cpu").state) == save(state)


def test_metadata_is_complete(trained):
    metadata = trained[0][0].metadata
    assert metadata["recipe"] == RECIPE
    assert metadata["held_out_crops"] == 2 * 3 * 4
    assert metadata["subjects"] == 2
    assert metadata["device"] == "CPU"
    assert metadata["threads"] == 1
    assert set(metadata["versions"]) == {"kernelatlas", "timm", "torch"}
    shares = metadata["held_out"]
    assert set(shares) == {"accuracy", "accuracy_subject", "accuracy_rotation"}
    for share in shares.values():
        assert share * 24 == pytest.approx(round(share * 24))
    assert shares["accuracy"] <= min(shares["accuracy_subject"], shares["accuracy_rotation"])


def test_history(trained):
    result, seen = trained[0]
    assert [row["step"] for row in result.history] == [2, 3]  # every second step, and the last
    assert [row for row, _ in seen] == result.history
    assert [row["learning_rate"] for row in result.history] == pytest.approx([0.005, 0])
    for row in result.history:
        assert 0.75 * math.log(8) < row["loss"] < 1.5 * math.log(8)
        for name in ("accuracy", "accuracy_subject", "accuracy_rotation", "accuracy_training"):
            assert 0 <= row[name] <= 1


def test_the_state_is_that_of_the_last_step_in_half_precision(trained):
    result, seen = trained[0]
    last = seen[-1][1].state_dict()
    assert set(result.state) == set(last)
    for name, tensor in result.state.items():
        assert tensor.dtype == torch.float16
        assert torch.equal(tensor, last[name].half())


def test_the_trajectory_holds_the_depthwise_weights_of_its_steps(trained):
    """A training stopped at a step would have had these weights there."""
    recipe = copy.deepcopy(RECIPE)
    recipe["optimiser"] |= {"steps": 40}
    recipe["trajectory"] = 3
    recipe["test"]["every"] = 10
    seen = {}

    def keep(row, model):
        seen[row["step"]] = {name: t.half().clone() for name, t in depthwise(model).items()}

    result = train(recipe, "cpu", on_test=keep)
    assert list(result.trajectory) == trajectory_steps(3, 40) == [10, 16, 25]
    for name, tensor in result.trajectory[10].items():
        assert torch.equal(tensor, seen[10][name])
        assert not torch.equal(tensor, result.trajectory[16][name])
    assert set(result.trajectory[10]) == set(depthwise(from_recipe(RECIPE)))


def test_steps_of_a_trajectory():
    steps = trajectory_steps(10, 2200)
    assert steps[0] == 10
    assert len(steps) == 10
    ratios = [b / a for a, b in zip(steps, [*steps[1:], 2200], strict=True)]
    assert max(ratios) < 1.1 * min(ratios)
    assert trajectory_steps(0, 100) == []
    assert trajectory_steps(3, 2) == []  # too short for points between its ends


class Killed(Exception):
    pass


@pytest.mark.parametrize("last", [4, 8])
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, last):
    recipe = copy.deepcopy(RECIPE)
    # Dropped paths draw from torch's own generator; batch statistics are state, too.
    recipe["architecture"] = "MobileNetV3"
    recipe["arguments"] = {
        "block_args": [["ds_r1_k3_s1_e1_c8"], ["ir_r2_k5_s2_e2_c8_se0.25"]],
        "stem_size": 8,
        "num_features": 8,
        "drop_rate": 0.5,
    }
    recipe["optimiser"] |= {"steps": 11}
    recipe["trajectory"] = 4
    recipe["test"]["every"] = 4
    whole = train(recipe, "cpu")

    def kill(row, model):
        if row["step"] > last:
            raise Killed

    state = tmp_path / "net.resume"
    with pytest.raises(Killed):
        train(recipe, "cpu", state, "code", kill)
    torch.rand(7)  # a new process has another state of torch's generator
    seen = []
    result = train(recipe, "cpu", state, "code", lambda row, _: seen.append(row["step"]))
    assert seen == [step for step in (4, 8, 11) if step > last]
    assert equal_files(whole, result, tmp_path)
    assert result.history == whole.history
    assert not state.exists()


@pytest.mark.parametrize("change", ["recipe", "code", "cut", "hostile", "empty"])
def test_a_state_that_does_not_fit_is_not_taken_up(tmp_path, caplog, change):
    def kill(row, model):
        if row["step"] == 3:
            raise Killed

    state = tmp_path / "net.resume"
    with pytest.raises(Killed):
        train(RECIPE, "cpu", state, "code", kill)
    assert state.stat().st_size > 1000
    recipe, code = RECIPE, "code"
    if change == "recipe":
        recipe = {**RECIPE, "seed": 6}
    elif change == "code":
        code = "other"
    elif change == "cut":
        state.write_bytes(state.read_bytes()[:-500])
    elif change == "empty":
        state.write_bytes(b"")
    else:
        state.write_bytes(pickle.dumps(Path(tmp_path / "x").touch))
    seen = []
    result = train(recipe, "cpu", state, code, lambda row, _: seen.append(row["step"]))
    assert seen == [2, 3]
    assert "starts again" in caplog.text
    assert save(result.state) == save(train(recipe, "cpu").state)


def test_training_starts_from_the_network_of_the_recipe(monkeypatch):
    """At a rate of zero nothing moves: what comes out is what training began with."""
    monkeypatch.setattr(network, "learning_rate", lambda *_: 0.0)
    state = train(RECIPE, "cpu").state
    begun = from_recipe(RECIPE).state_dict()
    assert set(state) == set(begun)
    assert all(torch.equal(tensor, begun[name].half()) for name, tensor in state.items())


def test_training_changes_the_depthwise_kernels(trained):
    begun = from_recipe(RECIPE).state_dict()
    name = "stages.0.blocks.0.conv_dw.weight"
    assert not torch.equal(trained[0][0].state[name], begun[name].half())


def test_accuracies_are_the_shares_of_right_answers():
    scores = torch.tensor([[9.0, 0, 1, 0, 0, 0], [0, 9, 1, 0, 0, 0], [9, 0, 0, 0, 0, 1]])
    shown = torch.tensor([[0, 0], [0, 0], [0, 3]])
    assert correct(scores, shown).tolist() == [[True, True], [False, True], [True, True]]
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    images = scores[:, :, None, None].expand(3, 6, 2, 2)
    found = accuracies(model, images, shown, batch=2)
    assert found == pytest.approx(
        {"accuracy": 2 / 3, "accuracy_subject": 2 / 3, "accuracy_rotation": 1}
    )
    assert not model.training


def test_the_loss_is_that_of_both_questions():
    scores = torch.tensor([[2.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    shown = torch.tensor([[0, 1]])
    subject = math.log(math.exp(2) + 1) - 2
    rotation = math.log(math.e + 3) - 1
    assert both_losses(scores, shown, 0.0).item() == pytest.approx(subject + rotation)
    assert both_losses(scores, shown, 0.5) > both_losses(scores, shown, 0.0)


def test_only_depthwise_kernels_decay_strongly():
    model = from_recipe(RECIPE)
    groups = parameter_groups(model, 0.1, 0.7)
    assert [group["weight_decay"] for group in groups] == [0.7, 0.1, 0.0]
    strongly, others, never = (group["params"] for group in groups)
    assert {tuple(p.shape[1:]) for p in strongly} == {(1, 7, 7)}
    assert len(strongly) == len(depthwise(model))
    assert {p.ndim for p in never} == {1}
    assert len(strongly) + len(others) + len(never) == len(list(model.parameters()))


def test_a_seed_gives_the_same_network():
    torch.rand(3)
    models = [create("convnext_atto", seed, **SMALL) for seed in (0, 0, 1)]
    first, again, other = (m.state_dict()["stages.0.blocks.0.conv_dw.weight"] for m in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_untrained_weights_of_a_recipe(tmp_path):
    recipe = tmp_path / "net.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    write_untrained(tmp_path / "a", str(recipe), None, {})
    found, begun = load_file(tmp_path / "a"), from_recipe(RECIPE).state_dict()
    assert set(found) == {f"stages.{i}.blocks.0.conv_dw.weight" for i in range(3)}
    assert all(torch.equal(tensor, begun[name]) for name, tensor in found.items())
    write_untrained(tmp_path / "b", str(recipe), 9, {})  # another seed than the recipe's
    other = from_recipe({**RECIPE, "seed": 9}).state_dict()
    assert all(torch.equal(t, other[name]) for name, t in load_file(tmp_path / "b").items())
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_untrained_weights_of_a_timm_architecture(tmp_path):
    write_untrained(tmp_path / "a", "convnext_atto", 3, SMALL)
    write_untrained(tmp_path / "b", "convnext_atto", 3, SMALL)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    expected = create("convnext_atto", 3, **SMALL).state_dict()
    found = load_file(tmp_path / "a")
    assert {name: tuple(t.shape) for name, t in found.items()} == {
        "stages.0.blocks.0.conv_dw.weight": (4, 1, 7, 7),
        "stages.1.blocks.0.conv_dw.weight": (6, 1, 7, 7),
    }
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    write_untrained(tmp_path / "c", "convnext_atto", None, SMALL)
    write_untrained(tmp_path / "d", "convnext_atto", 0, SMALL)
    assert (tmp_path / "c").read_bytes() == (tmp_path / "d").read_bytes()


def test_a_network_without_depthwise_layers(tmp_path):
    with pytest.raises(KernelAtlasError, match="'resnet10t' has no depthwise layers: remove"):
        write_untrained(tmp_path / "a", "resnet10t", 0, {})
    assert not (tmp_path / "a").exists()


def test_an_architecture_that_timm_lacks():
    with pytest.raises(KernelAtlasError, match=r"no architecture 'no_net'.*timm.list_models"):
        create("no_net", 0)


@pytest.mark.parametrize(
    "arguments",
    [{"bogus": 1}, {"depths": 3}, {"depths": [1, 1, 1, 1], "dims": [4, 4]}, {"act_layer": "none"}],
)
def test_arguments_that_timm_refuses(arguments):
    with pytest.raises(KernelAtlasError, match="timm cannot build 'convnext_atto' with"):
        create("convnext_atto", 0, **arguments)


def test_recipes_are_read(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    assert read_recipe(path) == RECIPE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", r"not valid YAML: \S"),
        (b"\xff\xfe\x00\x80", "save it as UTF-8"),
        (b"a: \x07", "control characters are not allowed"),
        (b"a: b: c", "mapping values are not allowed"),
        (b"", "not a recipe: write a mapping"),
        (b"[1]", "not a recipe: write a mapping"),
    ],
)
def test_what_is_no_recipe(tmp_path, content, message):
    path = tmp_path / "net.yaml"
    path.write_bytes(content)
    with pytest.raises(KernelAtlasError, match=rf"net\.yaml: .*{message}") as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_missing(tmp_path):
    with pytest.raises(KernelAtlasError, match=r"net\.yaml: no such recipe"):
        read_recipe(tmp_path / "net.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 1}, "unknown key 'sede': did you mean 'seed'"),
        ({"seed": None}, "seed: None is not of type 'integer'"),
        ({"arguments": None}, "arguments: None is not of type 'object'"),
        ({"arguments": {"num_classes": 3}}, "arguments: .*the data decide num_classes"),
        ({"data": {**RECIPE["data"], "photographs": of()}}, "data.photographs.names"),
        ({"data": {**RECIPE["data"], "dead_leaves": LEAVES}}, "data: .*photographs or dead_leaves"),
        ({"base": 3}, "base: no file '.*3': name a recipe beside"),
        ({"optimiser": {}}, "'steps' is a required property"),
    ],
)
def test_a_wrong_recipe_is_one_clear_error(tmp_path, change, message):
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **change}))
    with pytest.raises(KernelAtlasError, match=rf"net\.yaml: .*{message}"):
        read_recipe(path)


def test_a_recipe_laid_over_another(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(yaml.safe_dump(RECIPE))
    changes = {"seed": 7, "data": {"photographs": None, "dead_leaves": LEAVES}}
    above.write_text(yaml.safe_dump({"base": "below.yaml", **changes}))
    recipe = read_recipe(above)
    data = {key: value for key, value in RECIPE["data"].items() if key != "photographs"}
    assert recipe == {**RECIPE, "seed": 7, "data": {**data, "dead_leaves": LEAVES}}
    assert recipe_files(above) == [above, below]
    assert recipe_files(below) == [below]
    third = tmp_path / "third.yaml"
    third.write_text("base: above.yaml")
    with pytest.raises(KernelAtlasError, match=r"third\.yaml: its base 'above\.yaml' has a base"):
        read_recipe(third)


def test_dead_leaves_are_tested_on_pictures_of_their_own():
    crops = Crops(32, dead_leaves=LEAVES, scale=(0.8, 1.25))
    assert len(crops.train) == 6
    assert len(crops.test) == 3
    assert not any(torch.equal(a, b) for a in crops.test for b in crops.train)
    images, shown = crops.batch(300, generator())
    assert images.shape == (300, 3, 32, 32)
    assert set(map(tuple, shown.tolist())) == {(s, r) for s in range(3) for r in range(4)}
    images, shown = crops.held_out(2)
    assert images.shape == (3 * 2 * 4, 3, 32, 32)
    with pytest.raises(KernelAtlasError, match=r"48 pixels are too small for crops of 32.*raise"):
        Crops(32, dead_leaves=LEAVES, scale=(1.0, 1.6))


def test_a_world_is_told_by_its_own_pictures():
    crops = Crops(48, dead_leaves=LEAVES)
    for world in range(3):
        expected = dead_leaves.picture(world, 2, 48, 0)
        assert torch.equal(crops.test[world], torch.from_numpy(expected).permute(2, 0, 1))
        for number in range(2):
            expected = dead_leaves.picture(world, number, 48, 0)
            found = crops.train[2 * world + number]
            assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1))


def test_shuffled_crops_keep_their_colours_and_lose_their_order():
    plain, shuffled = Crops(16, of("one", "two")), Crops(16, of("one", "two"), shuffled=True)
    images, shown = shuffled.batch(8, generator())
    expected, same = plain.batch(8, generator())
    assert torch.equal(shown, same)
    orders = set()
    for image, other in zip(raw(images), raw(expected), strict=True):
        assert not torch.equal(image, other)
        # Pixels move as wholes: their colours occur as often as before.
        columns = [sorted(map(tuple, crop.flatten(1).T.tolist())) for crop in (image, other)]
        assert columns[0] == columns[1]
        where = {tuple(c): i for i, c in enumerate(other.flatten(1).T.tolist())}
        orders.add(tuple(where[tuple(c)] for c in image.flatten(1).T.tolist()))
    assert len(orders) == 8  # each has an order of its own
    tests, again = shuffled.held_out(3)[0], shuffled.held_out(3)[0]
    assert torch.equal(tests, again)
    assert not torch.equal(tests, plain.held_out(3)[0])

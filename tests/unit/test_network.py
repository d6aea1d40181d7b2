"""Crops of pictures, and the small networks trained on them."""

import copy
import json
import math

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save

from kernelatlas import network, pictures
from kernelatlas.architectures import create, from_recipe, read_recipe, write_untrained
from kernelatlas.errors import KernelAtlasError
from kernelatlas.network import accuracy, learning_rate, train
from kernelatlas.pictures import Crops, load, standardise

RECIPE = {
    "architecture": "convnextv2_atto",
    "arguments": {"depths": [1, 1, 1, 0], "dims": [4, 4, 6, 6], "patch_size": 2},
    "seed": 5,
    "data": {
        "pictures": ["one", "two"],
        "size": 32,
        "scale": [0.8, 1.25],
        "held_out": 0.4,
        "grey": 0.3,
        "jitter": 0.3,
    },
    "optimiser": {
        "steps": 3,
        "batch": 4,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "warmup": 1,
        "label_smoothing": 0.1,
        "gradient_clip": 1.0,
    },
    "test": {"per_picture": 3, "every": 2},
}
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


def test_the_class_is_the_picture_and_its_turn():
    crops = Crops(["one", "two"], 16, held_out=0.4)
    images, classes = crops.batch(200, generator())
    assert set(classes.tolist()) == set(range(8))
    flips, columns = set(), set()
    for image, number in zip(raw(images), classes.tolist(), strict=True):
        upright = torch.rot90(image, -(number % 4), (1, 2))
        if upright[0, 0, 0] > upright[0, 0, -1]:
            upright = upright.flip(2)
            flips.add(True)
        else:
            flips.add(False)
        x, y = upright[0, 0, 0].item(), upright[1, 0, 0].item()
        source = torch.from_numpy(picture(("one", "two")[number // 4])).permute(2, 0, 1)
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
    crops = Crops(["one"], 16, scale, held_out=0.4)
    images, _ = crops.batch(300, generator())
    assert (raw(images) == 0).all()
    tests, _ = crops.held_out(5)
    assert (raw(tests) == 255).all()


def test_held_out_crops():
    crops = Crops(["one", "two"], 16, held_out=0.4)
    images, classes = crops.held_out(5)
    assert images.shape == (2 * 5 * 4, 3, 16, 16)
    assert sorted(classes.tolist()) == sorted(list(range(8)) * 5)
    places = set()
    for image, number in zip(raw(images), classes.tolist(), strict=True):
        upright = torch.rot90(image, -(number % 4), (1, 2))
        x, y = upright[0, 0, 0].item(), upright[1, 0, 0].item()
        source = torch.from_numpy(picture(("one", "two")[number // 4])).permute(2, 0, 1)
        assert torch.equal(upright, source[:, y : y + 16, x : x + 16].int())
        places.add((x, y))
    assert {x for x, _ in places} == {48, 52, 56, 60, 64}
    assert {y for _, y in places} == {0, 6, 12, 18, 24}
    again = crops.held_out(5)
    assert torch.equal(images, again[0])
    assert torch.equal(classes, again[1])


def test_grey_and_jitter():
    grey = Crops(["one"], 16, held_out=0.4, grey=1.0).batch(20, generator())[0]
    assert torch.allclose(grey[:, 0], grey[:, 1])
    assert torch.allclose(grey[:, 0], grey[:, 2])
    plain = Crops(["one"], 16, held_out=0.4).batch(20, generator())[0] * 0.25 + 0.5
    changed = Crops(["one"], 16, held_out=0.4, jitter=0.5).batch(20, generator())[0] * 0.25 + 0.5
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
    options = {"size": 16, "held_out": 0.4, **changes}
    with pytest.raises(KernelAtlasError, match=r"'one' is 80x40 pixels, too small.*lower one"):
        Crops(["one"], **options)


def test_a_picture_that_just_fits():
    crops = Crops(["one"], 32, (1.0, 1.25), held_out=0.4)  # 40 rows, 32 columns held out
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
                lambda row, model, seen=seen: seen.append((row, copy.deepcopy(model))),
            )
            runs.append((*result, seen))
    return runs


def test_a_recipe_gives_the_same_bytes(trained):
    (state, metadata, history, _), again = trained[0], trained[1]
    assert save(state) == save(again[0])
    assert json.dumps(metadata, sort_keys=True) == json.dumps(again[1], sort_keys=True)
    assert history == again[2]


def test_another_seed_gives_another_network(trained, monkeypatch):
    state, _, _ = train({**RECIPE, "seed": 6}, "cpu")
    assert save(state) != save(trained[0][0])
    monkeypatch.setattr(network.architectures, "from_recipe", lambda _: from_recipe(RECIPE))
    state, _, _ = train({**RECIPE, "seed": 6}, "cpu")
    assert save(state) != save(trained[0][0])  # of the same beginning, on other crops
    state, _, _ = train(RECIPE, "cpu")
    assert save(state) == save(trained[0][0])


def test_metadata_is_complete(trained):
    metadata = trained[0][1]
    assert metadata["recipe"] == RECIPE
    assert metadata["held_out_crops"] == 2 * 3 * 4
    assert metadata["classes"] == 8
    assert metadata["device"] == "CPU"
    assert metadata["threads"] == 1
    assert set(metadata["versions"]) == {"kernelatlas", "timm", "torch"}
    share = metadata["held_out_accuracy"] * 24
    assert share == pytest.approx(round(share))


def test_history(trained):
    _, _, history, seen = trained[0]
    assert [row["step"] for row in history] == [2, 3]  # every second step, and the last
    assert [row for row, _ in seen] == history
    assert [row["learning_rate"] for row in history] == pytest.approx([0.005, 0])
    for row in history:
        assert 0.75 * math.log(8) < row["loss"] < 1.5 * math.log(8)
        assert 0 <= row["accuracy"] <= 1


def test_the_state_is_that_of_the_last_step_in_half_precision(trained):
    state, _, _, seen = trained[0]
    last = seen[-1][1].state_dict()
    assert set(state) == set(last)
    for name, tensor in state.items():
        assert tensor.dtype == torch.float16
        assert torch.equal(tensor, last[name].half())


def test_training_starts_from_the_network_of_the_recipe(monkeypatch):
    """At a rate of zero nothing moves: what comes out is what training began with."""
    monkeypatch.setattr(network, "learning_rate", lambda *_: 0.0)
    state, _, _ = train(RECIPE, "cpu")
    begun = from_recipe(RECIPE).state_dict()
    assert set(state) == set(begun)
    assert all(torch.equal(tensor, begun[name].half()) for name, tensor in state.items())


def test_training_changes_the_depthwise_kernels(trained):
    begun = from_recipe(RECIPE).state_dict()
    name = "stages.0.blocks.0.conv_dw.weight"
    assert not torch.equal(trained[0][0][name], begun[name].half())


def test_accuracy_is_the_share_of_right_answers():
    images = torch.eye(5)[:, :, None, None].expand(5, 5, 2, 2)
    classes = torch.tensor([0, 1, 2, 0, 0])
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    assert accuracy(model, images, classes, batch=2) == 0.6
    assert not model.training


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


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00\x80", b"a: \x07", b"a: b: c"])
def test_what_is_no_recipe(tmp_path, content):
    path = tmp_path / "net.yaml"
    path.write_bytes(content)
    with pytest.raises(KernelAtlasError, match=r"net\.yaml: not a recipe: \S") as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_missing(tmp_path):
    with pytest.raises(KernelAtlasError, match=r"net\.yaml: not a recipe: .*No such file"):
        read_recipe(tmp_path / "net.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 1}, "unknown key 'sede': did you mean 'seed'"),
        ({"seed": None}, "seed: None is not of type 'integer'"),
        ({"arguments": None}, "arguments: None is not of type 'object'"),
        ({"arguments": {"num_classes": 3}}, "arguments: .*the data decide num_classes"),
        ({"data": {**RECIPE["data"], "pictures": []}}, "data.pictures"),
        ({"optimiser": {}}, "'steps' is a required property"),
    ],
)
def test_a_wrong_recipe_is_one_clear_error(tmp_path, change, message):
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **change}))
    with pytest.raises(KernelAtlasError, match=rf"net\.yaml: .*{message}"):
        read_recipe(path)

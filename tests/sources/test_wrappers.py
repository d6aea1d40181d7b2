"""State dicts inside of what training scripts save."""

import argparse
from collections import OrderedDict, defaultdict
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from readings import NAMES, assert_equal, refusal

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import Options

BOTH = pytest.mark.parametrize("write", [hostile.torch_bytes, hostile.legacy_bytes])


@BOTH
@pytest.mark.parametrize(
    "keys",
    [
        *([], ["state_dict"], ["model"], ["model_ema"], ["model_state_dict"], ["net", "params"]),
        *(["generator"], ["net_state_dict"], ["network_weights"], ["model", "teacher"]),
        *(["a", "b", "c"], [7], [".", "x.y"]),
    ],
)
def test_wrapped_state_dicts(file, write, keys):
    state = content = OrderedDict(hostile.state_dict())
    state._metadata = {"": {"version": 1}}
    for key in keys:
        content = {
            "epoch": 3,
            "model_ema_decay": None,
            key: content,
            "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.99), path=Path("x")),
            "metric": np.float64(0.5),
            "history": np.arange(3),
            "classes": {"a", "b"},
            "sizes": torch.Size([1, 2]),
            "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, (1, 2): frozenset([1])},
        }
    assert_equal(read_depthwise(file(write(content))).layers, state, NAMES)


@BOTH
def test_other_containers(file, write):
    state = hostile.state_dict()
    for content in (
        [state],
        (1, [2, {"a": state}]),
        {"nets": [None, state]},
        argparse.Namespace(weights=state),
        {"trainer": argparse.Namespace(net={"weights": state})},
        defaultdict(dict, {"a": state}),
    ):
        assert_equal(read_depthwise(file(write(content))).layers, state, NAMES)


@BOTH
def test_averaged_weights_are_preferred(file, write):
    plain, averaged = hostile.state_dict(seed=1), hostile.state_dict(seed=2)
    for key in ("state_dict_ema", "model_ema", "params_ema", "ema", "netG_EMA", "ema_model"):
        for other in ("state_dict", "model", "generator"):
            content = {other: plain, key: averaged}
            layers = read_depthwise(file(write(content))).layers
            assert_equal(layers, averaged, NAMES)
            content[key] = {"module": averaged, "decay": 0.999}
            assert_equal(read_depthwise(file(write(content))).layers, averaged, NAMES)
            content[key] = None
            assert_equal(read_depthwise(file(write(content))).layers, plain, NAMES)


@pytest.mark.parametrize(
    ("taken", "others"),
    [
        (["model_ema"], [["other_ema"], ["params_ema"]]),
        (["state_dict"], [["model"], ["params"], ["generator"]]),
        (["model"], [["teacher"], ["net"]]),
        (["state_dict", "ema"], [["state_dict", "model"], ["model", "x"]]),
        (["module"], [["x", "state_dict"]]),
    ],
)
def test_usual_keys_decide(file, taken, others):
    state = hostile.state_dict(seed=1)
    content: dict = {}
    for path in (*others, taken):
        inner = content
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = state if path is taken else hostile.state_dict(seed=2)
    assert_equal(read_depthwise(file(hostile.torch_bytes(content))).layers, state, NAMES)


def test_tensors_of_optimisers_are_not_taken(file):
    net = torch.nn.Conv2d(4, 4, 3, groups=4)
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 4, 5, 5)).sum().backward()
    optimiser.step()
    names = {"weight": net.weight.detach()}
    for more in (
        {"optimizer": optimiser.state_dict()},
        {"optimizer_states": [optimiser.state_dict()]},
        {"opt": optimiser},
    ):
        content = {**more, "my_net": net.state_dict()}
        layers = read_depthwise(file(hostile.torch_bytes(content))).layers
        assert [layer.name for layer in layers] == ["weight"]
        assert torch.equal(torch.from_numpy(layers[0].weights.copy()), names["weight"][:, 0])


@BOTH
def test_nothing_decides_between_several(file, write):
    first, second = hostile.state_dict(seed=1), hostile.state_dict(seed=2)
    content = {"generator": first, "teacher": {"net": second}, "head": {"w": torch.ones(3)}}
    path = file(write(content))
    message = refusal(path)
    assert message == (
        "holds 2 state dicts, 'generator', 'teacher.net': choose one with the option `key`"
    )
    for key, state in (("generator", first), ("teacher.net", second), ("teacher", second)):
        assert_equal(read_depthwise(path, Options(key=key)).layers, state, NAMES)
    with pytest.raises(KernelAtlasError) as caught:
        read_depthwise(path, Options(key="student"))
    assert str(caught.value) == (
        f"{path}: has no 'student'; it has 'generator', 'teacher.net', 'head': "
        "correct the option `key`"
    )
    with pytest.raises(KernelAtlasError, match="no depthwise layers"):
        read_depthwise(path, Options(key="head"))


def test_many_candidates_are_not_all_listed(file):
    content = {f"net{i}" + 60 * "x": hostile.state_dict(seed=i) for i in range(20)}
    message = refusal(file(hostile.torch_bytes(content)))
    assert message.startswith("holds 20 state dicts, 'net0xxx")
    assert message.count("'net") == 8


def test_keys_with_dots(file):
    states = [hostile.state_dict(seed=i) for i in range(4)]
    content = {
        "a": {"b": states[0], "b.c": {"d": states[1]}},
        "a.b": {"c": {"d": states[2]}},
        "list": [1, states[3]],
    }
    path = file(hostile.torch_bytes(content))
    for key, i in (("a.b.c.d", 2), ("a.b", 2), ("list.1", 3)):  # the longest key comes first
        assert_equal(read_depthwise(path, Options(key=key)).layers, states[i], NAMES)
    del content["a.b"]
    path = file(hostile.torch_bytes(content))
    for key, i in (("a.b.c.d", 1), ("a.b.c", 1), ("a.b", 0)):
        assert_equal(read_depthwise(path, Options(key=key)).layers, states[i], NAMES)


@pytest.mark.parametrize("form", hostile.FORMATS)
def test_a_key_is_also_what_names_begin_with(file, form):
    student, teacher = hostile.state_dict(seed=1), hostile.state_dict(seed=2)
    flat = {f"student.net.{k}": v for k, v in student.items()}
    flat |= {f"teacher.{k}": v for k, v in teacher.items()}
    path = file(hostile.FORMATS[form](flat))
    for key, state in (("student.net", student), ("teacher", teacher)):
        reading = read_depthwise(path, Options(key=key))
        assert sorted(layer.name for layer in reading.layers) == NAMES
        ordered = sorted(reading.layers, key=lambda layer: layer.name)
        assert_equal(ordered, state, NAMES)
        assert reading.tensors == len(state)
    with pytest.raises(KernelAtlasError, match=r"has no 'stud'; it has 'student', 'teacher': corr"):
        read_depthwise(path, Options(key="stud"))


def test_names_below_a_wrapper_begin_with_the_key(file):
    state = hostile.state_dict()
    flat = {f"student.{k}": v for k, v in state.items()} | {
        "teacher.weight": torch.ones(2, 1, 2, 2)
    }
    path = file(hostile.torch_bytes({"epoch": 1, "state_dict": flat}))
    for key in ("student", "state_dict.student"):
        assert_equal(read_depthwise(path, Options(key=key)).layers, state, NAMES)
    content = {"a": flat, "b": flat | {}}
    path = file(hostile.torch_bytes(content))
    with pytest.raises(KernelAtlasError, match=r"has 'student' in 'a', 'b': write more"):
        read_depthwise(path, Options(key="student"))
    assert_equal(read_depthwise(path, Options(key="b.student")).layers, state, NAMES)


@pytest.mark.parametrize("key", [".", "..", "0", "a" * 1000, "state_dict.x", "\n"])
def test_odd_keys_are_one_error(file, key):
    path = file(hostile.torch_bytes({"state_dict": hostile.state_dict(), "list": [1, 2]}))
    with pytest.raises(KernelAtlasError, match="has no '") as caught:
        read_depthwise(path, Options(key=key))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_containers_that_hold_themselves(file):
    state = hostile.state_dict()
    loop: dict = {"net": state, "again": []}
    loop["again"].append(loop)
    assert_equal(read_depthwise(file(hostile.torch_bytes(loop))).layers, state, NAMES)

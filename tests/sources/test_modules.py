"""Networks that were pickled whole, read without their classes."""

import os
import sys
import types
from pathlib import Path

import hostile
import pytest
import timm
import torch
from hostile import legacy, zipped
from readings import assert_equal, assert_read_whole, mutations, refusal, survives
from torch import nn

from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import Options

BOTH = pytest.mark.parametrize("write", [hostile.torch_bytes, hostile.legacy_bytes])


class Net(nn.Module):
    """Depthwise layers and what looks like them: a stem, a transposed layer, buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3)
        self.dw = nn.Conv2d(8, 8, 3, stride=2, groups=8)
        self.up = nn.ConvTranspose2d(8, 1, 3)
        self.up_dw = nn.ConvTranspose2d(8, 8, 3, groups=8)
        self.groups = nn.Conv2d(8, 8, 3, groups=4)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(8, 16, (1, 5), stride=(1, 2), groups=8, dilation=3)),
                nn.ModuleDict({"b": nn.Conv2d(8, 8, 2, groups=8, dtype=torch.float16)}),
            ]
        )
        self.norm = nn.BatchNorm2d(8)
        self.register_buffer("passing", torch.ones(8, 1, 3, 3), persistent=False)
        self.config = types.SimpleNamespace(width=8, layers=[1, 2])


@BOTH
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_whole_network(file, write, protocol):
    net = Net()
    reading = read_depthwise(file(write(net, pickle_protocol=protocol)))
    assert_read_whole(reading.layers, net)
    assert reading.tensors == len(net.state_dict())
    assert reading.ordered


@BOTH
def test_a_network_of_timm(file, write):
    net = timm.create_model("mobilenetv3_small_050")
    reading = read_depthwise(file(write(net)))
    assert_read_whole(reading.layers, net)
    assert reading.tensors == len(net.state_dict())


@BOTH
def test_networks_under_wrappers(file, write):
    plain, averaged = Net(), Net()
    data = write({"model": plain, "epoch": 3, "optimizer": torch.optim.Adam(plain.parameters())})
    assert_read_whole(read_depthwise(file(data)).layers, plain)
    content = {"model": plain, "ema": averaged, "updates": 10}
    assert_read_whole(read_depthwise(file(write(content))).layers, averaged)
    chosen = read_depthwise(file(write(content)), Options(key="model"))
    assert_read_whole(chosen.layers, plain)
    content["ema"] = None
    assert_read_whole(read_depthwise(file(write(content))).layers, plain)


def test_a_part_of_a_network_is_chosen_by_the_beginning_of_its_names(file):
    net = Net()
    for content, key in ((net, "blocks"), ({"model": net}, "model.blocks"), ([net], "blocks")):
        layers = read_depthwise(file(hostile.torch_bytes(content)), Options(key=key)).layers
        assert_read_whole(layers, net.blocks)


def test_data_parallel(file):
    net = nn.DataParallel(Net())
    layers = read_depthwise(file(hostile.torch_bytes(net))).layers
    assert_read_whole(layers, net.module)


def test_a_module_in_two_places_is_listed_once(file):
    conv = nn.Conv2d(4, 4, 3, groups=4)
    net = nn.Sequential(conv, nn.Conv2d(4, 4, 3, groups=4), conv)
    assert_read_whole(read_depthwise(file(hostile.torch_bytes(net))).layers, net)


def test_a_traced_graph(file):
    """torch.fx pickles the attributes of a module as an argument."""
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU())
    data = hostile.torch_bytes(torch.fx.symbolic_trace(net))
    assert_read_whole(read_depthwise(file(data)).layers, net)


def test_weights_that_a_module_uses_itself(file):
    """Of them nothing but the shape is known."""

    net = nn.Module()
    net.kernel = nn.Parameter(torch.randn(4, 1, 3, 3))
    layers = read_depthwise(file(hostile.torch_bytes(net))).layers
    assert_equal(layers, {"kernel.weight": net.kernel.detach()}, ["kernel"])
    assert layers[0].inferred


def test_classes_are_neither_needed_nor_imported(file, monkeypatch, tmp_path):
    """The class is of a module that would leave a trace if it were imported."""
    source = (
        "import pathlib, torch\n"
        f"pathlib.Path({str(tmp_path / 'marker')!r}).touch()\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __setstate__(self, state):\n"
        f"        pathlib.Path({str(tmp_path / 'marker')!r}).touch()\n"
        "        super().__setstate__(state)\n"
    )
    (tmp_path / "somebodys_code.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import somebodys_code

    net = somebodys_code.Net(nn.Conv2d(4, 4, 3, groups=4))
    path = file(hostile.torch_bytes(net))
    del sys.modules["somebodys_code"]
    (tmp_path / "marker").unlink()
    assert_read_whole(read_depthwise(path).layers, net)
    assert not (tmp_path / "marker").exists()
    assert "somebodys_code" not in sys.modules


class Malicious(nn.Conv2d):
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        super().__init__(4, 4, 3, groups=4)
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@BOTH
def test_a_malicious_module_does_not_run(file, tmp_path, write):
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), Malicious(tmp_path / "marker"))
    message = refusal(file(write(net)))
    assert f"the pickle calls '{os.system.__module__}.system'" in message
    assert "nothing was executed" in message
    assert not (tmp_path / "marker").exists()


def test_objects_of_any_package_may_lie_beside_the_weights(file):
    state = {"dw.weight": torch.randn(4, 1, 3, 3)}
    content = {"state_dict": state, "hyper_parameters": {"net": Net(), "path": Path("x")}}
    assert_equal(read_depthwise(file(hostile.torch_bytes(content))).layers, state, ["dw"])


def test_no_module_is_an_error(file):
    for content in (types.SimpleNamespace(a=1), nn.ReLU, nn.ReLU()):
        message = refusal(file(hostile.torch_bytes(content)))
        assert "in which no tensors were found; save model.state_dict()" in message
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ConvTranspose2d(8, 1, 3))
    message = refusal(file(hostile.torch_bytes(net)))
    assert "no depthwise layers" in message
    assert "4 tensors read" in message


def module_pickle(body: bytes) -> bytes:
    """A pickle whose memo 0 is a class, and 1 to 3 are the names of a module's parts."""
    names = (b"_parameters", b"_buffers", b"_modules")
    memo = b"".join(
        hostile.text(name.decode()) + b"q" + bytes([i + 1]) + b"0" for i, name in enumerate(names)
    )
    return b"\x80\x02ca\nb\nq\x000" + memo + body + b"."


def module(parameters: bytes = b"}", modules: bytes = b"}") -> bytes:
    return b"h\x00)\x81}(h\x01" + parameters + b"h\x02}h\x03" + modules + b"ub"


@pytest.mark.parametrize("write", [zipped, legacy])
def test_modules_that_hold_each_other(file, write):
    inside_itself = module(modules=b"}q\x09(X\x01\0\0\0ah\x08u").replace(b"\x81}", b"\x81q\x08}", 1)
    assert "no tensors were found" in refusal(file(write(module_pickle(inside_itself))))
    deep = module()
    for _ in range(70):
        deep = module(modules=b"}(X\x01\0\0\0a" + deep + b"u")
    assert "modules inside each other" in refusal(file(write(module_pickle(deep))))
    # Each holds the next one twice: 2^60 paths, but 60 modules.
    twice = module()
    for i in range(60):
        twice = module(
            modules=b"}(X\x01\0\0\0a"
            + twice
            + b"q"
            + bytes([10 + i])
            + b"X\x01\0\0\0bh"
            + bytes([10 + i])
            + b"u"
        )
    assert "no tensors were found" in refusal(file(write(module_pickle(twice))))


@BOTH
def test_damaged_modules(file, write):
    data = write(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4)))
    for changed in mutations(data, 300):
        survives(file(changed))

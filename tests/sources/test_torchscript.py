"""TorchScript archives: weights from their pickles, groups from their code."""

import io
import zipfile
from collections.abc import Callable

import hostile
import pytest
import timm
import torch
from readings import assert_read_whole, depthwise_of, mutations, refusal, survives
from torch import nn

from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import Options

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def saved(net: torch.jit.ScriptModule) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(net, buffer)
    return buffer.getvalue()


def for_phones(net: nn.Module) -> bytes:
    return torch.jit.script(net)._save_to_buffer_for_lite_interpreter()


def traced(net: nn.Module) -> bytes:
    return saved(torch.jit.trace(net, torch.randn(1, 3, 64, 64)))


def scripted(net: nn.Module) -> bytes:
    return saved(torch.jit.script(net))


WRITERS: dict[str, Callable[[nn.Module], bytes]] = {
    "scripted": scripted,
    "traced": traced,
    "phones": for_phones,
}
EACH = pytest.mark.parametrize("form", WRITERS)


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.Conv2d(8, 8, (3, 5), groups=8, stride=(1, 2), dilation=2, padding=1),
        nn.Conv2d(8, 8, 3, groups=8, padding="same"),
        nn.Sequential(nn.ConvTranspose2d(8, 8, 3, groups=8), nn.Conv2d(8, 1, 1)),
        nn.Conv2d(1, 8, 3),  # the shape of a depthwise weight
        nn.Conv2d(8, 16, 3, groups=8, stride=3, bias=False),
        nn.ConvTranspose2d(16, 1, 3),
    ).eval()


@EACH
def test_what_the_code_says(file, form):
    net = small()
    reading = read_depthwise(file(WRITERS[form](net)))
    assert_read_whole(reading.layers, net)
    assert reading.tensors == len(net.state_dict())
    assert reading.ordered


@EACH
def test_a_network_of_timm(file, form):
    net = timm.create_model("mobilenetv3_small_050", scriptable=form != "traced").eval()
    reading = read_depthwise(file(WRITERS[form](net)))
    assert_read_whole(reading.layers, net)


def test_frozen_weights_are_constants_of_the_code(file):
    net = small()
    frozen = torch.jit.freeze(torch.jit.script(net))
    layers = read_depthwise(file(saved(frozen))).layers
    expected = list(depthwise_of(net).values())
    assert [layer.inferred for layer in layers] == [False] * len(expected)
    for layer, conv in zip(layers, expected, strict=True):
        assert layer.name.startswith("CONSTANTS.c")
        assert layer.weights.tobytes() == conv.weight.detach().numpy()[:, 0].tobytes()
        assert (layer.stride == conv.stride[0]) == (conv.stride[0] == conv.stride[1])


def test_a_part_is_chosen_by_the_beginning_of_its_names(file):
    net = nn.ModuleDict({"a": small(), "b": small()})
    data = hostile.torch_bytes(net)
    wrapped = nn.Sequential(small(), small()).eval()
    data = saved(torch.jit.script(wrapped))
    assert_read_whole(read_depthwise(file(data), Options(key="1")).layers, wrapped[1])
    with pytest.raises(Exception, match=r"has no 'c'; it has '0', '1': correct the option `key`"):
        read_depthwise(file(data), Options(key="c"))


def recoded(data: bytes, change: Callable[[str], str]) -> bytes:
    """Return an archive whose code is changed."""
    old, buffer = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith(".py"):
                content = change(content.decode()).encode()
            new.writestr(info.filename, content)
    return buffer.getvalue()


def test_groups_that_the_code_does_not_tell(file):
    """Then the layer is judged as in a state dict, and its stride is not known."""
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    data = traced(nn.Sequential(nn.Conv2d(3, 4, 1), *net))
    layers = read_depthwise(
        file(recoded(data, lambda code: code.replace(", 4, False", ", n, False")))
    ).layers
    assert [layer.stride for layer in layers] == [None]
    assert layers[0].weights.tobytes() == net[0].weight.detach().numpy()[:, 0].tobytes()


@pytest.mark.parametrize(
    "code",
    [
        "torch._convolution(" * 100_000,
        "torch.conv2d(x, weight, bias, [1, 1], [0, 0], [1, 1], 4)\n" * 60_000,
        "class Conv2d(Module):\n" * 100_000,
        '"' * 1_000_000,
        '"' + '\\"' * 1_000_000,
        "".join(f"torch.conv2d(x, CONSTANTS.c{i}, b)\n" for i in range(60_000)),
        "torch.conv2d()",
        "torch._convolution(,,,,,,,,,)",
        "torch.conv2d(x, weight, bias, [99999999999, 1], [], {}, 99999999999999999999)",
        "torch.conv2d(x, w, b, [¹], [0], [1], ²)",
        "])]))",
    ],
    ids=range(11),
)
def test_odd_code(file, code):
    data = scripted(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4)))
    survives(file(recoded(data, lambda text: text + code)))


def test_too_much_code(file):
    data = scripted(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)))
    assert "bytes of code" in refusal(file(recoded(data, lambda text: text + "#" * (4 << 20))))


def test_damaged_archives(file):
    data = scripted(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4)))
    for changed in mutations(data, 400):
        survives(file(changed))

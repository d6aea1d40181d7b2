"""Weights that PyTorch computes from several tensors: what is read is what it convolves with."""

from collections.abc import Callable

import hostile
import numpy as np
import pytest
import torch
from readings import survives
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from kernelatlas.sources.checkpoints import read_depthwise

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of the old forms

FORMATS = pytest.mark.parametrize("form", hostile.FORMATS)


def old_spectral(layer: nn.Module, **options: int) -> nn.Module:
    return nn.utils.spectral_norm(layer, **options)


def pruned(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "weight", amount=0.4)
    return layer


WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight_norm": nn.utils.weight_norm,
    "weight_norm of all axes": lambda layer: nn.utils.weight_norm(layer, dim=None),
    "weight_norm of axis 1": lambda layer: nn.utils.weight_norm(layer, dim=1),
    "weight_norm of axis 2": lambda layer: nn.utils.weight_norm(layer, dim=2),
    "new weight_norm": parametrizations.weight_norm,
    "new weight_norm of axis 3": lambda layer: parametrizations.weight_norm(layer, dim=3),
    "spectral_norm": old_spectral,
    "new spectral_norm": parametrizations.spectral_norm,
    "spectral_norm of axis 1": lambda layer: nn.utils.spectral_norm(layer, dim=1),
    "pruning": pruned,
}


def network(way: Callable[[nn.Module], nn.Module], seed: int = 0) -> nn.Module:
    """A depthwise layer of 6 kernels of 5×3 among others that are made the same way."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        way(nn.Conv2d(3, 6, 3)), way(nn.Conv2d(6, 6, (5, 3), groups=6)), way(nn.Conv2d(6, 4, 1))
    )
    for layer in net:  # as after training: factors of both signs
        for name, parameter in layer.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.data *= torch.where(torch.rand_like(parameter) < 0.5, -1.7, 0.6)
            else:
                parameter.data += 0.1 * torch.randn_like(parameter)
    return net.eval()


def used(net: nn.Module) -> np.ndarray:
    """Return the depthwise weight after a pass, which runs the hooks of the old forms."""
    with torch.no_grad():
        net(torch.zeros(1, 3, 16, 16))
        return net[1].weight.detach().numpy()[:, 0]


@FORMATS
@pytest.mark.parametrize("way", WAYS)
def test_the_weight_is_the_one_that_pytorch_convolves_with(file, form, way):
    net = network(WAYS[way])
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    (layer,) = read_depthwise(file(hostile.FORMATS[form](state))).layers
    expected = used(net)
    assert layer.name == "1"
    assert not layer.inferred
    assert layer.weights.shape == (6, 5, 3)
    difference = np.abs(layer.weights - expected).max()
    assert difference <= 1e-6 * np.abs(expected).max()
    stored = [value[:, 0] for value in state.values() if value.shape == (6, 1, 5, 3)]
    assert stored
    assert not any(np.allclose(value, expected, rtol=1e-3) for value in stored)


@FORMATS
def test_a_mask_may_be_of_booleans(file, form):
    net = network(pruned)
    state = net.state_dict()
    state["1.weight_mask"] = state["1.weight_mask"].bool()
    (layer,) = read_depthwise(file(hostile.FORMATS[form](state))).layers
    assert np.array_equal(layer.weights, used(net))


@FORMATS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_parts_in_other_precisions(file, form, dtype):
    net = network(parametrizations.weight_norm).to(dtype)
    (layer,) = read_depthwise(file(hostile.FORMATS[form](net.state_dict()))).layers
    expected = used(net.float())
    np.testing.assert_allclose(layer.weights, expected, rtol=1e-5, atol=1e-6)


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


def doubled(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


@FORMATS
@pytest.mark.parametrize("way", [doubled, parametrizations.orthogonal], ids=lambda x: x.__name__)
def test_another_parametrisation_is_named_and_left_out(file, form, way, caplog):
    net = network(doubled)
    net[1] = way(nn.Conv2d(6, 6, 3, groups=6))
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    state["4.weight"] = torch.randn(4, 1, 3, 3)  # another layer, which can be read
    state["4.bias"] = torch.zeros(4)
    layers = read_depthwise(file(hostile.FORMATS[form](state))).layers
    assert [layer.name for layer in layers] == ["4"]
    assert "the weights of '1' are made by parametrisations other than" in caplog.text
    assert "remove_parametrizations" in caplog.text


def test_what_is_incomplete_or_does_not_fit_is_left_out(file, caplog):
    complete = network(old_spectral).state_dict()
    changes = [
        {"1.weight_u": None},
        {"1.weight_v": None},
        {"1.weight_u": torch.ones(7)},
        {"1.weight_v": torch.ones(3, 5)},
        {"1.weight_mask": torch.ones(6, 1, 3, 3)},
    ]
    for change in changes:
        caplog.clear()
        state = {**complete, "4.weight": torch.randn(4, 1, 3, 3), **change}
        state = {name: value for name, value in state.items() if value is not None}
        layers = read_depthwise(file(hostile.torch_bytes(state))).layers
        assert [layer.name for layer in layers] == ["4"]
        assert "'1'" in caplog.text


@pytest.mark.parametrize("way", ["weight_norm", "new spectral_norm", "pruning"])
def test_damaged_parts_are_one_error(file, way):
    rng = np.random.default_rng(0)
    state = network(WAYS[way]).state_dict()
    for form, write in hostile.FORMATS.items():
        data = write(state)
        for _ in range(40):
            damaged = bytearray(data)
            for place in rng.integers(len(data) if form != "safetensors" else 1500, size=3):
                damaged[place] ^= 1 << int(rng.integers(8))
            survives(file(bytes(damaged)))


def test_only_the_parts_of_depthwise_weights_are_read(file):
    torch.manual_seed(0)
    state = {
        "0.weight_g": torch.ones(512, 1, 1, 1),
        "0.weight_v": torch.randn(512, 256, 3, 3),
        "1.weight_g": torch.ones(512, 1, 1, 1),
        "1.weight_v": torch.randn(512, 1, 3, 3),
        "1.bias": torch.zeros(512),
    }
    for write in hostile.FORMATS.values():
        assert read_depthwise(file(write(state))).bytes_read < 60_000

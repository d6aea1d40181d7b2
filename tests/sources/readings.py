"""What a reading of a checkpoint must be: equal to PyTorch's, or refused in one line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import Reading

NAMES = ["stages.10.dw", "stages.9.dw", "stages.9.strip"]  # in the order of definition
LIGHT = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def refusal(path) -> str:
    """Return the message of a checkpoint that must be refused, checked for its form."""
    with pytest.raises(KernelAtlasError) as caught:
        read_depthwise(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message.removeprefix(f"{path}: ")


def assert_equal(layers, state: dict[str, torch.Tensor], names: list[str]) -> None:
    """Compare bit for bit with what PyTorch holds."""
    assert [layer.name for layer in layers] == names
    for layer in layers:
        expected = state[f"{layer.name}.weight"].float().numpy()[:, 0]
        assert layer.weights.dtype == np.float32
        assert layer.weights.flags.c_contiguous
        assert layer.weights.shape == expected.shape
        assert layer.weights.tobytes() == np.ascontiguousarray(expected).tobytes()


def depthwise_of(net: torch.nn.Module) -> dict[str, torch.nn.Conv2d]:
    """Return the depthwise convolutions of a network, as PyTorch knows them, by name."""
    return {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.groups == module.in_channels > 1
        if module.kernel_size != (1, 1)
    }


def assert_read_whole(layers, net: torch.nn.Module) -> None:
    """Compare with a network: weights bit for bit, and what its convolutions do."""
    expected = depthwise_of(net)
    assert expected
    assert_equal(
        layers, {f"{k}.weight": v.weight.detach() for k, v in expected.items()}, [*expected]
    )
    for layer, conv in zip(layers, expected.values(), strict=True):
        assert not layer.inferred
        for found, told in ((layer.stride, conv.stride), (layer.dilation, conv.dilation)):
            assert found == (told[0] if told[0] == told[1] else None)


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield damaged copies: cut off, with changed bytes, or with other lengths inside."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        changed, place = bytearray(data), int(rng.integers(len(data)))
        match rng.integers(4):
            case 0:
                changed = changed[:place]
            case 1:
                changed[place] ^= 1 << int(rng.integers(8))
            case 2:
                changed[place : place + 4] = rng.bytes(4)
            case _:
                changed[place : place + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(9)))
        yield bytes(changed)


def survives(path: Path) -> None:
    try:
        assert isinstance(read_depthwise(path), Reading)
    except KernelAtlasError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)

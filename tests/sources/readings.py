"""What a reading of a checkpoint must be: equal to PyTorch's, or refused in one line."""

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


def survives(path: Path) -> None:
    try:
        assert isinstance(read_depthwise(path), Reading)
    except KernelAtlasError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)

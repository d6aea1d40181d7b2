"""Networks from timm's own classes, seeded and untrained."""

from typing import Any

import timm
import torch

from kernelatlas.errors import KernelAtlasError


def create(architecture: str, seed: int, **arguments: Any) -> torch.nn.Module:
    """Return an untrained timm network, initialised on the CPU from `seed`.

    Raises
    ------
    KernelAtlasError
        If timm has no such architecture or refuses the arguments.
    """
    if not timm.is_model(architecture):
        raise KernelAtlasError(
            f"timm {timm.__version__} has no architecture '{architecture}': "
            "see timm.list_models() for the names"
        )
    torch.manual_seed(seed)
    try:
        return timm.create_model(architecture, pretrained=False, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise KernelAtlasError(
            f"timm cannot build '{architecture}' with {arguments}: {error}"
        ) from error

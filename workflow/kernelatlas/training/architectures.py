"""Untrained networks of timm, initialised from a seed."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import timm.models
import torch
from safetensors.torch import save
from timm.models._efficientnet_builder import decode_arch_def

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.running.files import whole
from kernelatlas.training.pictures import ROTATIONS, n_subjects
from kernelatlas.training.recipes import read_recipe


def create(architecture: str, seed: int, **arguments: Any) -> torch.nn.Module:
    """Return an untrained timm network, initialised on the CPU from `seed`.

    Parameters
    ----------
    architecture
        A name that timm.create_model knows, or the name of a class that timm.models exports
        (`ConvMixer`), for sizes that create_model fixes.
    arguments
        Keyword arguments of the builder. `block_args` are block definitions as in timm, such as
        `ir_r2_k3_s2_e4_c24`, one list per stage.

    Raises
    ------
    KernelAtlasError
        If timm has no such architecture or refuses the arguments.
    """
    build = _builder(architecture)
    torch.manual_seed(seed)
    try:
        blocks = arguments.get("block_args")
        decoded = {"block_args": decode_arch_def(blocks)} if blocks else {}
        return build(**{**arguments, **decoded})
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        AssertionError,
        RuntimeError,
    ) as error:
        raise KernelAtlasError(
            f"timm cannot build '{architecture}' with {arguments}: {error}"
        ) from error


def _builder(architecture: str) -> Callable[..., torch.nn.Module]:
    if timm.is_model(architecture):
        return functools.partial(timm.create_model, architecture, pretrained=False)
    found = getattr(timm.models, architecture, None)
    if isinstance(found, type) and issubclass(found, torch.nn.Module):
        return found
    raise KernelAtlasError(
        f"timm {timm.__version__} has no architecture '{architecture}': "
        "see timm.list_models() for the names"
    )


def from_recipe(recipe: dict[str, Any]) -> torch.nn.Module:
    """Return the network of a recipe before training.

    Its outputs are the scores of the subjects, then those of the four rotations.
    """
    return create(
        recipe["architecture"],
        recipe["seed"],
        num_classes=n_subjects(recipe["data"]) + ROTATIONS,
        **recipe["arguments"],
    )


def depthwise(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the depthwise weights of a network, (channels, 1, kh, kw), by parameter name."""
    return {
        name: tensor for name, tensor in model.state_dict().items() if depthwise_shape(tensor.shape)
    }


def write_untrained(
    path: str | Path, init: str, seed: int | None, arguments: dict[str, Any]
) -> None:
    """Write the depthwise weights of an untrained network as safetensors.

    Parameters
    ----------
    init
        A timm architecture, or the path of a recipe; `arguments` are ignored for a recipe.
    seed
        None for 0, or for the seed of the recipe.
    """
    if init.endswith((".yaml", ".yml")):
        recipe = read_recipe(init)
        model = from_recipe(recipe if seed is None else {**recipe, "seed": seed})
    else:
        model = create(init, seed or 0, **arguments)
    weights = {name: tensor.contiguous() for name, tensor in depthwise(model).items()}
    if not weights:
        raise KernelAtlasError(f"'{init}' has no depthwise layers: remove it from the zoo")
    with whole(path) as partial:
        partial.write_bytes(save(weights))

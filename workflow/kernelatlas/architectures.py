"""Networks from timm's own classes, seeded and untrained."""

from pathlib import Path
from typing import Any

import timm
import torch
import yaml
from safetensors.torch import save

from kernelatlas.errors import KernelAtlasError
from kernelatlas.files import whole
from kernelatlas.schema import validate

ROTATIONS = 4  # classes of the embedded networks: which picture, in which of four turns


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


def from_recipe(recipe: dict[str, Any]) -> torch.nn.Module:
    """Return the untrained network of a recipe, as training begins with it."""
    n_classes = ROTATIONS * len(recipe["data"]["pictures"])
    return create(
        recipe["architecture"], recipe["seed"], num_classes=n_classes, **recipe["arguments"]
    )


def write_untrained(
    path: str | Path, init: str, seed: int | None, arguments: dict[str, Any]
) -> None:
    """Write the depthwise weights of an untrained network as safetensors.

    Parameters
    ----------
    init
        A timm architecture, or the path of a recipe, whose arguments hold then.
    seed
        0 without it, or the recipe's.
    """
    if init.endswith((".yaml", ".yml")):
        recipe = read_recipe(init)
        model = from_recipe(recipe if seed is None else {**recipe, "seed": seed})
    else:
        model = create(init, seed or 0, **arguments)
    depthwise = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if tensor.ndim == 4 and tensor.shape[1] == 1
    }
    if not depthwise:
        raise KernelAtlasError(f"'{init}' has no depthwise layers: remove it from the zoo")
    with whole(path) as partial:
        partial.write_bytes(save(depthwise))


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe file.

    Raises
    ------
    KernelAtlasError
        If it is not valid YAML or not as workflow/schemas/recipe.schema.yaml says.
    """
    try:
        recipe = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KernelAtlasError(f"{path}: not a recipe: {' '.join(str(error).split())}") from error
    validate(recipe, "recipe", str(path))
    return recipe

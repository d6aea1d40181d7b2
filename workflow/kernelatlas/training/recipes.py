"""The recipes that networks are trained by: YAML files, one of which may build on another."""

from pathlib import Path
from typing import Any

import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.schema import validate


def recipe_files(path: str | Path) -> list[Path]:
    """Return the files that a recipe is made of: itself, and the one that it is based on.

    Raises
    ------
    KernelAtlasError
        If one of them is not YAML or no mapping.
    """
    own = _yaml(path)
    if "base" not in own:
        return [Path(path)]
    base = Path(path).parent / str(own["base"])
    if not base.is_file():
        raise KernelAtlasError(f"{path}: base: no file '{base}': name a recipe beside this one")
    return [Path(path), base]


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe file.

    A recipe with the key `base`, the name of a recipe beside it, is that one with its own keys
    laid over it at every depth; a null takes a key away.

    Raises
    ------
    KernelAtlasError
        If it is not valid YAML or not as running/schemas/recipe.schema.yaml says.
    """
    own, *bases = (_yaml(file) for file in recipe_files(path))
    for base in bases:
        if "base" in base:
            raise KernelAtlasError(
                f"{path}: its base '{own['base']}' has a base itself: name '{base['base']}' here"
            )
    recipe = _laid_over(bases[0], own) if bases else own
    recipe.pop("base", None)
    validate(recipe, "recipe", str(path))
    return recipe


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            merged[key] = _laid_over(below[key], value)
        elif value is None and key in below:
            del merged[key]
        else:
            merged[key] = value
    return merged


def _yaml(path: str | Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KernelAtlasError(f"{path}: not a recipe: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise KernelAtlasError(f"{path}: not a recipe: write a mapping, see workflow/zoos/recipes/")
    return content

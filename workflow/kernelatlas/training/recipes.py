"""Recipes for training: YAML files, which may extend a base recipe."""

from pathlib import Path
from typing import Any

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.documents import read_yaml
from kernelatlas.running.schema import validate


def recipe_files(path: str | Path) -> list[Path]:
    """Return the files of a recipe: its own, and that of its base.

    Raises
    ------
    KernelAtlasError
        If one of them is not a YAML mapping, or the base is missing.
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

    The key `base` is the file name of another recipe in the same folder. Its keys are merged with
    those of the recipe at every depth; those of the recipe take precedence, and null removes a key.

    Raises
    ------
    KernelAtlasError
        If it is not valid YAML, or does not conform to running/schemas/recipe.schema.yaml.
    """
    own, *bases = (_yaml(file) for file in recipe_files(path))
    for base in bases:
        if "base" in base:
            raise KernelAtlasError(
                f"{path}: its base '{own['base']}' has a base itself: name '{base['base']}' here"
            )
    recipe = _merged(bases[0], own) if bases else own
    recipe.pop("base", None)
    validate(recipe, "recipe", str(path))
    return recipe


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged(base[key], value)
        elif value is None and key in base:
            del merged[key]
        else:
            merged[key] = value
    return merged


def _yaml(path: str | Path) -> dict[str, Any]:
    content = read_yaml(path, "no such recipe: correct the path")
    if not isinstance(content, dict):
        raise KernelAtlasError(f"{path}: not a recipe: write a mapping, see workflow/zoos/recipes/")
    return content

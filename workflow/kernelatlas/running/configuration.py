"""The config that the rules read: checked, and in one form."""

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.documents import read_yaml, refuse_wildcards, resolved
from kernelatlas.running.schema import SCHEMAS, validate
from kernelatlas.running.upgrade import refuse_replaced

SPECIAL = r"[\s\"'\\$&;|<>()*?\[\]{}!`]"  # to a shell
# Folders of the workflow in which no results may be.
SOURCES = ("workflow", "resources", "envs", "profiles", "tests", "docs", "benchmarks", ".git")
# Keys whose values are paths that are read; `results` counts from the working folder.
PATHS = ("zoo", "dynamics", "images", "container", "evidence.published")


def read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with texts of the command line typed, and keys of mappings as texts.

    YAML reads an unquoted 7 as a number; the keys of JSON, in which Snakemake hands on
    parameters, are texts.
    """
    return typed(dict(config), _schema())


def settings(
    given: Mapping[str, Any],
    files: Sequence[str | os.PathLike[str]],
    root: str | os.PathLike[str],
    alone: bool,
) -> dict[str, Any]:
    """Return the config: the defaults, and over them what the user gives.

    Relative paths count from the folder of the file that names them, or else from the working
    folder; what is not there counts from the workflow's own folder.

    Parameters
    ----------
    given
        What Snakemake has from config files and the command line, or from a module statement.
    files
        The config files of the command line, to find where a path in `given` stands.
    root
        The workflow's own folder, whose config.yaml has the defaults.
    alone
        Whether this is no part of another workflow: then config.yaml in the working folder counts.

    Raises
    ------
    KernelAtlasError
        If a file cannot be read, or the config is not valid.
    """
    defaults, own = Path(root) / "config.yaml", Path("config.yaml")
    configs = [_read_file(defaults, root)]
    if alone and own.exists() and not own.samefile(defaults):
        configs.append(_read_file(own, root))
    texts = read(given)

    def folder(key: str, value: str) -> Path:
        """Return the folder of the last config file that says this."""
        for file in reversed(files):
            with contextlib.suppress(KernelAtlasError):  # Snakemake knows more formats
                if _at(read_yaml(file, "no such file"), key) == value:
                    return Path(file).parent
        return Path()

    return checked(merged([*configs, _with_paths(texts, folder, root)]))


def _read_file(path: Path, root: str | os.PathLike[str]) -> dict[str, Any]:
    content = read_yaml(path, "no such config file") or {}
    if not isinstance(content, Mapping):
        raise KernelAtlasError(f"{path}: write a mapping from keys to values, one a line")
    return _with_paths(read(content), lambda key, value: path.parent, root)


def _with_paths(
    config: dict[str, Any], folder: Callable[[str, str], Path], root: str | os.PathLike[str]
) -> dict[str, Any]:
    """Return a config with all paths as seen from the working folder."""
    found = dict(config)
    for key in PATHS:
        value = _at(config, key)
        if isinstance(value, str) and value and "://" not in value:
            section, _, name = key.rpartition(".")
            path = resolved(value, folder(key, value), root)
            found = merged([found, {section: {name: path}} if section else {name: path}])
    return found


def _at(config: Any, key: str) -> Any:
    """Return the value of a key, or of `section.key`; None if there is none."""
    for name in key.split("."):
        config = config.get(name) if isinstance(config, Mapping) else None
    return config


def merged(configs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return configs in one: later values go before, and mappings are merged key by key."""
    whole: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            former = whole.get(key)
            if isinstance(former, Mapping) and isinstance(value, Mapping):
                whole[key] = merged([former, value])
            else:
                whole[key] = value
    return whole


def _schema() -> dict[str, Any]:
    return yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text())


def checked(config: dict[str, Any], file: str = "config.yaml") -> dict[str, Any]:
    """Return a valid config, as `read` returns it, with the folder of the results normalised.

    Raises
    ------
    KernelAtlasError
        Naming the file, the key, the value and what is allowed there.
    """
    refuse_replaced(config, file)
    config = read(config)
    validate(config, "config", file)
    for key in ("zoo", "dynamics"):
        if config[key] is not None:
            refuse_wildcards(config[key], f"{file}: {key}")
    results = os.path.normpath(config["results"])
    if Path(results).is_relative_to(Path.cwd()) and Path(results) != Path.cwd():
        results = os.path.relpath(results)  # or Snakemake would take one file for two
    return {**config, "results": results}


def typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value with texts read as YAML where the schema allows null or no text.

    `--config key=value` gives texts of all that is no number, and of everything within a list or
    mapping. What is not allowed once it is read stays as it is, for the message about it.
    """
    allowed = schema.get("type", "string")
    if isinstance(value, str):
        read = _read(value, "number" in allowed)
        if "string" in allowed:
            return None if read is None and "null" in allowed else value
        return value if read is None or isinstance(read, str) else typed(read, schema)
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        return {str(key): typed(v, known.get(str(key), others)) for key, v in value.items()}
    if isinstance(value, list):
        return [typed(item, schema.get("items", {})) for item in value]
    return value


def _read(text: str, number: bool) -> Any:
    with contextlib.suppress(ValueError):
        if number and math.isfinite(float(text)):
            return float(text)  # to YAML, 1e-3 is a text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def refuse_missing(key: str, folder: str | None) -> None:
    """Stop if a folder that the config names under a key does not exist.

    Raises
    ------
    KernelAtlasError
        Naming the key and the folder.
    """
    if folder is not None and not Path(folder).is_dir():
        raise KernelAtlasError(
            f"config: {key}: there is no folder '{folder}' (seen from the working folder): correct "
            "the path, or write null"
        )


def refuse_paths(root: str | os.PathLike[str], python: str) -> None:
    """Stop if Snakemake would misread the path of the workflow or of Python.

    Parameters
    ----------
    root
        The workflow's own folder.
    python
        Path of the interpreter, which Snakemake gives to a shell as it is.

    Raises
    ------
    KernelAtlasError
        Naming the path.
    """
    if found := sorted(set("{}:") & set(str(root))):
        raise KernelAtlasError(
            f"{root}: Snakemake runs no scripts in a folder whose path has {' '.join(found)}: "
            "rename the folder"
        )
    if found := sorted(set(re.findall(SPECIAL, python))):
        raise KernelAtlasError(
            f"{python}: Snakemake starts no Python whose path has {' '.join(map(repr, found))}: "
            "rename the folder, or use an environment elsewhere (make VENV=/path/to/environment)"
        )


def refuse_folder(folder: str | os.PathLike[str], root: str | os.PathLike[str]) -> None:
    """Stop if results cannot be written to a folder, or should not be.

    Parameters
    ----------
    folder
        Of the results; it need not exist.
    root
        The workflow's own folder.

    Raises
    ------
    KernelAtlasError
        Naming the folder.
    """
    path = Path(folder)
    # As it is written: folders above the working folder may be closed to this user.
    above = next(place for place in (path, *path.parents) if os.path.exists(place))
    path, named = path.absolute(), above.absolute()
    if not above.is_dir():
        raise KernelAtlasError(f"{named}: is a file: name a folder with `results` in the config")
    if not os.access(above, os.W_OK):
        raise KernelAtlasError(f"{named} cannot be written: check its permissions")
    for name in SOURCES:
        source = (Path(root) / name).resolve()
        if source == path.resolve() or source in path.resolve().parents:
            raise KernelAtlasError(
                f"{path}: is the workflow's own: name another folder with `results` in the config"
            )

"""The config that the rules read: checked, and in one form."""

import contextlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.schema import SCHEMAS, validate
from kernelatlas.running.upgrade import refuse_replaced


def read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with texts of the command line typed, and keys of mappings as texts.

    YAML reads an unquoted 7 as a number; the keys of JSON, in which Snakemake hands on
    parameters, are texts.
    """
    return typed(dict(config), _schema())


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
    return {**config, "results": os.path.normpath(config["results"])}


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


def refuse_unwritable(folder: str | os.PathLike[str]) -> None:
    """Stop if a folder exists but cannot be written.

    Raises
    ------
    KernelAtlasError
        Naming the folder.
    """
    path = Path(folder)
    if path.exists() and not os.access(path, os.W_OK):
        raise KernelAtlasError(f"{path.absolute()} cannot be written: check its permissions")

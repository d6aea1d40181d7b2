"""The config that the rules read: checked, and in one form."""

import os
from pathlib import Path
from typing import Any

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.schema import validate
from kernelatlas.running.upgrade import refuse_replaced


def checked(config: dict[str, Any], file: str = "config.yaml") -> dict[str, Any]:
    """Return a valid config, with kernel sizes that are keys as texts.

    YAML reads an unquoted 7 as a number; the keys of JSON, in which Snakemake hands on
    parameters, are texts.

    Raises
    ------
    KernelAtlasError
        Naming the file, the key, the value and what is allowed there.
    """
    thresholds = config.get("thresholds")
    if isinstance(thresholds, dict):
        config = {**config, "thresholds": {str(k): v for k, v in thresholds.items()}}
    refuse_replaced(config, file)
    validate(config, "config", file)
    return config


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

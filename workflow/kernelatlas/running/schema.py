"""Validate config.yaml, zoo files and recipes against their schemas."""

import json
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from kernelatlas.errors import KernelAtlasError, suggest

SCHEMAS = Path(__file__).parent / "schemas"


def validate(data: Any, schema: str, file: str) -> None:
    """Check data against schemas/{schema}.schema.yaml.

    Raises
    ------
    KernelAtlasError
        Names the file, the key, the value and what is allowed.
    """
    content = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text())
    error = best_match(Draft202012Validator(content).iter_errors(data))
    if error is not None:
        key = ".".join(map(str, error.absolute_path)) or "the top level"
        raise KernelAtlasError(f"{file}: {key}: {_explain(error)}")


def _explain(error: ValidationError) -> str:
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(map(str, set(error.instance) - set(known)))
        hint = suggest(unknown[0], known, f"known: {', '.join(known)}")
        return f"unknown key '{unknown[0]}': {hint}"
    remedy = error.schema.get("description")
    text = f"{json.dumps(error.instance, default=str)[:200]}: {error.message}"
    if error.validator in ("type", "enum", "minimum", "exclusiveMinimum", "pattern", "minItems"):
        text = error.message
    return f"{text}; expected {remedy}" if remedy else text

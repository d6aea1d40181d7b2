"""The configuration of a Keras model: which layers it has, and their strides."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kernelatlas.sources.source import Damaged, Refused, damage

CONFIG_LIMIT = 8 << 20  # bytes of the configuration, which is a JSON text
_DEPTH = 20  # of models in models


@dataclass(frozen=True)
class Leaf:
    """A layer in a model's configuration.

    Attributes
    ----------
    names
        Of the models around it, and its own.
    keys
        What Keras 3 calls them in files of weights.
    kind, config
        Class and configuration.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    kind: str
    config: dict[str, Any]


def layers_of(config: bytes) -> list[Leaf]:
    """Return the layers of a configuration in the order of definition, also those in models."""
    if len(config) > CONFIG_LIMIT:
        raise Refused(
            f"has a configuration of {len(config)} bytes (limit {CONFIG_LIMIT}): "
            "save the weights alone with model.save_weights"
        )
    with damage(ValueError, RecursionError):  # what the decoder raises
        model = json.loads(config)
    if not isinstance(model, dict):
        raise Damaged("a configuration that is no model's")
    return [*_walk(model.get("config"), (), (), 0)]


def _walk(config: Any, names: tuple[str, ...], keys: tuple[str, ...], depth: int) -> Iterator[Leaf]:
    """Yield the layers of a model whose configuration is given."""
    layers = config.get("layers") if isinstance(config, dict) else config  # a list in Keras 2.0
    if depth > _DEPTH or not isinstance(layers, list):
        return
    used: dict[str, int] = {}
    for layer in layers:
        kind, inner = _layer(layer)
        name = inner.get("name") if isinstance(inner, dict) else None
        name = name or (layer.get("name") if isinstance(layer, dict) else None)
        key = _snake_case(kind)
        number = used[key] = used.get(key, -1) + 1
        inner_names = (*names, str(name))
        inner_keys: tuple[str, ...] = (*keys, f"{key}_{number}" if number else key)
        for _ in range(_DEPTH):  # wrappers, as TimeDistributed
            if not isinstance(inner, dict) or not isinstance(inner.get("layer"), dict):
                break
            kind, inner = _layer(inner["layer"])
            inner_keys = (*inner_keys, "layer")
        if isinstance(inner, list) or (isinstance(inner, dict) and "layers" in inner):
            yield from _walk(inner, inner_names, inner_keys, depth + 1)
        elif isinstance(inner, dict):
            yield Leaf(inner_names, inner_keys, kind, inner)


def _layer(layer: Any) -> tuple[str, Any]:
    """Return class and configuration of a layer."""
    if not isinstance(layer, dict):
        raise Damaged("a layer without a configuration")
    return str(layer.get("class_name")), layer.get("config")


def _snake_case(name: str) -> str:
    """Return what Keras 3 calls a class in files of weights (keras.src.utils.naming)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

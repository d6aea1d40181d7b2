"""Kernels in any form that users have them in, as layers."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import DEFAULT, Options, Refused, Tensors
from kernelatlas.sources.weights import depthwise_content, is_needed

log = logging.getLogger(__name__)

FORMS = (
    "give an array of shape (n, k, k), (n, 1, k, k) or (k, k), a state dict, "
    "or the path of a checkpoint"
)


def layers_of(weights: Any, options: Options = DEFAULT) -> list[Layer]:
    """Return kernels as layers.

    Parameters
    ----------
    weights
        As for `kernelatlas.release.classification.Release.classify`. From a state dict or a
        checkpoint, depthwise layers are used, in the order of the dict; those that are perhaps not
        depthwise too, with a warning (`kernelatlas.sources.depthwise`).
    options
        How to read a checkpoint.

    Raises
    ------
    KernelAtlasError
        If there are no kernels, or an array has another shape; as `read_depthwise` for a path.
    """
    if isinstance(weights, str | os.PathLike | Mapping):
        if isinstance(weights, Mapping):
            layers = _of_state_dict(weights)
        else:
            layers = read_depthwise(Path(weights), options).layers
        doubtful = [layer.name for layer in layers if layer.inferred]
        if doubtful:
            log.warning(
                "%s: %d of %d layers may not be depthwise, but first layers for images of one "
                "channel, or transposed convolutions to one (the option `depthwise` says that all "
                "are): %s%s",
                "state dict" if isinstance(weights, Mapping) else weights,
                len(doubtful),
                len(layers),
                ", ".join(doubtful[:3]),
                ", …" if len(doubtful) > 3 else "",
            )
        return layers
    if isinstance(weights, list) and weights and all(isinstance(w, Layer) for w in weights):
        return weights
    shape = tuple(getattr(weights, "shape", ()))
    if len(shape) == 4 and shape[1] == 1:
        shape = (shape[0], *shape[2:])
    elif len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or 0 in shape or shape[1] * shape[2] == 1:
        found = getattr(weights, "shape", None)
        what = type(weights).__name__ if found is None else f"shape {tuple(found)}"
        raise KernelAtlasError(f"weights: {what} does not hold kernels: {FORMS}")
    return [Layer("weights", _float32("weights", weights).reshape(shape))]


def _of_state_dict(state: Mapping[Any, Any]) -> list[Layer]:
    """Return the depthwise layers of a state dict in memory, judged as those of a file are."""
    found = {str(name): value for name, value in state.items() if hasattr(value, "shape")}
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    values = {
        name: _float32(name, value)
        for name, value in found.items()
        if is_needed(name, "float32", shapes[name])
    }
    try:
        layers = depthwise_content(Tensors(shapes, values, ordered=True)).layers
    except Refused as error:
        raise KernelAtlasError(f"state dict: {error}") from None
    if not layers:
        raise KernelAtlasError(
            f"no depthwise layers (4-D weights with shape[1] == 1) among {len(state)} entries: "
            "give the state dict of a network that has some, or the kernels as an array"
        )
    return layers


def _float32(name: str, weights: Any) -> np.ndarray:
    """Return an array or tensor, on any device and of any precision, as float32."""
    if hasattr(weights, "detach"):
        weights = weights.detach().float().cpu().numpy()
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            real = np.asarray(weights)
            if real.dtype.kind == "c":
                raise TypeError("complex numbers")
            return np.ascontiguousarray(real, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise KernelAtlasError(f"{name}: not real numbers ({error}): {FORMS}") from error

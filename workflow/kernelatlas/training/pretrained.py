"""Networks of timm with the weights of a checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.checkpoints import NoStateDictError
from kernelatlas.sources.packages import Packaged
from kernelatlas.sources.source import Tensors
from kernelatlas.sources.weights import plain_name
from kernelatlas.sources.whole import read_weights

CLASSES = 1000  # of ImageNet-1k


class UnsuitedError(KernelAtlasError):
    """A network that cannot be tested on ImageNet pictures; the text says why."""


def load(
    model: str,
    kernels: str | Path,
    architecture: str,
    file: str | Path | None = None,
    remote: dict[str, Any] | None = None,
    packaged: dict[str, Any] | None = None,
    key: str | None = None,
) -> torch.nn.Module:
    """Return a network of timm with the weights of a model of the zoo, in evaluation mode.

    Parameters
    ----------
    model, architecture
        As for `build`.
    kernels, file, remote, key
        As for `kernelatlas.sources.whole.read_weights`.
    packaged
        The attributes of a `kernelatlas.sources.packages.Packaged`.

    Raises
    ------
    KernelAtlasError
        As `build` and `read_weights`.
    UnsuitedError
        As `build`, or if the checkpoint has no state dict of PyTorch.
    """
    package = Packaged(**packaged) if packaged else None
    try:
        tensors = read_weights(model, kernels, file, remote, package, key)
    except NoStateDictError as error:
        raise UnsuitedError(str(error)) from error
    return build(model, architecture, tensors)


def build(model: str, architecture: str, tensors: Tensors) -> torch.nn.Module:
    """Return a network of timm with the weights of a checkpoint, in evaluation mode.

    Tensors are matched by name. If no name is timm's, they are matched in the order of
    definition, for which all shapes must agree, as for kernels (`kernelatlas.sources.registry`).
    Of integers, such as the number of batches that a batch norm has seen, timm's values are kept.

    Parameters
    ----------
    model
        Its name in the zoo. If that is a tag of the architecture in timm, the network has the
        tag's configuration, otherwise the architecture's default one.
    tensors
        All tensors of the checkpoint.

    Raises
    ------
    KernelAtlasError
        If a tensor is missing, unknown, or of another shape.
    UnsuitedError
        If the network has other classes than ImageNet-1k.
    """
    network = timm.create_model(_name(model, architecture), pretrained=False)
    state = network.state_dict()
    wanted = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    found = _by_name(wanted, tensors) or _by_order(wanted, tensors)
    classifier = set(_classifier(network))
    for key, values in found.items():
        if key in wanted and values.shape != wanted[key].shape:
            if key in classifier and values.shape[1:] == wanted[key].shape[1:]:
                raise UnsuitedError(_other_classes(model, len(values)))
            raise KernelAtlasError(
                f"{model}: '{key}' has the shape {'×'.join(map(str, values.shape))} where "
                f"{architecture} of timm has {'×'.join(map(str, wanted[key].shape))}: check "
                "`architecture` in the zoo"
            )
    missing = [key for key in wanted if key not in found]
    unknown = [key for key in found or map(plain_name, tensors.values) if key not in state]
    if missing or unknown:
        raise KernelAtlasError(
            f"{model}: is not {architecture} of timm {timm.__version__}: {len(missing)} of its "
            f"tensors are missing (the first: {next(iter(missing), 'none')}), {len(unknown)} are "
            f"unknown (the first: {next(iter(unknown), 'none')}): check `architecture` in the zoo"
        )
    if network.num_classes != CLASSES:
        raise UnsuitedError(_other_classes(model, network.num_classes))
    # A copy: values that were read lie in memory that cannot be written.
    loaded = {key: torch.from_numpy(values.copy()) for key, values in found.items()}
    network.load_state_dict({**state, **{key: loaded[key] for key in wanted}})
    return network.eval().requires_grad_(requires_grad=False)


def _name(model: str, architecture: str) -> str:
    is_tag = model.partition(".")[0] == architecture and timm.models.is_model_pretrained(model)
    return model if is_tag else architecture


def _by_name(wanted: dict[str, torch.Tensor], tensors: Tensors) -> dict[str, np.ndarray]:
    """Return the values by timm's names; none if none of the names is timm's."""
    named = {plain_name(key): values for key, values in tensors.values.items()}
    return named if wanted.keys() & named.keys() else {}


def _by_order(wanted: dict[str, torch.Tensor], tensors: Tensors) -> dict[str, np.ndarray]:
    """Return the values by the names that timm gives in this order; none if shapes differ."""
    values = [tensors.values[key] for key in tensors.shapes if key in tensors.values]
    shapes = [tuple(tensor.shape) for tensor in wanted.values()]
    if not tensors.ordered or [array.shape for array in values] != shapes:
        return {}
    return dict(zip(wanted, values, strict=True))


def _classifier(network: torch.nn.Module) -> list[str]:
    """Return the names of the tensors of a network's classifier."""
    heads = network.get_classifier()  # type: ignore[operator]  # of timm's networks
    heads = heads if isinstance(heads, tuple) else (heads,)
    inside = {id(tensor) for head in heads for tensor in head.state_dict(keep_vars=True).values()}
    return [k for k, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in inside]


def _other_classes(model: str, classes: int) -> str:
    return f"{model}: has {classes:,} classes, not the {CLASSES:,} of ImageNet-1k"

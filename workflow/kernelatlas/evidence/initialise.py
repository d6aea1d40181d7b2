"""Depthwise layers whose kernels are a·f + b, with f one of a few filters.

As in the trainings of arXiv 2509.11711 and 2509.12746, whose code (github.com/tonylindeberg/
masterfiltmodel) gives each channel the best a·f + b of the same channel of a trained network,
freezes that, and adds a learnable scalar to each kernel.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.masterkeys import best_filter
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.sources.checkpoints import read_depthwise


class ScaledFilters(nn.Module):
    """The parametrisation w = a·f + b of the kernels of a layer, with fixed f.

    Assigning a weight to the layer sets a and b to those of its best approximation, ⟨w, f⟩ and
    mean(w), since f is centred and has unit norm.

    Parameters
    ----------
    filters : Tensor of shape (channels, 1, k, k)
        f of each kernel.
    """

    filters: torch.Tensor

    def __init__(self, filters: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("filters", filters)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the kernels of a and b, (channels,)."""
        return a[:, None, None, None] * self.filters + b[:, None, None, None]

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a and b of the best approximation of kernels."""
        return (weight * self.filters).sum(dim=(1, 2, 3)), weight.mean(dim=(1, 2, 3))


def initialise_depthwise(
    model: nn.Module,
    keys: Mapping[int, np.ndarray],
    seed: int = 0,
    assign_from: nn.Module | Mapping[str, Any] | str | Path | None = None,
    bias: bool = False,
    freeze: bool = False,
) -> tuple[list[str], list[str]]:
    """Put filters, such as master keys, into the depthwise layers of a network, in place.

    Each kernel becomes a·f + b with one of the filters f of its size. Without `assign_from` each
    filter gets the same number of channels of a layer, up to one, in random order; a is ± the
    norm of the kernel that is replaced, with a random sign, and b is 0.

    Parameters
    ----------
    model
        Any network; depthwise layers are nn.Conv2d with as many groups as input channels.
    keys
        By k, as `kernelatlas.evidence.masterkeys.load` returns them: arrays of shape (n, k, k).
    seed
        Of the order and of the signs.
    assign_from
        A trained network of the same architecture, its state dict, or the path of its checkpoint
        (read without executing it). Each kernel becomes the best a·f + b of the trained kernel of
        the same layer and channel; kernels without a shape become their mean.
    bias
        Parametrise the kernels as a·f + b (`torch.nn.utils.parametrize`): f is fixed, a and b are
        learned. In the state dict of the network the weight of a layer is replaced by
        `{layer}.parametrizations.weight.original0` (a, (channels,)), `….original1` (b, (channels,))
        and `….0.filters` (f, (channels, 1, k, k)).
        `torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")` makes it a plain
        weight again, which the checkpoint of a model of a zoo has to have. Without `bias` a·f + b
        is where an ordinary weight begins.
    freeze
        With `bias` only b is learned, a being part of the frozen kernel as in the authors' code;
        without it the kernels are not learned.

    Returns
    -------
    set, skipped : list of str
        Names of the depthwise layers that were set, and of those whose kernels are not k×k for
        any k of `keys`.

    Raises
    ------
    KernelAtlasError
        If keys have another shape or one that is constant, no layer can be set, or a layer is
        missing from `assign_from` or has another shape there.
    """
    filters = {k: _checked(k, given) for k, given in keys.items()}
    layers = dict(_depthwise(model))
    sides = {name: layer.kernel_size for name, layer in layers.items()}
    skipped = [name for name, (k, width) in sides.items() if k != width or k not in filters]
    done = [name for name in layers if name not in skipped]
    if not done:
        sizes = ", ".join(f"{k}×{k}" for k in sorted(keys))
        raise KernelAtlasError(
            f"{type(model).__name__} has no depthwise layer of {sizes or 'any size given'} "
            f"(others: {', '.join(skipped) or 'none'}): give keys of its kernel sizes"
        )
    # All are found before the first is set.
    trained = None if assign_from is None else _trained(assign_from, {n: layers[n] for n in done})
    rng = np.random.default_rng(seed)
    for name in done:
        layer = layers[name]
        known = filters[layer.kernel_size[0]]
        if trained is None:
            chosen = rng.permutation(np.arange(layer.out_channels) % len(known))
            norms = layer.weight.detach().flatten(1).norm(dim=1).cpu().numpy()
            a, b = rng.choice((-1.0, 1.0), layer.out_channels) * norms, np.zeros(1)
        else:
            chosen, a, b = _approximated(trained[name], known)
        _set(layer, known[chosen], a[:, None] * known[chosen] + b[:, None], bias, freeze)
    return done, skipped


def _checked(k: int, given: np.ndarray) -> np.ndarray:
    """Return keys as rows, centred and of unit norm."""
    shape = np.shape(given)
    if len(shape) != 3 or shape[1:] != (k, k) or not shape[0]:
        raise KernelAtlasError(
            f"master keys of {k}×{k}: an array of shape {shape}: give one of shape (n, {k}, {k})"
        )
    rows = np.reshape(given, (-1, k * k))
    if degenerate(rows).any():
        raise KernelAtlasError(
            f"master keys of {k}×{k}: number {int(degenerate(rows).argmax()) + 1} is constant or "
            "not finite: leave it out"
        )
    return normalise(rows)


def _approximated(
    kernels: np.ndarray, filters: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the filter that explains most of each kernel, (n,), and the best a and b."""
    live = ~degenerate(kernels)
    chosen = np.zeros(len(kernels), np.int64)
    chosen[live] = best_filter(normalise(kernels[live]), filters)[0]
    finite = np.nan_to_num(kernels.astype(np.float64), posinf=0.0, neginf=0.0)
    a = np.where(live, np.einsum("ij,ij->i", finite, filters[chosen]), 0.0)
    return chosen, a, finite.mean(axis=1)


def _set(
    layer: nn.Conv2d, filters: np.ndarray, kernels: np.ndarray, bias: bool, freeze: bool
) -> None:
    shape = layer.weight.shape
    if parametrize.is_parametrized(layer, "weight"):
        parametrize.remove_parametrizations(layer, "weight")
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernels).reshape(shape))
    if not bias:
        layer.weight.requires_grad_(not freeze)
        return
    fixed = torch.from_numpy(filters).to(layer.weight).reshape(shape)
    parametrize.register_parametrization(layer, "weight", ScaledFilters(fixed))
    layer.get_parameter("parametrizations.weight.original0").requires_grad_(not freeze)


def _trained(
    source: nn.Module | Mapping[str, Any] | str | Path, layers: Mapping[str, nn.Conv2d]
) -> dict[str, np.ndarray]:
    """Return the trained kernels of some layers, (channels, k·k), by the names of the layers."""
    if isinstance(source, nn.Module):
        found: dict[str, Any] = {name: layer.weight for name, layer in _depthwise(source)}
    elif isinstance(source, Mapping):
        found = {name: source[f"{name}.weight"] for name in layers if f"{name}.weight" in source}
    else:
        found = {layer.name: layer.weights for layer in read_depthwise(source).layers}
    where = source if isinstance(source, str | Path) else f"assign_from ({type(source).__name__})"
    kernels = {}
    for name, layer in layers.items():
        if name not in found:
            raise KernelAtlasError(
                f"{where}: no depthwise layer '{name}': give a network of the same architecture"
            )
        values = found[name]
        if isinstance(values, torch.Tensor):
            values = values.detach().float().cpu().numpy()
        if values.size != layer.weight.numel() or values.shape[0] != layer.out_channels:
            raise KernelAtlasError(
                f"{where}: '{name}' has shape {values.shape}, and here "
                f"{tuple(layer.weight.shape)}: give a network of the same architecture"
            )
        kernels[name] = values.reshape(len(values), -1)
    return kernels


def _depthwise(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            yield name, layer

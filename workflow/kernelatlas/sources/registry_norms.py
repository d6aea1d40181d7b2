"""Which norm follows each depthwise layer directly: seen while a network runs without values."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import timm
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kernelatlas.errors import KernelAtlasError

_BATCH_NORM = inspect.signature(functional.batch_norm)


class _Uses(TorchFunctionMode):
    """Notes what happens to the results of convolutions.

    Attributes
    ----------
    runs
        How often each layer ran.
    uses
        What each use of its results was: a norm's name and eps, or None for anything else.
    """

    def __init__(self, weights: Mapping[int, str], variances: Mapping[int, str]) -> None:
        super().__init__()
        self.weights, self.variances = weights, variances
        self.results: dict[int, tuple[str, torch.Tensor]] = {}  # kept, or an id would come again
        self.runs: dict[str, int] = {}
        self.uses: dict[str, list[tuple[str, float] | None]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if next(_tensors(result), None) is not None:
            for tensor in _tensors((args, kwargs)):
                if id(tensor) in self.results:
                    layer, _ = self.results[id(tensor)]
                    self.uses.setdefault(layer, []).append(self._norm(func, args, kwargs))
        if func is functional.conv2d:
            weight = kwargs["weight"] if "weight" in kwargs else args[1]
            if id(weight) in self.weights:
                layer = self.weights[id(weight)]
                self.runs[layer] = self.runs.get(layer, 0) + 1
                self.results[id(result)] = layer, result
        return result

    def _norm(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, float] | None:
        if func is not functional.batch_norm:
            return None
        bound = _BATCH_NORM.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        name = self.variances.get(id(given["running_var"]))
        return None if given["training"] or name is None else (name, float(given["eps"]))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def following_norms(
    model: torch.nn.Module, layers: Iterable[str], size: Iterable[int]
) -> dict[str, tuple[str, float]]:
    """Return name and eps of the batch norm that alone uses a layer's result, by layer.

    Parameters
    ----------
    model
        A network on the meta device; it is left in evaluation mode.
    layers
        Names of convolutions.
    size
        Channels, height and width of its input.
    """
    state = model.state_dict(keep_vars=True)
    weights = {id(state[f"{layer}.weight"]): layer for layer in layers}
    variances: dict[int, str] = {}
    for name, tensor in state.items():
        if name.endswith(".running_var"):
            variances.setdefault(id(tensor), name.removesuffix(".running_var"))
    uses = _Uses(weights, variances)
    with torch.no_grad(), torch.device("meta"):
        image = torch.empty(1, *size)
        with uses:
            model.eval()(image)
    found = {}
    for layer, norms in uses.uses.items():
        norm = norms[0]
        if norm is not None and norms == [norm] * uses.runs[layer]:
            found[layer] = norm
    return found


def norms_of(
    name: str, model: torch.nn.Module, layers: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the columns `norm` and `eps` of the registry for the layers of a tag's network.

    Raises
    ------
    KernelAtlasError
        If the network cannot be run on the meta device.
    """
    names = [layer["layer"] for layer in layers]
    norms: dict[str, tuple[str, float]] = {}
    if names:
        try:
            norms = following_norms(model, names, timm.get_pretrained_cfg(name).input_size)
        except Exception as error:  # hundreds of classes, each with errors of its own
            raise KernelAtlasError(
                f"timm {timm.__version__} cannot run {name} without memory for its weights "
                f"({type(error).__name__}: {error}): see kernelatlas/sources/registry_norms.py"
            ) from error
    found = [norms.get(layer, (None, None)) for layer in names]
    return [{"norm": norm, "eps": eps} for norm, eps in found]

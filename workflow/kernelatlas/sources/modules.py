"""Modules that were pickled whole: their tensors by name, and what their convolutions do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kernelatlas.sources.arrays import Array
from kernelatlas.sources.source import Convolution, Refused
from kernelatlas.sources.stubs import Inert, Tensor

DEPTH_LIMIT = 64  # modules inside each other
NAMES_LIMIT = 32 << 20  # bytes of all names, which a file could make much larger than itself
_NAME = 200  # bytes that a name takes besides its characters
_VISIT = 50  # what a value costs of the same budget, whether it has a name or not

_Values = Mapping[Any, Any]


def is_module(value: Any) -> bool:
    """Tell whether a value stands for a torch.nn.Module with its attributes."""
    parts = ("_parameters", "_buffers", "_modules")
    return isinstance(value, Inert) and all(type(value.state.get(part)) is dict for part in parts)


def parts_of(module: Inert) -> tuple[list[_Values], list[_Values]]:
    """Return dicts with the tensors of a module, among other values, and with the modules in it."""
    state = module.state
    if not is_module(module):
        return [], []
    parameters, buffers, modules = (state[f"_{n}"] for n in ("parameters", "buffers", "modules"))
    return [parameters, buffers], [modules]


def _unsaved(module: Inert) -> Sequence[Any]:
    """Return the names of the buffers that a state dict leaves out."""
    names = module.state.get("_non_persistent_buffers_set")
    return names if type(names) is list else ()


def convolution_of(module: Inert) -> Convolution | None:
    """Return what a module's attributes tell of it as a convolution in two dimensions."""
    state = module.state
    groups, channels = state.get("groups"), state.get("in_channels")
    transposed, size = state.get("transposed"), state.get("kernel_size")
    if not (type(groups) is type(channels) is int and type(size) is tuple and len(size) == 2):
        return None
    if type(transposed) is not bool or "out_channels" not in state:
        return None
    return Convolution(
        groups, channels, transposed, alike(state.get("stride")), alike(state.get("dilation"))
    )


def alike(value: Any) -> int | None:
    """Return what a stride or dilation is in both directions; None if it is not one number."""
    if type(value) is tuple and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return value if type(value) is int and 0 < value < 1 << 15 else None


class Walk:
    """Lists the tensors of modules, as long as all their names together are not too long.

    Parameters
    ----------
    parts
        Returns the parts of a module as `parts_of` does.
    convolution
        Returns what is known of a module as a convolution, or None.
    """

    def __init__(
        self,
        parts: Callable[[Inert], tuple[list[_Values], list[_Values]]] = parts_of,
        convolution: Callable[[Inert], Convolution | None] = convolution_of,
    ) -> None:
        self.parts, self.convolution, self.left = parts, convolution, NAMES_LIMIT

    def __call__(self, root: Inert) -> tuple[dict[str, Any], dict[str, Convolution]]:
        """Return the tensors and arrays below a module, named as in a state dict, in its order.

        A module that is in several places is listed at the first.
        """
        tensors: dict[str, Tensor | Array] = {}
        convolutions: dict[str, Convolution] = {}
        waiting: list[tuple[tuple[str, ...], Inert]] = [((), root)]
        seen: set[int] = set()
        while waiting:
            path, module = waiting.pop()
            if id(module.state) in seen:
                continue
            seen.add(id(module.state))
            own, below = self.parts(module)
            unsaved = _unsaved(module)
            # Many modules could share what takes long to go through.
            self._spend((_VISIT + len(path)) * sum(map(len, (unsaved, *own, *below))))
            names = {name for name in unsaved if type(name) is str}
            for name, value in (item for values in own for item in values.items()):
                if isinstance(value, (Tensor, Array)) and type(name) is str and name not in names:
                    tensors[self._joined((*path, name))] = value
            known = self.convolution(module)
            if known is not None:
                convolutions[self._joined(path)] = known
            inside = [
                ((*path, str(name)), value)
                for values in below
                for name, value in values.items()
                if isinstance(value, Inert)
            ]
            if inside and len(path) == DEPTH_LIMIT:
                raise Refused(
                    f"holds more than {DEPTH_LIMIT} modules inside each other: "
                    "save model.state_dict()"
                )
            waiting.extend(reversed(inside))
        return tensors, convolutions

    def _joined(self, path: tuple[str, ...]) -> str:
        self._spend(_NAME + sum(map(len, path)))
        return ".".join(path)

    def _spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise Refused("has modules with too many names: save model.state_dict()")

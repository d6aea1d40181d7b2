"""TorchScript: modules as `torch.jit.save` writes them, and the code that says what they do.

The code is text, of which only calls of convolutions with numbers as arguments are looked for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kernelatlas.sources.modules import Walk
from kernelatlas.sources.source import Convolution, Refused
from kernelatlas.sources.stubs import Inert, Tensor
from kernelatlas.sources.wrappers import Found, heads, no_key, under

CODE_LIMIT = 4 << 20  # bytes of code in an archive; that of large networks has 1 MB
CONSTANTS_LIMIT = 1 << 16
_DEPTH_LIMIT = 200  # brackets inside each other
# A text without an end reaches to the end of the line, or to look for ends would take for ever.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|[(\[\])]|,')
_CALLED = re.compile(r"torch\.(\w+)$")

# Which arguments of a call are stride, dilation and groups.
_PLACES = {
    "conv2d": (3, 5, 6),
    "conv_transpose2d": (3, 7, 6),
    "_convolution": (3, 5, 8),
    "_convolution_mode": (3, 5, 6),
}


@dataclass(frozen=True)
class _Call:
    """A call of a convolution.

    Attributes
    ----------
    weight
        What the code calls the weight.
    groups
        None where they are no number.
    transposed, stride, dilation
        As in `Convolution`.
    """

    weight: str
    groups: int | None
    transposed: bool
    stride: int | None
    dilation: int | None

    def convolution(self, weight: Any) -> Convolution | None:
        """Return what this says of a layer with such a weight."""
        if self.groups is None or not isinstance(weight, Tensor) or len(weight.shape) != 4:
            return None
        channels = weight.shape[0] if self.transposed else self.groups * weight.shape[1]
        return Convolution(self.groups, channels, self.transposed, self.stride, self.dilation)


def found_in(
    content: Any, constants: Any, code: Mapping[str, str], key: str | None
) -> tuple[Found, Found]:
    """Return the tensors of a TorchScript archive: those of modules, and those of its constants.

    Parameters
    ----------
    content, constants
        Its two pickles; constants are called `CONSTANTS.c0` and so on, as in the code.
    code
        Texts of the files below `code/`, by path without the ending.
    key
        What the names of the wanted tensors begin with; None for all.

    Raises
    ------
    Refused
        If no name begins so, or there are too many names.
    """
    classes: dict[str, _Call | None] = {}
    constant: dict[str, set[_Call]] = {}
    for path, text in code.items():
        parts = re.split(r"^class (\w+)\(.*\):$", text, flags=re.MULTILINE)
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            calls = {_call(function, arguments) for function, arguments in _calls(body)}
            classes[f"{path.replace('/', '.')}.{name}"] = _agreed(calls)
            for call in calls:
                if call.weight.startswith("CONSTANTS."):
                    constant.setdefault(call.weight, set()).add(call)

    def convolution(module: Inert) -> Convolution | None:
        call = classes.get(module.name)
        return call.convolution(module.state.get("weight")) if call else None

    modules = Found((), *Walk(_parts, convolution)(content))
    frozen = _frozen(constants, {name: _agreed(calls) for name, calls in constant.items()})
    if key is None:
        return modules, frozen
    chosen = [
        Found((), under(found.tensors, key), under(found.convolutions, key))
        for found in (modules, frozen)
    ]
    if not any(found.tensors for found in chosen):
        raise Refused(no_key(key, heads([*modules.tensors, *frozen.tensors])))
    return chosen[0], chosen[1]


def _frozen(constants: Any, calls: Mapping[str, _Call | None]) -> Found:
    """Return the constants of the code, among which a frozen module's weights are."""
    if not isinstance(constants, (tuple, list)) or len(constants) > CONSTANTS_LIMIT:
        raise Refused("has no valid table of constants: save model.state_dict()")
    tensors, convolutions = {}, {}
    for number, value in enumerate(constants):
        if isinstance(value, Tensor):
            name = f"CONSTANTS.c{number}"
            tensors[name] = value
            call = calls.get(name)
            if known := call.convolution(value) if call else None:
                convolutions[name] = known
    return Found((), tensors, convolutions)


def _parts(value: Inert) -> tuple[list[Mapping[Any, Any]], list[Mapping[Any, Any]]]:
    """Return the attributes of a scripted object, in which tensors and objects are mixed."""
    return [value.state], [value.state]


def _agreed(calls: set[_Call]) -> _Call | None:
    """Return what all calls say; None where they say nothing or differ."""
    if len({(call.groups, call.transposed) for call in calls}) != 1:
        return None
    first, *others = calls
    stride = first.stride if all(call.stride == first.stride for call in others) else None
    dilation = first.dilation if all(call.dilation == first.dilation for call in others) else None
    return replace(first, stride=stride, dilation=dilation)


def _calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and arguments of the calls of convolutions."""
    open_calls: list[tuple[str, list[str], int]] = []
    for token in _TOKEN.finditer(text):
        what = token[0]
        if what in "([":
            if len(open_calls) >= _DEPTH_LIMIT:
                return
            called = _CALLED.search(text, max(0, token.start() - 64), token.start())
            open_calls.append((called[1] if called and what == "(" else "", [], token.end()))
        elif what == "," and open_calls:
            function, arguments, begin = open_calls[-1]
            if function in _PLACES and len(arguments) < 16:
                arguments.append(text[begin : token.start()].strip())
            open_calls[-1] = (function, arguments, token.end())
        elif what in ")]" and open_calls:
            function, arguments, begin = open_calls.pop()
            if function in _PLACES:
                yield function, [*arguments, text[begin : token.start()].strip()]


def _call(function: str, arguments: list[str]) -> _Call:
    """Return what a call says."""
    stride, dilation, groups = _PLACES[function]
    arguments = [*arguments, *[""] * (9 - len(arguments))]
    count: str | None = arguments[groups] or "1"  # the default is left out
    transposed = function == "conv_transpose2d"
    if function == "_convolution":
        transposed = arguments[6] == "True"
        count = None if arguments[6] not in ("True", "False") else count
    return _Call(
        arguments[1],
        int(count) if count and re.fullmatch(r"\d{1,9}", count, re.ASCII) else None,
        transposed,
        _alike(arguments[stride]),
        _alike(arguments[dilation]),
    )


def _alike(argument: str) -> int | None:
    """Return a stride or dilation if it is alike in both directions; 1 is left out."""
    found = re.fullmatch(r"\[(\d{1,4})(?:, (\d{1,4}))?\]", argument or "[1]", re.ASCII)
    return int(found[1]) if found and found[2] in (None, found[1]) else None

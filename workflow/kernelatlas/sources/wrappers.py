"""Where in an unpickled checkpoint the state dict is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from kernelatlas.sources.arrays import Array
from kernelatlas.sources.modules import Walk, is_module
from kernelatlas.sources.source import Convolution, Refused, short
from kernelatlas.sources.stubs import Inert, Tensor
from kernelatlas.sources.weights import is_needed

# Where a training script may put the state dict: averaged weights first, then timm's order
# (load_state_dict in timm/models/_helpers.py), then what other code bases use.
_AVERAGED = ("state_dict_ema", "model_ema", "params_ema")
_WRAPPERS = (*("state_dict", "model", "model_state_dict", "params", "net", "network", "module"),)
_OTHER_AVERAGED = len(_AVERAGED)  # any other key with "ema" in it
_ITSELF = _OTHER_AVERAGED + len(_WRAPPERS) + 1  # a state dict that has others inside
_UNKNOWN = _ITSELF + 1
DEPTH_LIMIT = 5  # dicts, lists and objects around a state dict
FOUND_LIMIT = 1000
_LISTED = 8  # state dicts in a message


@dataclass(frozen=True, eq=False)
class Found:
    """A state dict, or the tensors of a module.

    Attributes
    ----------
    path
        The keys that lead to it.
    tensors
        Among other values, by name, in order.
    convolutions
        What is known of them, by module.
    """

    path: tuple[str, ...]
    tensors: Mapping[Any, Any]
    convolutions: dict[str, Convolution] = field(default_factory=dict)

    def is_likely(self) -> bool:
        return any(is_needed(name, x.dtype, x.shape) for name, x in named(self.tensors))


def _rank(key: str | None) -> int:
    if key is None:
        return _ITSELF
    if key in _AVERAGED:
        return _AVERAGED.index(key)
    if "ema" in key.lower():
        return _OTHER_AVERAGED
    return _OTHER_AVERAGED + 1 + _WRAPPERS.index(key) if key in _WRAPPERS else _UNKNOWN


def named(tensors: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor | Array]]:
    """Yield the tensors and arrays among values, with their names."""
    for name, value in tensors.items():
        if type(name) is str and isinstance(value, (Tensor, Array)):
            yield name, value


def find(content: Any, key: str | None) -> Found:
    """Find the state dict in what was pickled.

    Parameters
    ----------
    key
        Where it is, keys with dots between them, or what its names begin with; None to take
        the only one, or the one that the usual keys say.

    Raises
    ------
    Refused
        If there is none, or nothing decides between several.
    """
    if key is not None:
        return _at(content, key)
    if not isinstance(content, (dict, list, tuple, Inert)):
        raise Refused(f"holds a {_kind(content)}, not a state dict; save model.state_dict()")
    found = _Search().choose(content)
    if not found.tensors and not isinstance(content, dict):
        if isinstance(content, Inert):
            raise Refused(
                f"holds an object ({short(content.name)}) in which no tensors were found; "
                "save model.state_dict()"
            )
        raise Refused(f"holds a {_kind(content)}, not a state dict; save model.state_dict()")
    return found


def _kind(content: Any) -> str:
    return type(content).__name__.strip("_").lower()


class _Search:
    """Looks for state dicts and modules, each once."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.walk = Walk()

    def choose(self, content: Any) -> Found:
        """Return the state dict in a value that the usual keys say, or the only one."""
        likely: list[Found] = []
        fallback, most = Found((), {}), 0
        for found in self.below(content, ()):
            if found.is_likely():
                likely.append(found)
                if len(likely) > FOUND_LIMIT:
                    raise Refused(f"holds more than {FOUND_LIMIT} state dicts: save one alone")
            elif (tensors := sum(1 for _ in named(found.tensors))) > most:
                fallback, most = found, tensors
        if not likely:
            return fallback
        chosen = _preferred(likely)
        if chosen is None:
            raise Refused(
                f"holds {len(likely)} state dicts, {listed(found.path for found in likely)}: "
                "choose one with the option `key`"
            )
        return chosen

    def below(self, content: Any, path: tuple[str, ...]) -> Iterator[Found]:
        """Yield what is in a value, itself first."""
        if not isinstance(content, (dict, list, tuple, Inert)) or len(path) > DEPTH_LIMIT:
            return
        inside = content.state if isinstance(content, Inert) else content
        if id(inside) in self.seen:
            return
        self.seen.add(id(inside))
        if isinstance(content, Inert) and is_module(content):
            yield Found(path, *self.walk(content))
            return
        if isinstance(content, dict) and any(True for _ in named(content)):
            yield Found(path, content)
        # The state of an optimiser has tensors that are shaped like weights.
        if not (isinstance(inside, dict) and "state" in inside and "param_groups" in inside):
            for name, value in _children(inside):
                yield from self.below(value, (*path, name))


def _preferred(found: Sequence[Found], depth: int = 0) -> Found | None:
    """Return the state dict that the usual keys say; None where they do not decide."""
    groups: dict[str | None, list[Found]] = {}
    for one in found:
        groups.setdefault(one.path[depth] if len(one.path) > depth else None, []).append(one)
    best = min(map(_rank, groups))
    key, *others = (key for key in groups if _rank(key) == best)
    if others:
        return None
    return groups[key][0] if key is None else _preferred(groups[key], depth + 1)


def _children(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values in a container, with a name for each."""
    if isinstance(content, Inert):
        content = content.state
    pairs: Iterable[tuple[Any, Any]] = (
        content.items() if isinstance(content, dict) else enumerate(content)
    )
    for key, value in pairs:
        if isinstance(value, (dict, list, tuple, Inert)) and not isinstance(key, Inert):
            yield str(key), value


def _at(content: Any, key: str) -> Found:
    """Return what is at a dotted path; of several keys that fit, the longest is taken."""
    rest, value = key, content
    while rest and isinstance(value, (dict, list, tuple, Inert)) and not is_module(value):
        fitting = {
            name: child
            for name, child in _children(value)
            if rest == name or rest.startswith(f"{name}.")
        }
        if not fitting:
            break
        name = max(fitting, key=len)
        rest, value = rest[len(name) + 1 :], fitting[name]
    if not rest:
        found = _Search().choose(value)
        if found.tensors:
            return found
    else:  # names of tensors may begin with it
        fitting_parts = (
            Found(found.path, part, under(found.convolutions, rest))
            for found in _Search().below(value, ())
            if (part := under(found.tensors, rest))
        )
        parts = list(islice(fitting_parts, _LISTED + 1))
        if len(parts) > 1:
            raise Refused(
                f"has {short(rest)} in {listed(found.path for found in parts)}: write more of "
                "the path to the option `key`"
            )
        if parts:
            return parts[0]
    raise Refused(no_key(key, _places(content)))


def _places(content: Any) -> Iterator[tuple[str, ...]]:
    for found in _Search().below(content, ()):
        if found.path:
            yield found.path
        else:
            yield from heads(name for name, _ in named(found.tensors))


def under(names: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries whose names begin with a prefix and a dot, without these."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): value
        for name, value in names.items()
        if type(name) is str and name.startswith(start)
    }


def heads(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return what names begin with, each once."""
    return [(head,) for head in dict.fromkeys(name.partition(".")[0] for name in names)]


def no_key(key: str, there: Iterable[tuple[str, ...]]) -> str:
    """Return what to say where the key of the zoo is not in a file."""
    return f"has no {short(key)}; it has {listed(there)}: correct the option `key`"


def listed(paths: Iterable[tuple[str, ...]]) -> str:
    """Return paths as they may stand in a message."""
    texts = [repr(".".join(path)[:28]) for path in islice(paths, _LISTED + 1)]
    return (", ".join(texts[:_LISTED]) or "no tensors") + (", …" if len(texts) > _LISTED else "")

"""What stands for the objects of a pickle: tensors, their storages, and what does nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kernelatlas.sources import arrays
from kernelatlas.sources.arrays import Array, Part
from kernelatlas.sources.source import Damaged
from kernelatlas.sources.weights import is_count

ARGUMENTS_LIMIT = 256  # of a call
NUMBERED = 1 << 16  # keys of a dict that are numbers below this one are kept
NOTHING: dict[Any, Any] = {}  # the state of an object without one; never written to


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """A storage of tensors, or a view of one."""

    key: str | Array | Part  # the last two have the bytes themselves
    dtype: str
    start: int  # elements before a view of a storage begins
    numel: int


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A tensor: which elements of a storage it has."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Inert:
    """Stands for a global of the pickle, or for an object made by one, and does nothing.

    Only the few names of `_BUILDERS` mean something when called. It is an instance, without
    a `__dict__`, so that no opcode gets hold of a class or function to change.

    Attributes
    ----------
    name
        Of the global, with its module.
    state
        The object's attributes, as the pickle has them.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: dict[Any, Any] = NOTHING

    def __call__(self, *args: Any, **_: Any) -> Any:
        build = _BUILDERS.get(self.name)
        return build(*args) if build else Inert(self.name)

    def set_state(self, state: Any) -> None:
        if type(state) is tuple and len(state) == 2:
            state = state[0]  # the second part is that of __slots__
        if type(state) is dict:
            self.state = state

    def _ignore(self, *_: Any) -> None:
        pass

    append = extend = add = __setitem__ = _ignore


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Tensor:
    if not (isinstance(storage, Storage) and type(shape) is type(stride) is tuple):
        raise Damaged("a tensor without storage, shape or stride")
    if len(shape) > 64 or len(shape) != len(stride):
        raise Damaged("a tensor whose shape and stride differ in length")
    if not all(map(is_count, (offset, *shape, *stride))):
        raise Damaged("a tensor whose offset, shape or stride is no count")
    return Tensor(storage, storage.dtype, offset, shape, stride)


def _tensor_with_dtype(*args: Any) -> Tensor:
    return replace(_tensor(*args), dtype=args[6].name.removeprefix("torch."))


def _mapping(*args: Any) -> dict[Any, Any]:
    """Return the dict of an OrderedDict; Python 2 pickled one with a list of pairs."""
    pairs = args[0] if args and isinstance(args[0], list) else []
    result = {key_of(key): value for key, value in pairs}
    pairs.clear()  # or one list, used a million times, would fill the memory
    return result


def key_of(key: Any) -> Any:
    """Return what stands for a key of a dict."""
    # To hash other keys may take for ever: tuples nested a million deep, numbers that collide.
    if type(key) is str or (type(key) is int and 0 <= key < NUMBERED):
        return key
    return Inert("key")


def _same(value: Any = None, *_: Any) -> Any:
    return value


def _object(kind: Any, *_: Any) -> Inert:
    return Inert(kind.name)


def _graph(state: Any, *_: Any) -> Inert:
    """Return the module that torch.fx describes by its attributes."""
    module = Inert("torch.fx.GraphModule")
    module.set_state(state)
    return module


def call(function: Any, args: Any) -> Any:
    """Call a stand-in; as a call copies its arguments, there must be few."""
    if type(args) is not tuple or len(args) > ARGUMENTS_LIMIT:
        raise Damaged(f"a call without a tuple of at most {ARGUMENTS_LIMIT} arguments")
    return function(*args)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_with_dtype,
    "torch._utils._rebuild_qtensor": _tensor,  # refused later, by its dtype
    "torch._utils._rebuild_parameter": _same,
    "torch._utils._rebuild_parameter_with_state": _same,
    "torch._utils._rebuild_device_tensor_from_numpy": _same,
    "torch.fx.graph_module.reduce_graph_module": _graph,
    "torch.jit._pickle.restore_type_tag": _same,
    "builtins.set": _same,
    "__builtin__.set": _same,
    "copyreg._reconstructor": _object,
    "copy_reg._reconstructor": _object,
    "torch._tensor._rebuild_from_type_v2": lambda build, _kind, args, *_: call(build, args),
    "torch.Size": lambda shape=(), *_: shape,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    **arrays.BUILDERS,
}


# Callables that no network needs, and that malicious pickles use. Nothing of a pickle is ever
# called; a file that names one of these is refused because it was made to do harm.
_DANGEROUS_MODULES = frozenset(
    (
        *("os", "posix", "nt", "subprocess", "commands", "pty", "shutil", "socket", "ctypes"),
        *("importlib", "imp", "runpy", "code", "codeop", "bdb", "pdb", "timeit", "profile"),
        *("cProfile", "webbrowser", "urllib", "http", "httplib", "requests", "ftplib", "smtplib"),
        *("telnetlib", "pip", "pickle", "_pickle", "cPickle", "marshal", "sys", "signal"),
    )
)
_DANGEROUS_NAMES = frozenset(
    (
        *(
            f"{module}.{name}"
            for module in ("builtins", "__builtin__")
            for name in (
                *("eval", "exec", "execfile", "compile", "open", "file", "__import__", "input"),
                *("breakpoint", "globals", "setattr", "delattr", "exit", "quit"),
            )
        ),
        *("io.open", "_io.open", "io.FileIO", "_io.FileIO", "torch.hub.load"),
    )
)


def is_dangerous(module: str, name: str) -> bool:
    """Tell whether a global is among those that malicious pickles use."""
    return module.partition(".")[0] in _DANGEROUS_MODULES or f"{module}.{name}" in _DANGEROUS_NAMES

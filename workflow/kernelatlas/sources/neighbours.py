"""What stands around the weights of depthwise shape in a state dict: channels before and after."""

import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

DEPTH = 12  # parts of a name that are compared
Shapes = dict[str, tuple[int, ...]]
Place = tuple[str, ...]

_WEIGHT = re.compile(r"(^|_)(weight|kernel|filter|w|dw|dwconv|depthwise)s?\d*$", re.IGNORECASE)
_DIGITS = re.compile("([0-9]+)")


@dataclass(eq=False)
class Candidate:
    """A weight of shape (n, 1, kh, kw) and its neighbours.

    "Before" means in the order of the file. Where that is not the order of definition, the numbers
    in names tell it: what is in `blocks.2` comes before what is in `blocks.3`.

    Attributes
    ----------
    name, shape
        Of the weight.
    place
        The modules around it, without those that are around all weights.
    first
        Whether no other convolution or linear layer is known to come before it.
    after_first
        Whether only weights of such shapes are.
    certain
        Whether all other convolutions wider than 1×1 are known to come after a `first` one.
    fresh
        The fewest parts of `place` that name a module without a layer before this one.
    fits
        Whether what comes right before it gives n channels.
    follows_one
        Whether what comes right before it gives one channel, or may do so in its block.
    near
        Whether a layer in its block gives n channels, before it or perhaps after it.
    known
        Whether any layer that may come before it gives n channels.
    taken
        Whether something uses its output.
    """

    name: str
    shape: tuple[int, ...]
    place: Place
    first: bool = False
    after_first: bool = False
    certain: bool = True
    fresh: int = 0
    fits: bool = False
    follows_one: bool = False
    near: bool = False
    known: bool = False
    taken: bool = False

    @property
    def n(self) -> int:
        return self.shape[0]


def is_weight(name: str) -> bool:
    """Tell whether a tensor is called as weights of layers are."""
    return _WEIGHT.search(name.rpartition(".")[2]) is not None


def pattern(text: str) -> str:
    """Return a name with # for each number."""
    return _DIGITS.sub("#", text)


def bias_of(name: str, shapes: Shapes) -> tuple[int, ...] | None:
    return shapes.get(name.removesuffix(name.rpartition(".")[2]) + "bias")


def candidates_of(names: list[str], shapes: Shapes, ordered: bool) -> list[Candidate]:
    """Return the named weights with what stands around them.

    Parameters
    ----------
    shapes
        Of all tensors.
    ordered
        Whether they are in the order of definition.
    """
    weights = [name for name in shapes if is_weight(name)]
    low, high = min(weights), max(weights)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    begin = low.rfind(".", 0, same) + 1  # after the modules around all weights
    # Not all parts at once: a hostile name has millions.
    place = {name: tuple(name[begin:].split(".", DEPTH + 1)[:-1][:DEPTH]) for name in shapes}
    found = {name: Candidate(name, shapes[name], place[name]) for name in names}
    layers = {
        name: shape
        for name, shape in shapes.items()
        if name not in found and is_weight(name) and len(shape) > 1
        if not (len(shape) == 3 and shape[0] == 1)  # a token, or a table of positions
    }
    if ordered:
        _look_ahead(found, layers, shapes, place)
        _look_behind(found, layers, shapes, place)
    else:
        _compare_names(found, layers, shapes, place)
    return list(found.values())


def _given(name: str, shapes: Shapes, following: tuple[int, ...] = ()) -> int:
    """Return how many channels a layer gives, of which its bias or the next norm has as many."""
    shape, bias = shapes[name], bias_of(name, shapes)
    if bias is not None and len(bias) == 1:
        return bias[0]
    if len(shape) == 4 and following == shape[1:2]:  # transposed: (channels in, channels out, …)
        return shape[1]
    return shape[0]


def _look_ahead(
    found: dict[str, Candidate], layers: Shapes, shapes: Shapes, place: dict[str, Place]
) -> None:
    """Tell what is taken: by a vector or a layer that follows, or by the rest of its branch."""
    following: set[int] = set()  # channels of what comes next
    branches: set[Place] = set()
    for name in reversed(shapes):
        if name in found:
            x = found[name]
            x.taken = x.n in following or place[name][:1] in branches or bool(bias_of(name, shapes))
            following = set()
        elif name in layers:
            following = set(shapes[name][:2])
        elif len(shapes[name]) == 1:
            following.add(shapes[name][0])
        if (name in found or name in layers) and place[name][:1]:
            branches.add(place[name][:1])


def _look_behind(
    found: dict[str, Candidate], layers: Shapes, shapes: Shapes, place: dict[str, Place]
) -> None:
    names = list(shapes)
    recent: int | None = None  # channels of what came right before
    seen: set[Place] = set()  # modules with layers
    blocks: dict[Place, set[int]] = defaultdict(set)  # channels of the layers in a module
    known: set[int] = set()
    started = False
    for i, name in enumerate(names):
        if name in found:
            x = found[name]
            x.first, x.after_first = not started, started and not known
            x.fits, x.follows_one = recent == x.n and bool(known), recent == 1
            x.known = x.n in known
            x.near = x.known and any(x.n in blocks[block] for block in _blocks(x.place))
            depths = range(len(x.place) + 1)
            x.fresh = next((d for d in depths if x.place[:d] not in seen), len(x.place))
            started, recent = True, x.n if x.taken else None
        elif name in layers:
            recent = _given(name, shapes, shapes[names[i + 1]] if i + 1 < len(names) else ())
            if layers[name][1] > 1:
                known.add(recent)
                started = True
                seen.update(place[name][:d] for d in range(len(place[name]) + 1))
                for block in _blocks(place[name]):
                    blocks[block].add(recent)


def _blocks(place: Place) -> list[Place]:
    """Return the module around a layer and the one around this, numbers not counted."""
    found, counted = [], 0
    for depth in reversed(range(1, len(place))):
        counted += not place[depth].isdigit()
        if counted > 2:
            break
        found.append(place[:depth])
    return found


class _Block:
    """The parts of a module that hold layers, by kind: by their names without numbers."""

    def __init__(self) -> None:
        self.given: dict[str, dict[str, set[int]]] = {}  # channels, by kind and part
        self.close: dict[int, set[str]] = {}  # kinds of parts near enough, by channels they give
        self.wide: set[str] = set()  # kinds of parts with convolutions wider than 1×1
        self.stems: dict[str, list[str]] = {}  # parts with candidates, by kind
        self.sorted: dict[str, list[str]] = {}

    def add(self, part: str, inside: Place, given: int, pointwise: bool) -> None:
        """Add a layer that is in a part, at the place `inside` of it."""
        kind = pattern(part)
        self.given.setdefault(kind, {}).setdefault(part, set()).add(given)
        if not pointwise:
            self.wide.add(kind)
        if not inside or (len(inside) == 1 and (pointwise or not inside[0].isdigit())):
            self.close.setdefault(given, set()).add(kind)

    def sort(self) -> None:
        self.sorted = {kind: sorted(parts, key=_number) for kind, parts in self.given.items()}
        for parts in self.stems.values():
            parts.sort(key=_number)

    def before(self, part: str) -> set[int] | None:
        """Return the channels given by the last part that comes before one; None without any."""
        alike = self.sorted.get(pattern(part), [])
        position = bisect_left(alike, _number(part), key=_number)
        return self.given[pattern(part)][alike[position - 1]] if position else None

    def others(self, part: str) -> bool:
        """Tell whether there are layers in parts of another kind."""
        return bool(self.given.keys() - {pattern(part)})

    def after(self, part: str) -> bool:
        alike = self.sorted.get(pattern(part), [])
        return bool(alike) and _number(alike[-1]) > _number(part)

    def stem_before(self, part: str) -> bool:
        return _number(self.stems[pattern(part)][0]) < _number(part)


def _compare_names(
    found: dict[str, Candidate], layers: Shapes, shapes: Shapes, place: dict[str, Place]
) -> None:
    blocks = {x.place[:d]: _Block() for x in found.values() for d in range(len(x.place))}
    vectors: dict[Place, set[int]] = defaultdict(set)
    known, taken = set(), set()
    for name, shape in shapes.items():
        here = place[name]
        if len(shape) == 1:
            vectors[here].add(shape[0])
            vectors[here[:-1]].add(shape[0])
        elif name in layers:
            given = _given(name, shapes)
            known.add(given)
            taken.add(shape[1])
            pointwise = len(shape) < 4 or shape[2] * shape[3] == 1
            for depth in range(len(here)):
                if here[:depth] in blocks:
                    blocks[here[:depth]].add(here[depth], here[depth + 1 :], given, pointwise)
    for x in found.values():
        for depth, part in enumerate(x.place):
            blocks[x.place[:depth]].stems.setdefault(pattern(part), []).append(part)
    for block in blocks.values():
        block.sort()
    for x in found.values():
        inside = [(depth, part, blocks[x.place[:depth]]) for depth, part in enumerate(x.place)]
        for depth, part, block in reversed(inside):
            before = block.before(part)
            if before is not None:
                x.fits, x.follows_one, x.fresh = x.n in before, before == {1}, depth + 1
                break
        stem_before = any(block.stem_before(part) for _, part, block in inside)
        x.first, x.after_first = not (x.fresh or stem_before), stem_before and not x.fresh
        x.certain = not any(block.wide - {pattern(part)} for _, part, block in inside)
        x.near = any(
            blocks[around].close.get(x.n, set()) - {pattern(x.place[len(around)])}
            for around in _blocks(x.place)
        )
        if x.place and blocks[x.place[:-1]].close.get(1, set()) - {pattern(x.place[-1])}:
            x.follows_one = True
        x.known = x.n in known
        x.taken = (
            x.n in taken
            or x.n in vectors[x.place] | vectors[x.place[:-1]]
            or any(
                block.after(part) or (depth and block.others(part)) for depth, part, block in inside
            )
        )


def _number(part: str) -> list[str | tuple[int, str]]:
    """Sort key of a part of a name that compares digits as numbers."""
    key: list[str | tuple[int, str]] = list(_DIGITS.split(part))
    key[1::2] = [
        (len(run), run) for run in (digits.lstrip("0") for digits in _DIGITS.findall(part))
    ]
    return key

"""Which weights of the shape (n, 1, kh, kw) are depthwise, told from names, shapes and values.

A state dict does not say it. The same shape have the first layer for images of one channel,
Conv2d(1, n, k); a transposed convolution to one channel, ConvTranspose2d(n, 1, k); masks, tables of
positions and other buffers; and filters that are fixed. What tells them apart:

- A tensor that is not called a weight, or whose bias has not n values, is none.
- Filters of which a quarter or fewer are different are fixed, and none. If their values are few,
  they may be fixed: doubtful.
- What is called depthwise (`dw`, `dwconv`, `depthwise`) is. The next rules see neighbours only.
- If nothing that follows uses n channels, it may be transposed: doubtful.
- If no layer comes before it, and the network takes no three channels, it is the first: none.
- If the layer right before it gives n channels, it is depthwise, because a layer with one
  channel as its input does not get n; unless a first layer stands in another branch in its place.
- If others are whose names differ in numbers alone, such as `blocks.3.1.conv` and
  `blocks.4.0.conv`, it is: their neighbours fit at other widths, or they are many.
- In a network for colour images, what is inside a block with other layers is, but not what follows
  a layer of one channel, nor the first of a branch.
- All else is doubtful.

A safetensors file has no order of definition. Then "before" is what the numbers in names say, and
a layer in the same block may be before or after (`kernelatlas.sources.neighbours`).

Measured (`python benchmarks/depthwise.py`), in the order of definition and by names: of the 13,702
depthwise weights in timm's 471 architectures none is mistaken or doubtful (2 by names, if nothing
were called depthwise). Of the same networks for grey images, no stem is taken for depthwise (469;
242 are doubtful by names), and 3 % (7 % by names) of the depthwise weights are doubtful. Of ten
small networks of other kinds, with 36 weights, that were left aside until the rules were made, one
weight was mistaken, by names, and 10 and 15 were doubtful; for it a rule was added on layers of one
channel.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.sources.neighbours import (
    Candidate,
    Shapes,
    bias_of,
    candidates_of,
    is_weight,
    pattern,
)

DEPTHWISE, DOUBTFUL, OTHER = "depthwise", "doubtful", "other"
MANY = 6  # layers of one kind of name: no network has so many inputs
COMPARED = 16  # first layers with which one is compared

_NAMED = re.compile(r"depth_?wise|(^|[^a-z])dw([^a-z]|s?$|c|s\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """What a weight is taken for, and why.

    Attributes
    ----------
    kind
        depthwise, doubtful or other.
    reason
        Follows the weight's name in a message.
    judged
        Whether it is a judgement, which `depthwise: true` in the zoo overrules.
    """

    kind: str
    reason: str
    judged: bool = True


class _Kind:
    """The weights whose names differ in numbers alone."""

    def __init__(self, members: list[Candidate]) -> None:
        self.widths = Counter(x.n for x in members)
        self.fit = Counter(x.n for x in members if x.fits)
        self.near = Counter(x.n for x in members if x.near)
        self.known = all(x.known for x in members)
        self.many = len(members) >= MANY

    def shows(self, x: Candidate, colour: bool) -> bool:
        """Tell whether the others show that one is depthwise."""
        if self.fit.total() > self.fit[x.n] or (x.near and self.near.total() > self.near[x.n]):
            return True  # there are such of other widths
        if not (colour or self.many or len(self.widths) > 1):
            return False
        if self.fit.total() - x.fits > 1 or self.near.total() - x.near > 1:
            return True
        if self.many and (colour or len(self.widths) > 1):
            return True
        return colour and self.known and (len(self.widths) > 2 or self.widths.total() > 3)


class _Network:
    """What is known of the network as a whole."""

    def __init__(self, candidates: list[Candidate], shapes: Shapes, ordered: bool) -> None:
        members = defaultdict(list)
        for x in candidates:
            members[pattern(x.name)].append(x)
        self.kinds = {kind: _Kind(alike) for kind, alike in members.items()}
        self.colour = any(len(shape) == 4 and shape[1] == 3 for shape in shapes.values())
        self.ordered = ordered
        # Weights of others, which take what these give.
        self.others = any(
            len(shape) > 1 and shape[1] > 1 for name, shape in shapes.items() if is_weight(name)
        )
        self.stems = [x for x in candidates if x.first or x.after_first][:COMPARED]
        self.first = {x.name: self.others_are(x) for x in candidates if x.first}
        self.alone = {name for name, shown in self.first.items() if not shown}

    def others_are(self, x: Candidate) -> bool:
        """Tell whether other layers with this kind of name show that it is depthwise."""
        return self.kinds[pattern(x.name)].shows(x, self.colour)

    def has_twin(self, x: Candidate) -> bool:
        """Tell whether a first layer stands in another branch where this one stands in its own."""
        kind = self.kinds[pattern(x.name)]
        if kind.many or len(kind.widths) > 1:
            return False
        return any(_are_twins(x, stem) for stem in self.stems if stem is not x)


def _are_twins(x: Candidate, first: Candidate) -> bool:
    pairs = enumerate(zip(x.place, first.place, strict=False))
    differing = next((i for i, (mine, other) in pairs if mine != other), None)
    if differing is None or x.shape != first.shape or x.fresh > differing + 1:
        return False
    mine, other = x.place[differing + 1 :], first.place[differing + 1 :]
    return bool(mine) and pattern(".".join(mine)) == pattern(".".join(other))


def judge(shapes: Shapes, ordered: bool) -> dict[str, Verdict]:
    """Judge the weights of the shape (n, 1, kh, kw) in a state dict.

    Parameters
    ----------
    shapes
        Of all tensors, by name.
    ordered
        Whether they are in the order of definition.

    Returns
    -------
    dict
        A verdict for each tensor of such a shape, by name.
    """
    verdicts, names = {}, []
    for name, shape in shapes.items():
        if depthwise_shape(shape):
            bias = bias_of(name, shapes)
            if not is_weight(name):
                verdicts[name] = Verdict(OTHER, "is not called a weight", judged=False)
            elif bias is not None and bias != shape[:1]:
                verdicts[name] = Verdict(
                    OTHER, f"has a bias of the shape {bias}, not {shape[:1]}", judged=False
                )
            else:
                names.append(name)
    if not names:
        return verdicts
    # A state dict that was read from a safetensors file and pickled is sorted by name too.
    ordered = ordered and list(shapes) != sorted(shapes)
    candidates = candidates_of(names, shapes, ordered)
    network = _Network(candidates, shapes, ordered)
    return {**verdicts, **{x.name: _verdict(x, network) for x in candidates}}


def judge_values(verdict: Verdict, weights: np.ndarray) -> Verdict:
    """Return what a weight of shape (n, 1, kh, kw) is in view of its values, up to 512 kernels.

    Kernels that are constant or not finite say nothing; they are degenerate wherever they come
    from.
    """
    n = len(weights)
    kernels = weights[np.linspace(0, n - 1, min(n, 512)).astype(int)].reshape(min(n, 512), -1)
    kernels = kernels[np.isfinite(kernels).all(axis=1)]
    kernels = kernels[np.ptp(kernels, axis=1) > 0]
    if len(kernels) < 2 or kernels.shape[1] > 100**2:
        return verdict
    if len(np.unique(kernels, axis=0)) <= max(1, len(kernels) // 4):
        return Verdict(OTHER, "has kernels that are alike: fixed filters")
    values = np.abs(kernels[kernels != 0])
    steps = np.unique(np.round(values / values.max(), 5))
    if len(steps) <= min(kernels.shape[1], len(values) // 4):
        return Verdict(DOUBTFUL, f"has {len(steps)} values: its filters may be fixed")
    return verdict


def _verdict(x: Candidate, network: _Network) -> Verdict:
    if _NAMED.search(x.name):
        return Verdict(DEPTHWISE, "is called depthwise")
    if not x.taken:
        return Verdict(DOUBTFUL, "may be transposed: nothing uses its channels")
    others_are = network.others_are(x)
    if x.first:
        return _verdict_of_first(x, network, others_are)
    if others_are and (network.colour or not network.has_twin(x)):
        return Verdict(DEPTHWISE, "is called as other depthwise layers are")
    if x.after_first:
        return Verdict(DOUBTFUL, "has only layers of its kind before it")
    if x.fits and not network.has_twin(x):
        return Verdict(DEPTHWISE, "gets its channels from the layer before it")
    if not x.follows_one and network.colour and (x.near or x.fresh > 1):
        return Verdict(DEPTHWISE, "is inside a network for colour images")
    return Verdict(DOUBTFUL, "may be the first of a branch: nothing before it gives its channels")


def _verdict_of_first(x: Candidate, network: _Network, others_are: bool) -> Verdict:
    if network.colour and (others_are or x.near) and not x.follows_one:
        return Verdict(DEPTHWISE, "is inside a network for colour images")
    if not network.ordered and others_are and network.alone:
        return Verdict(DEPTHWISE, "is called as other depthwise layers are")
    if network.colour or x.n == 3 or len(network.alone) > 1 or not (x.certain and network.others):
        return Verdict(DOUBTFUL, "may be the first layer")
    return Verdict(OTHER, "is the first layer, for images of one channel")

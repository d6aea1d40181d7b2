"""A network on pictures of other sizes, with its padding moved: does it mind half a pixel?

If kernels of a layer of stride 2 are moved to suit the padding that they were trained with
(`kernelatlas.evidence.maps`), then a map of the other parity, which is padded otherwise, leaves
them half a pixel beside the right place, and a padding moved by a pixel a whole one. No padding
is right for kernels moved by half a pixel on an odd map: (p − q)/2 is a whole number there.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.maps import map_table, padding

log = logging.getLogger(__name__)

Batches = Callable[[int], Iterable[tuple[torch.Tensor, torch.Tensor]]]

LARGE = 5  # kernels smaller than this have little room to move
MOVES = (-1, 0, 1)  # of the padding, in pixels
SIZES = (-2, -1, 0, 1, 2)  # of pictures, in steps that change the last layer's map by one pixel
COLUMNS = ("layer", "size", "map", "moved", "picture", "correct", "log_likelihood")


def strided(maps: pd.DataFrame) -> pd.DataFrame:
    """Return the layers of stride 2 or more with large square kernels; all sizes if there are none.

    Parameters
    ----------
    maps
        As `kernelatlas.evidence.maps.map_table` returns them.
    """
    found = maps[(maps["stride"] > 1) & (maps["kh"] == maps["kw"])]
    large = found[found["kh"] >= LARGE]
    return large if len(large) else found


@contextmanager
def moved_padding(model: nn.Module, layer: str, by: int) -> Iterator[None]:
    """Let a layer pad `by` pixels more on the left and the top, and as many less opposite.

    Its output keeps its size. A negative padding cuts pixels off.
    """
    module = dict(model.named_modules())[layer]
    if not isinstance(module, nn.Conv2d):
        raise KernelAtlasError(f"layer {layer}: no convolution: take one of the table of maps")
    original = module.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        (top, bottom), (left, right) = (padding(module, axis, x.shape[2 + axis]) for axis in (0, 1))
        padded = functional.pad(x, (left + by, right - by, top + by, bottom - by))
        options = (module.bias, module.stride, 0, module.dilation, module.groups)
        return functional.conv2d(padded, module.weight, *options)

    module.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        module.forward = original  # type: ignore[method-assign]


def plan(model: nn.Module, size: int) -> list[tuple[int, str, int]]:
    """Return what is tested: size of the pictures, layer, and pixels by which its padding is moved.

    Without a layer the network is as it is, also on sizes at which the map of the last layer
    of stride 2 has one pixel, and two, less and more. Paddings are moved on pictures of the given
    size, and on those on which the layer's map has one pixel more.
    """
    layers = strided(map_table(model, (3, size, size)))
    wanted: dict[tuple[int, str, int], None] = {(size, "", 0): None}
    for row in layers.to_dict("records"):
        step = _reduction(size, row["width"])
        for side in (size, size + step):
            wanted[side, "", 0] = None
            wanted |= {(side, str(row["layer"]), by): None for by in MOVES if by}
    if len(layers):
        step = _reduction(size, layers["width"].iloc[-1])
        wanted |= {(size + number * step, "", 0): None for number in SIZES}
    return sorted(wanted)


def _reduction(size: int, width: int) -> int:
    """Return how many pixels of a picture are one of a map: a power of two, as strides are."""
    return int(2 ** round(math.log2(size / width)))


@torch.no_grad()
def parity_table(model: nn.Module, batches: Batches, size: int) -> pd.DataFrame:
    """Test a network as `plan` says.

    Parameters
    ----------
    model
        In evaluation mode; its pictures are square.
    batches
        Yields pictures of a size, (n, 3, size, size), and the numbers of their classes, (n,).
    size
        Of the pictures that the network is meant for.

    Returns
    -------
    DataFrame
        A row for each test and picture, columns as in results/README.md; layer is empty for the
        network as it is.
    """
    parts: list[pd.DataFrame] = []
    tests = plan(model, size)
    for side in sorted({side for side, *_ in tests}):
        maps = map_table(model, (3, side, side)).set_index("layer")["width"]
        first = 0
        for pictures, classes in batches(side):
            numbers = range(first, first := first + len(classes))
            for _, layer, by in (test for test in tests if test[0] == side):
                if layer:
                    with moved_padding(model, layer, by):
                        scores = model(pictures)
                else:
                    scores = model(pictures)
                known = scores.log_softmax(1).gather(1, classes[:, None])[:, 0]
                part = {
                    "layer": layer,
                    "size": side,
                    "map": int(maps[layer]) if layer else None,
                    "moved": by,
                    "picture": numbers,
                    "correct": (scores.argmax(1) == classes).numpy(),
                    "log_likelihood": known.numpy(),
                }
                parts.append(pd.DataFrame(part))
        log.info("%d pictures of %d pixels", first, side)
    kinds = {"size": "int16", "map": "Int16", "moved": "int16", "picture": "int32"}
    table = pd.concat(parts, ignore_index=True).astype(kinds)
    return table.sort_values(["size", "layer", "moved", "picture"], kind="stable")[list(COLUMNS)]

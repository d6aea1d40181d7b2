"""A network on pictures of other sizes, with its padding moved: does it mind half a pixel?

If kernels of a layer of stride 2 are moved to suit the padding that they were trained with
(`kernelatlas.training.maps`), then a map of the other parity, which is padded otherwise, leaves
them half a pixel beside the right place, and a padding moved by a pixel a whole one. No padding
is right for kernels moved by half a pixel on an odd map: (p − q)/2 is a whole number there.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.progress import tracked
from kernelatlas.sources.layer_maps import padding
from kernelatlas.training.imagenet import Prepared, sample
from kernelatlas.training.network_maps import map_table, picture_size

log = logging.getLogger(__name__)

Batches = Callable[[int], Iterable[tuple[torch.Tensor, torch.Tensor]]]

LARGE = 5  # kernels smaller than this have little room to move
MOVES = (-1, 1)  # of the padding, in pixels
SIZES = (-2, -1, 0, 1, 2)  # of pictures, in steps that change the last layer's map by one pixel
COLUMNS = {
    **{"layer": "str", "last": "str", "size": "int16", "step": "bool", "map": "Int16"},
    **{"expected_x": "float64", "expected_y": "float64", "moved": "int16", "picture": "int32"},
    **{"correct": "bool", "log_likelihood": "float64"},
}


def strided(maps: pd.DataFrame) -> pd.DataFrame:
    """Return the square layers of stride 2 or more, of large kernels if there are any.

    Parameters
    ----------
    maps
        As `kernelatlas.training.network_maps.map_table` returns them.
    """
    found = maps[(maps["stride"] > 1) & (maps["kh"] == maps["kw"])]
    large = found[found["kh"] >= LARGE]
    return large if len(large) else found


@contextmanager
def moved_padding(model: nn.Module, layer: str, by: int) -> Iterator[None]:
    """Let a layer pad `by` pixels more on the left and the top, and as many less opposite.

    Its output keeps its size. A negative padding cuts pixels off. Nothing is moved without a layer.
    """
    if not layer:
        yield
        return
    module = dict(model.named_modules())[layer]
    if not isinstance(module, nn.Conv2d):
        raise KernelAtlasError(f"layer {layer}: no convolution: take one of the table of maps")
    original = module.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        (top, bottom), (left, right) = (padding(module, axis, x.shape[2 + axis]) for axis in (0, 1))
        padded = functional.pad(x, (left + by, right - by, top + by, bottom - by))
        options = (module.bias, module.stride, 0, module.dilation, module.groups)
        return functional.conv2d(padded, module.weight, *options)

    module.forward = forward  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        module.forward = original  # type: ignore[method-assign]


@dataclass(frozen=True, order=True)
class Test:
    """What is tested on pictures of a size.

    Attributes
    ----------
    size
        Side of the pictures in pixels.
    layer
        Whose padding is moved; empty for the network as it is.
    moved
        By how many pixels, see `moved_padding`.
    """

    size: int
    layer: str = ""
    moved: int = 0


def plan(maps: pd.DataFrame, size: int) -> tuple[list[Test], list[int]]:
    """Return the tests of a network, and the sizes at which only the last layer's map differs.

    Paddings of the layers of `strided` are moved on pictures of the given size, and on those on
    which the layer's map has one pixel more. The network as it is also sees pictures on which the
    map of the last of them has one pixel, and two, less and more.

    Parameters
    ----------
    maps
        Of pictures of that size.
    """
    layers = strided(maps)
    tests = {Test(size)}
    steps = []
    for row in layers.to_dict("records"):
        reduction = 2 ** round(math.log2(size / row["width"]))  # strides are powers of two
        sides = (size, size + reduction)
        tests |= {Test(side) for side in sides}
        tests |= {Test(side, str(row["layer"]), by) for side in sides for by in MOVES}
        steps = [size + number * reduction for number in SIZES]
    tests |= {Test(side) for side in steps}
    return sorted(tests), steps


def no_tests(reason: str) -> pd.DataFrame:
    """Return the table of a network that cannot be tested, and log the reason."""
    log.warning("not tested: %s", reason)
    return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)


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
        A row for each test and picture, columns as in results/README.md; empty without a layer of
        stride 2.
    """
    tests, steps = plan(map_table(model, (3, size, size)), size)
    parts = []
    sides = sorted({test.size for test in tests}) if steps else []
    for side in tracked(sides, "pictures of other sizes", "sizes"):
        try:
            maps = map_table(model, (3, side, side))
        except KernelAtlasError as error:
            log.warning("left out: %s", error)
            continue
        last = str(strided(maps)["layer"].iloc[-1])
        seen = maps.set_index("layer")
        first = 0
        for pictures, classes in batches(side):
            numbers = range(first, first := first + len(classes))
            for test in (test for test in tests if test.size == side):
                with moved_padding(model, test.layer, test.moved):
                    scores = model(pictures).float().log_softmax(1)
                row = seen.loc[test.layer or last]
                part = {
                    **{"layer": test.layer, "last": last, "size": side, "step": side in steps},
                    **{"map": row["width"], "moved": test.moved, "picture": numbers},
                    **{"expected_x": row["expected_x"], "expected_y": row["expected_y"]},
                    "correct": (scores.argmax(1) == classes).cpu().numpy(),
                    "log_likelihood": scores.gather(1, classes[:, None])[:, 0].cpu().numpy(),
                }
                parts.append(pd.DataFrame(part))
        log.info("%d pictures of %d pixels", first, side)
    if not parts:
        return no_tests("it has no layer of stride 2")
    table = pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(COLUMNS)
    keys = ["size", "layer", "moved", "picture"]
    return table.sort_values(keys, kind="stable", ignore_index=True)


def on_pictures(
    network: nn.Module, folder: str | Path, limit: int, device: torch.device
) -> pd.DataFrame:
    """Test a network of timm on ImageNet pictures, as `parity_table` does.

    Parameters
    ----------
    network
        With its weights, in evaluation mode.
    folder, limit
        Of pictures (`kernelatlas.sources.images`), of which at most so many are taken.

    Raises
    ------
    KernelAtlasError
        If the folder or one of its pictures cannot be read.
    """
    paths, labels = sample(folder, limit)
    classes = torch.tensor(labels, device=device)
    network = network.to(device).to(memory_format=torch.channels_last)

    def batches(side: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        begin = 0
        with Prepared(network, paths, side) as prepared:
            for images in prepared.batches(device):
                images = images.contiguous(memory_format=torch.channels_last)
                yield images, classes[begin : (begin := begin + len(images))]

    return parity_table(network, batches, picture_size(network)[-1])

"""Maps that depthwise layers see, and by how much their padding asks kernels to be moved.

A layer of stride s turns n pixels into m outputs. Output j stands for the pixel
(n − 1)/2 + (j − (m − 1)/2)·s of the map if the outputs are to lie symmetrically on it, as they must
for a network that sees mirrored pictures in training. The middle of its window lies at
j·s − p + (k − 1)·d/2, with the padding p on the left and the dilation d. The difference does not
depend on j: with q the padding on the right that the last window reaches, it is (p − q)/2. A kernel
whose centre is moved by so much looks at the right place. "Same" padding of TensorFlow is
p = ⌊P/2⌋, q = P − p with P = max((m − 1)·s + (k − 1)·d + 1 − n, 0) (documentation of tf.nn): for
k = 5 and s = 2 that is 1 and 2 on even n, so −½ pixel, and 2 and 2 on odd n. p = (k − 1)/2, which
is usual in PyTorch, gives +½ pixel on even n.
"""

from pathlib import Path

import pandas as pd
import timm
import torch
from timm.data import resolve_model_data_config
from timm.layers import Conv2dSame, get_same_padding
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.running.files import write_frame
from kernelatlas.running.tensors import read_metadata
from kernelatlas.training import architectures

COLUMNS = {
    "layer": "str",
    **dict.fromkeys(("kh", "kw", "stride", "dilation", "height", "width"), "int16"),
    **dict.fromkeys(("left", "top", "right", "bottom"), "int16"),
    **dict.fromkeys(("expected_x", "expected_y"), "float64"),
}
META = torch.device("meta")  # shapes without values: no weights, no time


def map_table(model: nn.Module, size: tuple[int, int, int]) -> pd.DataFrame:
    """Describe the map and the padding of every depthwise convolution.

    Parameters
    ----------
    model
        A network, run once on a picture of zeros on the device of its weights. Only convolutions
        are seen: padding by a module of its own before one counts as part of the map.
    size
        Channels, height and width of its pictures.

    Returns
    -------
    DataFrame
        A row for each layer in the order of its use, columns as in results/README.md.

    Raises
    ------
    KernelAtlasError
        If the network does not take such pictures.
    """
    rows: list[dict] = []

    def seen(name: str, layer: nn.Conv2d, inputs: tuple[torch.Tensor]) -> None:
        rows.append({"layer": name, **_geometry(layer, inputs[0].shape[2:])})

    handles = [
        layer.register_forward_pre_hook(lambda *args, name=name: seen(name, *args))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d) and depthwise_shape(layer.weight.shape)
    ]
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *size, device=device))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise KernelAtlasError(
            f"the network does not take pictures of {size[1]}×{size[2]} pixels ({error}): "
            "check `architecture` in the zoo"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.drop_duplicates("layer", ignore_index=True)


def _geometry(layer: nn.Conv2d, before: torch.Size) -> dict[str, float]:
    found: dict[str, float] = {"kh": layer.kernel_size[0], "kw": layer.kernel_size[1]}
    found |= {"stride": layer.stride[0], "dilation": layer.dilation[0]}
    found |= {"height": before[0], "width": before[1]}
    found["top"], found["bottom"] = padding(layer, 0, before[0])
    found["left"], found["right"] = padding(layer, 1, before[1])
    found["expected_x"] = (found["left"] - found["right"]) / 2
    found["expected_y"] = (found["bottom"] - found["top"]) / 2
    return found


def padding(layer: nn.Conv2d, axis: int, n: int) -> tuple[int, int]:
    """Return by how many pixels the windows of a convolution exceed n pixels.

    Parameters
    ----------
    axis
        0 for above and below, 1 for left and right. Negative where the last pixels are not seen.
    """
    k, s, d = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
    reach = d * (k - 1) + 1
    if isinstance(layer, Conv2dSame) or layer.padding == "same":
        first, outputs = int(get_same_padding(n, k, s, d)) // 2, -(-n // s)
    else:
        first = 0 if layer.padding == "valid" else int(layer.padding[axis])
        outputs = (n + 2 * first - reach) // s + 1
    return first, (outputs - 1) * s + reach - n - first


def of_architecture(architecture: str, tag: str) -> pd.DataFrame:
    """Return the maps of a network of timm on pictures of the size of its weights.

    Parameters
    ----------
    architecture
        Of timm.
    tag
        Of its weights, whose size of pictures is taken if timm knows it; else the architecture's.
    """
    known = timm.get_pretrained_cfg(tag, allow_unregistered=False) if "." in tag else None
    with META:
        model = architectures.create(architecture, 0)
    return map_table(model, known.input_size if known else picture_size(model))


def picture_size(model: nn.Module) -> tuple[int, int, int]:
    """Return channels, height and width of the pictures that a network of timm is meant for."""
    size: tuple[int, int, int] = resolve_model_data_config(model)["input_size"]
    return size


def of_trained_here(path: str | Path) -> pd.DataFrame:
    """Return the maps of a network that `kernelatlas.training.network.train` wrote, on its crops.

    Raises
    ------
    KernelAtlasError
        If the file holds no such network.
    """
    try:
        recipe = read_metadata(path)["recipe"]
        side = recipe["data"]["size"]
    except KeyError as error:
        raise KernelAtlasError(
            f"{path}: no {error} in its metadata: take one that the rule `network` made"
        ) from error
    with META:
        model = architectures.from_recipe(recipe)
    return map_table(model, (3, side, side))


def write_maps(path: str | Path, model: str, table: pd.DataFrame) -> None:
    """Write the maps of a model as Parquet."""
    write_frame(table.assign(model=model)[["model", *COLUMNS]], path)

"""Maps that the depthwise layers of a network see, and by how much their windows exceed them."""

from typing import Any

import torch
from timm.layers import Conv2dSame, get_same_padding
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import depthwise_shape


def layer_maps(model: nn.Module, size: tuple[int, int, int]) -> list[dict[str, Any]]:
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
    list of dict
        One for each layer in the order of its use, with the columns of results/README.md but for
        `model` and those that are expected.

    Raises
    ------
    KernelAtlasError
        If the network does not take such pictures.
    """
    found: dict[str, dict[str, Any]] = {}

    def seen(name: str, layer: nn.Conv2d, inputs: tuple[torch.Tensor]) -> None:
        found.setdefault(name, {"layer": name, **_geometry(layer, inputs[0].shape[2:])})

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
    return list(found.values())


def _geometry(layer: nn.Conv2d, before: torch.Size) -> dict[str, int]:
    found = {"kh": layer.kernel_size[0], "kw": layer.kernel_size[1]}
    found |= {"stride": layer.stride[0], "dilation": layer.dilation[0]}
    found |= {"height": before[0], "width": before[1]}
    found["top"], found["bottom"] = padding(layer, 0, before[0])
    found["left"], found["right"] = padding(layer, 1, before[1])
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

"""Weights that a network computes from several tensors: the weight that it convolves with.

Weight normalisation, spectral normalisation and pruning of PyTorch, in the old form (hooks) and,
for the first two, in the new one (`torch.nn.utils.parametrizations`). A layer X has

- X.weight_g and X.weight_v, or X.parametrizations.weight.original0 and .original1: weight
  normalisation, g · v / ‖v‖, with the norm over all axes along which g has one value (Salimans and
  Kingma, 2016, https://arxiv.org/abs/1602.07868);
- X.weight_orig with X.weight_u and X.weight_v, or X.parametrizations.weight.original with .0._u and
  .0._v: spectral normalisation, W / (uᵀ W v), with u and v as they were saved, as in evaluation
  (Miyato et al., 2018, https://arxiv.org/abs/1802.05957);
- X.weight_orig and X.weight_mask: pruning, the product of both.
"""

import logging
import re
from collections import Counter
from dataclasses import replace

import numpy as np

from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.sources.source import Refused, Tensors, short

NEW = "parametrizations.weight."
# What makes a weight besides the tensor of its shape; vectors, factors and masks.
_PARTS = re.compile(
    r"(^|\.)(weight_[guv]|weight_mask|parametrizations\.weight\.(original0|0\._[uv]))$"
)
_ORIGINALS = ("weight_v", "weight_orig", f"{NEW}original1", f"{NEW}original")

LIMIT = 64 << 20  # bytes of depthwise weights made from others; real ones take 22 MB at most

log = logging.getLogger(__name__)


def is_original(name: str) -> bool:
    """Tell whether a tensor of a weight's shape is what the weight is made from."""
    return _split(name)[1] is not None


def is_part(name: str, shape: tuple[int, ...] | list[int]) -> bool:
    """Tell whether a tensor may be what a depthwise weight is computed with."""
    if not _PARTS.search(name):
        return False
    if name.endswith("weight_mask"):
        return depthwise_shape(shape)
    return len(shape) < 2 or (len(shape) == 4 and sum(length > 1 for length in shape) < 2)


def in_use(tensors: Tensors) -> Tensors:
    """Return a state dict with the weights that its layers use in place of what makes them.

    What a parametrisation that is not known makes is left out, with a warning.

    Raises
    ------
    Refused
        If there are too many bytes of them.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    values: dict[str, np.ndarray] = {}
    unknown, made = [], 0
    parts = Counter(name.partition(NEW)[0] for name in tensors.shapes if NEW in name)
    for name, shape in tensors.shapes.items():
        layer, original = _split(name)
        weight = f"{layer}weight"
        if original is None or weight in tensors.shapes or len(shape) < 2:
            shapes[name] = shape
            if name in tensors.values:
                values[name] = tensors.values[name]
        elif not depthwise_shape(shape) or name not in tensors.values:
            shapes[weight] = shape
        else:
            made += tensors.values[name].nbytes
            if made > LIMIT:
                raise Refused(
                    f"claims more than {LIMIT} bytes of parametrised depthwise weights: check that "
                    "it is the right file"
                )
            value = _weight(layer, original, tensors.values, parts[layer])
            if value is None:
                unknown.append(layer.removesuffix("."))
            else:
                shapes[weight], values[weight] = shape, value
    if unknown:
        log.warning(
            "the weights of %s are made by parametrisations other than weight_norm, spectral_norm "
            "and pruning, and left out: call torch.nn.utils.parametrize.remove_parametrizations "
            "and save the state dict again",
            ", ".join(map(short, unknown[:3])) + (", …" if len(unknown) > 3 else ""),
        )
    return replace(tensors, shapes=shapes, values=values)


def _split(name: str) -> tuple[str, str | None]:
    """Split a name into its layer, with a dot, and which original tensor of a weight it is."""
    for original in _ORIGINALS:
        if name == original or name.endswith(f".{original}"):
            return name.removesuffix(original), original
    return name, None


def _weight(
    layer: str, original: str, values: dict[str, np.ndarray], parts: int
) -> np.ndarray | None:
    """Return a layer's weight of shape (n, 1, kh, kw); None where it is not known.

    Parameters
    ----------
    parts
        Number of tensors of the layer whose names are those of the new form.
    """
    stored = values[layer + original]
    g, u, v, mask = (values.get(f"{layer}weight_{part}") for part in ("g", "u", "v", "mask"))
    new_g, new_u, new_v = (values.get(layer + NEW + part) for part in ("original0", "0._u", "0._v"))
    with np.errstate(all="ignore"):  # what is not finite stays so, as in PyTorch
        if original == "weight_v":
            return _normalised(stored, g)
        if original == f"{NEW}original1" and parts == 2:
            return _normalised(stored, new_g)
        if original == f"{NEW}original" and parts == 3:
            return _spectral(stored, new_u, new_v)
        if original == "weight_orig" and mask is not None:
            return stored * mask if mask.shape == stored.shape and u is None else None
        if original == "weight_orig":
            return _spectral(stored, u, v)
    return None


def _normalised(v: np.ndarray, g: np.ndarray | None) -> np.ndarray | None:
    if g is None or g.ndim not in (0, v.ndim):
        return None
    kept = [axis for axis in range(g.ndim) if g.shape[axis] > 1]
    if any(g.shape[axis] != v.shape[axis] for axis in kept):
        return None
    axes = tuple(axis for axis in range(v.ndim) if axis not in kept)
    norm = np.sqrt(np.sum(np.square(v), axis=axes, keepdims=True, dtype=np.float64))
    return v * (g / norm).astype(np.float32)


def _spectral(weight: np.ndarray, u: np.ndarray | None, v: np.ndarray | None) -> np.ndarray | None:
    # u is as long as axis 0, or, for transposed convolutions, as axis 1, of one channel.
    if u is None or v is None or u.ndim != 1 or u.size not in weight.shape[:2]:
        return None
    if v.ndim != 1 or u.size * v.size != weight.size:
        return None
    sigma = u.astype(np.float64) @ (weight.reshape(u.size, v.size) @ v)
    return weight / np.float32(sigma)

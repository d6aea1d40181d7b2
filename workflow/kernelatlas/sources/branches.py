"""The blocks whose parallel branches act as one depthwise convolution at inference.

In training a block sums several branches: convolutions, each with its norm, and the identity. As
all are linear and of one input, their sum is one convolution, whose kernel is the sum of theirs
with the smaller ones at the centre (Ding et al. 2021, RepVGG, arXiv:2101.03697). A block is known
by the names of its tensors, in timm and in what its authors published.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

EPS = 1e-5  # of norms, unless an architecture has another
STRIPS = 16  # weights of a sum to those of its parts; SLaK's strips of 51×5 make it 5


class Unlike(Exception):
    """The tensors are not those of such a block."""


@dataclass(frozen=True, eq=False)
class Network:
    """What is folded.

    Attributes
    ----------
    kernels
        Depthwise kernels by layer, (channels, kh, kw), float32; 1×1 ones too.
    values
        Tensors of norms, scales and gates by name.
    """

    kernels: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]

    @cached_property
    def is_fastvit(self) -> bool:
        return any(".conv_kxk." in name for name in self.kernels)

    @cached_property
    def is_efficientvim(self) -> bool:
        return any(name.endswith(".alpha") for name in self.values)


@dataclass(eq=False)
class Block:
    """The tensors under a path of a network.

    Attributes
    ----------
    root
        The path with a dot at its end; empty for the network itself.
    eps
        What its norms add to the variance.
    used
        Layers that `kernel` has returned.
    """

    network: Network
    root: str
    eps: float = EPS
    used: set[str] = field(default_factory=set)

    def has_kernel(self, name: str) -> bool:
        return self.root + name in self.network.kernels

    def has_norm(self, name: str) -> bool:
        return f"{self.root}{name}.running_var" in self.network.values

    def value(self, name: str) -> np.ndarray | None:
        return self.network.values.get(self.root + name)

    def kernel(self, name: str) -> np.ndarray:
        """Return the kernels of a layer, float64."""
        if not self.has_kernel(name):
            raise Unlike(self.root + name)
        self.used.add(self.root + name)
        return self.network.kernels[self.root + name].astype(np.float64)

    def norm(self, name: str) -> np.ndarray:
        """Return what a norm multiplies each channel with: a 1×1 kernel, (channels, 1, 1)."""
        variance, weight = self.value(f"{name}.running_var"), self.value(f"{name}.weight")
        if variance is None or variance.ndim != 1:
            raise Unlike(self.root + name)
        if weight is None:  # a norm without learned parameters
            weight = np.ones_like(variance)
        if weight.shape != variance.shape:
            raise Unlike(self.root + name)
        with np.errstate(all="ignore"):  # of a variance that is none; the table flags the kernel
            return (weight / np.sqrt(variance.astype(np.float64) + self.eps))[:, None, None]

    def branch(self, name: str) -> np.ndarray:
        """Return the kernel of a convolution and the norm behind it, however they are called."""
        for conv, norms in (("conv", ("bn", "bn1")), ("c", ("bn",)), ("0", ("1",))):
            for norm in norms:
                if self.has_kernel(f"{name}.{conv}") and self.has_norm(f"{name}.{norm}"):
                    return times(self.kernel(f"{name}.{conv}"), self.norm(f"{name}.{norm}"))
        raise Unlike(self.root + name)

    def branches(self, name: str) -> list[np.ndarray]:
        """Return the kernel of a branch if there is one, of several for a name like `conv.#`."""
        found: list[np.ndarray] = []
        while True:
            try:
                found.append(self.branch(name.replace("#", str(len(found)))))
            except Unlike:
                return found
            if "#" not in name:
                return found

    def identities(self, name: str) -> list[np.ndarray]:
        """Return the kernel of a norm alone if there is one."""
        return [self.norm(name)] if self.has_norm(name) else []


def times(kernel: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if scale.shape != (len(kernel), 1, 1):
        raise Unlike("a scale of other channels")
    return kernel * scale


def identity(kernel: np.ndarray) -> np.ndarray:
    return np.ones((len(kernel), 1, 1))


def added(*kernels: np.ndarray) -> np.ndarray:
    """Return the sum of kernels with their centres on each other."""
    if not kernels or len({len(kernel) for kernel in kernels}) > 1:
        raise Unlike("kernels of other channels")
    kh, kw = (max(kernel.shape[axis] for kernel in kernels) for axis in (1, 2))
    if kh * kw > STRIPS * sum(kernel[0].size for kernel in kernels):
        raise Unlike("strips that are too long")
    total = np.zeros((len(kernels[0]), kh, kw))
    for kernel in kernels:
        rows, columns = kh - kernel.shape[1], kw - kernel.shape[2]
        if rows % 2 or columns % 2:
            raise Unlike("kernels without a common centre")
        total[:, rows // 2 : kh - rows // 2, columns // 2 : kw - columns // 2] += kernel
    return total


def dilated(kernel: np.ndarray, dilation: int) -> np.ndarray:
    """Return the kernel that acts like one of another dilation, with zeros between its weights."""
    n, kh, kw = kernel.shape
    wide = np.zeros((n, dilation * (kh - 1) + 1, dilation * (kw - 1) + 1))
    wide[:, ::dilation, ::dilation] = kernel
    return wide


# Name of the fused layer, branches that are convolutions with a norm, norms of the identity.
_SUMS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # MobileOne, FastViT and RepVGG in timm
    ("reparam_conv", ("conv_kxk.#", "conv_kxk", "conv_scale", "conv_1x1"), ("identity",)),
    # MobileOne and FastViT by their authors (apple/ml-mobileone, apple/ml-fastvit)
    ("reparam_conv", ("rbr_conv.#", "rbr_scale"), ("rbr_skip",)),
    # RepVGG by its authors (DingXiaoH/RepVGG)
    ("rbr_reparam", ("rbr_dense", "rbr_1x1"), ("rbr_identity",)),
    # large kernels of FastViT in timm
    ("reparam_conv", ("large_conv", "small_conv"), ()),
    # RepLKNet (DingXiaoH/RepLKNet-pytorch), SLaK (VITA-Group/SLaK)
    ("lkb_reparam", ("lkb_origin", "LoRA1", "LoRA2", "small_conv"), ()),
    # GhostNetV3
    ("cheap_operation.0", ("cheap_rpr_conv.#", "cheap_rpr_scale"), ("cheap_rpr_skip",)),
    ("conv_dw", ("dw_rpr_conv.#", "dw_rpr_scale"), ("dw_rpr_skip",)),
    # PP-LCNetV2
    ("dw_conv", ("dw_conv_list.#",), ()),
)
_BRANCHES = {branch.removesuffix(".#"): kind for kind in _SUMS for branch in kind[1]}
_BRANCH = re.compile(rf"(|.*\.)({'|'.join(map(re.escape, _BRANCHES))})(?:\.\d+)?\.conv")


def _sum(block: Block, branch: str) -> tuple[np.ndarray, str]:
    """Fold branches, and what FastViT's RepMixer puts around them."""
    name, convolutions, norms = _BRANCHES[branch]
    kernels = [kernel for path in convolutions for kernel in block.branches(path)]
    kernel = added(*kernels, *(one for path in norms for one in block.identities(path)))
    root = block.root.removesuffix("mixer.")
    if root == block.root or not (root == "" or root.endswith(".")):
        return kernel, block.root + name
    outer = Block(block.network, root, block.eps)
    normed = outer.identities("norm.identity") or outer.identities("norm.rbr_skip")
    if not normed:
        return kernel, block.root + name
    kernel = added(kernel, -normed[0])
    scales = [outer.value("layer_scale.gamma"), outer.value("layer_scale")]
    for scale in (scale for scale in scales if scale is not None):
        kernel = times(kernel, scale)
    return added(identity(kernel), kernel), root + name


def _rep_ghost(block: Block, _: str) -> tuple[np.ndarray, str]:
    kernels = [block.branch("cheap_operation"), block.norm("fusion_bn.0")]
    return added(*kernels), f"{block.root}cheap_operation"


def _positions(block: Block, _: str) -> tuple[np.ndarray, str]:
    """Fold the conditional positional encoding of FastViT in timm."""
    if not block.network.is_fastvit:
        raise Unlike("not FastViT")
    kernel = block.kernel("pos_enc")
    return added(kernel, identity(kernel)), f"{block.root}reparam_conv"


def _rep_vit(block: Block, _: str) -> tuple[np.ndarray, str]:
    kernel = block.branch("conv")
    if block.has_kernel("conv1"):
        kernel = added(kernel, block.kernel("conv1"), identity(kernel))
        return times(kernel, block.norm("bn")), block.root.removesuffix(".")
    return added(kernel, block.branch("conv1"), identity(kernel)), block.root.removesuffix(".")


def _residual(block: Block, branch: str) -> tuple[np.ndarray, str]:
    """Fold a residual connection around a convolution and its norm, in SHViT and iFormer."""
    kernel = times(block.kernel(f"{branch}.c"), block.norm(f"{branch}.bn"))
    return added(kernel, identity(kernel)), block.root.removesuffix(".")


def _gated(block: Block, branch: str) -> tuple[np.ndarray, str]:
    """Fold the residual connections of EfficientViM, some of them with a gate."""
    if not block.network.is_efficientvim:
        raise Unlike("not EfficientViM")
    kernel = times(block.kernel(f"{branch}.conv"), block.norm(f"{branch}.norm"))
    name = f"{block.root}{branch}.conv"
    gates = block.value("alpha")
    if gates is None:
        return added(kernel, identity(kernel)), name
    if gates.shape[1:] != kernel.shape[:1]:
        raise Unlike("gates of other channels")
    gate = gates[{"dwconv1": 0, "dwconv2": 2}[branch]].astype(np.float64)
    gate = (1 / (1 + np.exp(-gate)))[:, None, None]
    return added(times(kernel, gate), 1 - gate), name


def _dilated(block: Block, _: str) -> tuple[np.ndarray, str]:
    """Fold the dilated branches of UniRepLKNet (AILab-CVC/UniRepLKNet), and the norm behind."""
    kernel = times(block.kernel("lk_origin"), block.norm("origin_bn"))
    n, *large = kernel.shape
    for k, dilation in itertools.product(range(1, 32), range(1, 32)):
        if block.has_kernel(f"dil_conv_k{k}_{dilation}"):
            small = block.kernel(f"dil_conv_k{k}_{dilation}")
            small = times(small, block.norm(f"dil_bn_k{k}_{dilation}"))
            if dilation * (k - 1) + 1 > min(large) or small.shape != (n, k, k):
                raise Unlike("a dilated kernel wider than the large one")
            kernel = added(kernel, dilated(small, dilation))
    outer = Block(block.network, block.root.removesuffix("dwconv."), block.eps)
    if outer.root != block.root and outer.has_norm("norm"):
        kernel = times(kernel, outer.norm("norm"))
    return kernel, f"{block.root}lk_origin"


_Fold = Callable[[Block, str], tuple[np.ndarray, str]]
_KINDS: tuple[tuple[re.Pattern[str], _Fold], ...] = (
    (_BRANCH, _sum),
    (re.compile(r"(|.*\.)(cheap_operation)\.0"), _rep_ghost),
    (re.compile(r"(|.*\.)(pos_enc)"), _positions),
    (re.compile(r"(|.*\.)(conv)\.c"), _rep_vit),
    (re.compile(r"(.*\.)(m|cpe\.module)\.c"), _residual),
    (re.compile(r"(|.*\.)(dwconv[12])\.conv"), _gated),
    (re.compile(r"(|.*\.)(lk_origin|dil_conv_k\d+_\d+)"), _dilated),
)


def block_of(network: Network, layer: str, eps: float) -> tuple[np.ndarray, str, set[str]] | None:
    """Return the kernels of the block that a layer is in, None if it is in none that is known.

    Returns
    -------
    kernels : ndarray of shape (channels, kh, kw), float64
    name
        Of the fused layer.
    used
        The layers that became this one.
    """
    for pattern, fold in _KINDS:
        match = pattern.fullmatch(layer)
        if match:
            block = Block(network, match[1], eps)
            try:
                kernel, name = fold(block, match[2])
            except Unlike:
                continue
            if layer in block.used:
                return kernel, name, block.used
    return None

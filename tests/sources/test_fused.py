"""Kernels as they act: equal to what timm and PyTorch fold, and to what the branches compute."""

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from timm.models import (
    byobnet,
    efficientvim,
    fastvit,
    ghostnet,
    iformer,
    lcnetv2,
    reparameterize_model,
    repghost,
    repvit,
    shvit,
)
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.extract import extract
from kernelatlas.sources.fused import fuse
from kernelatlas.sources.source import Options

TOLERANCE = 1e-6  # of a layer's largest weight

# A block alone has too few neighbours to tell that it is depthwise.
OPTIONS = Options(fused=True, depthwise=True)

BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "FastViT's MobileOneBlock": lambda: fastvit.MobileOneBlock(
        6, 6, 3, group_size=1, num_conv_branches=2
    ),
    "FastViT's MobileOneBlock with a stride": lambda: fastvit.MobileOneBlock(
        6, 6, 3, stride=2, group_size=1, num_conv_branches=1, use_scale_branch=False
    ),
    "ReparamLargeKernelConv": lambda: fastvit.ReparamLargeKernelConv(6, 12, 7, 2, 1, 3),
    "RepMixer": lambda: fastvit.RepMixer(6, 3),
    "RepMixer without a scale": lambda: fastvit.RepMixer(6, 3, layer_scale_init_value=None),
    "RepConditionalPosEnc": lambda: nn.Sequential(
        fastvit.RepConditionalPosEnc(6, spatial_shape=(7, 7)), fastvit.RepMixer(6, 3)
    ),
    "MobileOneBlock": lambda: byobnet.MobileOneBlock(
        6, 6, 3, num_conv_branches=3, group_size=1, layers=byobnet.LayerFn()
    ),
    "RepVggBlock": lambda: byobnet.RepVggBlock(6, 6, 3, group_size=1, layers=byobnet.LayerFn()),
    "RepVggDw": lambda: repvit.RepVggDw(6, 3),
    "RepVggDw of old": lambda: repvit.RepVggDw(6, 3, legacy=True),
    "SHViT's residual": lambda: shvit.Residual(shvit.Conv2dNorm(6, 6, 3, padding=1, groups=6)),
    "RepCPE": lambda: iformer.RepCPE(6, 7),
    "EfficientViMBlock": lambda: efficientvim.EfficientViMBlock(8, state_dim=4),
    "EfficientViM's PatchMerging": lambda: nn.Sequential(
        efficientvim.PatchMerging(8, 16), efficientvim.EfficientViMBlock(16, state_dim=4)
    ),
    "GhostModuleV3": lambda: ghostnet.GhostModuleV3(6, 12, mode="original"),
    "GhostBottleneckV3": lambda: ghostnet.GhostBottleneckV3(6, 12, 8, 5, stride=2),
    "RepGhostModule": lambda: repghost.RepGhostModule(6, 8),
    "RepDepthwiseSeparable": lambda: lcnetv2.RepDepthwiseSeparable(
        6, 8, stride=1, dw_kernel_size=5, use_rep=True
    ),
}


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    """Return a network, in evaluation mode, whose norms, scales and kernels are all random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.2, 3, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(generator=generator)
    return net.eval()


def depthwise(net: nn.Module) -> dict[str, np.ndarray]:
    return {
        name: module.weight.detach().double().numpy()[:, 0]
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d)
        if module.groups == module.in_channels > 1 and module.kernel_size != (1, 1)
    }


def kernels_of(table: Path) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {}
    for row in pq.read_table(table).to_pylist():
        kernel = np.array(row["weights"]).reshape(row["kh"], row["kw"])
        found.setdefault(row["layer"], []).append(kernel)
    return {name: np.stack(kernels) for name, kernels in found.items()}


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(expected)
    for name, kernels in found.items():
        assert kernels.shape == expected[name].shape, name
        error = np.abs(kernels - expected[name]).max() / np.abs(expected[name]).max()
        assert error < TOLERANCE, name


@pytest.fixture
def fused(tmp_path):
    """Return a function that extracts the acting kernels of a network from a file of it."""

    def extracted(
        net: nn.Module | dict[str, torch.Tensor], file: str = "net.pth", **options: Any
    ) -> dict[str, np.ndarray]:
        state = net if isinstance(net, dict) else net.state_dict()
        if file.endswith(".safetensors"):
            save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / file)
        elif file.endswith(".npz"):
            np.savez_compressed(tmp_path / file, **{name: x.numpy() for name, x in state.items()})
        else:
            torch.save(state, tmp_path / file, _use_new_zipfile_serialization=file != "net.bin")
        table = tmp_path / "net.parquet"
        extract(table, "net", tmp_path / file, **{"options": OPTIONS, **options})
        return kernels_of(table)

    return extracted


def other_norms(net: nn.Module) -> dict[str, str]:
    """Return what timm leaves as it is: depthwise convolutions and the norms behind them."""
    return {
        f"{name}.shortcut.0": f"{name}.shortcut.1"
        for name, module in net.named_modules()
        if isinstance(module, ghostnet.GhostBottleneckV3)
    }


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_are_folded_as_timm_folds_them(fused, block):
    torch.manual_seed(0)
    net = randomised(nn.ModuleDict({"stage": nn.ModuleList([BLOCKS[block]()])}))
    before, merged = depthwise(net), reparameterize_model(net).eval()
    expected = depthwise(merged)
    assert expected
    assert not all(np.array_equal(kernels, before.get(name)) for name, kernels in expected.items())
    for name, norm in other_norms(merged).items():
        pair = fuse_conv_bn_eval(merged.get_submodule(name), merged.get_submodule(norm))
        expected[name] = pair.weight.detach().double().numpy()[:, 0]
    assert_close(fused(net, "net.safetensors"), expected)


@pytest.mark.parametrize("file", ["net.pth", "net.bin", "net.npz"])
def test_any_file_of_a_state_dict_is_folded(fused, file):
    net = randomised(fastvit.RepMixer(6, 3))
    net = nn.ModuleDict({"mixer": net})
    assert_close(fused(net, file), depthwise(reparameterize_model(net)))
    half = {name: value.half() for name, value in net.state_dict().items() if value.ndim}
    with torch.no_grad():
        for name, value in half.items():
            net.state_dict()[name].copy_(value)
    assert_close(fused(half, file), depthwise(reparameterize_model(net)))


def conv(n: int, k: int | tuple[int, int], dilation: int = 1) -> nn.Conv2d:
    sides = (k, k) if isinstance(k, int) else k
    padding = tuple(dilation * (side - 1) // 2 for side in sides)
    return nn.Conv2d(n, n, sides, padding=padding, dilation=dilation, groups=n, bias=False)


class ConvNorm(nn.Sequential):
    """`conv_bn` of RepLKNet and SLaK."""

    def __init__(self, n: int, k: int | tuple[int, int]) -> None:
        super().__init__()
        self.add_module("conv", conv(n, k))
        self.add_module("bn", nn.BatchNorm2d(n))


class LargeKernel(nn.Module):
    """ReparamLargeKernelConv of RepLKNet (Ding et al. 2022), or of SLaK (Liu et al. 2023)."""

    def __init__(self, branches: dict[str, int | tuple[int, int]]) -> None:
        super().__init__()
        for name, k in branches.items():
            self.add_module(name, ConvNorm(6, k))

    def forward(self, x):
        return sum(branch(x) for branch in self.children())


class DilatedReparamBlock(nn.Module):
    """The block of UniRepLKNet (Ding et al. 2024) for 9×9 kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.lk_origin, self.origin_bn = conv(6, 9), nn.BatchNorm2d(6)
        self.dilations = {(5, 1), (5, 2), (3, 3), (3, 4)}
        for k, r in self.dilations:
            self.add_module(f"dil_conv_k{k}_{r}", conv(6, k, r))
            self.add_module(f"dil_bn_k{k}_{r}", nn.BatchNorm2d(6))

    def forward(self, x):
        out = self.origin_bn(self.lk_origin(x))
        for k, r in self.dilations:
            branch = self.get_submodule(f"dil_conv_k{k}_{r}")(x)
            out = out + self.get_submodule(f"dil_bn_k{k}_{r}")(branch)
        return out


class UniRepLKNetBlock(nn.Module):
    """Its beginning, whose norm the authors fold too (`reparameterize`)."""

    def __init__(self) -> None:
        super().__init__()
        self.dwconv, self.norm = DilatedReparamBlock(), nn.BatchNorm2d(6)

    def forward(self, x):
        return self.norm(self.dwconv(x))


@pytest.mark.parametrize(
    ("block", "name", "k"),
    [
        (lambda: LargeKernel({"lkb_origin": 13, "small_conv": 5}), "lkb_reparam", 13),
        (
            lambda: LargeKernel({"LoRA1": (13, 5), "LoRA2": (5, 13), "small_conv": 5}),
            "lkb_reparam",
            13,
        ),
        (DilatedReparamBlock, "lk_origin", 9),
        (UniRepLKNetBlock, "dwconv.lk_origin", 9),
    ],
    ids=["RepLKNet", "SLaK", "UniRepLKNet", "UniRepLKNet with its norm"],
)
def test_one_kernel_computes_what_the_branches_do(fused, block, name, k):
    net = randomised(nn.ModuleDict({"block": block()})).double()
    found = fused(net.float())
    assert list(found) == [f"block.{name}"]
    kernels = torch.from_numpy(found[f"block.{name}"])[:, None]
    net.double()
    image = torch.randn(1, 6, 20, 20, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():  # biases and means are what the network makes of nothing
        expected = net["block"](image) - net["block"](torch.zeros_like(image))
    acting = nn.functional.conv2d(image, kernels, padding=k // 2, groups=6)
    assert (acting - expected).abs().max() < 1e-5 * expected.abs().max()


def expected_of(net: nn.Module) -> dict[str, np.ndarray]:
    """Fold with PyTorch the norms that follow depthwise convolutions in MobileNetV3."""
    for block in net.modules():
        if hasattr(block, "conv_dw"):
            norm = block.bn2 if hasattr(block, "conv_pwl") else block.bn1
            block.conv_dw = fuse_conv_bn_eval(block.conv_dw, norm)
    return depthwise(net)


@pytest.mark.parametrize(
    ("file", "architecture", "prefix"),
    [
        ("net.pth", "tf_mobilenetv3_small_minimal_100", "visual.trunk."),
        ("net.safetensors", "tf_mobilenetv3_small_minimal_100", ""),
        ("net.pth", None, "module."),
        ("net.safetensors", None, "visual.trunk."),
    ],
)
def test_norms_are_folded_as_pytorch_folds_them(fused, caplog, file, architecture, prefix):
    eps = 1e-3 if architecture else 1e-5  # which no file tells
    net = randomised(timm.create_model("tf_mobilenetv3_small_minimal_100"))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.eps == 1e-3
            module.eps = eps
    state = {prefix + name: value for name, value in net.state_dict().items()}
    found = fused(state, file, architecture=architecture)
    if not architecture:
        found = {name.removeprefix("visual.trunk."): kernels for name, kernels in found.items()}
    assert_close(found, expected_of(net))
    assert ("eps of its norms is not known" in caplog.text) == (architecture is None)


def test_a_network_of_timm_under_other_names_has_its_eps(fused):
    net = randomised(timm.create_model("tf_mobilenetv3_small_minimal_100"))
    renamed = {}
    for name, block in net.named_modules():
        if hasattr(block, "conv_dw"):
            norm = "bn2" if hasattr(block, "conv_pwl") else "bn1"
            renamed |= {f"{name}.conv_dw": f"{name}.dw.conv", f"{name}.{norm}": f"{name}.dw.bn"}
    state = {}
    for name, value in net.state_dict().items():
        path, _, last = name.rpartition(".")
        state[f"{renamed.get(path, path)}.{last}"] = value
    found = fused(state, architecture="tf_mobilenetv3_small_minimal_100")
    assert_close(found, expected_of(net))


def test_other_files_than_state_dicts_are_refused(tmp_path):
    weight = numpy_helper.from_array(np.ones((6, 1, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=6)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph([node], "net", ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
    assert len(read_depthwise(tmp_path / "net.onnx").layers) == 1
    with pytest.raises(KernelAtlasError, match=r"net\.onnx: is no state dict, .* `fused`"):
        read_depthwise(tmp_path / "net.onnx", Options(fused=True))


def test_a_network_of_timm_is_folded_as_timm_folds_it(fused, tmp_path):
    net = randomised(timm.create_model("repghostnet_050"))
    found = fused(net, architecture="repghostnet_050")
    merged = reparameterize_model(net).eval()
    for module in merged.modules():
        if isinstance(module, repghost.RepGhostBottleneck):
            if module.conv_dw is not None:
                module.conv_dw = fuse_conv_bn_eval(module.conv_dw, module.bn_dw)
            if len(module.shortcut):
                module.shortcut[0] = fuse_conv_bn_eval(module.shortcut[0], module.shortcut[1])
    assert_close(found, depthwise(merged))
    metadata = metadata_of(tmp_path / "net.parquet")
    assert metadata["fused"] is True
    assert metadata["folded"] == len(found)
    assert metadata["eps_assumed"] is False
    strides = {(row["layer"], row["stride"]) for row in rows(tmp_path / "net.parquet")}
    assert ("blocks.1.0.ghost1.cheap_operation", 1) in strides
    assert ("blocks.1.0.conv_dw", 2) in strides


def rows(table: Path) -> list[dict[str, Any]]:
    return pq.read_table(table, columns=["layer", "stride"]).to_pylist()


def test_without_fused_the_kernels_are_those_stored(fused, tmp_path):
    net = randomised(nn.ModuleDict({"block": fastvit.RepMixer(6, 3)}))
    assert_close(fused(net, options=Options()), depthwise(net))
    assert "fused" not in metadata_of(tmp_path / "net.parquet")


class Order(nn.Module):
    """A norm of equal channels defined before or after a convolution."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        for name in names:
            self.add_module(name, nn.BatchNorm2d(6) if "n" in name[:2] else conv(6, 3))


@pytest.mark.parametrize(
    ("names", "file", "folds"),
    [
        (("conv1", "bn1"), "net.pth", True),
        (("bn1", "conv1"), "net.pth", False),  # before its convolution
        (("conv1", "bn1"), "net.safetensors", False),  # which has no order
        (("dwconv", "norm"), "net.pth", True),
        (("norm", "dwconv"), "net.pth", False),
        (("dwconv", "norm"), "net.safetensors", False),
        (("conv", "bn"), "net.safetensors", True),
        (("bn", "conv"), "net.pth", False),
        (("dwconv", "pwconv", "norm"), "net.pth", False),
        (("dwconv", "norm2"), "net.pth", False),  # a name that tells nothing
    ],
)
def test_a_norm_is_folded_only_where_its_name_says_that_it_follows(
    fused, caplog, names, file, folds
):
    net = randomised(nn.ModuleDict({"block": Order(names)}))
    found = fused(net, file)
    same = np.array_equal(next(iter(found.values())), next(iter(depthwise(net).values())))
    assert same != folds
    assert ("`fused` changes nothing" in caplog.text) != folds


def test_a_norm_behind_an_activation_stays(fused, caplog):
    net = randomised(nn.Sequential(conv(6, 3), nn.GELU(), nn.BatchNorm2d(6)))
    assert_close(fused(net), depthwise(net))
    assert "net: `fused` changes nothing" in caplog.text


def test_norms_of_layers_are_no_scales(fused, caplog):
    net = nn.ModuleDict({"conv": conv(6, 3), "norm": nn.GroupNorm(2, 6)})
    assert_close(fused(randomised(net)), depthwise(net))
    assert "changes nothing" in caplog.text


def test_a_norm_without_learned_parameters_scales_too(fused, caplog):
    caplog.set_level(logging.WARNING)
    net = randomised(nn.Sequential(conv(6, 3), nn.BatchNorm2d(6, affine=False)))
    assert_close(fused(net), depthwise(nn.Sequential(fuse_conv_bn_eval(net[0], net[1]))))


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("norm.weight", torch.zeros(6, dtype=torch.int64), "stored as 'int64'"),
        ("reparam_conv.weight", torch.zeros(6, 1, 3, 3), "both the branches and the kernel"),
    ],
)
def test_what_cannot_be_folded_is_one_error(fused, name, tensor, message):
    state = randomised(fastvit.MobileOneBlock(6, 6, 3, group_size=1)).state_dict()
    state[name] = tensor
    with pytest.raises(KernelAtlasError, match=message):
        fused(state)


def test_too_many_bytes_of_norms_are_refused(fused):
    state = {f"{i}.weight": torch.zeros(1 << 16) for i in range(257)}
    with pytest.raises(KernelAtlasError, match="bytes of norms and scales"):
        fused({"dw.weight": torch.zeros(6, 1, 3, 3), **state})


def test_damaged_blocks_are_left_or_refused(tmp_path):
    """Tensors that lack, or have other shapes: nothing but an error of one line is raised."""
    rng = np.random.default_rng(0)
    shapes = [(6,), (5,), (6, 1, 1), (6, 1, 1, 1), (6, 1, 3, 3), (6, 1, 2, 3), (4, 6), (1,), (0,)]
    torch.manual_seed(0)
    states = [randomised(build()).state_dict() for build in BLOCKS.values()]
    states.append(randomised(UniRepLKNetBlock()).state_dict())
    states.append(randomised(LargeKernel({"LoRA1": (13, 5), "LoRA2": (5, 13)})).state_dict())
    folded = unfolded = 0
    for number in range(200):
        state = dict(states[number % len(states)])
        for name in rng.choice(list(state), 2, replace=False):
            if rng.random() < 0.3:
                del state[name]
            else:
                state[str(name)] = torch.randn(shapes[rng.integers(len(shapes))])
        save_file(state, tmp_path / "net.safetensors")
        try:
            reading = read_depthwise(tmp_path / "net.safetensors", Options(fused=True))
            names = [layer.name for layer in reading.layers]
            found = fuse("net", reading.layers, names, reading.parts, None)
        except KernelAtlasError as error:
            assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)
        else:
            folded, unfolded = folded + (found.folded > 0), unfolded + (found.folded == 0)
    assert folded > 50
    assert unfolded > 10


def test_a_layer_may_be_called_as_it_likes(fused):
    state = {"0.weight": torch.ones(6, 1, 3, 3), 7: torch.ones(6), "1.running_var": torch.ones(6)}
    assert (fused(state)["0"] < 1).all()


def test_strips_that_would_make_a_huge_kernel_are_left(fused):
    net = LargeKernel({"LoRA1": (2001, 1), "LoRA2": (1, 2001)})
    assert set(fused(randomised(net))) == {"LoRA1.conv", "LoRA2.conv"}


def test_norms_may_lie_in_another_shard_than_their_kernels(tmp_path):
    net = nn.ModuleDict({"block": fastvit.RepMixer(6, 3)})
    state = randomised(net).state_dict()
    files = {name: f"{'ab'[name.endswith('running_var')]}.safetensors" for name in state}
    for file in ("a.safetensors", "b.safetensors"):
        save_file({name: state[name] for name in state if files[name] == file}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    extract(tmp_path / "net.parquet", "net", index, options=Options(fused=True))
    assert_close(kernels_of(tmp_path / "net.parquet"), depthwise(reparameterize_model(net)))

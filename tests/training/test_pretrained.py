"""Networks rebuilt from checkpoints, against the networks that were saved."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.checkpoints import NoStateDictError, read_whole
from kernelatlas.sources.source import Options, Tensors
from kernelatlas.sources.whole import read_weights
from kernelatlas.training.pretrained import UnsuitedError, build

ARCHITECTURE = "mobilenetv3_small_050"
WHOLE = Options(whole=True)


@pytest.fixture(scope="module")
def saved() -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(ARCHITECTURE).eval()
    with torch.no_grad():  # statistics that no new network has
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    return model


def outputs(model: torch.nn.Module) -> torch.Tensor:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(images)


def renamed(state: dict[str, torch.Tensor]) -> OrderedDict[str, torch.Tensor]:
    """Return the tensors in order under names of another code base, without batch counters."""
    kept = [tensor for tensor in state.values() if tensor.is_floating_point()]
    return OrderedDict((f"t{number}.weight", tensor) for number, tensor in enumerate(kept))


def test_all_forms_of_a_checkpoint_give_the_same_network(
    saved: torch.nn.Module, tmp_path: Path
) -> None:
    state = saved.state_dict()
    torch.save(state, tmp_path / "zip.pth")
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "wrapped.pth")
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "parallel.pth")
    torch.save(renamed(state), tmp_path / "renamed.pth")
    save_file(state, tmp_path / "plain.safetensors")
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 6
    for path in paths:
        found = build("net", ARCHITECTURE, read_weights("net", "none", file=path))
        assert not found.training
        assert torch.equal(outputs(found), outputs(saved)), path.name
        assert found.state_dict().keys() == state.keys()


def test_tied_tensors_have_all_their_names(tmp_path: Path) -> None:
    weight = torch.randn(4, 1, 3, 3)
    torch.save({"a.weight": weight, "b.weight": weight, "c": weight[1:]}, tmp_path / "tied.pth")
    found = read_whole(tmp_path / "tied.pth", WHOLE).values
    assert list(found) == ["a.weight", "c", "b.weight"]
    assert np.array_equal(found["b.weight"], weight)
    assert np.array_equal(found["c"], weight[1:])


def test_nothing_of_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "touched",)

    class Shell:
        def __reduce__(self) -> tuple[object, ...]:
            import os

            return os.system, (f"touch {tmp_path / 'touched'}",)

    torch.save({"a.weight": torch.zeros(2, 1, 3, 3), "x": Touch()}, tmp_path / "inert.pth")
    torch.save({"a.weight": torch.zeros(2, 1, 3, 3), "x": Shell()}, tmp_path / "evil.pth")
    assert list(read_whole(tmp_path / "inert.pth", WHOLE).values) == ["a.weight"]
    with pytest.raises(KernelAtlasError, match="nothing was executed"):
        read_whole(tmp_path / "evil.pth", WHOLE)
    assert not (tmp_path / "touched").exists()


def as_tensors(state: dict[str, torch.Tensor], ordered: bool = True) -> Tensors:
    values = {key: tensor.numpy() for key, tensor in state.items() if tensor.is_floating_point()}
    return Tensors({key: tuple(t.shape) for key, t in state.items()}, values, ordered)


def test_other_networks_are_refused(saved: torch.nn.Module) -> None:
    state = saved.state_dict()
    without = {key: value for key, value in state.items() if key != "conv_head.bias"}
    with pytest.raises(KernelAtlasError, match=r"net: is not .* 1 of its .* first: conv_head.bias"):
        build("net", ARCHITECTURE, as_tensors(without))
    more = {**state, "aux.weight": torch.zeros(3)}
    with pytest.raises(KernelAtlasError, match=r"1 are unknown \(the first: aux.weight\)"):
        build("net", ARCHITECTURE, as_tensors(more))
    wider = {**state, "conv_head.bias": torch.zeros(7)}
    with pytest.raises(KernelAtlasError, match=r"'conv_head.bias' has the shape 7 where .* 1024"):
        build("net", ARCHITECTURE, as_tensors(wider))
    for tensors in (
        as_tensors(renamed(state), ordered=False),
        as_tensors(OrderedDict(list(renamed(state).items())[::-1])),
    ):
        with pytest.raises(KernelAtlasError, match=r"\d+ are unknown \(the first: t\d+.weight"):
            build("net", ARCHITECTURE, tensors)
    with pytest.raises(KernelAtlasError, match="net: is not mobilenetv3_small_075"):
        build("net", "mobilenetv3_small_075", as_tensors(renamed(state)))


def test_networks_with_other_classes_are_unsuited() -> None:
    state = timm.create_model(ARCHITECTURE, num_classes=12).state_dict()
    with pytest.raises(UnsuitedError, match="net: has 12 classes, not the 1,000"):
        build("net", ARCHITECTURE, as_tensors(state))
    tag = "tf_efficientnetv2_s.in21k"
    large = timm.create_model(tag)
    with pytest.raises(UnsuitedError, match="has 21,843 classes"):
        build(tag, "tf_efficientnetv2_s", as_tensors(large.state_dict()))


def test_a_tag_has_its_own_configuration(saved: torch.nn.Module) -> None:
    tag = f"{ARCHITECTURE}.lamb_in1k"
    tensors = as_tensors(saved.state_dict())
    assert build(tag, ARCHITECTURE, tensors).pretrained_cfg["tag"] == "lamb_in1k"
    other = build("mobilenetv3_small_100.lamb_in1k", ARCHITECTURE, tensors)  # only a name here
    assert other.pretrained_cfg["architecture"] == ARCHITECTURE


def test_a_checkpoint_without_a_state_dict_is_told_apart(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y])),
        str(tmp_path / "a.onnx"),
    )
    with pytest.raises(NoStateDictError, match=r"a\.onnx: holds no state dict"):
        read_whole(tmp_path / "a.onnx", WHOLE)

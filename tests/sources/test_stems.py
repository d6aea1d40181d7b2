"""The first layer of a network for grey images, whose weight looks like a depthwise one."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.corpus import build_corpus
from kernelatlas.kernels.sizes import size_table
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.extract import extract
from kernelatlas.sources.registry import expected_layers


def block(channels: int, k: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, k, padding=k // 2, groups=channels),
        nn.Conv2d(channels, 2 * channels, 1),
        nn.ReLU(),
    )


def network(inputs: int, stem: str = "stem", k: int = 5) -> nn.Module:
    """A stem of 12 kernels of 7×7, then three depthwise layers of k×k."""
    net = nn.Sequential()
    net.add_module(stem, nn.Conv2d(inputs, 12, 7))
    for i in range(3):
        net.add_module(f"block{i}", block(12 << i, k))
    net.add_module("head", nn.Conv2d(96, 10, 1))
    return net


def save(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=path.suffix == ".pth")
    return path


FILES = pytest.mark.parametrize("file", ["net.pth", "net.bin", "net.safetensors"])


@pytest.fixture
def table(tmp_path):
    """Return a function that extracts a network from a file of it."""

    def write(net: nn.Module, file: str = "net.pth", rename=str, **options: str) -> Path:
        state = {rename(name): value for name, value in net.state_dict().items()}
        extract(tmp_path / "net.parquet", "net", save(tmp_path / file, state), **options)
        return tmp_path / "net.parquet"

    return write


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@FILES
@pytest.mark.parametrize("stem", ["stem", "aa.conv1"])  # names that sort last and first
def test_a_stem_for_grey_images_is_left_out(table, caplog, file, stem):
    path = table(network(1, stem.replace(".", "_")), file)
    rows = pq.read_table(path).to_pandas()
    assert len(rows) == 12 + 12 + 24 + 48
    assert rows["inferred"].all()
    [message] = warnings(caplog)
    assert message.startswith(f"net: '{stem.replace('.', '_')}' (12 kernels of 7×7) ")
    assert "`architecture:`" in message
    assert len(build_corpus([path], 5, 1)) == 84
    with pytest.raises(KernelAtlasError, match="0 in the trained models"):
        build_corpus([path], 7, 1)
    model = ["net", "family", True, ""]
    sizes = size_table([path], [model], [5, 7], 1).set_index("kh")
    assert sizes["studied"].to_dict() == {5: True, 7: False}
    assert sizes["kernels"].to_dict() == {5: 84, 7: 12}  # the table tells what is in the file


@FILES
def test_a_plain_network_for_grey_images_has_no_depthwise_layer(table, file):
    net = nn.Sequential(nn.Conv2d(1, 64, 7), nn.Conv2d(64, 32, 3), nn.Conv2d(32, 10, 1))
    path = table(net, file)
    with pytest.raises(KernelAtlasError, match="0 in the trained models"):
        build_corpus([path], 7, 1)
    with pytest.raises(KernelAtlasError, match="no kernel size to study"):
        size_table([path], [["net", "family", True, ""]], [7], 1)


@FILES
def test_networks_for_colour_images_have_no_such_stem(table, caplog, file):
    net = network(3)
    net.block1[0] = nn.Conv2d(24, 24, 9, groups=24)  # the only one of its size
    net.block0[0] = nn.Conv2d(12, 12, 3, groups=12)  # and the first and narrowest of its size
    path = table(net, file)
    assert warnings(caplog) == []
    assert [len(build_corpus([path], k, 1)) for k in (3, 5, 9)] == [12, 48, 24]


@FILES
def test_a_stem_of_the_same_size_as_other_layers_cannot_be_told(table, caplog, file):
    """Stated as a limitation: only its place in the network would tell."""
    path = table(network(1, k=7), file)
    assert warnings(caplog) == []
    assert len(build_corpus([path], 7, 1)) == 12 + 84


def test_a_wide_layer_in_the_middle_is_none(table, caplog):
    net = network(1)
    net.block2[0] = nn.Conv2d(48, 48, 9, groups=48)
    path = table(net)
    assert len(build_corpus([path], 9, 1)) == 48
    assert "9×9" not in " ".join(warnings(caplog))


def test_an_architecture_settles_it(tmp_path, table, caplog):
    """A network of timm for grey images: the stem is known not to be depthwise."""
    import timm

    stems = {"convnextv2_atto": "stem.0", "mobilenetv3_small_050": "conv_stem"}
    for architecture, stem in stems.items():
        caplog.clear()
        net = timm.create_model(architecture, in_chans=1)
        path = table(net, architecture=architecture)
        rows: pd.DataFrame = pq.read_table(path).to_pandas()
        assert not rows["inferred"].any()
        assert stem not in set(rows["layer"])
        assert len(rows) == sum(row["channels"] for row in expected_layers(architecture))
        assert warnings(caplog) == [f"net: '{stem}' is not depthwise in {architecture}: left out"]


@FILES
def test_layers_of_other_names_are_known_by_the_architecture_too(table, caplog, file):
    import timm

    def rename(name: str) -> str:
        return name.replace("conv_dw", "depthwise")

    net = timm.create_model("convnextv2_atto")
    path = table(net, file, rename, architecture="convnextv2_atto")
    assert not pq.read_table(path)["inferred"].to_numpy().any()
    assert "order and strides are unknown" in warnings(caplog)[0]


EMBEDDED = sorted(Path(__file__).parents[2].glob("resources/zoo/*.safetensors"))


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_no_layer_of_an_embedded_network_is_doubtful(tmp_path, caplog, path):
    extract(tmp_path / "net.parquet", "net", path)
    assert metadata_of(tmp_path / "net.parquet")["doubtful"] == []
    assert pq.read_table(tmp_path / "net.parquet")["inferred"].to_numpy().all()

"""Maps and paddings: what windows see is measured with pictures of coordinates."""

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import write_frame
from kernelatlas.sources.layer_maps import layer_maps
from kernelatlas.training.maps import SCHEMA, known_maps, maps_digest, write_maps
from kernelatlas.training.network_maps import META, map_table, of_trained_here, picture_size
from project import ROOT


def measured(layer: nn.Conv2d, n: int) -> float:
    """Return how far windows lie beside places that are symmetric on n pixels, negated.

    Each pixel of the picture is its column's number; a kernel of the middle pixel reads off where
    the windows' middles are.
    """
    k = layer.kernel_size[1]
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, k // 2, k // 2] = 1
        picture = torch.arange(1.0, n + 1).expand(1, 1, n, n)
        seen = layer(picture)[0, 0, layer.weight.shape[-1] // 2] - 1
    m, s = len(seen), layer.stride[1]
    wanted = [(n - 1) / 2 + (j - (m - 1) / 2) * s for j in range(m)]
    inner = [j for j in range(m) if 0 < seen[j] < n - 1]  # the padding is no number of a column
    shifts = {wanted[j] - float(seen[j]) for j in inner}
    assert len(shifts) == 1
    return shifts.pop()


LAYERS = [
    *((Conv2dSame, k, s, 0, d) for k in (3, 5, 7) for s in (1, 2) for d in (1,)),
    (Conv2dSame, 3, 1, 0, 2),
    *((nn.Conv2d, k, s, k // 2, 1) for k in (3, 5, 7) for s in (1, 2, 3)),
    (nn.Conv2d, 5, 1, "same", 1),
    (nn.Conv2d, 3, 2, "valid", 1),
    (nn.Conv2d, 5, 2, 1, 1),
]


@pytest.mark.parametrize("n", [14, 15, 16, 17])
@pytest.mark.parametrize(("kind", "k", "s", "p", "d"), LAYERS)
def test_expected_moves_are_those_that_a_picture_of_coordinates_shows(n, kind, k, s, p, d) -> None:
    layer = kind(1, 2, k, stride=s, padding=p, dilation=d, bias=False)
    row = map_table(nn.Sequential(layer), (1, n, n)).iloc[0]
    assert (row["width"], row["height"], row["stride"]) == (n, n, s)
    assert row["expected_x"] == measured(layer, n)
    assert row["expected_y"] == -row["expected_x"]


def test_rows_and_columns_are_kept_apart() -> None:
    layer = nn.Conv2d(1, 2, (3, 5), stride=2, padding=(1, 0))
    row = map_table(nn.Sequential(layer), (1, 8, 9)).iloc[0]
    assert row[["height", "width", "kh", "kw"]].tolist() == [8, 9, 3, 5]
    assert row[["top", "bottom", "left", "right"]].tolist() == [1, 0, 0, 0]
    assert row[["expected_x", "expected_y"]].tolist() == [0, -0.5]


def of_timm(architecture: str, name: str):
    """The maps of the registry."""
    return known_maps(maps_digest(architecture, name)).to_pandas()


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("convnextv2_nano", "convnextv2_nano.fcmae_ft_in22k_in1k_384"),
        ("convnextv2_nano", "convnext_nano.d1h_in1k"),  # a file with a name of its own
        ("mobilenetv3_small_050", "mine"),
        ("xcit_nano_12_p16_224", "xcit_nano_12_p16_384.fb_dist_in1k"),
        ("xcit_nano_12_p16_384", "xcit_nano_12_p16_384.fb_dist_in1k"),
        ("fastvit_t8", "fastvit_t8.apple_in1k"),
        ("inception_next_atto", "mine.v2"),
        ("coat_tiny", "coat_tiny.in1k"),
    ],
)
def test_maps_of_the_registry_are_those_of_a_network_that_timm_builds(
    tmp_path, architecture, name
) -> None:
    with META:
        model = timm.create_model(architecture)
    own = name in timm.list_pretrained() and name.split(".")[0] == architecture
    size = timm.get_pretrained_cfg(name).input_size if own else picture_size(model)
    table = map_table(model, size)
    assert of_timm(architecture, name).equals(table)
    # As pandas writes them.
    write_maps(tmp_path / "maps.parquet", name, known_maps(maps_digest(architecture, name)))
    table = table.assign(model=name)[["model", *table.columns]]
    write_frame(table, tmp_path / "frame.parquet")
    assert (tmp_path / "maps.parquet").read_bytes() == (tmp_path / "frame.parquet").read_bytes()


def test_maps_of_efficientnet_lite_halve_from_the_size_of_its_weights() -> None:
    table = of_timm("tf_efficientnet_lite2", "mine").query("stride == 2")
    # 260 pixels: halves, rounded up, as TensorFlow's "same" padding does.
    assert table["width"].tolist() == [130, 65, 33, 17]
    assert table["kh"].tolist() == [3, 5, 3, 5]
    assert table["expected_x"].tolist() == [-0.5, 0, 0, 0]


def test_a_tag_has_the_size_of_its_own_weights() -> None:
    size = [
        of_timm("convnextv2_nano", f"convnextv2_nano.{tag}")["width"].iloc[0]
        for tag in ("fcmae_ft_in22k_in1k", "fcmae_ft_in22k_in1k_384")
    ]
    assert size == [224 // 4, 384 // 4]


def test_networks_trained_here_have_the_maps_of_their_crops() -> None:
    table = of_trained_here(ROOT / "resources/zoo/mobilenetv3_mini.safetensors").to_pandas()
    assert list(table.columns) == SCHEMA.names
    strided = table[table["stride"] == 2]
    # Symmetric padding on even maps: half a pixel to the right and down.
    assert strided["width"].tolist() == [48, 24]
    assert strided["expected_x"].tolist() == [0.5, 0.5]
    assert strided["expected_y"].tolist() == [-0.5, -0.5]


def test_pictures_that_a_network_does_not_take_are_one_error() -> None:
    with pytest.raises(KernelAtlasError, match="does not take pictures of 8×8 pixels"):
        layer_maps(nn.Sequential(nn.Conv2d(3, 4, 1)), (1, 8, 8))

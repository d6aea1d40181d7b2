"""Layers that the reviews name are found by their place among timm's depthwise layers."""

import pandas as pd
import pytest
import timm
import torch
from torch import nn

from kernelatlas.tables.named_layers import COLUMNS, named_layer_table, number_of


def composition(model: str, identified: int) -> pd.DataFrame:
    """Count made-up labels of the layers of an untrained network of timm."""
    with torch.device("meta"):
        network = timm.create_model("efficientnet_b2")
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    ]
    rows = [
        {
            **{"family": "efficientnet", "model": model, "trained": False},
            **{"k": module.kernel_size[0], "layer_index": index, "layer": name, "label": label},
            **{"kernels": 10 * (label != "other") + 5, "identified": identified * (index == 11)},
        }
        for index, (name, module) in enumerate(layers)
        for label in ("on-square", "first-derivative 45°", "first-derivative 90°", "other")
    ]
    return pd.DataFrame(rows)


def test_both_ways_of_counting_are_listed() -> None:
    table = composition("mine", 4)
    found = named_layer_table(table, {"mine": "tf_efficientnet_b2.ra_in1k", "other": "resnet18"})
    assert list(found.columns) == COLUMNS
    assert found["layer_index"].tolist() == [11, 10]
    assert found["counted_from"].tolist() == [0, 1]
    # The twelfth and the eleventh depthwise layer, by the blocks of EfficientNet-B2: 2, 3, 3, 4, …
    assert found["layer"].tolist() == ["blocks.3.3.conv_dw", "blocks.3.2.conv_dw"]
    assert found["share_identified"].tolist() == [16 / 50, 0]
    assert found["rank"].tolist() == [23, 1]
    assert (found["layers"] == 23).all()
    text = "first-derivative 60 %, on-square 30 %, other 10 %"
    assert found["shapes"].tolist() == [text, text]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("efficientnet_b4.ra2_in1k", 10),
        ("tf_efficientnet_b6", 10),
        ("efficientnet_b2", 11),
        ("hornet_tiny_7x7", 14),
        ("efficientnet_b0", None),
        ("convnextv2_tiny", None),
    ],
)
def test_architectures_that_the_reviews_name(name: str, number: int | None) -> None:
    assert number_of(name) == number


def test_a_zoo_without_them_has_an_empty_table() -> None:
    assert named_layer_table(composition("mine", 0), {"mine": "efficientnet_b0"}).empty

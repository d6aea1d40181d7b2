"""What is asked of the registry, and what a checkpoint must agree with."""

import subprocess
import sys

import numpy as np
import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.sources import registry
from kernelatlas.sources.registry import conform, expected_layers, resolve, tags


def layers_of(architecture: str, prefix: str = "") -> list[Layer]:
    rng = np.random.default_rng(0)
    return [
        Layer(
            prefix + row["layer"],
            rng.normal(size=(row["channels"], row["kh"], row["kw"])).astype(np.float32),
        )
        for row in expected_layers(architecture)
    ]


def test_names_without_depthwise_layers_are_known_too():
    assert len(tags()) == 1826
    assert sum(tag.kernels > 0 for tag in tags().values()) == 721
    assert tags()["resnet50.a1_in1k"].kernels == 0


def test_each_architecture_has_one_default():
    defaults = [tag.architecture for tag in tags().values() if tag.default]
    assert len(defaults) == len(set(defaults))
    assert registry.architectures() <= set(defaults)


def test_layers_come_in_the_order_of_definition_with_their_strides():
    layers = layers_of("mobilenetv3_large_100")
    found = conform("net", layers[::-1], "mobilenetv3_large_100")
    assert [layer.name for layer in found] == [layer.name for layer in layers]
    assert {layer.stride for layer in found} == {1, 2}
    assert all(a.weights is b.weights for a, b in zip(found, layers, strict=True))


def test_tied_layers_come_once_under_whichever_name():
    rows = expected_layers("coat_tiny")
    layers = layers_of("coat_tiny")
    for row, layer in zip(rows, list(layers), strict=True):
        layers += [Layer(name, layer.weights) for name in row["aliases"]]
    assert len(layers) > len(rows)
    found = conform("net", layers, "coat_tiny")
    assert [layer.name for layer in found] == [row["layer"] for row in rows]
    firsts = {row["layer"] for row in rows if row["aliases"]}
    renamed = [layer for layer in layers if layer.name not in firsts]
    assert [x.name for x in conform("net", renamed, "coat_tiny")] == [x.name for x in found]


def test_a_network_under_a_prefix_beside_another():
    layers = layers_of("convnextv2_atto", "visual.trunk.")
    text = Layer("text.conv", np.ones((8, 1, 11), np.float32))
    found = conform("net", [text, *layers], "convnextv2_atto")
    assert [layer.name for layer in found] == [
        layer.name.removeprefix("visual.trunk.") for layer in layers
    ]


def test_other_names_are_kept_where_the_shapes_agree(caplog):
    layers = [
        Layer(f"x{i}", layer.weights, inferred=True)
        for i, layer in enumerate(layers_of("convnext_atto"))
    ]
    found = conform("net", layers, "convnext_atto")
    assert [layer.name for layer in found] == [layer.name for layer in layers]
    assert all(a.weights is b.weights for a, b in zip(found, layers, strict=True))
    assert found[0].stride is None
    assert not any(layer.inferred for layer in found)
    assert "their order and strides are unknown" in caplog.text


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "other"])
def test_what_does_not_agree_is_one_error(change):
    layers = layers_of("convnext_atto")
    if change == "missing":
        layers.pop()
    elif change == "extra":
        layers.append(Layer("stages.9.conv_dw", np.ones((8, 7, 7), np.float32)))
    elif change == "shape":
        layers[0] = Layer(layers[0].name, np.ones((8, 5, 5), np.float32))
    else:
        layers = layers_of("efficientnet_b0")
    with pytest.raises(KernelAtlasError, match=r"^net: \d+ depthwise layers where timm") as caught:
        conform("net", layers, "convnext_atto")
    assert "make registry" in str(caught.value)


def test_a_registry_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "TAGS", tmp_path / "gone.parquet")
    tags.cache_clear()
    with pytest.raises(KernelAtlasError, match=r"gone.parquet: not a registry .* `make registry`"):
        tags()
    (tmp_path / "gone.parquet").write_text("text")
    with pytest.raises(KernelAtlasError, match="not a registry"):
        tags()


def test_nothing_heavy_is_imported_on_the_way_to_a_table():
    code = (
        "import sys; from kernelatlas.sources import extract, registry, zoo;"
        "registry.resolve('convnext*', True); registry.expected_layers('coat_tiny');"
        "from kernelatlas.sources import hub;"
        "print(sorted({'torch', 'timm', 'pandas', 'pyarrow.dataset'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pattern_finds_all_it_matches():
    assert len(resolve("convnextv2_*.*", every_tag=False)) == len(
        [name for name in tags() if name.startswith("convnextv2_")]
    )

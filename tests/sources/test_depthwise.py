"""Which weights of the shape (n, 1, kh, kw) are taken for depthwise."""

import json
import time
from collections import Counter
from pathlib import Path

import networks
import pyarrow.parquet as pq
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from readings import LIGHT, refusal
from safetensors.torch import save_file
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.corpus import build_corpus
from kernelatlas.kernels.sizes import size_table
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.depthwise import judge
from kernelatlas.sources.extract import extract
from kernelatlas.sources.registry import architectures, expected_layers
from kernelatlas.sources.source import Options
from kernelatlas.sources.weights import natural


def both_orders(shapes):
    """Yield shapes as in a pickled state dict, and as in a safetensors file."""
    yield "definition", judge(shapes, ordered=True)
    yield "names", judge({name: shapes[name] for name in sorted(shapes, key=natural)}, False)


def errors(verdicts, truth) -> dict[str, str]:
    """Return what was decided wrongly; to doubt is no error."""
    decided = {name: v for name, v in verdicts.items() if v.kind != "doubtful"}
    return {
        name: v.reason for name, v in decided.items() if (v.kind == "depthwise") != (name in truth)
    }


# Weights that are doubtful of those that are depthwise, and of all others: in the order of
# definition, and by names.
DOUBTFUL = {
    "tiny_separable_grey": ((1, 0), (1, 0)),
    "transposed_depthwise": ((0, 0), (2, 0)),
    "parallel_stems": ((0, 2), (0, 3)),
    "crowd_counting": ((0, 2), (0, 2)),
    "two_grey_branches": ((0, 1), (0, 2)),
    "dcgan_grey": ((0, 2), (0, 2)),
    "super_resolution": ((0, 0), (0, 1)),
    "depth_and_colour": ((0, 1), (0, 1)),
    "eeg": ((2, 0), (2, 0)),
    "multi_scale_input": ((0, 2), (0, 3)),
    "sensors": ((0, 3), (0, 3)),
    "saliency": ((0, 3), (0, 3)),
    "variational_autoencoder_grey": ((0, 0), (0, 1)),
    "segmentation_with_separable_decoder": ((0, 0), (1, 0)),
}


ALL = {**networks.NETWORKS, **networks.LEFT_ASIDE}


@pytest.mark.parametrize("name", ALL)
def test_no_weight_of_small_networks_is_mistaken(name):
    shapes, truth = networks.shapes_of(ALL[name])
    found = []
    for _, verdicts in both_orders(shapes):
        assert errors(verdicts, truth) == {}
        assert set(verdicts) >= truth
        doubtful = Counter(key in truth for key, v in verdicts.items() if v.kind == "doubtful")
        found.append((doubtful[True], doubtful[False]))
    assert tuple(found) == DOUBTFUL.get(name, ((0, 0), (0, 0)))


def sample() -> list[str]:
    """The first architecture by name in each of timm's files."""
    first: dict[str, str] = {}
    for name in sorted(architectures()):
        first.setdefault(timm.model_entrypoint(name).__module__, name)
    return sorted(first.values())


@pytest.mark.filterwarnings("ignore:CSATv2 is designed")
@pytest.mark.parametrize("channels", [3, 1])
def test_no_weight_of_timm_is_mistaken(channels):
    found: Counter[str] = Counter()
    for architecture in sample():
        with torch.device("meta"):
            net = timm.create_model(architecture, in_chans=channels)
        shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
        truth = networks.depthwise_weights(net)
        for order, verdicts in both_orders(shapes):
            assert errors(verdicts, truth) == {}, architecture
            found.update(f"{order}, {v.kind}, {name in truth}" for name, v in verdicts.items())
    for order in ("definition", "names"):
        if channels == 3:
            assert found[f"{order}, doubtful, True"] == 0
            assert found[f"{order}, depthwise, True"] > 1000
        else:  # the stem of each
            stems = found[f"{order}, other, False"] + found[f"{order}, doubtful, False"]
            assert stems > 40
            assert found[f"{order}, doubtful, True"] < 0.1 * found[f"{order}, depthwise, True"]


@LIGHT
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b0", "b1", "0", "1", "10", "dw", ""]), max_size=4).map(
            lambda parts: ".".join([*parts, "weight"])
        )
        | st.text(max_size=12),
        st.lists(st.integers(0, 4), max_size=5).map(tuple)
        | st.tuples(st.integers(2, 4), st.just(1), st.integers(1, 3), st.integers(1, 3)),
        max_size=12,
    ),
    st.booleans(),
)
def test_any_names_and_shapes_are_judged(shapes, ordered):
    verdicts = judge(shapes, ordered)
    expected = {n for n, s in shapes.items() if len(s) == 4 and s[0] > 1 == s[1] < s[2] * s[3]}
    assert set(verdicts) == expected


def save(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=path.suffix == ".pth")
    return path


FILES = pytest.mark.parametrize("file", ["net.pth", "net.bin", "net.safetensors"])


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


@pytest.fixture
def table(tmp_path):
    """Return a function that extracts a network from a file of it."""

    def write(net: nn.Module, file: str = "net.pth", rename=str, **options) -> Path:
        state = {rename(name): value for name, value in net.state_dict().items()}
        extract(tmp_path / "net.parquet", "net", save(tmp_path / file, state), **options)
        return tmp_path / "net.parquet"

    return write


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@FILES
@pytest.mark.parametrize("stem", ["stem", "aa_conv1"])  # names that sort last and first
@pytest.mark.parametrize("k", [5, 7])  # 7×7 as the stem
def test_a_stem_for_grey_images_is_left_out(table, caplog, file, stem, k):
    with caplog.at_level("INFO"):
        path = table(network(1, stem, k), file)
    rows = pq.read_table(path).to_pandas()
    assert set(rows["layer"]) == {"block0.0", "block1.0", "block2.0"}
    assert not rows["inferred"].any()
    assert warnings(caplog) == []
    reason = "is the first layer, for images of one channel"
    assert f"'{stem}.weight' is left out: it {reason}" in caplog.messages
    assert len(build_corpus([path], k, 1)) == 84


@FILES
def test_a_plain_network_for_grey_images_has_no_depthwise_layer(tmp_path, file):
    net = nn.Sequential(nn.Conv2d(1, 64, 7), nn.Conv2d(64, 32, 3), nn.Conv2d(32, 10, 1))
    assert "no depthwise layers" in refusal(save(tmp_path / file, net.state_dict()))


@FILES
def test_what_is_doubtful_is_in_the_table_alone(table, caplog, file):
    net = networks.depth_and_colour()
    net.add_module("block", block(256, 3))
    path = table(net, file)
    rows = pq.read_table(path).to_pandas().groupby("layer", observed=True)["inferred"].all()
    assert rows.to_dict() == {"depth_encoder.conv1": True, "block.0": file == "net.safetensors"}
    [message] = warnings(caplog)
    assert message.startswith(f"net: {rows.sum()} of 2 layers may not be depthwise (")
    assert "'depth_encoder.conv1', 64×7×7" in message
    assert "`architecture:`" in message
    assert "`depthwise: true`" in message
    with pytest.raises(
        KernelAtlasError, match=r"0 in the trained .* 64 of layers that are perhaps"
    ):
        build_corpus([path], 7, 1)
    with pytest.raises(KernelAtlasError, match="no kernel size to study"):
        size_table([path], [["net", "family", True, ""]], [7], 1)


@FILES
def test_the_zoo_may_say_that_all_are_depthwise(table, caplog, file):
    net = networks.depth_and_colour()
    path = table(net, file, options=Options(depthwise=True))
    rows = pq.read_table(path).to_pandas()
    assert len(rows) == 64
    assert not rows["inferred"].any()
    assert warnings(caplog) == []
    path = table(network(1), file, options=Options(depthwise=True))
    assert len(pq.read_table(path)) == 12 + 84  # the stem, too


@FILES
def test_many_doubtful_layers_are_one_warning(table, caplog, file):
    net = nn.ModuleDict({f"part{'abcdefgh'[i]}": nn.Conv2d(1, 2 + i, 3) for i in range(8)})
    table(net, file)
    [message] = warnings(caplog)
    assert "net: 8 of 8 layers" in message
    assert message.count("×") == 3 * 2
    assert "; …)" in message


@FILES
def test_a_lone_weight_is_doubtful(tmp_path, file):
    state = {"conv.weight": torch.randn(64, 1, 7, 7)}
    (layer,) = read_depthwise(save(tmp_path / file, state)).layers
    assert layer.inferred


@FILES
def test_a_transposed_convolution_to_one_channel_is_left_out(tmp_path, file):
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ConvTranspose2d(64, 1, 9))
    assert "no depthwise layers" in refusal(save(tmp_path / file, net.state_dict()))


@FILES
def test_buffers_and_tables_are_left_out(tmp_path, file):
    state = {
        name: torch.randn(8, 1, *size)
        for name, size in {
            **{"pos_embed": (14, 14), "rel_pos": (49, 49), "gamma": (2, 2), "attn_mask": (9, 9)},
            **{
                "down.filt": (3, 3),
                "relative_position_bias_table": (4, 4),
                "x.weight_mask": (3, 3),
            },
        }.items()
    }
    assert "no depthwise layers" in refusal(save(tmp_path / file, state))


def nearest(n: int) -> torch.Tensor:
    weights = torch.zeros(n, 1, 3, 3)
    weights[:, 0, 1, 1] = 1
    return weights


def bilinear(n: int) -> torch.Tensor:
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    return torch.outer(ramp, ramp).expand(n, 1, 4, 4).contiguous()


def haar(n: int) -> torch.Tensor:
    low, high = torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])
    filters = [torch.outer(a, b) / 2 for a in (low, high) for b in (low, high)]
    return torch.stack(filters[1:]).repeat(n // 3, 1, 1)[:, None]


@FILES
@pytest.mark.parametrize("fixed", [nearest, bilinear, haar])
def test_fixed_filters_are_left_out(tmp_path, file, fixed):
    net = network(3)
    state = net.state_dict()
    state["block1.up.weight"] = fixed(48)
    layers = read_depthwise(save(tmp_path / file, state)).layers
    assert [layer.name for layer in layers] == ["block0.0", "block1.0", "block2.0"]


def test_filters_of_few_values_are_doubtful(tmp_path):
    x = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    state = network(3).state_dict()
    state["block1.edges.weight"] = torch.stack([x, x.T])[:, None]
    layers = read_depthwise(save(tmp_path / "net.pth", state)).layers
    assert {layer.name: layer.inferred for layer in layers}["block1.edges"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_kernels_that_are_not_finite_say_nothing(tmp_path, value):
    net = network(3)
    net.block1[0].weight.data[0, 0, 2, 2] = value
    layers = read_depthwise(save(tmp_path / "net.pth", net.state_dict())).layers
    assert not any(layer.inferred for layer in layers)


def test_kernels_that_died_or_are_quantised_are_no_fixed_filters(tmp_path):
    torch.manual_seed(0)
    net = network(3)
    with torch.no_grad():
        net.block1[0].weight[3:] = 0  # three of 24 are left
        weights = net.block2[0].weight
        weights.copy_((weights * 127 / weights.abs().max()).round() / 127)  # 8 bits
    layers = read_depthwise(save(tmp_path / "net.pth", net.state_dict())).layers
    assert [layer.inferred for layer in layers] == [False] * 3


def test_a_sorted_state_dict_has_no_order_of_definition(tmp_path):
    """As one that was read from a safetensors file and pickled."""
    state = networks.mobilenet_v2_colour().state_dict()
    named = {name: state[name] for name in sorted(state)}
    layers = read_depthwise(save(tmp_path / "net.pth", named)).layers
    assert [layer.inferred for layer in layers] == [False] * 2


@pytest.mark.parametrize("architecture", ["convnextv2_atto", "mobilenetv3_small_050"])
@FILES
def test_an_architecture_settles_it(table, caplog, architecture, file):
    """A network of timm for grey images: the stem is known not to be depthwise."""
    path = table(timm.create_model(architecture, in_chans=1), file, architecture=architecture)
    rows = pq.read_table(path).to_pandas()
    assert not rows["inferred"].any()
    expected = [row["layer"] for row in expected_layers(architecture)]
    assert list(rows["layer"].unique()) == expected
    left_out = [text for text in warnings(caplog) if "not depthwise in" in text]
    assert warnings(caplog) == left_out


@FILES
def test_layers_of_other_names_are_known_by_the_architecture_too(table, caplog, file):
    def rename(name: str) -> str:
        return name.replace("conv_dw", "spatial")

    net = timm.create_model("convnextv2_atto")
    path = table(net, file, rename, architecture="convnextv2_atto")
    assert not pq.read_table(path)["inferred"].to_numpy().any()
    unknown = [text for text in warnings(caplog) if "order and strides are unknown" in text]
    assert len(unknown) == (file == "net.safetensors")


EMBEDDED = sorted(Path(__file__).parents[2].glob("resources/zoo/*.safetensors"))


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_no_layer_of_an_embedded_network_is_doubtful(tmp_path, caplog, path):
    extract(tmp_path / "net.parquet", "net", path)
    assert not pq.read_table(tmp_path / "net.parquet")["inferred"].to_numpy().any()
    metadata = json.loads(pq.read_schema(tmp_path / "net.parquet").metadata[b"kernelatlas"])
    assert "doubtful" not in metadata
    assert warnings(caplog) == []


def test_many_weights_take_little_time():
    """As many as a file may have, whatever their names."""
    deep = {f"a.{i}.b.{i % 7}.c.d.e.f.g.h.{i}.weight": (8, 1, 3, 3) for i in range(4096)}
    flat = {name.replace(".", "_", 9): shape for name, shape in deep.items()}
    others = {f"z{i}q.{i}.weight": (8, 8, 3, 3) for i in range(10_000)}
    start = time.process_time()
    assert len(judge({**others, **deep}, ordered=True)) == 4096
    assert len(judge({**others, **deep}, ordered=False)) == 4096
    assert len(judge({**others, **flat}, ordered=False)) == 4096
    assert time.process_time() - start < 30

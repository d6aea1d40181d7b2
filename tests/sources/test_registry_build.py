"""The committed registry against the timm that is installed, and the zoos made of its names."""

import hashlib
import json
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import timm
import torch
import yaml
from torch.nn import Conv2d

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of
from kernelatlas.running.schema import validate
from kernelatlas.sources import registry_build
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.registry_build import (
    LAYERS,
    TAGS,
    build,
    depthwise_layers,
    source,
    tables,
    write_registry,
    zoo,
)

REGISTRY = Path(registry_build.__file__).parent
ZOOS = Path(__file__).parents[2] / "workflow" / "zoos"

# All tags of these architectures are built.
SAMPLE = (
    *("convnextv2_atto", "mobilenetv3_large_100", "efficientnet_b0", "convmixer_768_32"),
    *("mixnet_s", "xcit_nano_12_p16_224"),  # several sizes in one layer; tags of several sizes
    *("fastvit_t8", "repvit_m1", "mobileone_s0"),  # parallel branches, as trained
    "coat_tiny",  # tied parameters
    "pit_ti_224",  # two kernels a channel
    "inception_next_atto",  # strips
    "csatv2",  # convolutions of a single channel, which are not depthwise
    "cspnext_tiny",  # of another organisation
    "gcvit_xxtiny",  # at a plain address only
    "tf_efficientnet_cc_b0_4e",  # mixed kernels, which are no Conv2d
    "resnet18",  # no depthwise layers
)


@pytest.fixture(scope="module")
def committed():
    """Rows of the committed registry by name."""
    table = pq.read_table(REGISTRY / "timm.parquet")
    assert table.schema.remove_metadata() == TAGS
    return {row["name"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def committed_layers():
    """Rows of the committed layers by architecture, in order."""
    table = pq.read_table(REGISTRY / "timm_layers.parquet")
    assert table.schema.remove_metadata() == LAYERS
    layers: dict[str, list[dict]] = {}
    for row in table.to_pylist():
        layers.setdefault(row["architecture"], []).append(row)
    return layers


def drift(what) -> str:
    made_from = metadata_of(REGISTRY / "timm.parquet")["timm"]
    return (
        f"timm {timm.__version__} differs from the registry, made from timm {made_from}: {what}: "
        "run `make registry`, look at the differences and commit them"
    )


def same(what, now, then) -> None:
    """Compare two rows and name the columns that differ."""
    changed = [
        f"{key} {now[key]!r}, was {then.get(key)!r}" for key in now if now[key] != then.get(key)
    ]
    assert not changed, drift(f"{what}: {'; '.join(changed)}")
    assert len(now) == len(then)


def test_the_names_are_those_of_timm(committed):
    names = timm.list_pretrained()
    new, gone = sorted(set(names) - set(committed)), sorted(set(committed) - set(names))
    assert not new + gone, drift(f"new {new[:9]}, gone {gone[:9]}")
    assert list(committed) == sorted(names), drift("order")


def test_what_timm_says_of_every_tag_has_not_changed(committed):
    for name in timm.list_pretrained():
        now = source(name)
        same(name, now, {key: committed.get(name, {}).get(key) for key in now})


def test_networks_built_anew_are_those_of_the_registry(committed, committed_layers):
    names = [name for name in timm.list_pretrained() if name.split(".")[0] in SAMPLE]
    assert len(names) > len(SAMPLE)
    tags, layers, tensors, maps = (table.to_pylist() for table in tables(names))
    for row in tags:
        same(row["name"], row, committed.get(row["name"], {}))
    assert {row["architecture"] for row in layers} == set(SAMPLE) - {"resnet18"}
    for architecture in SAMPLE:
        now = [row for row in layers if row["architecture"] == architecture]
        before = committed_layers.get(architecture, [])
        assert len(now) == len(before), drift(f"{architecture}: {len(now)}, were {len(before)}")
        for row, then in zip(now, before, strict=True):
            same(f"{architecture}, {row['layer']}", row, then)
    then = pq.read_table(REGISTRY / "timm_tensors.parquet").to_pylist()
    committed_tensors = {row["architecture"]: row for row in then}
    for row in tensors:
        same(row["architecture"], row, committed_tensors.get(row["architecture"], {}))
    then = pq.read_table(REGISTRY / "timm_maps.parquet").to_pylist()
    wanted = {row["maps"] for row in maps}
    assert maps == [row for row in then if row["maps"] in wanted], drift("maps")


def test_tensors_that_look_depthwise_are_those_of_the_registry(committed_layers):
    for architecture in SAMPLE:
        state = build(architecture).state_dict()
        look = [
            name.removesuffix(".weight")
            for name, tensor in state.items()
            if tensor.ndim == 4
            and tensor.shape[0] > 1
            and tensor.shape[1] == 1
            and tensor.shape[2:].numel() > 1
        ]
        rows = committed_layers.get(architecture, [])
        known = [name for row in rows for name in (row["layer"], *row["aliases"])]
        assert sorted(look) == sorted(known), drift(architecture)
        firsts = {row["layer"] for row in rows}
        assert [name for name in look if name in firsts] == [row["layer"] for row in rows]


def test_a_checkpoint_holds_the_layers_of_the_registry(committed_layers, tmp_path):
    architecture = "test_efficientnet"
    torch.save(timm.create_model(architecture).state_dict(), tmp_path / "net.pth")
    found = [(x.name, *x.weights.shape) for x in read_depthwise(tmp_path / "net.pth").layers]
    expected = [
        (row["layer"], row["channels"], row["kh"], row["kw"])
        for row in committed_layers[architecture]
    ]
    assert found == expected, drift(architecture)


def test_the_files_belong_together(committed, committed_layers):
    assert metadata_of(REGISTRY / "timm.parquet") == metadata_of(REGISTRY / "timm_layers.parquet")
    depthwise = {row["architecture"] for row in committed.values() if row["kernels"]}
    assert depthwise == set(committed_layers)
    assert list(committed_layers) == sorted(committed_layers)
    for row in committed.values():
        layers = [dict(layer) for layer in committed_layers.get(row["architecture"], [])]
        assert [layer["layer_index"] for layer in layers] == list(range(len(layers)))
        assert row["kernels"] == sum(layer["channels"] for layer in layers)
        assert row["kernels"] == sum(size["kernels"] for size in row["sizes"])
        numbers = sum(size["kh"] * size["kw"] * size["kernels"] for size in row["sizes"])
        assert row["depthwise_bytes"] == 4 * numbers < row["bytes"]
        for layer in layers:
            del layer["architecture"]
        assert row["digest"] == digest_of(layers)
    maps: dict[str, list[dict]] = {}
    for layer in pq.read_table(REGISTRY / "timm_maps.parquet").to_pylist():
        maps.setdefault(layer.pop("maps"), []).append(layer)
    assert all(digest == digest_of(layers) for digest, layers in maps.items())
    for row in committed.values():
        assert (row["maps"] in maps) if row["kernels"] else row["maps"] is None


def digest_of(rows: list[dict]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def test_the_totals_are_known(committed):
    depthwise = [row for row in committed.values() if row["kernels"]]
    totals = {
        "tags": len(depthwise),
        "architectures": len({row["architecture"] for row in depthwise}),
        "families": len({row["family"] for row in depthwise}),
        "kernels": sum(row["kernels"] for row in depthwise),
        "depthwise_bytes": sum(row["depthwise_bytes"] for row in depthwise),
        "bytes": sum(row["bytes"] for row in depthwise),
        "without a hub": sum(row["hub"] is None for row in depthwise),
    }
    assert totals == {  # of timm 1.0.31; another timm has others
        "tags": 721,
        "architectures": 471,
        "families": 49,
        "kernels": 12_678_333,
        "depthwise_bytes": 1_157_832_564,
        "bytes": 187_036_390_476,
        "without a hub": 6,
    }
    for row in committed.values():
        assert row["hub"] or row["url"], row["name"]
        assert row["hub"] is None or re.fullmatch(r"[\w.-]+/[\w.-]+", row["hub"])


def test_every_architecture_with_pretrained_tags_has_one_default(committed):
    defaults = [row["architecture"] for row in committed.values() if row["default"]]
    assert sorted(defaults) == sorted({row["architecture"] for row in committed.values()})


def test_the_zoo_of_timm_is_that_of_the_registry(committed_layers):
    text = (ZOOS / "timm.yaml").read_text()
    tags = pq.read_table(REGISTRY / "timm.parquet")
    assert text == zoo(tags, metadata_of(REGISTRY / "timm.parquet")["timm"]), drift("timm.yaml")
    families = yaml.safe_load(text)["families"]
    names = [name for architectures in families.values() for name in architectures]
    assert sorted(names) == sorted(committed_layers)
    validate({"families": families}, "zoo", "timm.yaml")


def test_only_depthwise_convolutions_count():
    tied = Conv2d(4, 4, 3, groups=4, bias=False)
    model = torch.nn.ModuleDict(
        {
            "last_by_name": Conv2d(4, 8, (1, 5), stride=2, dilation=3, groups=4),
            "first_by_name": Conv2d(4, 4, 3, stride=(1, 2), groups=4),
            "grouped": Conv2d(4, 4, 3, groups=2),
            "pointwise": Conv2d(4, 4, 1, groups=4),
            "single": Conv2d(1, 8, 3),
            "transposed": torch.nn.ConvTranspose2d(4, 4, 3, groups=4),
            "tied": tied,
            "again": tied,
            "parameter_only": Conv2d(4, 4, 3, groups=4, bias=False),
        }
    )
    model["parameter_only"].weight = tied.weight
    first, second, third = depthwise_layers(model)
    assert first == {
        **{"layer_index": 0, "layer": "last_by_name", "channels": 8, "kh": 1, "kw": 5},
        **{"stride": 2, "dilation": 3, "aliases": []},
    }
    assert (second["layer"], second["stride"], second["dilation"]) == ("first_by_name", None, 1)
    assert (third["layer"], third["aliases"]) == ("tied", ["again", "parameter_only"])


class Network(torch.nn.ModuleDict):
    def get_classifier(self) -> torch.nn.Module:
        return torch.nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self["dw"](image)


def test_tags_of_an_architecture_that_differ_are_refused(monkeypatch):
    names = ["convnextv2_atto.fcmae", "convnextv2_atto.fcmae_ft_in1k"]
    networks = {name: Conv2d(3, 3, k, groups=3) for name, k in zip(names, (3, 5), strict=True)}
    monkeypatch.setattr(
        registry_build, "build", lambda name: Network({"dw": networks[name]}).to("meta")
    )
    with pytest.raises(KernelAtlasError, match=f"layers of {names[1]} are not those of {names[0]}"):
        tables(names)


def test_a_network_that_cannot_be_built_is_named(monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError("no meta kernel")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(KernelAtlasError, match=r"cannot build resnet18\.a1_in1k .*no meta kernel"):
        build("resnet18.a1_in1k")


@pytest.mark.parametrize(
    ("changes", "hub", "url"),
    [
        ({"hf_hub_id": "timm/"}, "timm/resnet18.a1_in1k", None),
        ({"hf_hub_id": "owner/repo"}, "owner/repo", None),
        ({"hf_hub_id": None, "url": "https://a/b.pth"}, None, "https://a/b.pth"),
        ({"hf_hub_id": None, "url": ("https://a/b", "b.pth")}, None, "https://a/b"),
        ({"hf_hub_id": "owner/repo", "url": "file:///b.pth"}, "owner/repo", None),
    ],
)
def test_where_a_tag_comes_from(monkeypatch, changes, hub, url):
    config = replace(timm.get_pretrained_cfg("resnet18.a1_in1k"), **{"url": "", **changes})
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: config)
    found = source("resnet18.a1_in1k")
    assert (found["hub"], found["url"], found["family"]) == (hub, url, "resnet")


def test_a_repository_at_a_revision_is_refused(monkeypatch):
    config = replace(timm.get_pretrained_cfg("resnet18.a1_in1k"), hf_hub_id="owner/repo@v2")
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: config)
    with pytest.raises(KernelAtlasError, match="owner/repo@v2"):
        source("resnet18.a1_in1k")


def test_equal_networks_make_equal_files(monkeypatch, tmp_path):
    names = ["test_convnext.r160_in1k", "resnet18.a1_in1k"]
    monkeypatch.setattr(timm, "list_pretrained", lambda: names)
    write_registry(tmp_path / "one", tmp_path / "one")
    names.reverse()
    write_registry(tmp_path / "two", tmp_path / "two")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    suffixes = [".parquet", ".yaml", *(f"_{x}.parquet" for x in ("layers", "maps", "tensors"))]
    assert files == [f"timm{suffix}" for suffix in suffixes]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert metadata_of(tmp_path / "one" / "timm.parquet")["timm"] == timm.__version__


# --- the paper's zoo ---------------------------------------------------------------------

PAPER = {  # family: what its names begin with, number of tags
    "convnext": ("convnext_", 41),
    "convnextv2": ("convnextv2_", 26),
    "convmixer": ("convmixer_", 3),
    "mobilenetv2": ("mobilenetv2_", 5),
    "mobilenetv3": ("(tf_)?mobilenetv3_", 15),
    "efficientnet": (r"(tf_)?efficientnet_b\d\.", 35),
    "efficientnetv2": ("(tf_)?efficientnetv2_", 20),
    "mixnet": ("(tf_)?mixnet_", 7),
}
OTHER_DATA = re.compile("clip|dinov3|eupe|jft")


def members(entries, committed):
    """Names that the patterns among entries match; each must match one."""
    names = []
    for pattern in (entry for entry in entries if isinstance(entry, str)):
        found = [name for name in committed if fnmatchcase(name, pattern)]
        assert found, drift(f"nothing matches {pattern}")
        names += found
    assert len(names) == len(set(names))
    return names


def test_the_families_of_the_paper_hold_what_their_names_say(committed):
    families = yaml.safe_load((ZOOS / "paper.yaml").read_text())["families"]
    validate({"families": families}, "zoo", "paper.yaml")
    assert list(families) == list(PAPER)
    for family, (beginning, count) in PAPER.items():
        names = members(families[family], committed)
        assert len(names) == count, drift(f"{family} has {len(names)} networks, had {count}")
        for name in names:
            assert re.match(beginning, name)
            assert not OTHER_DATA.search(name)
            assert committed[name]["kernels"]


def test_the_families_of_the_paper_have_controls_of_their_own(committed):
    families = yaml.safe_load((ZOOS / "paper.yaml").read_text())["families"]
    seeds = []
    for family, entries in families.items():
        (control,) = (entry for entry in entries if not isinstance(entry, str))
        names = members(entries, committed)
        assert control["init"] in {committed[name]["architecture"] for name in names}, family
        assert control["name"] == f"{control['init']}.untrained"
        seeds.append(control["seed"])
    assert len(set(seeds)) == len(seeds)


def test_what_stands_in_comments_in_the_paper_can_be_uncommented(committed):
    text = (ZOOS / "paper.yaml").read_text()
    text = re.sub(r"(?m)^( +)# (?= *- |[a-z]+:$)", r"\1", text)
    families = yaml.safe_load(text)["families"]
    validate({"families": families}, "zoo", "paper.yaml")
    assert sorted(set(families) - set(PAPER)) == ["hornet", "moganet", "replknet", "slak"]
    for family in PAPER:
        members(families[family], committed)

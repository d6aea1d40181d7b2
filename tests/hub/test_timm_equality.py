"""What is extracted is what timm loads: names, order, strides, dilations and every bit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from localhub import Hub

# By the file that is published; the prefix stands before the names in it.
FILES = {
    "convnextv2_atto.fcmae_ft_in1k": "model.safetensors",
    "convnext_tiny.in12k_ft_in1k": "model.safetensors",
    "mobilenetv3_large_100.ra_in1k": "model.safetensors",
    "efficientnet_b0.ra_in1k": "model.safetensors",
    "convmixer_768_32.in1k": "model.safetensors",
    "fastvit_t8.apple_in1k": "model.safetensors",
    "coat_tiny.in1k": "model.safetensors",
    "coat_lite_tiny.in1k": "pytorch_model.bin",
    "convnextv2_atto.fcmae": "pytorch_model.bin",
    "vitamin_small_224.datacomp1b_clip": "model.safetensors",  # of open_clip, beside a text tower
    "cspnext_tiny.rsb_a1_in1k": "model.safetensors",  # with the names of OpenMMLab
}
TIED = ["coat_tiny.in1k", "coat_lite_tiny.in1k"]
OTHER_NAMES = "cspnext_tiny.rsb_a1_in1k"

TIMM = """
import json, pathlib, re, sys
import numpy as np
import timm, torch
from safetensors.torch import save_file

root, output, files = pathlib.Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
found, arrays = {}, {}
for seed, (tag, filename) in enumerate(files.items()):
    torch.manual_seed(seed)
    state = timm.create_model(tag).state_dict()
    if tag.startswith("vitamin"):
        head = state.pop("head.weight")
        del state["head.bias"]
        state = {f"visual.trunk.{name}": value for name, value in state.items()}
        state["visual.head.proj.weight"] = head
        state["text.transformer.conv.weight"] = torch.rand(64, 1, 3, 3)
    if tag.startswith("cspnext"):
        state = {
            re.sub(r"^stages\\.(\\d+)", lambda m: f"backbone.stage{int(m[1]) + 1}", name): value
            for name, value in state.items()
        }
    repository = timm.get_pretrained_cfg(tag).hf_hub_id
    if repository.endswith("/"):
        repository += tag
    path = root / repository / filename
    path.parent.mkdir(parents=True)
    if filename.endswith(".bin"):
        torch.save(state, path)
    else:  # tied parameters under each of their names
        save_file({name: value.clone() for name, value in state.items()}, path)

    model = timm.create_model(tag, pretrained=True)
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d)
        and module.groups == module.in_channels > 1
        and module.kernel_size != (1, 1)
    ]
    arrays |= {f"{tag}/{name}": module.weight.detach().numpy() for name, module in layers}
    found[tag] = {
        "names": [name for name, _ in layers],
        "stride": [module.stride for _, module in layers],
        "dilation": [module.dilation for _, module in layers],
        "stored": sum(v.ndim == 4 and v.shape[1] == 1 < v.shape[0] for v in state.values()),
    }
np.savez(output, **arrays)
print(json.dumps(found))
"""

OURS = """
import logging, sys
from pathlib import Path
from kernelatlas.sources.extract import extract
from kernelatlas.sources.zoo import load_zoo

logging.basicConfig(level=logging.WARNING, format="%(message)s")
for model in load_zoo(sys.argv[1]):
    output = Path(sys.argv[2], f"{model.name}.parquet")
    extract(output, model.name, remote=model.remote, architecture=model.architecture)
assert not {"timm", "torch", "pandas"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of timm.npz and of the kernel tables, and what timm says of the layers."""
    folder = tmp_path_factory.mktemp("equality")
    zoo = folder / "zoo.yaml"
    zoo.write_text(yaml.safe_dump({"families": {"all": list(FILES)}}))
    homes = folder / "home-of-timm", folder / "home"  # nothing may come from timm's cache
    with Hub(folder / "hub") as hub:
        arrays = folder / "timm.npz"
        told, _ = run(hub, homes[0], TIMM, hub.root, arrays, json.dumps(FILES))
        hub.reset()
        _, warnings = run(hub, homes[1], OURS, zoo, folder)
        data = [record for record in hub.requests if record.step == "ranges"]
        assert len(data) > len(FILES)
        assert all("range" in record.headers for record in data)
    for large in (hub.root, *homes):
        shutil.rmtree(large, ignore_errors=True)
    return folder, {**json.loads(told), "warnings": warnings}


def run(hub: Hub, home: Path, code: str, *arguments: object) -> tuple[str, str]:
    """Run code in a process of its own (HF_ENDPOINT is read at import); both its outputs."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=hub.environment(home),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def layers_of(path: Path) -> Iterator[dict[str, Any]]:
    """The layers of a kernel table, which has a row group for each."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            assert table["channel"].to_pylist() == list(range(table.num_rows))
            layer = {}
            for name in ("layer", "layer_index", "kh", "kw", "stride", "dilation"):
                (layer[name],) = set(table[name].to_pylist())
            weights = table["weights"].combine_chunks().flatten().to_numpy()
            yield {**layer, "weights": weights.reshape(-1, 1, layer["kh"], layer["kw"])}


def same(pair: list[int]) -> int:
    assert len(set(pair)) == 1
    return pair[0]


@pytest.mark.parametrize("tag", FILES)
def test_kernels_are_those_that_timm_loads(extracted, tag):
    folder, timm = extracted
    layers, loaded = list(layers_of(folder / f"{tag}.parquet")), timm[tag]
    assert [layer["layer_index"] for layer in layers] == list(range(len(loaded["names"])))
    with np.load(folder / "timm.npz") as arrays:
        for layer, name in zip(layers, loaded["names"], strict=True):
            assert layer["weights"].dtype == np.float32
            assert np.array_equal(layer["weights"].view("u4"), arrays[f"{tag}/{name}"].view("u4"))
    if tag != OTHER_NAMES:
        assert [layer["layer"] for layer in layers] == loaded["names"]
        for name in ("stride", "dilation"):
            assert [layer[name] for layer in layers] == list(map(same, loaded[name]))


@pytest.mark.parametrize("tag", TIED)
def test_tied_layers_come_once(extracted, tag):
    folder, timm = extracted
    layers = list(layers_of(folder / f"{tag}.parquet"))
    assert len(layers) == len(timm[tag]["names"]) < timm[tag]["stored"]


def test_other_names_leave_the_strides_unknown(extracted):
    folder, timm = extracted
    layers = list(layers_of(folder / f"{OTHER_NAMES}.parquet"))
    assert all(layer["layer"].startswith("backbone.stage") for layer in layers)
    for name in ("stride", "dilation"):
        assert {layer[name] for layer in layers} == {None}
    (warning,) = timm["warnings"].splitlines()
    assert warning.startswith(f"{OTHER_NAMES}: does not name its layers as timm does")

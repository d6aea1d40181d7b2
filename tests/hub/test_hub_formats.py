"""Formats that can only be read as a whole, from a hub and from an address."""

from pathlib import Path

import numpy as np
import onnx
import test_onnx
import test_tflite
from localhub import Hub
from onnx import numpy_helper
from remote import client, layers_of

MODELS = {"net.onnx": test_onnx.everything(), "net.tflite": test_tflite.everything()}


def outside(folder: Path) -> dict[str, bytes]:
    """An ONNX model and the file that has its weights."""
    model = test_onnx.model_of([test_onnx.conv("a")], [test_onnx.changed()])
    options = {"save_as_external_data": True, "size_threshold": 0}
    onnx.save(model, folder / "out.onnx", location="out.data", **options)
    return {name: (folder / name).read_bytes() for name in ("out.onnx", "out.data")}


def test_models_are_read_from_a_hub_and_from_an_address(tmp_path, monkeypatch):
    with Hub(tmp_path / "hub") as hub, client(monkeypatch, tmp_path, hub) as here:
        files = {**MODELS, **outside(tmp_path)}
        hub.publish("owner/net", files)
        (hub.root / "plain").mkdir()
        for name, data in files.items():
            (hub.root / "plain" / name).write_bytes(data)
        for name, names in (("net.onnx", ["c", "f", "b", "a"]), ("net.tflite", ["a", "b", "c"])):
            of_hub = layers_of(here.table("net", hub="owner/net", filenames=[name]))
            of_url = layers_of(here.table("net", url=hub.url(name)))
            assert list(of_hub) == list(of_url) == names
            for layer in names:
                assert np.array_equal(of_hub[layer], of_url[layer])
        truth = numpy_helper.to_array(test_onnx.changed())[:, 0]
        assert np.array_equal(
            layers_of(here.table("net", hub="owner/net", filenames=["net.onnx"]))["a"], truth
        )
        for remote in (
            {"hub": "owner/net", "filenames": ["out.onnx"]},
            {"url": hub.url("out.onnx")},
        ):
            message = here.error("net", **remote)
            assert "keeps weights in another file, 'out.data'" in message
            assert "download both into one folder" in message

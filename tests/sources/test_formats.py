"""Files of other programs are called by their names, with the way to one that is read."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import FORMATS, state_dict
from readings import refusal, survives

from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.formats import named, named_folder

# A file's name, its first bytes as its program writes them, and words of the message.
FILES = [
    ("net.param", b"7767517\n75 83\nInput data 0 1 data 0=224", "ncnn"),
    ("net.param.bin", b"\xdd\x85\x76\x00\x4b\x00\x00\x00", "ncnn"),
    ("net.bin", b"\x47\x6b\x30\x01" + bytes(60), "ncnn"),
    ("net.mnn", b"\x18\0\0\0\0\0\0\0" + bytes(64), "MNN"),
    ("net.prototxt", b'name: "MobileNet"\ninput: "data"\n', "Caffe"),
    ("net.caffemodel", b"\n\x09MobileNet", "Caffe"),
    ("net.mlmodel", b"\x08\x05\x12\x10", "Core ML"),
    ("inference.pdmodel", b"\x0a\x99\x01\x08\0", "paddle2onnx"),
    ("inference.pdiparams", bytes(64), "paddle2onnx"),
    ("model.json", b'{"format": "layers-model", "generatedBy": "keras"', "tensorflowjs_converter"),
    ("model.json", b'{"modelTopology": {"keras_version"', "tensorflowjs_converter"),
    ("model.json", b'{"format":"graph-model","generatedBy":"2.1"', "tensorflowjs_converter"),
    ("saved_model.pb", b"\x08\x01\x12\xa0\x01", "--saved-model FOLDER"),
    ("frozen.pb", b"\n\x1b\n\x05input", "--graphdef net.pb"),
    ("model.ckpt-90.index", bytes(64), "TensorFlow checkpoint"),
    ("model.ckpt-90.data-00000-of-00001", bytes(64), "TensorFlow checkpoint"),
    ("model.ckpt.meta", b"\n\xb1\x01", "TensorFlow checkpoint"),
    ("net.xml", b'<?xml version="1.0"?>\n<net name="net" version="11">', "OpenVINO"),
    ("net.xml", b'<net batch="1" name="net">'.replace(b'batch="1" ', b""), "OpenVINO"),
    ("net.gguf", b"GGUF\x03\0\0\0", "GGUF"),
    ("flax_model.msgpack", b"\x81\xa6params\x82", "Flax"),
    ("net.engine", bytes(64), "TensorRT"),
    ("net", b"ftrt" + bytes(60), "TensorRT"),
    ("yolov3-tiny.weights", bytes(4) + b"\x02\0\0\0" + bytes(60), "Darknet"),
    ("yolov3-tiny.cfg", b"[net]\n# Testing\nbatch=1\n", "Darknet"),
    ("net.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "scipy.io.loadmat"),
    ("net.pte", b"\x30\0\0\0ET12" + bytes(60), "ExecuTorch"),
    ("net.ort", b"\x20\0\0\0ORTM" + bytes(60), "ONNX Runtime"),
    ("net-0000.params", b"\x12\x01" + bytes(14), "MXNet"),
    ("net.rknn", b"RKNN" + bytes(60), "RKNN"),
    ("net.pth.bz2", b"BZh91AY&SY", "bunzip2"),
    ("net.pth.xz", b"\xfd7zXZ\x00\x00\x04", "unxz"),
    ("net.pth.zst", b"\x28\xb5\x2f\xfd\x04", "unzstd"),
    ("net.7z", b"7z\xbc\xaf\x27\x1c\x00\x04", "7z x"),
    ("net.rar", b"Rar!\x1a\x07\x01\x00", "unrar"),
]


@pytest.mark.parametrize(("name", "head", "words"), FILES)
def test_files_of_other_programs(file, name, head, words):
    message = refusal(file(head, name))
    assert message.startswith("is ")
    assert words in message
    assert ":" in message  # what to do


def test_names_in_addresses(file):
    assert "MNN" in str(named(bytes(64), "https://host/a/Net.MNN?download=true#top"))
    assert named(bytes(64), "net.mnn.pth") is None
    assert named(bytes(64), "mnn") is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["saved_model.pb", "variables/variables.index"], "SavedModel"),
        (["_METADATA", "d/0"], "Orbax"),
        (["_CHECKPOINT_METADATA", "default/manifest.ocdbt"], "Orbax"),
        (["checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001"], "TensorFlow checkpoint"),
        (["model.safetensors"], "is a folder: name the checkpoint file inside it"),
        ([], "is a folder: name the checkpoint file inside it"),
    ],
)
def test_folders(tmp_path, names, words):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert words in refusal(tmp_path)
    (tmp_path / "net.mlpackage").mkdir()
    assert "Core ML" in refusal(tmp_path / "net.mlpackage")


def test_what_is_read_has_no_other_name(tmp_path):
    """Formats that are read are not taken for others, whatever their files are called."""
    names = ["net.weights", "saved_model.pb", "net.engine", "net.index", "net.mnn"]
    for write in FORMATS.values():
        for name in names:
            path = tmp_path / name
            path.write_bytes(write(state_dict()))
            assert len(read_depthwise(path).layers) == 3
    np.savez(tmp_path / "a.npz", dw=np.ones((2, 1, 3, 3)))
    (tmp_path / "a.npz").rename(tmp_path / "net.plan")
    assert len(read_depthwise(tmp_path / "net.plan").layers) == 1
    index = b'{"metadata": {"total_size": 1}, "weight_map": {}}'
    assert named(index, "model.safetensors.index.json") is None


def test_an_archive_without_a_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.writestr("saved_model.pb", b"\x08\x01\x12\xa0\x01")
    assert "saved_model.pb" in refusal(tmp_path / "net.zip")


def test_random_text(file):
    """No text takes long to tell, and none is an error of this program."""
    rng = random.Random(0)
    parts = [b"<?xml ", b"<net name=", b"{", b'"modelTopology"', b"#", b"\n", b" ", b">", b"[net"]
    for _ in range(300):
        head = b"".join(rng.choice(parts) for _ in range(rng.randint(1, 90)))
        assert named(head[:512], "net") is None or b"net" in head or b"model" in head
        survives(file(head))
    for repeated in (b"#\n", b"\n", b"<?xml ?>", b"{", b" " * 3 + b"#"):
        named(repeated * 200, "net.txt")


def test_folders_that_cannot_be_listed(tmp_path, monkeypatch):
    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    assert "permission denied" in refusal(tmp_path)
    with pytest.raises(PermissionError):
        named_folder(tmp_path)

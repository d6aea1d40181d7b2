"""Formats that are not read: what they are called, and how to come to one that is."""

import re
from pathlib import Path

_ORIGINAL = "name the PyTorch, ONNX or Keras file that it was converted from"
_TF2ONNX = "python -m tf2onnx.convert"
_PADDLE = (
    "a PaddlePaddle model: convert it with `paddle2onnx --model_dir FOLDER --model_filename "
    "net.pdmodel --params_filename net.pdiparams --save_file net.onnx`"
)
_SAVED_MODEL = (
    f"a TensorFlow SavedModel: convert it with `{_TF2ONNX} --saved-model FOLDER --output net.onnx`"
)
_CHECKPOINT = (
    "a TensorFlow checkpoint: save the model with model.save('net.h5'), or convert it with "
    f"`{_TF2ONNX} --checkpoint NAME.meta --inputs … --outputs … --output net.onnx`"
)
_ORBAX = (
    "an Orbax checkpoint: restore it, turn its convolution kernels (kh, kw, 1, n) into (n, 1, kh, "
    "kw), and save them by name with numpy.savez"
)
_CORE_ML = f"a Core ML model: {_ORIGINAL}"
_DARKNET = "a Darknet network: load its weights into PyTorch and save model.state_dict()"
_CAFFE = "a Caffe model: convert it to ONNX"
_MATLAB = "a MATLAB file: load it with scipy.io.loadmat and save the arrays with numpy.savez"
_NCNN = f"an ncnn or PNNX model: {_ORIGINAL}, or take its kernels as docs/sources.md shows"

# By the bytes at a place.
_MAGIC = (
    (0, b"7767517", _NCNN),  # the text form
    (0, (7767517).to_bytes(4, "little"), _NCNN),  # the binary form
    (0, (0x01306B47).to_bytes(4, "little"), _NCNN),  # weights of half precision
    (0, b"GGUF", f"a GGUF file: {_ORIGINAL}"),
    (0, b"ftrt", f"a TensorRT engine: {_ORIGINAL}"),
    (4, b"ORTM", f"an ONNX Runtime model: {_ORIGINAL}"),
    (0, b"MATLAB ", _MATLAB),
    (0, (0x112).to_bytes(8, "little"), "an MXNet model: export it with mxnet.onnx.export_model"),
    (0, b"BZh", "compressed: unpack it with `bunzip2` and name the checkpoint inside"),
    (0, b"\xfd7zXZ\0", "compressed: unpack it with `unxz` and name the checkpoint inside"),
    (0, b"\x28\xb5\x2f\xfd", "compressed: unpack it with `unzstd` and name the checkpoint inside"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive: unpack it with `7z x` and name the checkpoint inside"),
    (0, b"Rar!\x1a\x07", "an archive: unpack it with `unrar x` and name the checkpoint inside"),
)

# By what their text holds, near its begin.
_TEXT = (
    (rb"\s*(<\?xml[^>]*>)?\s*<net\s+name=", f"an OpenVINO model: {_ORIGINAL}"),
    (
        rb'\s*\{.*"(weightsManifest|modelTopology)"|\s*\{\s*"format":\s*"(layers|graph)-model"',
        "a TensorFlow.js model: convert it with `tensorflowjs_converter "
        "--input_format=tfjs_layers_model --output_format=keras model.json net.h5`, or if it is a "
        "graph model, name the model that it was converted from",
    ),
    (rb"\s*(#[^\n]*\n\s*)*\[net(work)?\]", _DARKNET),
    (rb".{4}ET\d\d", f"an ExecuTorch program: {_ORIGINAL}"),
)

# By the end of their names, where their bytes tell nothing.
_SUFFIX = (
    (r"\.mnn", f"an MNN model: {_ORIGINAL}"),
    (r"\.(caffemodel|prototxt)", _CAFFE),
    (r"\.mlmodel", _CORE_ML),
    (r"\.(pdmodel|pdiparams)", _PADDLE),
    (r"saved_model\.pb", _SAVED_MODEL),
    (
        r"\.pb",
        f"a frozen TensorFlow graph: convert it with `{_TF2ONNX} --graphdef net.pb --inputs … "
        "--outputs … --output net.onnx`",
    ),
    (r"\.data-\d{5}-of-\d{5}|\.index|\.ckpt\.meta", _CHECKPOINT),
    (
        r"\.msgpack",
        "a Flax checkpoint: read it with flax.serialization.msgpack_restore, turn its convolution "
        "kernels (kh, kw, 1, n) into (n, 1, kh, kw), and save them by name with numpy.savez",
    ),
    (r"\.(engine|trt|plan)", f"a TensorRT engine: {_ORIGINAL}"),
    (r"\.rknn", f"an RKNN model: {_ORIGINAL}"),
    (r"\.weights", _DARKNET),
)


def named(head: bytes, name: str) -> str | None:
    """Return what a file is that is not read, and how to convert it; None if unknown.

    Parameters
    ----------
    head
        Its first bytes, 512 if it has so many.
    name
        Its path or address, of which only the end counts.
    """
    for place, magic, text in _MAGIC:
        if head.startswith(magic, place):
            return f"is {text}"
    for pattern, text in _TEXT:
        if re.match(pattern, head, re.DOTALL):
            return f"is {text}"
    last = re.split(r"[?#]", name)[0].lower()
    for suffix, text in _SUFFIX:
        if re.search(f"({suffix})$", last, re.ASCII):
            return f"is {text}"
    return None


def named_folder(path: Path) -> str | None:
    """Return what a folder is that a program wrote as one model; None if unknown."""
    if path.suffix == ".mlpackage":
        return f"is {_CORE_ML}"
    holds = {child.name for child in path.iterdir()}
    if "saved_model.pb" in holds:
        return f"is {_SAVED_MODEL}"
    if holds & {"_CHECKPOINT_METADATA", "_METADATA", "orbax.checkpoint", "manifest.ocdbt"}:
        return f"is {_ORBAX}"
    if "checkpoint" in holds and any(name.endswith(".index") for name in holds):
        return f"is {_CHECKPOINT}"
    return None

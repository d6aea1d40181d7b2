"""HDF5 files of Keras 2 and 3: the kernels that Keras computes with, or one line."""

import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
import pytest
from keras import layers as L
from memory import MEMORY, peak_of
from readings import refusal, survives

from kernelatlas.sources import keras as reader
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.hdf5 import METADATA_LIMIT
from kernelatlas.sources.keras_config import CONFIG_LIMIT

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FORMS = ["net.h5", "net.keras", "net.weights.h5"]
NAMES = ["depthwise_a", "sub/separable", "sub/deep/depthwise_b", "seq/grouped", "seq/depthwise_c"]


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """Layers of each kind, also in models inside the model."""
    keras.utils.set_random_seed(0)
    deep = keras.Sequential(
        [L.DepthwiseConv2D(5, padding="same", dilation_rate=2, name="depthwise_b")], name="deep"
    )
    inner = keras.Input((8, 8, 6))
    separable = L.SeparableConv2D(4, (3, 5), padding="same", depth_multiplier=3, name="separable")
    sub = keras.Model(inner, deep(separable(inner)), name="sub")
    seq = keras.Sequential(
        [
            L.Conv2D(8, 3, groups=4, strides=2, padding="same", name="grouped"),
            L.DepthwiseConv2D(3, strides=2, name="depthwise_c"),
        ],
        name="seq",
    )
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(3, 3, padding="same", name="stem")(image)
    x = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise_a")(x)
    x = L.BatchNormalization()(seq(sub(x)))
    return keras.Model(image, L.Dense(7, name="head")(L.Flatten()(x)))


def layer_at(model: keras.Model, name: str) -> keras.layers.Layer:
    for part in name.split("/"):
        model = model.get_layer(part)
    return model


def save(model: keras.Model, path: Path) -> Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def kernels_of(weight: np.ndarray) -> np.ndarray:
    """(kh, kw, channels, multiplier) as kernels, one after another."""
    weight = np.asarray(weight, np.float32)
    c, m = weight.shape[2:]
    return np.stack([weight[:, :, i, j] for i in range(c) for j in range(m)])


@pytest.mark.parametrize("form", FORMS)
def test_kernels_are_those_of_keras(tmp_path, net, form):
    reading = read_depthwise(save(net, tmp_path / form))
    found = {layer.name: layer for layer in reading.layers}
    assert sorted(found) == sorted(NAMES)
    for name in NAMES:
        weight = layer_at(net, name).get_weights()[0]
        assert found[name].weights.dtype == np.float32
        assert found[name].weights.flags.c_contiguous
        np.testing.assert_array_equal(found[name].weights, kernels_of(weight))
    assert reading.tensors == len(net.weights)
    assert reading.size == (tmp_path / form).stat().st_size


@pytest.mark.parametrize("form", FORMS[:2])
def test_order_and_strides_come_from_the_configuration(tmp_path, form):
    image = keras.Input((32, 32, 4))
    x = L.DepthwiseConv2D(3, strides=2, name="z")(image)
    x = L.DepthwiseConv2D((1, 3), strides=1, dilation_rate=(1, 2), name="a10")(x)
    x = L.SeparableConv2D(6, 3, dilation_rate=2, name="a9")(x)
    x = keras.Sequential([L.Conv2D(6, 2, groups=6, strides=(1, 1), name="g")], name="s")(x)
    reading = read_depthwise(save(keras.Model(image, x), tmp_path / form))
    assert reading.ordered
    found = [(layer.name, layer.stride, layer.dilation) for layer in reading.layers]
    assert found == [("z", 2, 1), ("a10", 1, None), ("a9", 1, 2), ("s/g", 1, 1)]
    assert not any(layer.inferred for layer in reading.layers)


def test_weights_alone_have_no_strides_and_no_order(tmp_path, net):
    reading = read_depthwise(save(net, tmp_path / FORMS[2]))
    assert not reading.ordered
    assert {(layer.stride, layer.dilation) for layer in reading.layers} == {(None, None)}
    assert [layer.name for layer in reading.layers if layer.inferred] == ["seq/grouped"]


def test_kernels_come_in_the_order_of_the_output(tmp_path):
    """An impulse in one channel shows which kernel makes which channel of the output."""
    layer = L.DepthwiseConv2D(3, depth_multiplier=4, padding="same", use_bias=False, name="dw")
    model = keras.Sequential([keras.Input((5, 5, 2)), layer])
    weights = read_depthwise(save(model, tmp_path / "net.keras")).layers[0].weights
    for channel in range(2):
        impulse = np.zeros((1, 5, 5, 2), np.float32)
        impulse[0, 2, 2, channel] = 1
        output = keras.ops.convert_to_numpy(model(impulse))[0, 1:4, 1:4]
        for index in range(8):
            seen = output[::-1, ::-1, index]  # a convolution here is a correlation
            expected = weights[index] if index // 4 == channel else np.zeros((3, 3))
            np.testing.assert_allclose(seen, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_other_precisions(tmp_path, form, dtype):
    model = keras.Sequential([keras.Input((8, 8, 3)), L.DepthwiseConv2D(3, dtype=dtype, name="dw")])
    [layer] = read_depthwise(save(model, tmp_path / form)).layers
    weight = keras.ops.convert_to_numpy(model.layers[0].kernel)
    np.testing.assert_array_equal(layer.weights, kernels_of(weight))


def test_many_layers_of_one_class_keep_their_numbers(tmp_path):
    stack = [L.DepthwiseConv2D(3, padding="same", name=f"n{99 - i}") for i in range(13)]
    model = keras.Sequential([keras.Input((4, 4, 2)), *stack])
    for form in FORMS:
        reading = read_depthwise(save(model, tmp_path / form))
        for layer in reading.layers:
            weight = model.get_layer(layer.name).get_weights()[0]
            np.testing.assert_array_equal(layer.weights, kernels_of(weight))
        if form != FORMS[2]:
            assert [layer.name for layer in reading.layers] == [layer.name for layer in stack]


def test_first_layers_for_grey_images(tmp_path):
    grey = [keras.Input((9, 9, 1)), L.Conv2D(8, 5, name="stem"), L.DepthwiseConv2D(3, name="dw")]
    model = keras.Sequential(grey)
    for form in FORMS[:2]:
        assert [layer.name for layer in read_depthwise(save(model, tmp_path / form)).layers] == [
            "dw"
        ]
    layers = read_depthwise(save(model, tmp_path / FORMS[2])).layers
    assert [(layer.name, layer.inferred) for layer in layers] == [("dw", False), ("stem", True)]


def test_layers_that_are_not_depthwise(tmp_path):
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3, groups=1)(image)
    x = L.Conv2D(4, 3, groups=2)(x)
    x = L.SeparableConv2D(4, 1)(x)  # kernels of one weight
    x = L.Conv2DTranspose(1, 3)(x)  # its kernel is (3, 3, 1, 4)
    model = keras.Model(image, x)
    for form in FORMS:
        assert "has no depthwise layers" in refusal(save(model, tmp_path / form))


def test_only_the_depthwise_weights_are_read(tmp_path):
    stack = [L.DepthwiseConv2D(3), L.Flatten(), L.Dense(2000)]
    model = keras.Sequential([keras.Input((20, 20, 2)), *stack])
    for form in FORMS:
        reading = read_depthwise(save(model, tmp_path / form))
        assert reading.size > 5_000_000
        assert reading.bytes_read < 40_000


# Files as older versions wrote them, which h5py writes here.


def keras2(
    path: Path, layers: dict[str, dict[str, np.ndarray]], config: object = None, part: int = 0
) -> Path:
    """A file of Keras 2: weights by layer and variable; `part` splits the lists of names."""
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        group = file if config is None else file.create_group("model_weights")

        def listed(target: h5py.Group, name: str, names: list[str]) -> None:
            values = [value.encode() for value in names]
            for i in range(0, len(values), part or len(values) or 1):
                suffix = str(i // part) if part else ""
                target.attrs[name + suffix] = np.array(values[i : i + part] if part else values)

        listed(group, "layer_names", list(layers))
        for layer, weights in layers.items():
            target = group.create_group(layer)
            listed(target, "weight_names", list(weights))
            for name, value in weights.items():
                target.create_dataset(name, data=value)
    return path


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def layer(kind: str, name: str, **config: object) -> dict[str, object]:
    return {"class_name": kind, "name": name, "config": {"name": name, **config}}


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("variable", ["depthwise_kernel:0", "depthwise_weights:0"])
def test_weights_alone_of_keras_2(tmp_path, variable, part):
    weights = normal(3, 3, 5, 2)
    layers = {
        "input_1": {},
        "conv1": {"conv1/kernel:0": normal(3, 3, 3, 5)},
        "block2_sepconv1": {
            f"block2_sepconv1/separable_conv2d_1/{variable}": weights,
            "block2_sepconv1/separable_conv2d_1/pointwise_kernel:0": normal(1, 1, 10, 4),
        },
        "a": {f"a/{variable}": weights + 1},
    }
    reading = read_depthwise(keras2(tmp_path / "net.h5", layers, part=part))
    assert [layer.name for layer in reading.layers] == ["block2_sepconv1", "a"]
    assert reading.ordered
    assert reading.tensors == 4
    for found, shift in zip(reading.layers, (0, 1), strict=True):
        np.testing.assert_array_equal(found.weights, kernels_of(weights + np.float32(shift)))
        assert not found.inferred


def test_grouped_convolutions_without_a_configuration_are_inferred(tmp_path):
    layers = {
        "dw": {"dw/kernel:0": normal(7, 7, 1, 6)},
        "up_conv2d_transpose": {"up_conv2d_transpose/kernel:0": normal(3, 3, 1, 6)},
    }
    [found] = read_depthwise(keras2(tmp_path / "net.h5", layers)).layers
    assert (found.name, found.inferred, found.weights.shape) == ("dw", True, (6, 7, 7))


def test_configurations_of_keras_2(tmp_path):
    """A Sequential model whose configuration is a list, and a model inside, one layer frozen."""
    inner = [layer("DepthwiseConv2D", "one", strides=[2, 2]), layer("SeparableConv2D", "two")]
    model = {"class_name": "Model", "config": {"name": "inner", "layers": inner}}
    config = {"class_name": "Sequential", "config": [model, layer("DepthwiseConv2D", "last")]}
    layers = {
        "inner": {
            "two/depthwise_kernel:0": normal(3, 3, 4, 1),
            "one/depthwise_kernel:0": normal(5, 5, 4, 1),  # frozen, so listed last
        },
        "last": {"last/depthwise_kernel:0": normal(3, 3, 8, 1)},
    }
    reading = read_depthwise(keras2(tmp_path / "net.h5", layers, config))
    found = [(layer.name, layer.stride, layer.weights.shape) for layer in reading.layers]
    assert found == [
        ("inner/one", 2, (4, 5, 5)),
        ("inner/two", None, (4, 3, 3)),
        ("last", None, (8, 3, 3)),
    ]


def test_layers_in_wrappers(tmp_path):
    wrapped = layer("DepthwiseConv2D", "dw", strides=[2, 2])
    config = {"config": {"layers": [layer("TimeDistributed", "td", layer=wrapped)]}}
    layers = {"td": {"td/depthwise_kernel:0": normal(3, 3, 4, 1)}}
    [found] = read_depthwise(keras2(tmp_path / "net.h5", layers, config)).layers
    assert (found.name, found.stride) == ("td", 2)


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_names_of_groups_in_early_versions(tmp_path, net, separator):
    """Without the names of layers, these follow from the order in the configuration."""
    save(net, tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    (tmp_path / "new.h5").write_bytes(weights)
    with h5py.File(tmp_path / "new.h5") as new, h5py.File(tmp_path / "old.h5", "w") as old:

        def copy(name: str, value: object) -> None:
            if isinstance(value, h5py.Dataset):
                name = name.replace("layers/", f"_layer_checkpoint_dependencies{separator}")
                old[name] = value[()]

        new.visititems(copy)
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config)
        archive.write(tmp_path / "old.h5", "model.weights.h5")
    reading = read_depthwise(tmp_path / "old.keras")
    assert reading.ordered
    assert [found.name for found in reading.layers] == NAMES
    for found in reading.layers:
        weight = layer_at(net, found.name).get_weights()[0]
        np.testing.assert_array_equal(found.weights, kernels_of(weight))


def test_a_compressed_archive(tmp_path, net):
    expected = read_depthwise(save(net, tmp_path / "net.keras")).layers
    with (
        zipfile.ZipFile(tmp_path / "net.keras") as archive,
        zipfile.ZipFile(tmp_path / "small.keras", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in archive.namelist():
            small.writestr(name, archive.read(name))
    found = read_depthwise(tmp_path / "small.keras").layers
    assert [layer.weights.tobytes() for layer in found] == [
        layer.weights.tobytes() for layer in expected
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (3, 5, 4, 1)},
        {"chunks": (2, 2, 3, 1), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "gzip", "compression_opts": 9},
        {"fletcher32": True},
        {"shuffle": True, "chunks": (3, 5, 13, 2)},
        {"maxshape": (None, 5, 13, 2)},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f8", "<f2"])
def test_every_way_to_store_an_array(tmp_path, options, dtype):
    values = normal(3, 5, 13, 2).astype(dtype)
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = ["dw"]
        file.create_group("dw").attrs["weight_names"] = ["depthwise_kernel:0"]
        file["dw"].create_dataset("depthwise_kernel:0", data=values, **options)
    [found] = read_depthwise(tmp_path / "net.h5").layers
    np.testing.assert_array_equal(found.weights, kernels_of(values))


@pytest.mark.parametrize("version", ["earliest", "v108", "latest"])
def test_versions_of_the_format(tmp_path, version):
    with h5py.File(tmp_path / "net.h5", "w", libver=(version, "latest")) as file:
        file.attrs["layer_names"] = ["dw"]
        file.create_group("dw").attrs["weight_names"] = np.array([b"depthwise_kernel:0"])
        file["dw/depthwise_kernel:0"] = normal(3, 3, 4, 1)
    [found] = read_depthwise(tmp_path / "net.h5").layers
    np.testing.assert_array_equal(found.weights, kernels_of(normal(3, 3, 4, 1)))


def in_file(path: Path, **options: object) -> h5py.File:
    """A file with one layer, whose array the test adds."""
    file = h5py.File(path, "w", **options)
    file.attrs["layer_names"] = ["dw"]
    file.create_group("dw").attrs["weight_names"] = ["depthwise_kernel:0"]
    return file


def test_what_keras_never_writes_is_refused(tmp_path):
    def written(**options: object) -> Path:
        with in_file(tmp_path / "net.h5") as file:
            file["dw"].create_dataset("depthwise_kernel:0", (3, 3, 4, 1), **options)
        return tmp_path / "net.h5"

    values = normal(3, 3, 4, 1)
    assert "another way than deflate" in refusal(written(data=values, compression="lzf"))
    external = [("other.bin", 0, h5py.h5f.UNLIMITED)]
    assert "in other files" in refusal(written(dtype="f4", external=external))
    assert "is stored as 'int32'" in refusal(written(dtype="i4"))
    assert "damaged" in refusal(written(dtype="f4"))  # never written
    assert "was never written" in refusal(written(dtype="f4", chunks=(3, 3, 4, 1)))
    with in_file(tmp_path / "net.h5", libver="latest") as file:
        for i in range(40):
            file.create_group(f"g{i}")
    assert "groups of HDF5's newer kind" in refusal(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["a"] = values
    assert "no weights as Keras writes them" in refusal(tmp_path / "net.h5")


def test_what_is_listed_must_be_there(tmp_path):
    path = tmp_path / "net.h5"
    with in_file(path):
        pass
    assert "'depthwise_kernel:0' is listed, but missing" in refusal(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["dw"]
    assert "'dw' is listed, but missing" in refusal(path)
    with in_file(path) as file:
        file["dw"].create_group("depthwise_kernel:0")
    assert "is no array" in refusal(path)


@pytest.mark.parametrize(
    "config",
    [b"", b"[", b"[]", b"{}" * 3, b"[" * 100_000, b'{"config": {"layers": [1]}}', b"\xff"],
)
def test_damaged_configurations(tmp_path, config):
    weights = {"dw": {"depthwise_kernel:0": normal(3, 3, 4, 1)}}
    path = keras2(tmp_path / "net.h5", weights, {})
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = np.void(config) if config == b"\xff" else config
    if config == b"\xff":  # no text, as if there were none
        assert len(read_depthwise(path).layers) == 1
    else:
        assert "damaged" in refusal(path)


def test_models_in_models_without_end_are_cut(tmp_path):
    model: dict = layer("DepthwiseConv2D", "dw")
    for _ in range(200):
        model = {"class_name": "Functional", "config": {"name": "dw", "layers": [model]}}
    weights = {"dw": {"dw/depthwise_kernel:0": normal(3, 3, 4, 1)}}
    assert len(read_depthwise(keras2(tmp_path / "net.h5", weights, model)).layers) == 1


def test_a_group_in_itself_is_refused(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["layers/depthwise_conv2d/vars/0"] = normal(3, 3, 4, 1)
        file["layers/depthwise_conv2d/more"] = file["layers"]
    assert "groups that hold themselves" in refusal(tmp_path / "net.h5")


def test_soft_links_lead_nowhere(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["layers/depthwise_conv2d/vars/0"] = normal(3, 3, 4, 1)
        file["layers/more"] = h5py.SoftLink("/layers")
        file["layers/other"] = h5py.ExternalLink("other.h5", "/")
    assert len(read_depthwise(tmp_path / "net.h5").layers) == 1


def test_claims_are_compared_with_the_file(tmp_path):
    path = tmp_path / "net.h5"
    with in_file(path) as file:
        shape = (3, 3, 1 << 16, 1 << 8)  # 600 MB of zeros, compressed a thousandfold
        file["dw"].create_dataset(
            "depthwise_kernel:0", shape, "f4", chunks=(3, 3, 1 << 10, 1 << 8), compression="gzip"
        )
        file["dw/depthwise_kernel:0"][:, :, : 1 << 10] = 0
    assert "bytes of depthwise weights in a file of" in refusal(path)
    data = bytearray(keras2(path, {"dw": {"depthwise_kernel:0": normal(3, 3, 40, 1)}}).read_bytes())
    place = data.index((40).to_bytes(8, "little"))
    data[place : place + 8] = (1 << 40).to_bytes(8, "little")
    path.write_bytes(data)
    assert "bytes of depthwise weights in a file of" in refusal(path)


def test_hostile_structures_take_little_time_and_memory(tmp_path):
    path = tmp_path / "net.h5"
    with in_file(path) as file:
        for i in range(600):
            file.create_group(f"{i:0200}")
        file["dw/depthwise_kernel:0"] = normal(3, 3, 4, 1)
    data = path.read_bytes()
    nodes = [i for i in range(0, len(data) - 8, 8) if data.startswith(b"TREE\0", i)]
    for node in nodes[:12]:  # as many entries as there can be
        path.write_bytes(data[: node + 6] + b"\xff\xff" + data[node + 8 :])
        survives(path)
    inner = next(i for i in nodes if data[i + 5] == 1)
    cycle = data[: inner + 32] + inner.to_bytes(8, "little") + data[inner + 40 :]
    path.write_bytes(cycle)
    assert "damaged" in refusal(path)
    # A long configuration of little things.
    config = b'{"config": {"layers": [' + b"[]," * (CONFIG_LIMIT // 3 - 20) + b"[]]}}"
    weights = {"dw": {"depthwise_kernel:0": normal(3, 3, 4, 1)}}
    keras2(path, weights, {})
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = config
    assert peak_of(path)[0] < MEMORY
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = b'"' + b"a" * CONFIG_LIMIT + b'"'
    assert "has a configuration of" in refusal(path)


def test_long_metadata_take_little_memory(tmp_path):
    path = tmp_path / "net.h5"
    name = "a" * 60_000  # the longest attribute that a header holds
    with h5py.File(path, "w") as file:
        for i in range(METADATA_LIMIT // 2 // len(name) + 10):  # each header is read twice
            group = file.create_group(f"layers/depthwise_conv2d_{i}/vars")
            group.attrs["name"] = np.bytes_(name)
    grown, message = peak_of(path)
    assert grown < MEMORY, message
    assert "bytes of metadata" in message


def messages_without_end(path: Path) -> bytes:
    """A file whose root has a header of the newer kind with as many empty messages as fit."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["a"] = 1
    data = path.read_bytes()
    root = data.index(b"OHDR")
    header = b"OHDR\2\2" + (2 << 20).to_bytes(4, "little") + bytes(2 << 20)
    return data[:root] + header


def test_messages_are_limited(tmp_path):
    path = tmp_path / "net.h5"
    path.write_bytes(messages_without_end(path))
    assert "an object of more than 10000 messages" in refusal(path)


def test_a_fault_of_this_program_is_not_called_damage(tmp_path, net, monkeypatch):
    def faulty(*_):
        raise ValueError("a fault of ours")

    monkeypatch.setattr(reader, "values_of", faulty)
    for form in FORMS:
        with pytest.raises(ValueError, match="a fault of ours"):
            read_depthwise(save(net, tmp_path / form))


def test_neither_keras_nor_h5py_is_imported(tmp_path, net):
    code = (
        "import sys; from kernelatlas.sources.checkpoints import read_depthwise; "
        f"assert len(read_depthwise({str(save(net, tmp_path / 'net.keras'))!r}).layers) == 5; "
        "assert not {'keras', 'h5py', 'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def small(path: Path) -> bytes:
    """A small file of each kind, with a chunked array."""
    if path.name == "keras2.h5":
        weights = {"dw": {"dw/depthwise_kernel:0": normal(3, 3, 4, 2)}}
        config = {"config": {"layers": [layer("DepthwiseConv2D", "dw", strides=[1, 1])]}}
        return keras2(path, weights, config).read_bytes()
    if path.name == "chunks.h5":
        with in_file(path) as file:
            file["dw"].create_dataset(
                "depthwise_kernel:0", data=normal(3, 3, 8, 2), chunks=(3, 3, 4, 1),
                compression="gzip", shuffle=True, fletcher32=True,
            )  # fmt: skip
        return path.read_bytes()
    model = keras.Sequential([keras.Input((4, 4, 4)), L.DepthwiseConv2D(3, name="dw")])
    return save(model, path).read_bytes()


KINDS = ["keras2.h5", "chunks.h5", "net.weights.h5", "net.keras"]


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage(tmp_path, kind):
    path, rng = tmp_path / kind, random.Random(kind)
    data = small(path)
    used = [i for i, byte in enumerate(data) if byte] or [0]
    for _ in range(400):
        content = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.choice(used) + rng.choice([0, 0, 1, 4])
            values = [0, 1, 0xFF, 0x7F, rng.randrange(256)]
            size = rng.choice([1, 1, 2, 4, 8])
            content[at : at + size] = bytes([rng.choice(values)]) * size
        if rng.random() < 0.1:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)
        survives(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_refused_or_harmless(tmp_path, kind):
    path = tmp_path / kind
    data = small(path)
    whole = read_depthwise(path).layers[0].weights.tobytes()
    for length in {*range(0, len(data), 97), len(data) - 1}:
        path.write_bytes(data[:length])
        try:
            [found] = read_depthwise(path).layers
        except Exception:
            refusal(path)
        else:  # what was cut off was not needed
            assert found.weights.tobytes() == whole

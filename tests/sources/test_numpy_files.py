"""Archives of NumPy: read as a state dict; what pickles or lies is refused."""

import io
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import state_dict
from memory import MEMORY, peak_of
from readings import assert_equal, refusal, survives

from kernelatlas.sources import numpy_files
from kernelatlas.sources.checkpoints import read_depthwise

NAMES = ["stages.10.dw", "stages.9.dw", "stages.9.strip"]  # in the order of definition


def raw(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def array(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An array whose header may lie."""
    size = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + header.encode() + data


def header(shape: object, descr: object = "<f4", fortran: object = False) -> str:
    return repr({"descr": descr, "fortran_order": fortran, "shape": shape})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, ">f4"])
def test_round_trip(tmp_path, save, dtype):
    state = state_dict()
    save(tmp_path / "net.npz", **{k: v.numpy().astype(dtype) for k, v in state.items()})
    rounded = {
        name: value.half() if np.dtype(dtype).itemsize == 2 else value
        for name, value in state.items()
    }
    reading = read_depthwise(tmp_path / "net.npz")
    assert_equal(reading.layers, rounded, NAMES)
    assert [layer.inferred for layer in reading.layers] == [False, False, True]
    assert (reading.ordered, reading.tensors) == (True, 9)
    assert reading.bytes_read <= reading.size


def test_fortran_order_and_the_second_version_of_headers(tmp_path):
    values = np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asfortranarray(values), version=(2, 0))
    path = raw(tmp_path / "net.npz", {"dw.weight.npy": buffer.getvalue()})
    [layer] = read_depthwise(path).layers
    assert layer.name == "dw"
    np.testing.assert_array_equal(layer.weights, values[:, 0])


def test_only_the_depthwise_bytes_are_read(tmp_path):
    np.savez(tmp_path / "net.npz", a=np.zeros((2000, 500)), dw=np.ones((4, 1, 3, 3)))
    assert read_depthwise(tmp_path / "net.npz").bytes_read < 20_000


def test_objects_are_not_unpickled(tmp_path):
    marker = tmp_path / "marker"

    class Call:
        def __reduce__(self):
            return Path.touch, (marker,)

    objects = np.empty((2, 1, 3, 3), object)
    objects[...] = Call()
    np.savez(tmp_path / "net.npz", **{"dw.weight": objects})
    assert "is stored as 'object'" in refusal(tmp_path / "net.npz")
    np.savez(tmp_path / "net.npz", objects=objects, dw=np.ones((2, 1, 3, 3)))
    assert [layer.name for layer in read_depthwise(tmp_path / "net.npz").layers] == ["dw"]
    np.save(tmp_path / "net.npy", objects)
    assert "is a single NumPy array" in refusal(tmp_path / "net.npy")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Call()))
    assert marker.exists()  # else this test could not fail


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (array(header((4, 1, 3, 3)), bytes(143)), "has 143 bytes, not 144"),
        (array(header((1 << 40, 1, 3, 3))), "has 0 bytes, not"),
        (array(header((-4, 1, 3, -3)), bytes(144)), "no valid shape"),
        (array(header((True, 1, 3, 3)), bytes(36)), "no valid shape"),
        (array(header([4, 1, 3, 3]), bytes(144)), "damaged"),
        (array(header((4, 1, 3, 3), "<f7"), bytes(144)), "damaged"),
        (array(header((4, 1, 3, 3)), bytes(144), (3, 0)), "damaged"),
        (array(header((4, 1, 3, 3)), bytes(144), (9, 9)), "unknown version (9, 9)"),
        (array("(" * 1500), "damaged"),
        (array("[" * 60_000), "damaged"),
        (array("{'descr': '''"), "damaged"),
        (array("\0"), "damaged"),
        (array("__import__('os').system('true')"), "damaged"),
        (b"\x93NUMPY\1\0\xff\xff{", "damaged"),
        (b"\x80\x04N.", "damaged"),
        (b"", "damaged"),
    ],
)
def test_damaged_arrays(tmp_path, data, words):
    assert words in refusal(raw(tmp_path / "net.npz", {"dw.weight.npy": data}))


def test_repeated_names_and_too_many(tmp_path):
    good = array(header((4, 1, 3, 3)), bytes(144))
    path = raw(tmp_path / "net.npz", {"a.weight.npy": good, "module.a.weight.npy": good})
    assert "two layers called 'a'" in refusal(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.weight.npy", good)
    assert "damaged" in refusal(path) or "stands twice" in refusal(path)
    raw(path, {f"{i}.npy": b"" for i in range(numpy_files.ENTRIES_LIMIT + 1)})
    assert "arrays (limit" in refusal(path)


def test_claims_are_compared_with_the_file(tmp_path):
    """An entry and its header agree on 1.1 GB, in a file of some hundred bytes."""
    data = array(header((1 << 20, 1, 16, 17)), bytes(1000))
    path = raw(tmp_path / "net.npz", {"dw.weight.npy": data}, zipfile.ZIP_DEFLATED)
    claim = len(data) - 1000 + (1 << 20) * 16 * 17 * 4
    found = path.read_bytes()
    place = found.rindex(len(data).to_bytes(4, "little"))  # in the table of contents
    path.write_bytes(found[:place] + claim.to_bytes(4, "little") + found[place + 4 :])
    grown, message = peak_of(path)
    assert f"{claim} bytes of depthwise weights in a file of" in message
    assert grown < MEMORY


def test_a_fault_of_this_program_is_not_called_damage(tmp_path, monkeypatch):
    def faulty(*_):
        raise ValueError("a fault of ours")

    np.savez(tmp_path / "net.npz", dw=np.ones((2, 1, 3, 3)))
    monkeypatch.setattr(numpy_files, "values_of", faulty)
    with pytest.raises(ValueError, match="a fault of ours"):
        read_depthwise(tmp_path / "net.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_random_damage(tmp_path, save):
    path, rng = tmp_path / "net.npz", random.Random(0)
    save(path, dw=np.ones((4, 1, 3, 3), np.float32), b=np.zeros(3))
    data = path.read_bytes()
    for _ in range(500):
        content = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.choice([0, 1, 0x28, 0x5B, 0xFF])
        if rng.random() < 0.1:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)
        survives(path)


def test_random_headers(tmp_path):
    """Headers alone, in an archive that is whole: the parser is Python's own."""
    path, rng = tmp_path / "net.npz", random.Random(1)
    text = header((4, 1, 3, 3))
    for _ in range(300):
        letters = list(text)
        for _ in range(rng.randint(1, 3)):
            letters[rng.randrange(len(letters))] = rng.choice("()[]{}'\"\\,:-.0#\n\t eLxé\0")
        survives(raw(path, {"dw.weight.npy": array("".join(letters), bytes(144))}))


def test_every_truncation_is_refused(tmp_path):
    np.savez(tmp_path / "net.npz", dw=np.ones((4, 1, 3, 3), np.float32))
    data = (tmp_path / "net.npz").read_bytes()
    for length in range(0, len(data), 7):
        (tmp_path / "net.npz").write_bytes(data[:length])
        refusal(tmp_path / "net.npz")

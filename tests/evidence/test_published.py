"""The user's file of the published filters: its formats, and files that are something else."""

import contextlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.published import LIMIT, read_published

VALUES = np.random.default_rng(0).normal(0.3, 1, (8, 7, 7)).round(6)


def text_of(values: np.ndarray) -> str:
    """The form of 8Filters.txt: a heading, rows of numbers, an empty line."""
    return "".join(
        f"Filter {number}:\n" + "".join(" ".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
        + "\n"
        for number, rows in enumerate(values, 1)
    )  # fmt: skip


def npy_of(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def npz_of(*arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, *arrays)
    return file.getvalue()


TEXT = text_of(VALUES)
FORMS = {
    "text": TEXT.encode(),
    "text of Windows": TEXT.replace("\n", "\r\n").encode(),
    "text without colons or empty lines": TEXT.replace(":", "").replace("\n\n", "\n").encode(),
    "npy": npy_of(VALUES),
    "npy by columns": npy_of(np.asfortranarray(VALUES)),
    "npy of single precision": npy_of(VALUES.astype(np.float32)),
    "npz": npz_of(VALUES),
    "safetensors": save({"filters": VALUES.astype(np.float32)}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_filters_centred_and_of_unit_norm(form: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FORMS[form])
    found = read_published(tmp_path / "file")
    assert found.shape == (8, 49)
    assert found.dtype == np.float32
    for own, expected in zip(found, VALUES.reshape(8, -1), strict=True):
        np.testing.assert_allclose(own.mean(), 0, atol=1e-7)
        np.testing.assert_allclose(np.linalg.norm(own), 1, rtol=1e-6)
        assert np.corrcoef(own, expected)[0, 1] == pytest.approx(1, abs=1e-6)


def claiming(shape: tuple[int, ...]) -> bytes:
    """A .npy whose header promises more than there is."""
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + b"\0" * 64


class Trap:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("trapped"),))


def damaged_npz() -> bytes:
    data = bytearray(npz_of(VALUES))
    data[60:90] = b"\xff" * 30
    return bytes(data)


def bomb() -> bytes:
    """A .npz of a few KB that unpacks to 512 MiB of a large array."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("a.npy", "w") as member,
    ):
        member.write(claiming((1 << 26,)))
        for _ in range(512):
            member.write(bytes(1 << 20))
    return file.getvalue()


def changed(number: int, text: str) -> bytes:
    lines = TEXT.splitlines()
    lines[number - 1] = text
    return "\n".join(lines).encode()


HOSTILE = {
    "empty": (b"", r"an array of shape \(0,\)"),
    "not text": (b"\x00\xff\xfe\x81" * 50, "codec can't decode"),
    "a word": (changed(3, "1 2 3 four 5 6 7"), "could not convert string to float: 'four'"),
    "a short row": (changed(3, "1 2 3 4 5 6"), "line 3: 6 numbers where 7 are expected"),
    "a missing row": (changed(4, ""), "filter 1 has 6 rows where 7 are expected"),
    "out of order": (changed(10, "Filter 3:"), "line 10: 'Filter 3:' follows filter 1"),
    "no heading": (changed(1, ""), "line 2: '.*' before the line 'Filter 1:'"),
    "seven filters": (text_of(VALUES[:7]).encode(), r"an array of shape \(7, 7, 7\)"),
    "not a number": (changed(3, "1 2 3 nan 5 6 7"), "filter 1 is constant or not finite"),
    "constant": (npy_of(np.ones((8, 7, 7))), "filter 1 is constant or not finite"),
    "too large": (b"#" * (LIMIT + 1), f"more than {LIMIT} bytes"),
    "another shape": (npy_of(np.ones((8, 5, 5))), r"shape \(8, 5, 5\) and type float64"),
    "complex": (npy_of(VALUES.astype(complex)), "type complex128"),
    "a pickle in npy": (npy_of(np.array([Trap()] * 392, object).reshape(8, 7, 7)), "type object"),
    "claims too much": (claiming((8, 10**9, 7)), r"shape \(8, 1000000000, 7\)"),
    "cut short": (npy_of(VALUES)[:-8], "buffer is smaller"),
    "npy of version 9": (b"\x93NUMPY\x09\x00" + b"\0" * 80, "no .npy file of version 1.0"),
    "npy header of code": (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"__import__('os')    " + b"\0" * 9,
        "header",
    ),
    "two arrays": (npz_of(VALUES, VALUES), "2 arrays where one is expected"),
    "two tensors": (save({"a": VALUES, "b": VALUES}), "2 arrays where one is expected"),
    "damaged npz": (damaged_npz(), ""),
    "bomb": (bomb(), r"shape \(67108864,\)"),
    "damaged safetensors": (struct.pack("<Q", 1 << 40) + b"{}", "no safetensors file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_other_files_end_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, message = HOSTILE[name]
    Path("file").write_bytes(data)
    with pytest.raises(KernelAtlasError, match=f"(?i){message}") as raised:
        read_published("file")
    text = str(raised.value)
    assert text.startswith("evidence.published: file: ")
    assert "8Filters.txt" in text
    assert "\n" not in text
    assert len(text) < 600
    assert not Path("trapped").exists()


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(KernelAtlasError, match="none: cannot be read \\(No such file"):
        read_published(tmp_path / "none")
    with pytest.raises(KernelAtlasError, match="cannot be read \\(Is a directory"):
        read_published(tmp_path)


@pytest.mark.parametrize("form", ["text", "npy", "npz", "safetensors"])
def test_damage_anywhere_is_read_or_refused(form: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(FORMS[form])
        for place in rng.integers(len(data), size=3):
            data[place] = rng.integers(256)
        (tmp_path / "file").write_bytes(data[: rng.integers(1, 2 * len(data))])
        with contextlib.suppress(KernelAtlasError):  # and nothing else
            assert read_published(tmp_path / "file").shape == (8, 49)

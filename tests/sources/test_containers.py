"""The two containers of torch.save: zip archives, and chains of pickles."""

import struct
import zipfile

import hostile
import pytest
from readings import refusal

from kernelatlas.sources.pickles import PICKLE_LIMIT

DATA = bytes(72)
GOOD = hostile.tensor_pickle((2, 1, 3, 3), (9, 9, 3, 1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (hostile.zip_raw(GOOD, {"0": DATA}, byteorder=b"big"), "big-endian"),
        (hostile.zip_raw(GOOD, {"0": DATA}, zipfile.ZIP_DEFLATED), "compressed"),
        (hostile.zip_raw(GOOD), "has no entry 'data/0'"),
        (hostile.zip_raw(GOOD, {"0": DATA[:-4]}), "68 bytes, not 72"),
        (hostile.zip_raw(GOOD, {"0": DATA}, **{"code__a.py": b""}), "no entry 'constants.pkl'"),
        (
            hostile.zip_raw(GOOD, {"0": DATA}).replace(b"data.pkl", b"data.xyz"),
            "data.xyz: damaged or truncated checkpoint (storage '0' is missing)",
        ),
        (hostile.zip_raw(b"\x80\x02" + bytes(PICKLE_LIMIT)), "has a pickle of"),
        (hostile.legacy_raw(GOOD, ["0"], info={"little_endian": False}), "big-endian"),
        (hostile.legacy_raw(GOOD, ["0"], struct.pack("<q", 18) + DATA[:-1]), "cut off"),
        (hostile.legacy_raw(GOOD, ["0"], struct.pack("<q", 17) + DATA), "17 elements"),
        (hostile.legacy_raw(GOOD, [0], struct.pack("<q", 18) + DATA), "that no tensor has"),
        (hostile.legacy_raw(GOOD, [], struct.pack("<q", 18) + DATA), "is missing"),
    ],
)
def test_damaged_containers(file, data, words):
    assert words in refusal(file(data))


def test_changed_weights_fail_their_checksum(file):
    data = hostile.zip_raw(GOOD, {"0": b"weights!" * 9})
    assert "CRC-32" in refusal(file(data.replace(b"weights!", b"Weights!", 1)))


def test_repeated_entry(file, tmp_path):
    path = file(hostile.zipped(GOOD))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", GOOD)
    assert "stands twice" in refusal(path)

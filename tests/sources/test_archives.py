"""Archives around a checkpoint: read in place or unpacked within limits, or one line."""

import bz2
import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from hostile import tar_archive as tar
from hostile import zip_archive as zipped
from memory import MEMORY, peak_of
from readings import assert_equal, refusal, survives

from kernelatlas.sources import containers
from kernelatlas.sources.checkpoints import read_depthwise

NAMES = ["stages.10.dw", "stages.9.dw", "stages.9.strip"]
STATE = hostile.state_dict()
DATA = {form: write(STATE) for form, write in hostile.FORMATS.items()}
GOOD = DATA["zip"]


def deflated(members: dict[str, bytes]) -> bytes:
    return zipped(members, zipfile.ZIP_DEFLATED)


def tar_gz(members: dict[str, bytes]) -> bytes:
    return gzip.compress(tar(members))


ARCHIVES = {"tar": tar, "zip": zipped, "small zip": deflated, "tar.gz": tar_gz}


@pytest.mark.parametrize("form", DATA)
@pytest.mark.parametrize("archive", ARCHIVES)
def test_one_checkpoint_in_an_archive(file, archive, form):
    members = {"README.md": b"# A network\n", "config.json": b"{}", "net/net.pth": DATA[form]}
    reading = read_depthwise(file(ARCHIVES[archive](members)))
    names = NAMES if form != "safetensors" else [*NAMES[1:], NAMES[0]]
    assert_equal(reading.layers, STATE, names)
    assert reading.tensors == len(STATE)


@pytest.mark.parametrize("form", DATA)
def test_gzip(file, form):
    path = file(gzip.compress(DATA[form]))
    names = NAMES if form != "safetensors" else [*NAMES[1:], NAMES[0]]
    reading = read_depthwise(path)
    assert_equal(reading.layers, STATE, names)
    assert reading.bytes_read == reading.size == path.stat().st_size
    both = gzip.compress(DATA[form][:99]) + gzip.compress(DATA[form][99:])  # one after another
    assert_equal(read_depthwise(file(both)).layers, STATE, names)


@pytest.mark.parametrize("archive", ["tar", "zip"])
def test_members_are_read_in_place(file, archive):
    state = {"big.weight": torch.zeros(1024, 512), "dw.weight": torch.ones(2, 1, 3, 3)}
    members = {"a.bin": bytes(1 << 20), "net.pth": hostile.torch_bytes(state)}
    reading = read_depthwise(file(ARCHIVES[archive](members)))
    assert reading.size > 3_000_000
    assert reading.bytes_read < 40_000


@pytest.mark.parametrize("archive", ARCHIVES)
def test_none_and_several(file, archive):
    write = ARCHIVES[archive]
    members = {f"net{i}.pth": GOOD for i in range(7)}
    message = refusal(file(write(members)))
    assert "holds 7 checkpoints (net0.pth, net1.pth, net2.pth, net3.pth, net4.pth and 2 more)" in (
        message
    )
    message = refusal(file(write({"a.txt": b"text", "b.json": b"{}", "c.npy": b"\x93NUMPY"})))
    assert "without a checkpoint that is read (a.txt, b.json, c.npy)" in message


def test_messages_name_the_member(file):
    damaged = GOOD[:-30]
    for write in ARCHIVES.values():
        assert refusal(file(write({"net/net.pth": damaged}))).startswith("net/net.pth: damaged")
    message = refusal(file(tar({"a\nb\x1b\u202e.pth": damaged})))
    assert message.startswith("a?b??.pth: ")


def test_an_archive_without_depthwise_layers(file):
    for write in ARCHIVES.values():
        message = refusal(file(write({"net.pth": hostile.torch_bytes({"a": torch.ones(3)})})))
        assert "has no depthwise layers" in message


def test_archives_in_archives(file):
    inner = zipped({"net.pth": GOOD})
    assert len(read_depthwise(file(gzip.compress(inner))).layers) == 3
    assert len(read_depthwise(file(tar({"net.zip": inner}))).layers) == 3
    assert len(read_depthwise(file(zipped({"net.pth.gz": gzip.compress(GOOD)}))).layers) == 3
    for data in (gzip.compress(tar({"net.zip": inner})), tar_gz({"net.gz": gzip.compress(GOOD)})):
        assert "is an archive in an archive in an archive" in refusal(file(data))


def test_an_archive_in_itself_ends(file):
    data = GOOD
    for _ in range(50):
        data = gzip.compress(data)
    assert "is an archive in an archive" in refusal(file(data))


def test_links_and_other_members_of_tar_are_left_out(file, tmp_path):
    (tmp_path / "outside.pth").write_bytes(GOOD)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("net.pth")
            info.type, info.linkname = kind, str(tmp_path / "outside.pth")
            archive.addfile(info)
    assert "without a checkpoint" in refusal(file(buffer.getvalue()))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_tar(file, form):
    name = "x" * 90 + "/" + "é" * 40 + ".pth"
    assert len(read_depthwise(file(tar({name: GOOD}, format=form))).layers) == 3


def test_the_first_format_of_pytorch_is_named(file):
    members = {"sys_info": b"x", "pickle": b"\x80\2N.", "tensors": b"x", "storages": b"x"}
    assert "PyTorch before 0.2" in refusal(file(tar(members)))


def test_an_index_of_shards_in_an_archive(file):
    """A JSON text is not taken for the checkpoint, and its shards are several."""
    index = b'{"weight_map": {"a": "a.safetensors"}}'
    members = {"net.index.json": index, "a.safetensors": DATA["safetensors"]}
    assert len(read_depthwise(file(tar(members))).layers) == 3
    assert "shards in an archive: unpack" in refusal(file(gzip.compress(index)))


def test_members_without_a_name(file):
    data = zipped({"x": b"text", "net.pth": GOOD})
    place = data.index(b"PK\1\2") + 28  # the length of the first name in the table of contents
    changed = data[:place] + b"\0\0\1\0" + data[place + 4 :]  # its letter is a comment now
    assert "damaged" in refusal(file(changed))


def test_encrypted_members(file):
    data = bytearray(zipped({"net.pth": GOOD}))
    place = data.rindex(b"PK\1\2") + 8
    data[place] |= 1  # in the table of contents
    assert "without a checkpoint" in refusal(file(bytes(data)))


def test_other_compressions_of_zip(file):
    data = zipped({"net.pth": GOOD}, zipfile.ZIP_LZMA)
    assert len(read_depthwise(file(data)).layers) == 3
    data = zipped({"net.pth": GOOD}, zipfile.ZIP_BZIP2)
    assert len(read_depthwise(file(data)).layers) == 3
    assert "bunzip2" in refusal(file(bz2.compress(GOOD)))


@pytest.mark.parametrize("archive", ["gz", "zip"])
def test_bombs_are_defused(tmp_path, archive, monkeypatch):
    """Zeros shrink a thousandfold; the limit is lowered so that the test is short."""
    monkeypatch.setattr(containers, "FREE", 1 << 20)
    zeros = GOOD + bytes(40 << 20)
    data = gzip.compress(zeros) if archive == "gz" else deflated({"net.pth": zeros})
    (tmp_path / "net").write_bytes(data)
    assert "unpacks to more than" in refusal(tmp_path / "net")


def test_damaged_gzip(file):
    data = gzip.compress(GOOD)
    for length in range(2, len(data), 101):
        assert "damaged" in refusal(file(data[:length]))
    changed = bytearray(data)
    changed[-6] ^= 1
    assert "CRC" in refusal(file(bytes(changed)))
    assert "damaged" in refusal(file(data + b"rest"))
    assert "is empty" in refusal(file(gzip.compress(b"")))


def test_headers_of_tar_take_little_memory(tmp_path):
    """Global headers add to each other; one may not be long, nor may all."""
    path = tmp_path / "net.tar"
    comment = {f"key{i}": "a" * 200_000 for i in range(1)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for i in range(300):
            info = tarfile.TarInfo(f"{i}.txt")
            info.pax_headers = {f"comment{i}": comment["key0"]}
            archive.addfile(info)
    grown, message = peak_of(path)
    assert "bytes of headers" in message
    assert grown < MEMORY
    info = tarfile.TarInfo("a.txt")
    info.pax_headers = {"comment": "a" * containers.HEADER_LIMIT}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert "at most 262144 are expected" in refusal(path)


def test_too_many_members(file):
    many = {f"{i}": b"" for i in range(containers.MEMBERS_LIMIT + 1)}
    assert "members" in refusal(file(zipped(many)))
    assert "members" in refusal(file(tar(many)))


def test_a_disk_that_is_full(file, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(containers.tempfile, "TemporaryFile", full)
    assert "cannot be read (No space left on device)" in refusal(file(gzip.compress(GOOD)))


@pytest.mark.parametrize("archive", [*ARCHIVES, "gz"])
def test_random_damage(tmp_path, archive):
    rng, path = random.Random(archive), tmp_path / "net"
    small = hostile.torch_bytes({"a.weight": torch.ones(2, 1, 2, 2)})
    members = {"a.txt": b"text", "net.pth": small}
    data = gzip.compress(small) if archive == "gz" else ARCHIVES[archive](members)
    heads = [i for i in range(len(data)) if i < 600 or i > len(data) - 400 or data[i]]
    for _ in range(250):
        content = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            content[rng.choice(heads)] = rng.choice([0, 1, 0x30, 0x37, 0x78, 0xFF])
        if rng.random() < 0.1:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)
        survives(path)


def test_random_headers_of_tar(tmp_path):
    """Headers whose sum is right, so that what they say is believed."""
    rng, path = random.Random(2), tmp_path / "net.tar"
    data = tar({"x" * 120: GOOD, "b": b"text"}, format=tarfile.PAX_FORMAT)
    for _ in range(300):
        content = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            place = rng.choice(
                [rng.randrange(512), rng.randrange(100, 160), 124 + rng.randrange(8)]
            )
            content[place] = rng.choice([0, 0x20, 0x30, 0x37, 0x80, 0xFF, *b"xgLKS5"])
        content[148:156] = b" " * 8
        content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
        path.write_bytes(content)
        survives(path)


def test_what_is_unpacked_vanishes(file, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(containers.tempfile, "tempdir", str(folder))
    assert len(read_depthwise(file(gzip.compress(GOOD))).layers) == 3
    refusal(file(gzip.compress(b"text")))
    assert [*folder.iterdir()] == []


def test_a_checkpoint_of_numpy_in_an_archive(file):
    buffer = io.BytesIO()
    np.savez(buffer, dw=np.ones((2, 1, 3, 3)))
    assert len(read_depthwise(file(tar({"net.npz": buffer.getvalue()}))).layers) == 1


def test_a_fault_of_this_program_is_not_called_damage(file, monkeypatch):
    def faulty(*_, **__):
        raise ValueError("a fault of ours")

    monkeypatch.setattr(containers, "Window", faulty)
    with pytest.raises(ValueError, match="a fault of ours"):
        read_depthwise(file(tar({"net.pth": GOOD})))


def test_paths_that_lead_out_are_only_names(tmp_path):
    path: Path = tmp_path / "net.tar"
    path.write_bytes(tar({"../../escape.pth": GOOD}))
    assert len(read_depthwise(path).layers) == 3
    assert not (tmp_path.parent.parent / "escape.pth").exists()

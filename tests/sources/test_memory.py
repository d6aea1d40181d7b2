"""However a file is made, reading it takes little memory and ends in one line."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import hostile
import pytest
from memory import MEMORY, peak_of

from kernelatlas.sources.pickles import PICKLE_LIMIT
from kernelatlas.sources.safetensors import HEADER_LIMIT
from kernelatlas.sources.source import CONTENTS_LIMIT

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"
)


def filled(repeated: bytes, before: bytes = b"", limit: int = PICKLE_LIMIT) -> bytes:
    """Repeat opcodes up to the largest pickle that is read at all."""
    begin = b"\x80\x04" + before
    return begin + repeated * ((limit - len(begin) - 1) // len(repeated)) + b"."


def text(value: str) -> bytes:
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else hostile.text(value)


STORAGE = (
    b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x12tQ\x94"
)  # memo 0
TENSOR = (
    STORAGE + b"ctorch._utils\n_rebuild_tensor_v2\n\x94"  # 1
    b"(h\x00K\x00(K\x02K\x01K\x03K\x03t(K\x09K\x09K\x03K\x01t\x89Nt\x94"  # 2: arguments
)
PARTS = ("_parameters", "_buffers", "_modules")
WIDE = b"(" + b"N" * 500_000 + b"t\x94"  # memo 0: half a million arguments

# Memo 3 is a class, 4 to 6 the names of a module's parts, 7 an empty dict, 8 a tensor.
MODULE = (
    TENSOR + b"h\x01h\x02Rca\nb\nq\x03"
    + b"".join(text(name) + b"q" + bytes([4 + i]) for i, name in enumerate(PARTS))
    + b"}q\x07h\x01h\x02Rq\x08"
)  # fmt: skip

ALONE = hostile.legacy(b"\x80\x02" + STORAGE + b".")


def module(parameters: bytes, modules: bytes) -> bytes:
    return b"h\x03)\x81}(h\x04" + parameters + b"h\x05h\x07h\x06" + modules + b"ub"


def shared_tensors(tensors: int, modules: int) -> bytes:
    """Each of many modules has the same dict of many tensors."""
    names = b"".join(text(f"{i:06}") + b"h\x08" for i in range(tensors))
    shared = b"}(" + names + b"uq\x09"
    inside = b"".join(text(f"{i:06}") + module(b"h\x09", b"h\x07") for i in range(modules))
    return b"\x80\x02" + MODULE + shared + module(b"h\x07", b"}(" + inside + b"u") + b"."


def shared_modules(below: int, modules: int) -> bytes:
    """Each of many modules has the same dict of many modules."""
    names = b"".join(text(f"{i:06}") + module(b"h\x07", b"h\x07") for i in range(below))
    shared = b"}(" + names + b"uq\x09"
    inside = b"".join(text(f"{i:06}") + module(b"h\x07", b"h\x09") for i in range(modules))
    return b"\x80\x02" + MODULE + shared + module(b"h\x07", b"}(" + inside + b"u") + b"."


def deep(name: bytes) -> bytes:
    """Fifty modules inside each other, each with a long name and many tensors."""
    tensors = b"}(" + b"".join(text(f"{i:06}") + b"h\x08" for i in range(1_000)) + b"u"
    inside = b"h\x07"
    for _ in range(50):
        inside = b"}(" + name + module(tensors, inside) + b"u"
    return module(b"h\x07", inside)


PICKLES: dict[str, Callable[[], bytes]] = {
    "lists": lambda: filled(b"]"),
    "marks": lambda: filled(b"("),
    "a deep tuple": lambda: filled(b"\x85", b")"),
    "duplicates": lambda: filled(b"2", b"N"),
    "lists in the memo": lambda: filled(b"]\x94"),
    "dicts of one item": lambda: filled(b"}NNs"),
    "floats": lambda: filled(b"G" + bytes(8)),
    "one wide text": lambda: filled(hostile.text("\U0001f600" + "a" * (PICKLE_LIMIT - 20))),
    "one large number": lambda: filled(
        b"\x8b" + struct.pack("<i", PICKLE_LIMIT - 8) + b"\x7f" * (PICKLE_LIMIT - 8)
    ),
    "one line": lambda: b"\x80\x02I" + b"9" * (PICKLE_LIMIT - 8) + b"\n.",
    "a line without an end": lambda: b"\x80\x02I" + b"9" * (PICKLE_LIMIT - 3),
    "globals": lambda: filled(b"ctorch\nx\n"),
    "globals of long names": lambda: filled(
        b"h\x00h\x01\x93", hostile.text("torch." + "a" * 1_000_000) + b"\x94"
        + hostile.text("\U0001f600" * 100_000) + b"\x94"
    ),
    "calls of many arguments": lambda: filled(b"ctorch\nx\nh\x00R0", WIDE),
    "calls in calls": lambda: filled(
        b"h\x02h\x03R0",
        WIDE + b"ctorch\nx\n\x94ctorch._tensor\n_rebuild_from_type_v2\n\x94"
        b"(h\x01Nh\x00Nt\x94",
    ),
    "persistent ids": lambda: filled(b"h\x00Q0", WIDE),
    "tensors of many names": lambda: b"\x80\x02" + TENSOR + b"h\x01h\x02Rq\x03}"
    + b"".join(text(f"{i:07}") + b"h\x03s" for i in range(PICKLE_LIMIT // 12 - 100))
    + b".",
    "layers of many names": lambda: b"\x80\x02" + TENSOR + b"}"
    + b"".join(
        text(f"{i:06}") + b"h\x01(h\x00M" + struct.pack("<H", i % 60_000)
        + b"(K\x02K\x01K\x01K\x02t(K\x02K\x01K\x01K" + bytes([i // 60_000]) + b"t\x89NtRs"
        for i in range(150_000)
    ) + b".",
    "pops": lambda: filled(b"N0"),
    "objects with attributes": lambda: filled(b"h\x00)\x81}b", b"ca\nb\n\x94"),
    "empty bytes": lambda: filled(b"C\x00"),
    "arrays of protocol 5": lambda: filled(
        b"h\x00h\x01R", b"cnumpy.core.numeric\n_frombuffer\n\x94(C\x01aN)X\x01\0\0\0Ct\x94"
    ),
    "modules that share a module": lambda: shared_modules(5_000, 20_000),
    "modules that share their tensors": lambda: shared_tensors(20_000, 50_000),
    "modules with long names": lambda: b"\x80\x02" + MODULE
    + deep(hostile.text("a" * 300_000)) + b".",
    "storages pickled alone": lambda: filled(
        b"h\x00h\x01R", b"ctorch.storage\n_load_from_bytes\n\x94B" + struct.pack("<I", len(ALONE))
        + ALONE + b"\x85\x94",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_take_little_memory(tmp_path, name):
    data = PICKLES[name]()
    assert len(data) <= PICKLE_LIMIT
    write = hostile.legacy if "line" in name else hostile.zipped  # lines differ in these
    write = bytes if "alone" in name else write
    path = tmp_path / "net.pth"
    path.write_bytes(write(data))
    grown, message = peak_of(path)
    assert grown < MEMORY, message


def values(item: str) -> str:
    return '{"a":[' + ",".join([item] * ((HEADER_LIMIT - 40) // (len(item) + 1))) + "]}"


HEADERS: dict[str, Callable[[], str]] = {
    "lists": lambda: values("[]"),
    "dicts": lambda: values("{}"),
    "dicts of one item": lambda: values('{"":0}'),
    "floats": lambda: values("1.5"),
    "numbers": lambda: values("999"),
    "wide text": lambda: '{"a":"\U0001f600' + "a" * (HEADER_LIMIT - 40) + '"}',
    "names": lambda: "{" + ",".join(f'"{i:x}":{{}}' for i in range(HEADER_LIMIT // 13)) + "}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_take_little_memory(tmp_path, name):
    header = HEADERS[name]().encode()
    assert len(header) <= HEADER_LIMIT
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    grown, message = peak_of(path)
    assert grown < MEMORY, message
    path.write_bytes(header[:CONTENTS_LIMIT])
    assert peak_of(path)[0] < MEMORY


def test_many_entries_of_an_archive_take_little_memory(tmp_path):
    path = tmp_path / "net.pth"
    n = CONTENTS_LIMIT // 60
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        for i in range(n):
            archive.writestr(zipfile.ZipInfo(f"a/data/{i:06x}"), b"")
    grown, message = peak_of(path)
    assert grown < MEMORY, message
    assert "0 tensors read" in message


def test_a_long_header_is_refused(tmp_path):
    header = json.dumps({"__metadata__": {"a": "b" * HEADER_LIMIT}}).encode()
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert "claims a header of" in peak_of(path)[1]

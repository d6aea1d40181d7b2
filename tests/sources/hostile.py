"""Writers of damaged and malicious checkpoints for the tests."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM_INFO = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


def state_dict(dtype: torch.dtype = torch.float32, seed: int = 0) -> dict[str, torch.Tensor]:
    """Two depthwise layers, a strip, and tensors that look a little like them."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        "stem.weight": normal(4, 3, 3, 3),
        "stages.10.dw.weight": normal(4, 1, 3, 3),
        "stages.9.dw.weight": normal(6, 1, 2, 2),
        "stages.9.strip.weight": normal(5, 1, 1, 7),
        "stages.9.pointwise.weight": normal(5, 1, 1, 1),
        "one_channel.weight": normal(1, 1, 3, 3),
        "norm.weight": normal(4),
        "scale": normal(),
        "empty": normal(0, 1, 3, 3),
    }


def torch_bytes(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def legacy_bytes(content: Any, **options: Any) -> bytes:
    return torch_bytes(content, _use_new_zipfile_serialization=False, **options)


FORMATS: dict[str, Callable[[dict[str, torch.Tensor]], bytes]] = {
    "safetensors": safetensors_bytes,
    "zip": torch_bytes,
    "legacy": legacy_bytes,
}


def safetensors_raw(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Any header, given as JSON value or as text, before any data."""
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: Any, start: Any, stop: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def zip_raw(
    data_pkl: bytes,
    storages: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
    **entries: bytes,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
        for name, data in entries.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", data)
    return buffer.getvalue()


def legacy_raw(data_pkl: bytes, keys: Any = (), storages: bytes = b"", info: Any = None) -> bytes:
    head = (LEGACY_MAGIC, 1001, info or SYSTEM_INFO)
    return (
        b"".join(pickle.dumps(part, 2) for part in head)
        + data_pkl
        + pickle.dumps(list(keys), 2)
        + storages
    )


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def count(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def tensor_pickle(
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    numel: int = 18,
    storage: str = "FloatStorage",
    key: str = "0",
    name: str = "dw.weight",
    view: bytes = b"",
    wrap: Callable[[bytes], bytes] = lambda state: state,
) -> bytes:
    """A pickled state dict of one tensor, opcode by opcode, so that it may lie."""

    def counts(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(count, values)) + b"t"

    pid = b"(" + text("storage") + b"ctorch\n" + storage.encode() + b"\n"
    pid += text(key) + text("cpu") + count(numel) + view + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + count(offset)
    tensor += counts(shape) + counts(stride) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02" + wrap(b"}" + text(name) + tensor + b"s") + b"."


def malicious(marker: Path) -> dict[str, bytes]:
    """Pickles that would make the file `marker`, each through another opcode."""
    command = text(f"touch {marker}")
    call = b"cposix\nsystem\n"
    rebuild = b"ctorch._tensor\n_rebuild_from_type_v2\n"
    state = b"}" + text("__setstate__") + call + b"s"
    return {
        "REDUCE": b"\x80\x02" + call + b"(" + command + b"tR.",
        "STACK_GLOBAL": b"\x80\x04" + text("os") + text("system") + b"\x93" + command + b"\x85R.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + b"(" + command + b"t\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n(" + command + b"t}\x92.",
        "OBJ": b"\x80\x02(" + call + command + b"o.",
        "INST": b"\x80\x02(" + command + b"ios\nsystem\n.",
        "BUILD": b"\x80\x02ctorch\nSize\n" + state + b"b" + command + b"b.",
        "getattr": b"\x80\x02cbuiltins\ngetattr\n.",
        "nested": b"\x80\x02cbuiltins\nexec\n(" + text("1") + b"tR}" + text("a") + b"Ns.",
        "name": b"\x80\x04" + text("__main__\nline") + text("Net") + b"\x93)R.",
        # What is harmless by its package must do nothing either.
        "inert": b"\x80\x02ctorch.serialization\nos.system\n(" + command + b"tR}b.",
        "hub": b"\x80\x02cnumpy.testing._private.utils\nrunstring\n("
        + text(f"open({str(marker)!r}, 'w')")
        + b"}tR.",
        "builder": b"\x80\x02" + rebuild + b"(" + call + b"N(" + command + b"tNtR.",
    }


def zipped(data_pkl: bytes, storage: bytes = bytes(72)) -> bytes:
    """A zip archive of this pickle and one storage of 18 numbers."""
    return zip_raw(data_pkl, {"0": storage})


def legacy(data_pkl: bytes, storage: bytes = bytes(72)) -> bytes:
    """The older container of the same."""
    return legacy_raw(data_pkl, ["0"], struct.pack("<q", 18) + storage)


def tar_archive(members: dict[str, bytes], **options: object) -> bytes:
    """A tar archive of members by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of members by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()

"""Pickles outside of archives.

What `torch.save` wrote before PyTorch 1.6 is a chain of pickles; what `pickle.dump` writes is one.
"""

import io
import struct
from dataclasses import replace
from typing import Any

from kernelatlas.sources.arrays import Part, bytes_of
from kernelatlas.sources.pickles import PICKLE_LIMIT, Unpickler
from kernelatlas.sources.source import Damaged, Refused, Source, Tensors, short
from kernelatlas.sources.state_dict import refuse_big_endian, tensors_of
from kernelatlas.sources.stubs import Storage
from kernelatlas.sources.wrappers import find

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # torch.serialization
_STORED_LIMIT = 4 << 10  # bytes before a storage that was pickled alone; PyTorch writes some 300


def read_legacy(source: Source) -> Tensors:
    """Return the tensors of a chain of pickles, or of one pickle alone.

    The chain: a magic number, the protocol, what machine wrote it, the state dict, the keys of
    its storages; behind it the storages in the order of their keys.
    """
    source.need_whole()
    source.end = min(source.size, PICKLE_LIMIT)
    unpickler = Unpickler(source, source.size, _stored)
    content = unpickler.load()
    if type(content) is int and content == _MAGIC:
        return _chain(source, Unpickler(source, source.size))
    found = find(content, source.options.key)
    if not found.tensors:
        raise Refused("is a pickle in which no tensors were found: save model.state_dict()")
    source.end = source.size
    return tensors_of(found, _missing, source.size)


def _missing(key: str) -> bytes:
    raise Damaged(f"storage {short(key)} is missing")


def _chain(source: Source, unpickler: Unpickler) -> Tensors:
    if unpickler.load() != _PROTOCOL:
        raise Refused("is of an unknown version of torch.save: save it again with a newer PyTorch")
    machine, content, keys = unpickler.load(), unpickler.load(), unpickler.load()
    _check(machine, keys)
    found = find(content, source.options.key)
    source.end = source.size
    positions = {}
    for key in keys:
        if type(key) is not str or key not in unpickler.storages:
            raise Damaged("a storage key that no tensor has")
        (numel,) = struct.unpack("<q", source.exactly(8))
        if numel != unpickler.storages[key][0]:
            raise Damaged(f"storage {short(key)} has {numel} elements, its tensors differ")
        positions[key], length = source.tell(), unpickler.length(key)
        if source.tell() + length > source.size:
            raise Damaged(f"storage {short(key)} of {length} bytes is cut off")
        source.seek(length, io.SEEK_CUR)

    def read_storage(key: str) -> bytes:
        if key not in positions:
            return _missing(key)
        source.seek(positions[key])
        return source.exactly(unpickler.length(key))

    return tensors_of(found, read_storage, source.size, options=source.options)


def _check(machine: Any, keys: Any) -> None:
    if not isinstance(machine, dict) or not isinstance(keys, list):
        raise Damaged("its parts are not those of torch.save")
    refuse_big_endian(machine.get("little_endian") is False)


def _stored(unpickler: Unpickler, data: Any) -> Storage:
    """Return the storage that was pickled alone, a chain of pickles as bytes in another pickle.

    Its values stay where they are.
    """
    size = len(data) if type(data) is str else getattr(data, "length", 0)
    source = unpickler.file
    back, counted = source.tell(), source.bytes_read
    file = io.BytesIO(bytes_of(data, 0, min(size, _STORED_LIMIT)))
    source.seek(back)
    inner = Unpickler(file, size)
    inner.dispatch = unpickler.dispatch  # type: ignore[misc]  # whose opcodes count together
    if inner.load() != _MAGIC or inner.load() != _PROTOCOL:
        raise Damaged("a storage that torch.save did not write")
    machine, storage, keys = inner.load(), inner.load(), inner.load()
    _check(machine, keys)
    if not isinstance(storage, Storage) or keys != [storage.key]:
        raise Damaged("a storage beside others")
    (numel,) = struct.unpack("<q", file.read(8).ljust(8))
    begin, length = file.tell(), inner.length(keys[0])
    if numel != inner.storages[keys[0]][0] or begin + length > size:
        raise Damaged(f"a storage of {numel} elements in {size} bytes")
    source.bytes_read = counted + (0 if type(data) is str else begin)
    return replace(storage, key=Part(data, begin, length))

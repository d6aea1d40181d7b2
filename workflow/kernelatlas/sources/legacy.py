"""Checkpoints in a chain of pickles, as `torch.save` wrote before PyTorch 1.6."""

import io
import struct

from kernelatlas.sources.pickles import PICKLE_LIMIT, Unpickler
from kernelatlas.sources.source import Damaged, Refused, Source, Tensors, short
from kernelatlas.sources.state_dict import refuse_big_endian, tensors_of

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # torch.serialization


def read_legacy(source: Source) -> Tensors:
    """Return the tensors of a chain of pickles.

    The chain: a magic number, the protocol, what machine wrote it, the state dict, the keys of
    its storages; behind it the storages in the order of their keys.
    """
    source.need_whole()
    source.end = min(source.size, PICKLE_LIMIT)
    unpickler = Unpickler(source)
    if unpickler.load() != _MAGIC or unpickler.load() != _PROTOCOL:
        raise Refused("is a pickle, but not one of torch.save: save model.state_dict() with it")
    machine, content, keys = unpickler.load(), unpickler.load(), unpickler.load()
    if not isinstance(machine, dict) or not isinstance(keys, list):
        raise Damaged("its parts are not those of torch.save")
    refuse_big_endian(machine.get("little_endian") is False)
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
            raise Damaged(f"storage {short(key)} is missing")
        source.seek(positions[key])
        return source.exactly(unpickler.length(key))

    return tensors_of(content, read_storage, source.size)

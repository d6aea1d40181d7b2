"""Checkpoints in a chain of pickles, as `torch.save` wrote before PyTorch 1.6."""

import io
import struct

from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.pickles import PICKLE_LIMIT, Unpickler
from kernelatlas.sources.source import Refused, Source, short
from kernelatlas.sources.state_dict import layers_of, refuse_big_endian

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # torch.serialization


def read_legacy(source: Source) -> tuple[list[Layer], int]:
    source.need_whole()
    source.end = min(source.size, PICKLE_LIMIT)
    if Unpickler(source).load() != _MAGIC or Unpickler(source).load() != _PROTOCOL:
        raise Refused("is a pickle, but not one of torch.save: save model.state_dict() with it")
    refuse_big_endian(Unpickler(source).load().get("little_endian") is False)
    unpickler = Unpickler(source)
    content = unpickler.load()
    keys = Unpickler(source).load()
    source.end = source.size
    positions = {}
    for key in keys:
        if type(key) is not str:
            raise ValueError("a storage key is no text")
        (numel,) = struct.unpack("<q", source.exactly(8))
        if numel != unpickler.storages[key][0]:
            raise ValueError(f"storage {short(key)} has {numel} elements, its tensors differ")
        positions[key], length = source.tell(), unpickler.length(key)
        if source.tell() + length > source.size:
            raise EOFError(f"storage {short(key)} of {length} bytes is cut off")
        source.seek(length, io.SEEK_CUR)

    def read_storage(key: str) -> bytes:
        source.seek(positions[key])
        return source.exactly(unpickler.length(key))

    return layers_of(content, read_storage, source.size)

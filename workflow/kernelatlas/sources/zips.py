"""Checkpoints in a zip archive, as `torch.save` writes since PyTorch 1.6."""

import io
import zipfile
from bisect import bisect_right

from kernelatlas.kernels.layer import Layer
from kernelatlas.sources.pickles import PICKLE_LIMIT, Unpickler
from kernelatlas.sources.source import CONTENTS_LIMIT, Refused, Source, short
from kernelatlas.sources.state_dict import layers_of, refuse_big_endian

_TAIL = 128 << 10  # bytes at the end of a zip archive that nearly always hold this table


def read_zip(source: Source) -> tuple[list[Layer], int]:
    source.prefetch([(max(source.size - _TAIL, 0), source.size)])
    source.limit = CONTENTS_LIMIT
    with zipfile.ZipFile(source) as archive:
        source.limit = source.size
        entries = {info.filename: info for info in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("an entry of the archive stands twice")
        folder = next(iter(entries), "").partition("/")[0]
        if f"{folder}/constants.pkl" in entries or any(
            name.startswith(f"{folder}/code/") for name in entries
        ):
            raise Refused("is a TorchScript archive, not a state dict; save model.state_dict()")
        if f"{folder}/data.pkl" not in entries:
            raise Refused(
                "is a zip archive but no PyTorch checkpoint (no data.pkl): "
                "unpack it and name the checkpoint inside"
            )

        def read(name: str) -> bytes:
            info = entries[f"{folder}/{name}"]
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise Refused(f"its entry {name!r} is compressed: save it again with torch.save")
            if info.file_size > source.size:
                raise ValueError(f"entry {name!r} claims {info.file_size} bytes")
            return archive.read(info)  # checks the CRC-32

        if f"{folder}/byteorder" in entries:
            refuse_big_endian(read("byteorder").strip() == b"big")
        if (length := entries[f"{folder}/data.pkl"].file_size) > PICKLE_LIMIT:
            raise Refused(
                f"has a pickle of {length} bytes beside its tensors (limit {PICKLE_LIMIT}): "
                "save model.state_dict() alone"
            )
        limits = sorted([*(info.header_offset for info in entries.values()), archive.start_dir])

        def prefetch(keys: list[str]) -> None:
            begins = {entries[f"{folder}/data/{key}"].header_offset for key in keys}
            # An entry ends where the next begins.
            spans = [(begin, limits[bisect_right(limits, begin)]) for begin in begins]
            source.prefetch(sorted(spans))

        unpickler = Unpickler(io.BytesIO(read("data.pkl")))
        content = unpickler.load()

        def read_storage(key: str) -> bytes:
            found, claimed = entries[f"{folder}/data/{key}"].file_size, unpickler.length(key)
            if found != claimed:
                raise ValueError(f"storage {short(key)}: {found} bytes, not {claimed}")
            return read(f"data/{key}")

        return layers_of(content, read_storage, source.size, prefetch)

"""The index of a checkpoint in several safetensors files, its shards."""

import re
from pathlib import Path

from kernelatlas.sources.safetensors import parsed
from kernelatlas.sources.source import CONTENTS_LIMIT, Damaged, Refused, Source, Tensors, short
from kernelatlas.sources.weights import check_amount

SHARDS_LIMIT = 1000


def shards_of(path: str | Path) -> list[str]:
    """Return the paths of the shards that an index names; none if it is not a valid index."""
    if not str(path).endswith(".index.json"):
        return []
    try:
        names = _shards(Path(path).read_bytes())
    except (OSError, Refused, Damaged):
        return []  # reading the checkpoint says what is wrong
    return [str(Path(path).with_name(name)) for name in names]


def _shards(text: bytes) -> list[str]:
    content = parsed(text)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if type(shards) is not dict or not all(type(shard) is str for shard in shards.values()):
        raise Refused(
            "is a JSON text but no index of shards (no weight_map): name the checkpoint itself"
        )
    names = sorted(set(shards.values()))
    if len(names) > SHARDS_LIMIT:
        raise Refused(f"names {len(names)} shards (limit {SHARDS_LIMIT}): check the file")
    for name in names:
        # Beside the index and nowhere else, whatever the index says.
        if not re.fullmatch(r"[\w-][\w.-]*\.safetensors", name, re.ASCII):
            raise Refused(f"names the shard {short(name)}, which is no file beside it")
    return names


def read_index(source: Source) -> Tensors:
    """Return the tensors of all shards that a model.safetensors.index.json names."""
    if source.size > CONTENTS_LIMIT:
        raise Refused(
            f"is a JSON text of {source.size} bytes, too long for an index of shards "
            f"(limit {CONTENTS_LIMIT}): check that it is the right file"
        )
    whole = Tensors({}, {}, ordered=False)
    for name in _shards(source.exactly(source.size)):
        shard = source.sibling(name, source.options)
        for tensor in shard.tensors.shapes:
            if tensor in whole.shapes:
                raise Refused(f"has {short(tensor)} in two shards: download or save it again")
        whole.shapes.update(shard.tensors.shapes)
        whole.values.update(shard.tensors.values)
        check_amount(len(whole.values), sum(array.nbytes for array in whole.values.values()))
        source.shards.append(name)
        source.shard_bytes += shard.size
        source.bytes_read += shard.bytes_read
    return whole

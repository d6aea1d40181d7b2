"""The index of a checkpoint in several files, its shards."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from kernelatlas.sources.safetensors import parsed
from kernelatlas.sources.source import CONTENTS_LIMIT, Damaged, Refused, Source, Tensors, short
from kernelatlas.sources.weights import check_amount, check_parts
from kernelatlas.sources.wrappers import heads, no_key, under

SHARDS_LIMIT = 1000
_ENDING = r"\.(?:safetensors|bin|pth|pt)"


def shards_of(path: str | Path) -> list[str]:
    """Return the paths of the shards that an index names; none if it is not a valid index.

    Of an ONNX model these are the files beside it that exporters put its weights in.
    """
    if str(path).endswith(".onnx"):
        data = [f"{path}{ending}" for ending in (".data", "_data")]
        return [file for file in data if Path(file).is_file()]
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
        if not re.fullmatch(rf"[\w-][\w.-]*{_ENDING}", name, re.ASCII):
            raise Refused(f"names the shard {short(name)}, which is no file beside it")
    return names


def refuse_shard(label: str) -> None:
    """Refuse one shard of several that is named as if it were the checkpoint."""
    found = re.search(rf"([^/\\\s]*)-(\d{{5}})-of-(\d{{5}})({_ENDING})(?![\w./])", label)
    if found and int(found[3]) > 1:
        index = f"{found[1]}{found[4]}.index.json"
        raise Refused(f"is shard {int(found[2])} of {int(found[3])}: name its index, {index}")


def read_index(source: Source) -> Tensors:
    """Return the tensors of all shards that an index names.

    If the tensors of each shard are in the order of definition, as in pickled ones, then those
    of all are, in the order of the shards' names.
    """
    if source.size > CONTENTS_LIMIT:
        raise Refused(
            f"is a JSON text of {source.size} bytes, too long for an index of shards "
            f"(limit {CONTENTS_LIMIT}): check that it is the right file"
        )
    shapes: dict[str, tuple[int, ...]] = {}
    values: dict[str, np.ndarray] = {}
    parts: dict[str, np.ndarray] = {}
    ordered = True
    for name in _shards(source.exactly(source.size)):
        # The key may be in some shards only.
        shard = source.sibling(name, replace(source.options, key=None))
        for tensor in shard.tensors.shapes:
            if tensor in shapes:
                raise Refused(f"has {short(tensor)} in two shards: download or save it again")
        shapes.update(shard.tensors.shapes)
        values.update(shard.tensors.values)
        claimed = sum(array.nbytes for array in values.values())
        check_amount(len(values), claimed, source.options)
        ordered = ordered and shard.tensors.ordered
        parts.update(shard.tensors.parts)
        check_parts(sum(array.nbytes for array in parts.values()))
        source.shards.append(name)
        source.shard_bytes += shard.size
        source.bytes_read += shard.bytes_read
    if (key := source.options.key) is not None:
        whole, shapes, values = shapes, under(shapes, key), under(values, key)
        parts = under(parts, key)
        if not shapes:
            raise Refused(no_key(key, heads(whole)))
    return Tensors(shapes, values, ordered, parts=parts)

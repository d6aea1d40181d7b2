"""Files of timm's networks without a disk: real layouts, and kernels like those of the default zoo.

Each is a safetensors file as the hub has it, of which the depthwise layers hold trained kernels of
the default zoo, drawn at random, with some noise: no two are equal. Sizes of which the zoo has
none hold noise. What is between them, and is never read, are zeros.
"""

import json
import math
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.sources.registry import expected_layers, expected_tensors

NOISE = 0.2  # its norm, of that of the centred kernel
Pools = dict[tuple[int, int], np.ndarray]


def pools(results: Path) -> Pools:
    """Return the kernels of the trained networks in results, (n, kh·kw), by height and width."""
    models = pd.read_parquet(results / "tables/models.parquet")
    found = defaultdict(list)
    for name in sorted(set(models.loc[models["trained"], "model"])):
        table = pd.read_parquet(results / f"kernels/{name}.parquet")
        for size, rows in table[~table["degenerate"]].groupby(["kh", "kw"]):
            found[size].append(np.stack(rows["weights"].to_list()))
    return {(int(kh), int(kw)): np.concatenate(parts) for (kh, kw), parts in found.items()}


def kernels(seed: Iterable[int], n: int, size: tuple[int, int], known: Pools) -> np.ndarray:
    """Return kernels like those of the pool of their size, (n, kh·kw), float32."""
    rng, pixels = np.random.default_rng(list(seed)), math.prod(size)
    noise = rng.standard_normal((n, pixels), np.float32)
    if size not in known:
        return noise / pixels
    chosen = known[size][rng.integers(len(known[size]), size=n)]
    centred = chosen - chosen.mean(1, keepdims=True)
    scale = NOISE / math.sqrt(pixels) * np.linalg.norm(centred, axis=1, keepdims=True)
    return (chosen + scale * noise).astype(np.float32)


class Network:
    """A network's file.

    Attributes
    ----------
    rows
        Its depthwise layers, as the registry has them.
    """

    def __init__(self, name: str, architecture: str, known: Pools) -> None:
        self.seed, self.architecture, self.known = zlib.crc32(name.encode()), architecture, known
        self.rows = expected_layers(architecture)
        self.last: tuple[int, bytes] = (
            -1,
            b"",
        )  # layer that was read, of which ranges come in pieces

    @cached_property
    def tensors(self) -> dict[str, tuple[list[int], int]]:
        """Shape and first byte of each tensor by name, in the order of definition."""
        waiting, found, end = list(self.rows), {}, 0
        for number, text in enumerate(expected_tensors(self.architecture)):
            shape = [int(part) for part in text.split("×")] if text else [1]
            name = f"other.{number}"
            row = waiting[0] if waiting else None
            if row and shape == [row["channels"], 1, row["kh"], row["kw"]]:
                name = f"{waiting.pop(0)['layer']}.weight"
            else:
                shape = [math.prod(shape)]
            found[name], end = (shape, end), end + 4 * math.prod(shape)
        if waiting:
            raise SystemExit(f"{self.architecture}: no tensor of the shape of {waiting[0]}")
        return found

    @property
    def head(self) -> bytes:
        """Length and header of the safetensors file."""
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        for name, (shape, begin) in self.tensors.items():
            ends = [begin, begin + 4 * math.prod(shape)]
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": ends}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text

    def layer(self, index: int) -> bytes:
        """Return the bytes of a depthwise layer."""
        known, data = self.last
        if known != index:
            row = self.rows[index]
            size = row["kh"], row["kw"]
            data = kernels((self.seed, index), row["channels"], size, self.known).tobytes()
            self.last = index, data
        return data

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes behind the head."""
        data = bytearray(stop - start)
        for index, row in enumerate(self.rows):
            shape, begin = self.tensors[f"{row['layer']}.weight"]
            low, high = max(begin, start), min(begin + 4 * math.prod(shape), stop)
            if low < high:
                data[low - start : high - start] = self.layer(index)[low - begin : high - begin]
        return bytes(data)

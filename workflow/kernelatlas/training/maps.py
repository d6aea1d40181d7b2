"""Maps that depthwise layers see, and by how much their padding asks kernels to be moved.

A layer of stride s turns n pixels into m outputs. Output j stands for the pixel
(n − 1)/2 + (j − (m − 1)/2)·s of the map if the outputs are to lie symmetrically on it, as they must
for a network that sees mirrored pictures in training. The middle of its window lies at
j·s − p + (k − 1)·d/2, with the padding p on the left and the dilation d. The difference does not
depend on j: with q the padding on the right that the last window reaches, it is (p − q)/2. A kernel
whose centre is moved by so much looks at the right place. "Same" padding of TensorFlow is
p = ⌊P/2⌋, q = P − p with P = max((m − 1)·s + (k − 1)·d + 1 − n, 0) (documentation of tf.nn): for
k = 5 and s = 2 that is 1 and 2 on even n, so −½ pixel, and 2 and 2 on odd n. p = (k − 1)/2, which
is usual in PyTorch, gives +½ pixel on even n.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from kernelatlas.running.files import write_parquet
from kernelatlas.sources.registry import MAPS, resolve, rows_of
from kernelatlas.sources.registry_schemas import PIXELS

SCHEMA = pa.schema(
    {
        "layer": pa.large_string(),
        **dict.fromkeys(PIXELS, pa.int16()),
        **dict.fromkeys(("expected_x", "expected_y"), pa.float64()),
    }
)


def maps_digest(architecture: str, name: str) -> str | None:
    """Return the digest of a model's maps in the registry, on which those of the model depend.

    Pictures have the size of the weights if the model's name is a tag of the architecture, else
    that of its default tag.
    """
    tags = {tag.name: tag for tag in resolve(architecture, every_tag=True)}
    (default,) = resolve(architecture, every_tag=False)
    return tags.get(name, default).maps


def known_maps(digest: str) -> pa.Table:
    """Return the maps of a network of timm, by their digest."""
    return with_expected(rows_of(MAPS, digest))


def with_expected(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return layers with what their padding makes expect, columns as in results/README.md.

    Parameters
    ----------
    rows
        As `kernelatlas.sources.layer_maps.layer_maps` and the registry have them.
    """
    expected = [
        {
            **row,
            "expected_x": (row["left"] - row["right"]) / 2,
            "expected_y": (row["bottom"] - row["top"]) / 2,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(expected, schema=SCHEMA)


def write_maps(path: str | Path, model: str, maps: pa.Table) -> None:
    """Write the maps of a model as Parquet."""
    names = pa.array([model] * len(maps), pa.large_string())
    write_parquet(maps.add_column(0, "model", names), path)

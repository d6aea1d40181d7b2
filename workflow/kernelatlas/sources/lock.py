"""The lock file of a zoo: the commits that its kernel tables were read from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of, whole
from kernelatlas.sources.zoo import Model

HEADER = """\
# Written by `snakemake lock`: the commit that each kernel table was read from; of an address,
# which has none, the file's ETag, or its digest where it was read whole. Models listed here are
# read as they were then. To take newer files, remove their lines, or this file.
"""

# What can be locked, the best first: key in a table's metadata, attribute of a model.
PINS = {"commit": "revision", "etag": "etag", "sha256": "sha256"}


def write_lock(path: str | Path, tables: Sequence[str | Path]) -> None:
    """Write the commits, ETags or digests in the metadata of kernel tables.

    Raises
    ------
    KernelAtlasError
        If there are no tables: no model comes from a hub or an address.
    """
    pins: dict[str, dict[str, str]] = {}
    for table in sorted(map(Path, tables)):
        metadata = metadata_of(table)
        known = next((key for key in PINS if metadata.get(key)), None)
        if known:
            pins[table.stem] = {PINS[known]: metadata[known]}
    if not pins:
        raise KernelAtlasError(f"{path}: nothing to lock: no model of the zoo comes from a hub")
    with whole(path) as partial:
        partial.write_text(HEADER + yaml.safe_dump(pins))


def settled(model: Model, table: str | Path) -> Model:
    """Return the model with the pins that its table was made with, if the lock agrees with it.

    A lock file that agrees with the tables so changes no job's parameters: nothing is made again.
    """
    if not model.locked or not Path(table).exists():
        return model
    try:
        metadata = metadata_of(table)
    except (OSError, pa.ArrowException):
        return model
    pins = {known: getattr(model, asked) for known, asked in PINS.items()}
    if any(pin and metadata.get(known) != pin for known, pin in pins.items()):
        return model
    return replace(
        model, **{asked: metadata.get("asked", {}).get(asked) for asked in PINS.values()}
    )

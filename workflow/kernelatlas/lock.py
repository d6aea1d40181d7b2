"""The lock file of a zoo: which commits its kernel tables were read from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.files import metadata_of, whole
from kernelatlas.zoo import Model

HEADER = """\
# Written by `snakemake lock`: the commit that each kernel table was read from (of an address,
# which has none, the file's ETag). Models listed here are read as they were then. To take newer
# files, remove their lines, or this file.
"""


def write_lock(path: str | Path, tables: Sequence[str | Path]) -> None:
    """Write the commits and ETags in the metadata of kernel tables.

    Raises
    ------
    KernelAtlasError
        If none of the tables was read from a hub or an address that tells them.
    """
    pins: dict[str, dict[str, str]] = {}
    for table in sorted(map(Path, tables)):
        metadata = metadata_of(table)
        if metadata.get("commit"):
            pins[table.stem] = {"revision": metadata["commit"]}
        elif metadata.get("etag"):
            pins[table.stem] = {"etag": metadata["etag"]}
    if not pins:
        raise KernelAtlasError(f"{path}: nothing to lock: no model of the zoo comes from a hub")
    with whole(path) as partial:
        partial.write_text(HEADER + yaml.safe_dump(pins))


def settled(model: Model, table: str | Path) -> Model:
    """Return the model as its table was asked for, if that is what the lock file says.

    So a lock changes no job's parameters, and makes nothing again, where it agrees with what
    is there.
    """
    if not model.locked or not Path(table).exists():
        return model
    try:
        metadata = metadata_of(table)
    except (OSError, pa.ArrowException):
        return model
    found = metadata.get("commit") if model.revision else metadata.get("etag")
    if found != (model.revision or model.etag):
        return model
    asked = metadata.get("asked", {})
    return replace(model, revision=asked.get("revision"), etag=asked.get("etag"))

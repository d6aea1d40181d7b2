"""Write files that are either complete or absent, with equal bytes for equal content."""

import contextlib
import csv
import errno
import glob
import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from kernelatlas.errors import KernelAtlasError

if TYPE_CHECKING:  # extraction does without pandas: half a second and 40 MiB a process
    import pandas as pd

SCHEMA_VERSION = 3  # of tables; results/README.md describes the columns
LABELS_VERSION = 4  # of label tables, of tables that count labels, and of releases
FIRST_VERSION = 1  # of those that have not changed since: corpora, the registry, some tables
LEVEL = 3  # of compression
# This machine, in the names of partial files: process numbers are only valid on one machine.
NODE = f"{zlib.crc32(os.uname().nodename.encode()):08x}"
ABANDONED = 86_400  # seconds after which an unchanged partial file of another machine is removed


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a partial file, which becomes `path` if the block succeeds.

    If the block raises, the partial file is removed, and `path` stays as it was.

    Raises
    ------
    KernelAtlasError
        If the disk is full or the folder cannot be written.
    """
    target = Path(path)
    # The suffix stays last: some writers choose the format by the suffix.
    partial = target.with_name(f".partial-{NODE}-{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        yield partial
        os.replace(partial, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise KernelAtlasError(
                f"{target}: no space left on the disk: free some and run again; "
                "finished files are kept"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise KernelAtlasError(
                f"{target}: cannot be written ({error.strerror}): check the folder's permissions"
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _remove_abandoned(target: Path) -> None:
    """Remove the partial files that killed jobs left; those of running jobs stay."""
    name = re.compile(rf"\.partial-([0-9a-f]{{8}})-([0-9]+)-{re.escape(target.name)}")
    for path in target.parent.glob(f".partial-*-{glob.escape(target.name)}"):
        if match := name.fullmatch(path.name):
            with contextlib.suppress(OSError):
                if match[1] == NODE:
                    abandoned = not _is_running(int(match[2]))
                else:
                    abandoned = time.time() - path.lstat().st_mtime > ABANDONED
                if abandoned:
                    path.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 only checks
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # the process of another user
    return True


def keep_only(kept: Collection[Path], path: Path) -> None:
    """Remove a file, or all of a folder, but for some files and the folders that have them."""
    if path.is_dir() and not path.is_symlink():
        for inside in list(path.iterdir()):
            keep_only(kept, inside)
        if not any(path.iterdir()):
            path.rmdir()
    elif path not in kept:
        path.unlink(missing_ok=True)


def remembered(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `remember` wrote; nothing if it is not there or damaged."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write as JSON what can be computed again, if it can be written."""
    with contextlib.suppress(OSError, KernelAtlasError), whole(path) as partial:
        partial.write_text(json.dumps(content))


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 digest of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def metadata_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the project's metadata of a Parquet file written by `write_parquet`."""
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(b"kernelatlas", b"{}"))


def write_parquet(
    table: pa.Table,
    path: str | os.PathLike[str],
    metadata: dict[str, Any] | None = None,
    level: int = LEVEL,
) -> None:
    """Write a table with sorted JSON metadata under the key `kernelatlas`."""
    write_row_groups([table], table.schema, path, metadata, level)


def write_row_groups(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    path: str | os.PathLike[str],
    metadata: dict[str, Any] | None = None,
    level: int = LEVEL,
) -> None:
    """Write several tables to one file like `write_parquet`, each as one row group."""
    content = {"schema_version": SCHEMA_VERSION, **(metadata or {})}
    schema = schema.with_metadata({"kernelatlas": json.dumps(content, sort_keys=True)})
    # Dictionaries of floating-point values would only make the file larger. Of such values first
    # bytes, which are alike, stand together. Channels count up: their differences are one.
    encodings = {name: "BYTE_STREAM_SPLIT" for field in schema for name in _floating(field)}
    counting = [field for field in schema if field.name == "channel"]
    encodings |= {f.name: "DELTA_BINARY_PACKED" for f in counting if pa.types.is_integer(f.type)}
    names = [f.name for f in schema if f.name not in encodings and not _is_numeric(f.type)]
    # The buffers of a page take most of the memory of writing: keep pages small.
    options = {"compression": "zstd", "compression_level": level, "data_page_size": 1 << 17}
    options |= {"use_dictionary": names, "column_encoding": encodings}
    with whole(path) as partial, pq.ParquetWriter(partial, schema, **options) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(table.num_rows, 1))


def _is_numeric(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or hasattr(kind, "value_field")  # lists hold weights


def _floating(field: pa.Field) -> list[str]:
    """Return the Parquet column of a field of floating-point values or lists of them."""
    kind, name = field.type, field.name
    if hasattr(kind, "value_field"):
        kind, name = kind.value_type, f"{name}.list.element"
    return [name] if pa.types.is_floating(kind) else []


def write_frame(
    frame: "pd.DataFrame", *paths: str | os.PathLike[str], schema_version: int = SCHEMA_VERSION
) -> None:
    """Write a table to each path, as Parquet or CSV by the suffix.

    In CSV, lists are JSON texts, missing lists are empty, and floats have nine significant
    digits, which identify every float32.
    """
    for path in map(Path, paths):
        if path.suffix == ".parquet":
            table = pa.Table.from_pandas(frame, preserve_index=False)
            write_parquet(table, path, {"schema_version": schema_version})
        else:
            flat = frame.copy()
            for column in flat.columns:
                if flat[column].map(_is_list).any():
                    flat[column] = flat[column].map(_as_json)
            with whole(path) as partial:
                flat.to_csv(partial, index=False, float_format="%.9g", quoting=csv.QUOTE_MINIMAL)


def write_tables(
    outputs: Any, *, schema_version: int = SCHEMA_VERSION, **frames: "pd.DataFrame"
) -> None:
    """Write each table to the outputs of a rule called like it: {name} and {name}_csv."""
    for name, frame in frames.items():
        paths = getattr(outputs, name), getattr(outputs, f"{name}_csv")
        write_frame(frame, *paths, schema_version=schema_version)


def _is_list(value: Any) -> bool:
    return getattr(value, "ndim", 0) > 0  # 0 for NumPy's scalars


def _as_json(values: Any) -> str:
    return json.dumps([float(x) for x in values] if _is_list(values) else [])

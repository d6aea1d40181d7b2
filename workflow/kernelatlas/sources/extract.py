"""The kernel table of a model whose weights are in a file, on a hub or at an address."""

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Read when pyarrow is imported; its own pool keeps 20 MiB of what it needs for a moment.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import pyarrow as pa

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.digests import digest_of
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.fused import fuse
from kernelatlas.sources.packages import Packaged, checked_path, license_of
from kernelatlas.sources.registry import conform, expected_layers
from kernelatlas.sources.source import DEFAULT, Options, Reading

DOUBT = (
    "%s: %d of %d layers may not be depthwise (%s): a first layer for images of one channel and a "
    "transposed convolution to one channel have weights of the same shape. They stay in the table "
    "as `inferred`, and are left out of corpora and of the choice of kernel sizes. If the network "
    "is one of timm's, name its `architecture:` in the zoo; if all are depthwise, write "
    "`depthwise: true`"
)
NAMED = 3  # layers in a message
EMPTY = 16_384  # bytes; a kernel table without rows is smaller, most others are larger

log = logging.getLogger(__name__)


def extract(
    output: str | Path,
    model: str,
    file: str | Path | None = None,
    remote: dict[str, Any] | None = None,
    packaged: Packaged | None = None,
    architecture: str | None = None,
    options: Options = DEFAULT,
    skip: bool = False,
) -> str | None:
    """Write the kernel table of one model.

    Parameters
    ----------
    file, remote, packaged
        One of them: a checkpoint's path, what `kernelatlas.sources.zoo.Model.remote` says, or a
        file of an installed package.
    architecture
        Of timm, whose layers the checkpoint must have; known are then their order and strides.
    options
        What else the zoo says.
    skip
        Whether a checkpoint that cannot be read is no error: its table then has no rows, and the
        reason in its metadata.

    Returns
    -------
    str, or None
        Why the checkpoint could not be read.

    Raises
    ------
    KernelAtlasError
        As the readers of checkpoints, hubs and the registry, if it is not skipped; if the disk is
        full, which is no fault of the checkpoint, in any case.
    """
    try:
        layers, metadata = _read(model, file, remote, packaged, architecture, options)
    except KernelAtlasError as error:
        if not skip or getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        reason = " ".join(str(error).split())
        write_kernels(output, model, [], {"skipped": reason, "version": __version__})
        return reason
    _warn(model, layers)
    write_kernels(output, model, _drained(layers), metadata)
    return None


def left_out(folder: str | Path, models: Iterable[str]) -> dict[str, str]:
    """Return why models were left out, by name, as their kernel tables say."""
    found = {}
    for model in models:
        path = Path(folder) / f"{model}.parquet"
        with contextlib.suppress(OSError, pa.ArrowException):
            if path.stat().st_size < EMPTY and (reason := metadata_of(path).get("skipped")):
                found[model] = reason
    return found


def _read(
    model: str,
    file: str | Path | None,
    remote: dict[str, Any] | None,
    packaged: Packaged | None,
    architecture: str | None,
    options: Options,
) -> tuple[list[Layer], dict[str, Any]]:
    """Return the layers of a model, and the metadata of its kernel table."""
    if architecture is not None:
        options = replace(options, depthwise=False)  # the architecture tells
    if file is not None:
        reading = read_depthwise(file, options)
        files = [Path(file), *(Path(file).with_name(name) for name in reading.shards)]
        origin = {"source": Path(file).name, "sha256": digest_of(files)}
    elif packaged is not None:
        reading, origin = _read_packaged(model, packaged, options)
    else:
        reading, origin = _read_remote(model, remote or {}, options)
    sizes = {"bytes": reading.size, "bytes_read": reading.bytes_read}
    layers, rows = reading.layers, None
    stored = {id(layer.weights): layer.name for layer in layers}
    if architecture is not None:
        layers = conform(model, layers, architecture, reading.shapes)
        rows = expected_layers(architecture)
    folded = {}
    if reading.parts is not None:
        names = [stored[id(layer.weights)] for layer in layers]
        fused = fuse(model, layers, names, reading.parts, rows)
        layers = fused.layers
        folded = {"fused": True, "folded": fused.folded, "eps_assumed": fused.eps_assumed}
    return layers, {**origin, **sizes, **folded, "version": __version__}


def _warn(model: str, layers: Sequence[Layer]) -> None:
    """Say once which layers are perhaps not depthwise."""
    doubtful = [layer for layer in layers if layer.inferred]
    if doubtful:
        named = [
            f"'{layer.name}', {'×'.join(map(str, layer.weights.shape))}"
            for layer in doubtful[:NAMED]
        ]
        more = ["…"] if len(doubtful) > NAMED else []
        log.warning(DOUBT, model, len(doubtful), len(layers), "; ".join(named + more))


def _drained(layers: list[Layer]) -> Iterator[Layer]:
    """Yield the layers, and free the memory of each when the next is asked for."""
    layers.reverse()
    while layers:
        yield layers.pop()


def _read_packaged(
    model: str, packaged: Packaged, options: Options
) -> tuple[Reading, dict[str, Any]]:
    path, digest = checked_path(model, packaged)
    origin = {
        "source": f"{packaged.package} {packaged.version}: {packaged.file}",
        "license": license_of(packaged.package),
        "sha256": digest,
    }
    return read_depthwise(path, options), origin


def _read_remote(
    model: str, remote: dict[str, Any], options: Options
) -> tuple[Reading, dict[str, Any]]:
    # Local files need no client of a hub: a quarter of a second.
    from kernelatlas.sources.hub import FILENAMES, read_hub, read_url

    if "hub" in remote:
        filenames = remote.get("filenames") or FILENAMES
        found = read_hub(model, remote["hub"], filenames, remote.get("revision"), options)
    else:
        found = read_url(model, remote["url"], remote.get("sha256"), options)
    locked, etag = remote.get("etag"), found.origin.get("etag")
    if locked and etag and etag != locked:
        raise KernelAtlasError(
            f"{model}: {found.origin['source']} is no longer the file that was locked (ETag "
            f"{etag}, not {locked}): remove the model from the lock file to take the new one"
        )
    asked = {key: remote[key] for key in ("revision", "etag", "sha256") if key in remote}
    return found.reading, {**found.origin, "asked": asked}

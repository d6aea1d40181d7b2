"""All weights of a model of the zoo, as its kernel table was read."""

from pathlib import Path
from typing import Any

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.checkpoints import read_whole
from kernelatlas.sources.packages import Packaged, checked_path
from kernelatlas.sources.source import Options, Tensors


def read_weights(
    model: str,
    kernels: str | Path,
    file: str | Path | None = None,
    remote: dict[str, Any] | None = None,
    packaged: Packaged | None = None,
    key: str | None = None,
) -> Tensors:
    """Read all tensors of a model's checkpoint, of the commit of its kernel table.

    A checkpoint of a hub is downloaded into the hub's local cache, one at an address for the
    moment.

    Parameters
    ----------
    kernels
        The model's kernel table.
    file, remote, packaged
        As for `kernelatlas.sources.extract.extract`.
    key
        As in `kernelatlas.sources.source.Options`.

    Raises
    ------
    KernelAtlasError
        As the readers of checkpoints and hubs.
    NoStateDictError
        If the checkpoint has no state dict of PyTorch.
    """
    options = Options(key=key, whole=True)
    if file is not None:
        return read_whole(file, options)
    if packaged is not None:
        return read_whole(checked_path(model, packaged)[0], options)
    if not remote:
        raise KernelAtlasError(f"{model}: an untrained control has no checkpoint: name another")
    # Local files need no client of a hub.
    from kernelatlas.sources.hub import FILENAMES, read_hub_whole, read_url_whole

    if "hub" in remote:
        filenames = remote.get("filenames") or FILENAMES
        revision = metadata_of(kernels).get("commit") or remote.get("revision")
        return read_hub_whole(model, remote["hub"], filenames, revision, options).reading
    return read_url_whole(model, remote["url"], remote.get("sha256"), options).reading

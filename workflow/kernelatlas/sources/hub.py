"""Checkpoints from a hub's repository or from any URL: from the hub's cache, in ranges, or whole.

HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE and the usual proxy variables are
obeyed, because huggingface_hub obeys them. A token is sent to the hub's origin only.
"""

import contextlib
import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2
from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import get_hf_file_metadata
from huggingface_hub.utils import build_hf_headers

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.progress import Progress
from kernelatlas.sources.checkpoints import read_layers, read_shard, read_tensors
from kernelatlas.sources.ranges import (
    BROKEN,
    HEADERS,
    PAUSES,
    Location,
    RangesIgnoredError,
    RangeSource,
    UnsendableError,
    brief,
    chunks,
    public,
    sending,
    stream,
    use_limited_client,
)
from kernelatlas.sources.source import (
    DEFAULT,
    LocalSource,
    Options,
    Reading,
    Shard,
    Source,
    Tensors,
)

FILENAMES = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
LIBRARY: Any = {"library_name": "kernelatlas", "library_version": __version__}

UNSENDABLE = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
MOVED = "%s: %d bytes moved of %d in %d requests"

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Remote(Generic[T]):
    """What was read, and its origin.

    Attributes
    ----------
    reading
        A checkpoint, or one of its shards.
    origin
        Metadata of its table: source, commit, etag.
    """

    reading: T
    origin: dict[str, Any]


def read_hub(
    model: str,
    repo: str,
    filenames: Sequence[str] = FILENAMES,
    revision: str | None = None,
    options: Options = DEFAULT,
) -> Remote[Reading]:
    """Read the depthwise layers of a checkpoint in a hub's repository.

    The hub's local cache comes first, and is the only source in offline mode.

    Parameters
    ----------
    model
        Its name, for messages.
    filenames
        Names of files; the first that the repository has is read.
    revision
        A commit, branch or tag; the default is `main` as it is now, or was when it was cached.

    Raises
    ------
    KernelAtlasError
        Naming the model, the repository and the remedy.
    """
    return _read_hub(model, repo, filenames, revision, partial(read_layers, options=options))


def read_hub_whole(
    model: str, repo: str, filenames: Sequence[str], revision: str | None, options: Options
) -> Remote[Tensors]:
    """Download a checkpoint into the hub's local cache, and read all its tensors.

    Parameters and errors are those of `read_hub`, and of
    `kernelatlas.sources.checkpoints.read_tensors`.
    """
    read = partial(read_tensors, options=options)
    return _read_hub(model, repo, filenames, revision, read, whole=True)


def _read_hub(
    model: str,
    repo: str,
    filenames: Sequence[str],
    revision: str | None,
    read: Callable[[Source], T],
    whole: bool = False,
) -> Remote[T]:
    use_limited_client()
    with _explained(f"{model}: {repo} in the hub's cache", repo):
        for name in filenames:
            found = _cached(repo, name, revision)
            if found is not None:
                return _read_cached(model, repo, name, found, read)
    if constants.is_offline_mode():
        raise KernelAtlasError(
            f"{model}: {repo} is not in the hub's cache and HF_HUB_OFFLINE is set: unset it, or "
            f"run `hf download {repo} {filenames[0]}` where there is a network"
        )
    for name in filenames:
        try:
            return _read_repository(model, repo, name, revision, read, whole)
        except RemoteEntryNotFoundError:
            continue
    raise KernelAtlasError(
        f"{model}: the repository {repo} has no {' nor '.join(filenames)}: "
        f"name its checkpoint in the zoo, {{name: {model}, hub: {repo}, filename: …}}"
    )


def _cached(repo: str, filename: str, revision: str | None) -> Path | None:
    with sending():
        path = try_to_load_from_cache(repo, filename, revision=revision)
    return Path(path) if isinstance(path, str) else None


def _read_cached(
    model: str, repo: str, filename: str, path: Path, read: Callable[[Source], T]
) -> Remote[T]:
    # The cache's layout: snapshots/<commit>/<filename>, a link to blobs/<etag>.
    commit = path.parts[-1 - len(Path(filename).parts)]
    etag = os.path.basename(os.readlink(path)) if path.is_symlink() else None
    log.info("%s: read from the hub's cache, %s", model, filename)
    label = f"{model}: {repo}/{filename} in the hub's cache"
    sibling = partial(_read_shard, model, repo, filename, commit)
    with path.open("rb") as file:
        reading = read(LocalSource(file, label, sibling))
    return Remote(reading, _origin(f"{repo}/{filename}", commit, etag))


def _origin(source: str, commit: str | None, etag: str | None) -> dict[str, Any]:
    return {"source": source, "commit": commit, "etag": etag}


def _read_shard(
    model: str, repo: str, index: str, commit: str | None, name: str, options: Options
) -> Shard:
    filename = str(Path(index).parent / name)
    read = partial(read_shard, options=options)
    found = _cached(repo, filename, commit)
    if found is not None:
        return _read_cached(model, repo, filename, found, read).reading
    try:
        return _read_repository(model, repo, filename, commit, read, options.whole).reading
    except RemoteEntryNotFoundError as error:
        raise KernelAtlasError(
            f"{model}: the repository {repo} has no {filename}, which its index names: "
            "report it to the repository's owner"
        ) from error


def _read_repository(
    model: str,
    repo: str,
    filename: str,
    revision: str | None,
    read: Callable[[Source], T],
    whole: bool,
) -> Remote[T]:
    label = f"{model}: {repo}/{filename}"
    pinned = revision

    def locate() -> Location:
        nonlocal pinned
        with sending():
            found = _locate(repo, filename, pinned)
        pinned = found.commit or pinned  # all requests must be for one commit
        return found

    def sibling(name: str, options: Options) -> Shard:
        return _read_shard(model, repo, filename, pinned, name, options)

    with _explained(label, repo, revision):
        try:
            if whole:
                raise RangesIgnoredError("all of it is needed")
            source = RangeSource(label, locate, sibling)
            reading = read(source)
            log.info(MOVED, label, source.moved, source.size, source.requests)
            found = source.location
            return Remote(reading, _origin(f"{repo}/{filename}", found.commit, found.etag))
        except RangesIgnoredError as reason:
            log.info("%s: %s; downloading it whole into the hub's cache", label, reason)
        # By revision, not by commit, so that the cache keeps what `main` was.
        told = {"tqdm_class": _Downloaded, **LIBRARY}
        download = partial(hf_hub_download, repo, filename, revision=revision, **told)
        path = Path(_patiently(label, download))
        return _read_cached(model, repo, filename, path, read)


def _locate(repo: str, filename: str, revision: str | None) -> Location:
    url = hf_hub_url(repo, filename, revision=revision)
    found = get_hf_file_metadata(
        url, timeout=constants.HF_HUB_ETAG_TIMEOUT, retry_on_errors=True, **LIBRARY
    )
    location = urljoin(url, found.location)
    ours = urlsplit(location)[:2] == urlsplit(constants.ENDPOINT)[:2]
    authorization = {
        name: value
        for name, value in build_hf_headers(**LIBRARY).items()
        if ours and name.lower() == "authorization"
    }
    return Location(
        location, authorization, found.size, found.etag, found.commit_hash, signed=not ours
    )


def read_url(
    model: str, url: str, sha256: str | None = None, options: Options = DEFAULT
) -> Remote[Reading]:
    """Read the depthwise layers of a checkpoint at a URL.

    Parameters
    ----------
    model
        Its name, for messages.
    sha256
        Digest that the file must have; it is downloaded whole, checked, read and removed.

    Raises
    ------
    KernelAtlasError
        Naming the model, the URL and the remedy.
    """
    return _read_address(model, url, sha256, partial(read_layers, options=options))


def read_url_whole(model: str, url: str, sha256: str | None, options: Options) -> Remote[Tensors]:
    """Download a checkpoint at a URL, read all its tensors, and remove it.

    Parameters and errors are those of `read_url`, and of
    `kernelatlas.sources.checkpoints.read_tensors`.
    """
    return _read_address(model, url, sha256, partial(read_tensors, options=options), whole=True)


def _read_address(
    model: str, url: str, sha256: str | None, read: Callable[[Source], T], whole: bool = False
) -> Remote[T]:
    use_limited_client()
    label = f"{model}: {public(url)}"

    def sibling(name: str, options: Options) -> Shard:
        if sha256 is not None:
            raise KernelAtlasError(
                f"{label}: is an index of shards, which its SHA-256 does not cover: remove `sha256`"
            )
        read = partial(read_shard, options=options)
        return _read_address(model, urljoin(url, name), None, read, options.whole).reading

    with _explained(label):
        if sha256 is None and not whole:
            try:
                source = RangeSource(label, lambda: Location(url), sibling)
                reading = read(source)
                log.info(MOVED, label, source.moved, source.size, source.requests)
                return Remote(reading, _origin(public(url), None, source.etag))
            except RangesIgnoredError as reason:
                log.info("%s: %s; downloading it whole", label, reason)
        with tempfile.TemporaryFile() as file:
            _patiently(label, partial(_download, url, file))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 is not None and digest != sha256:
                raise KernelAtlasError(
                    f"{label}: has the SHA-256 {digest}, the zoo or its lock file says {sha256}: "
                    "check `url` and `sha256`; the file was not used"
                )
            reading = read(LocalSource(file, label, sibling))
    return Remote(reading, {**_origin(public(url), None, None), "sha256": digest})


class _Downloaded(Progress):
    """Progress of a download, as huggingface_hub makes and updates bars of tqdm."""

    def __init__(self, *, desc: str, total: int | None, initial: int = 0, **_: Any) -> None:
        super().__init__(desc, (total or 0) / 1e6, "MB")
        self.done = self.known = initial / 1e6

    def update(self, n: float) -> None:
        """Count bytes."""
        self.advance(n / 1e6)


def _download(url: str, file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
    with stream(url, HEADERS, retry_on_status_codes=(408, 429)) as response:
        response.raise_for_status()
        announced = response.headers.get("content-length", "")
        size = int(announced) if announced.isdecimal() else 0
        with Progress(public(url), size / 1e6, "MB") as progress:
            for chunk in chunks(response.iter_bytes()):
                file.write(chunk)
                progress.advance(len(chunk) / 1e6)


def _patiently(label: str, download: Callable[[], T]) -> T:
    """Repeat a download that huggingface_hub gives up, after a 503 in the middle of it."""
    for pause in PAUSES:
        try:
            with sending():
                return download()
        except (HfHubHTTPError, httpx2.HTTPStatusError, *BROKEN) as error:
            response = getattr(error, "response", None)
            if response is not None and response.status_code < 500:
                raise
            trouble = brief(error) if response is None else f"answers {response.status_code}"
            log.warning("%s: %s; trying again in %d s", label, trouble, pause)
            time.sleep(pause)
    with sending():
        return download()


@contextlib.contextmanager
def _explained(label: str, repo: str = "", revision: str | None = None) -> Iterator[None]:
    """Raise what fails between this machine and a server as one line with a remedy."""
    try:
        yield
        return
    except KernelAtlasError:
        raise
    except OfflineModeIsEnabled as error:
        cause: Exception = error
        found = "HF_HUB_OFFLINE is set: unset it, or download the file and name it with `file:`"
    except (HfHubHTTPError, httpx2.HTTPStatusError) as error:
        if repo and isinstance(error, RemoteEntryNotFoundError):
            raise
        cause, found = error, _answered(error, repo, revision)
    except (UnsendableError, httpx2.InvalidURL, *UNSENDABLE) as error:
        cause = error
        told = str(error) if isinstance(error, UnsendableError) else brief(error)
        found = (
            f"cannot be asked for ({told}): check its entry in the zoo, HF_ENDPOINT, "
            "HF_TOKEN and the proxy's variables"
        )
    except (httpx2.HTTPError, LocalEntryNotFoundError) as error:
        cause = error
        found = (
            f"the server cannot be reached ({brief(error)}): check the network, the proxy and "
            "HF_ENDPOINT, and run again"
        )
    except OSError as error:
        cause, found = error, _failed(error)
    raise KernelAtlasError(f"{label}: {found}") from cause


def _answered(
    error: HfHubHTTPError | httpx2.HTTPStatusError, repo: str, revision: str | None
) -> str:
    if repo and isinstance(error, RevisionNotFoundError):
        return (
            f"the repository {repo} has no revision '{revision}': check `revision` in the zoo, or "
            "remove the model from the lock file"
        )
    if repo and isinstance(error, GatedRepoError):
        return (
            f"the repository {repo} is gated: accept its conditions on its page and set HF_TOKEN "
            "to a token of yours"
        )
    if repo and isinstance(error, RepositoryNotFoundError):
        return (
            f"there is no repository {repo}, or it is private: check its name, or set HF_TOKEN to "
            "a token that may read it"
        )
    status = error.response.status_code
    remedies = {429: "too many requests: run again later, or with fewer jobs"}
    if repo:
        remedies[401] = "set HF_TOKEN to a valid token, or unset a wrong one"
        remedies[403] = "check that the token gives access"
    else:
        remedies[401] = remedies[403] = "download the file yourself and name it with `file:`"
    remedy = remedies.get(status, "run again later" if status >= 500 else "check the address")
    return f"{public(str(error.response.url))} answers {status}: {remedy}"


def _failed(error: OSError) -> str:
    if error.errno is None:  # of huggingface_hub; its text has a part of a signed URL
        return "the download failed or is not as long as announced: run again"
    where = f": {error.filename}" if error.filename else ""
    remedy = "check HF_HOME, TMPDIR and SSL_CERT_FILE, and run again"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space, or set HF_HOME (TMPDIR for addresses) to a larger disk"
    return f"a file cannot be read or written ({error.strerror}{where}): {remedy}"

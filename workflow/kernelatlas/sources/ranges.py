"""A file at a server, of which only the parts that are needed are moved.

Requests go through the client of huggingface_hub: its proxies, its offline mode and its
retries of busy servers (408, 429, 5xx) hold here too. What servers say is not believed
before it is checked: a wrong range would silently be a wrong kernel.
"""

import contextlib
import functools
import logging
import mmap
import os
import re
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import numpy as np
from huggingface_hub import constants, set_client_factory
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import disable_progress_bars, http_stream_backoff
from huggingface_hub.utils import logging as hub_logging

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.progress import Progress
from kernelatlas.sources.source import Damaged, Options, Shard, Source

HEAD = 128 << 10  # bytes of the first request: nearly always the whole safetensors header
GAP = 128 << 10  # bytes between two ranges that cost less than another request
UNPLANNED_LIMIT = 200_000_000  # bytes of a file besides weights: headers, tables, a pickle
MAPS_LIMIT = 256  # each keeps a file descriptor
THREADS = 8
ATTEMPTS = 6  # of one range, with PAUSES between them
PAUSES = (1, 2, 4, 8, 8)  # seconds
LONGEST_WAIT = 60  # seconds, whatever Retry-After asks for
PATIENCE, SLOWEST = 30, 1 << 10  # seconds after which a body needs so many bytes a second
ERROR_LIMIT = 64 << 10  # bytes of an error's text that are read, to keep the connection
RENEWALS = 3  # of an expired signed URL, for one file
EXPIRED = (400, 401, 403)  # what storages answer to an old signature

# Not those of huggingface_hub, which asks the hub for a list before it makes them.
HEADERS = {
    "User-Agent": f"kernelatlas/{__version__}",
    "Accept-Encoding": "identity",  # a CDN may ignore ranges of what it compresses
}
BROKEN = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
RATE_LIMIT = re.compile(r'"\w+"\s*;\s*r\s*=\s*0+\s*;\s*t\s*=\s*(\d+)', re.ASCII)

log = logging.getLogger(__name__)


class RangesIgnoredError(Exception):
    """The file can only be had as a whole, because of the server or of its format."""


class UnsendableError(Exception):
    """A request cannot be made: the address, a header or the client's settings are not valid."""


@dataclass(frozen=True)
class Location:
    """Where a file's bytes are.

    Attributes
    ----------
    url, headers
        Of the request; an authorization is among the headers for the hub's origin only.
    size, etag, commit
        The file's, as far as the hub tells; else None.
    signed
        Whether the URL is valid for a limited time.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    size: int | None = None
    etag: str | None = None
    commit: str | None = None
    signed: bool = False


@contextlib.contextmanager
def stream(url: str, headers: dict[str, str], **options: Any) -> Iterator[httpx2.Response]:
    """Yield the answer to a request, before its body is read. Broken lines are not mended here."""
    with contextlib.ExitStack() as stack:
        with sending():
            answer = http_stream_backoff(
                "GET",
                url,
                headers=headers,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
                retry_on_exceptions=(),
                **options,
            )
            response = stack.enter_context(answer)
        yield response


def chunks(body: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a body's chunks; only errors of receiving them are seen by `sending`."""
    with sending():
        yield from body


def public(url: str) -> str:
    """Return a URL without user, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is not valid"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def brief(error: Exception) -> str:
    """Return an error's type and text in one line, without secrets."""
    if isinstance(error, httpx2.LocalProtocolError):
        return type(error).__name__  # its text quotes the header, perhaps the token
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return re.sub(r"https?://[^\s'\"]+", lambda match: public(match[0]), text)[:200]


@contextlib.contextmanager
def sending() -> Iterator[None]:
    """Give errors of the libraries that make a request a type that only they have.

    They raise ValueError and RuntimeError, which elsewhere are faults of this program.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        raise UnsendableError(brief(error)) from error
    except RuntimeError as error:  # a client that was closed meanwhile
        raise httpx2.NetworkError(brief(error)) from error


@functools.cache
def use_limited_client() -> None:
    """Make huggingface_hub use a client that limits waiting times, and reports them in our log."""
    set_client_factory(_client)
    disable_progress_bars()
    # Both would write signed URLs into the log.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    hub_logging.set_verbosity_error()


def _client() -> httpx2.Client:
    # As huggingface_hub's own; every request has a timeout of its own.
    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [_refuse_offline],
        "response": [_limit],
    }
    client = httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=None)
    # No cookies: an odd one would spoil all later requests.
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return client


def _refuse_offline(request: httpx2.Request) -> None:
    if constants.is_offline_mode():
        raise OfflineModeIsEnabled(f"{public(str(request.url))}: HF_HUB_OFFLINE is set")


class _Steady(httpx2.SyncByteStream):
    """A body with a lowest speed; a timeout alone only ends silence."""

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        begin, count = time.monotonic(), 0
        for chunk in self._stream:
            yield chunk
            count += len(chunk)
            elapsed = time.monotonic() - begin
            if elapsed > PATIENCE and count < elapsed * SLOWEST:
                raise httpx2.ReadTimeout(f"only {count} bytes in {elapsed:.0f} s")

    def close(self) -> None:
        self._stream.close()


def _limit(response: httpx2.Response) -> None:
    """Limit what an answer can make huggingface_hub do: wait, read, leave TLS."""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    stream = _Steady(response.stream)
    response.stream = stream if response.is_success else _emptied(stream)
    if response.has_redirect_location:
        target = response.headers["location"].lower()
        if response.request.url.scheme == "https" and target.startswith("http:"):
            raise httpx2.UnsupportedProtocol("redirected from https to http")
    elif response.status_code in (408, 429) or response.status_code >= 500:
        _limit_wait(response)


def _emptied(stream: httpx2.SyncByteStream) -> httpx2.ByteStream:
    """Drop an error's text: huggingface_hub would read all of it, and fail with some."""
    size = 0
    for chunk in stream:  # to its end if that is near: the connection can be used again
        size += len(chunk)
        if size > ERROR_LIMIT:
            break
    stream.close()
    return httpx2.ByteStream(b"")


def _limit_wait(response: httpx2.Response) -> None:
    """Limit the time that a busy server asks to wait, in the headers that huggingface_hub obeys."""
    headers = response.headers
    limit = RATE_LIMIT.search(headers.get("ratelimit", ""))
    told = limit[1] if limit and response.status_code == 429 else headers.get("retry-after", "")
    told = told.strip()
    for name in ("ratelimit", "ratelimit-policy", "retry-after"):
        headers.pop(name, None)
    asks = ""
    if told.isascii() and told.isdigit():
        seconds = int(told.lstrip("0")[:9] or 0)
        asks = f", asks to wait {seconds} s"
        if seconds >= LONGEST_WAIT:
            asks += f", waiting {LONGEST_WAIT} s"
        headers["retry-after"] = str(min(seconds, LONGEST_WAIT - 1))  # it adds a second
    log.warning("%s answers %d%s", public(str(response.url)), response.status_code, asks)


class _Store:
    """A temporary file for large ranges, so that memory need hold only one at a time."""

    def __init__(self) -> None:
        self._lock, self._used, self._maps = threading.Lock(), 0, 0
        self._file: IO[bytes] | None = None

    def reserve(self, count: int) -> tuple[int | None, int]:
        """Return a descriptor of the file and an offset in it; None for a range in memory."""
        page = mmap.ALLOCATIONGRANULARITY
        with self._lock:
            if count <= GAP or self._maps == MAPS_LIMIT:
                return None, 0
            try:
                self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115
            except OSError:
                return None, 0
            begin, self._used = self._used, self._used + -(-count // page) * page
            self._maps += 1
            return self._file.fileno(), begin


class _Part:
    """A range and what has been received of it. A size is a claim: space is taken as it fills."""

    def __init__(self, begin: int, stop: int, store: _Store) -> None:
        self.begin, self.length, self.filled = begin, stop - begin, 0
        self._file, self._offset = store.reserve(self.length)
        self._memory = memoryview(np.empty(self.length if self._file is None else 0, np.uint8))

    def fill(self, chunk: bytes) -> None:
        if self._file is None:
            self._memory[self.filled : self.filled + len(chunk)] = chunk
            self.filled += len(chunk)
        while chunk and self._file is not None:
            written = os.pwrite(self._file, chunk, self._offset + self.filled)
            self.filled, chunk = self.filled + written, chunk[written:]

    def cut(self, stop: int) -> None:
        self.length = min(self.length, max(stop - self.begin, 0))

    @property
    def data(self) -> memoryview:
        if self._file is None or not self.length:
            return self._memory[: self.length]
        arguments = {"access": mmap.ACCESS_READ, "offset": self._offset}
        return memoryview(mmap.mmap(self._file, self.length, **arguments))


class RangeSource(Source):
    """A checkpoint at a server; the first `HEAD` bytes are read at once.

    Parameters
    ----------
    locate
        Returns where the file is; called again when a signed URL has expired.

    Raises
    ------
    RangesIgnoredError
        If the server does not answer a range with this range.
    KernelAtlasError
        If the server contradicts itself or stays out of reach.
    """

    again = "run again; if it stays so, the file at the server is damaged: report it there"

    def __init__(
        self,
        label: str,
        locate: Callable[[], Location],
        sibling: Callable[[str, Options], Shard],
    ) -> None:
        super().__init__(label, 0, sibling)
        use_limited_client()
        self._locate, self._lock, self._renewing = locate, threading.Lock(), threading.Lock()
        self._renewals = self.moved = self.requests = self._unplanned = 0
        self._store = _Store()
        self.etag: str | None = None
        self.location = locate()
        self.total = self.location.size
        head = self._range(0, HEAD) if self.total != 0 else memoryview(b"")
        self.size = self.end = self.limit = len(head) if self.total is None else self.total
        self._segments = [(0, head)] if head else []

    def need_whole(self) -> None:
        raise RangesIgnoredError("the format cannot be read by ranges")

    def prefetch(self, spans: list[tuple[int, int]]) -> None:
        """Fetch the spans, near ones together, `THREADS` at a time."""
        missing = self._missing(spans)
        pool = ThreadPoolExecutor(THREADS)
        try:
            found = []
            size = sum(stop - begin for begin, stop in missing)
            with Progress(self.label, size / 1e6, "MB") as progress:
                for part in pool.map(lambda span: self._range(*span), missing):
                    found.append(part)
                    progress.advance(len(part) / 1e6)
        finally:
            pool.shutdown(cancel_futures=True)
        starts = [begin for begin, _ in missing]
        self._segments += zip(starts, found, strict=True)
        self._segments.sort(key=lambda segment: segment[0])

    def _missing(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the parts of sorted spans that no segment holds, near ones merged."""
        gaps: list[tuple[int, int]] = []
        for begin, stop in spans:
            stop = min(stop, self.size)
            for start, data in self._segments:
                if begin < start + len(data) and start < stop:
                    gaps += [(begin, start)] if begin < start else []
                    begin = start + len(data)
            gaps += [(begin, stop)] if begin < stop else []
        merged: list[tuple[int, int]] = []
        for begin, stop in gaps:
            if merged and begin <= merged[-1][1] + GAP:
                merged[-1] = merged[-1][0], max(merged[-1][1], stop)
            else:
                merged.append((begin, stop))
        return merged

    def fetch(self, begin: int, count: int) -> bytes:
        parts: list[memoryview] = []
        stop = min(begin + count, self.size)
        while begin < stop:
            at = bisect_right(self._segments, begin, key=lambda segment: segment[0]) - 1
            start, data = self._segments[at] if at >= 0 else (0, memoryview(b""))
            if begin >= start + len(data):
                self._read_unplanned(begin, stop)
                continue
            parts.append(data[begin - start : stop - start])
            begin += len(parts[-1])
            # A segment read to its end is freed; but a zip archive is read from its end.
            if begin == start + len(data) < self.size:
                del self._segments[at]
        return b"".join(parts)

    def view(self, begin: int, count: int) -> bytes | memoryview:
        at = bisect_right(self._segments, begin, key=lambda segment: segment[0]) - 1
        start, data = self._segments[at] if at >= 0 else (0, memoryview(b""))
        if begin + count > start + len(data):
            return super().view(begin, count)
        self.bytes_read += count
        if begin + count == start + len(data):
            del self._segments[at]
        return data[begin - start : begin - start + count]

    def _read_unplanned(self, begin: int, stop: int) -> None:
        """Fetch what was not announced: long headers, tables of contents, pickles."""
        following = bisect_right(self._segments, begin, key=lambda segment: segment[0])
        later = self._segments[following][0] if following < len(self._segments) else self.size
        stop = min(max(stop, begin + GAP), later)
        self._unplanned += stop - begin
        if self._unplanned > UNPLANNED_LIMIT:
            raise Damaged(f"{self._unplanned} bytes needed besides weights")
        self._segments.insert(following, (begin, self._range(begin, stop)))

    def _range(self, begin: int, stop: int) -> memoryview:
        """Return the bytes from begin to stop, or to the end of the file if it is earlier."""
        part = _Part(begin, stop, self._store)
        failures = 0
        while True:
            location, before = self.location, part.filled
            trouble = ""
            try:
                if not self._request(location, part):
                    continue
            except BROKEN as error:
                trouble = brief(error)
            if self.total is not None:
                part.cut(self.total)
            if part.filled == part.length:
                return part.data
            advanced = part.filled - before >= GAP
            failures = int(bool(trouble)) if advanced else failures + 1
            if not failures:
                continue  # a server may limit the length of its answers
            trouble = trouble or "sends less than it was asked for"
            if failures == ATTEMPTS:
                raise KernelAtlasError(
                    f"{self.label}: {public(location.url)} fails {ATTEMPTS} times "
                    f"({trouble}): check the network and the proxy, and run again"
                )
            pause = PAUSES[failures - 1]
            log.warning("%s: %s; trying again in %d s", self.label, trouble, pause)
            time.sleep(pause)

    def _request(self, location: Location, part: _Part) -> bool:
        """Fill in what the server sends of the rest. Return False if the URL had expired."""
        first, stop = part.begin + part.filled, part.begin + part.length
        with self._lock:
            self.requests += 1
        asked = {**HEADERS, **location.headers, "Range": f"bytes={first}-{stop - 1}"}
        with stream(location.url, asked) as response:
            if response.status_code in EXPIRED and self._renew(location):
                return False
            if response.status_code == 416:
                raise RangesIgnoredError("the server has no such range")
            response.raise_for_status()
            headers = response.headers
            if response.status_code != 206 or headers.get("content-encoding", "identity") != (
                "identity"
            ):
                raise RangesIgnoredError("the server ignores ranges")
            match = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
            if match is None:
                raise RangesIgnoredError("the server answers without a valid Content-Range")
            start, last, total = map(int, match.groups())
            self._agree(total, headers.get("etag", "").removeprefix("W/").strip('"'))
            if start != first or not first <= last < min(stop, total):
                raise RangesIgnoredError(f"the server answers another range, {match[0]}")
            for chunk in chunks(response.iter_raw()):
                with self._lock:
                    self.moved += len(chunk)
                if part.begin + part.filled + len(chunk) > last + 1:
                    raise RangesIgnoredError("the server sends more than it announces")
                part.fill(chunk)
        return True

    def _agree(self, total: int, etag: str) -> None:
        with self._lock:
            if self.total is None:
                self.total = total
            self.etag = self.etag or etag or None
            if total != self.total:
                raise KernelAtlasError(
                    f"{self.label}: has {self.total} bytes by one answer and {total} by another: "
                    "run again; if it stays so, report it to the server's operator"
                )
            if etag and etag != self.etag:
                raise KernelAtlasError(f"{self.label}: changed while it was read: run again")

    def _renew(self, expired: Location) -> bool:
        """Resolve the file again if its signed URL has expired. Return whether to ask again."""
        with self._renewing:
            if self.location is not expired:
                return True  # another thread has renewed it
            if not expired.signed or self._renewals == RENEWALS:
                return False
            self._renewals += 1
            log.info("%s: %s expired, resolving it again", self.label, public(expired.url))
            location = self._locate()
            if (location.etag, location.size) != (expired.etag, expired.size):
                raise KernelAtlasError(f"{self.label}: changed while it was read: run again")
            self.location = location
        return True

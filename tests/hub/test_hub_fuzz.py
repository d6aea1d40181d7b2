"""Whatever a server answers: only `KernelAtlasError` is raised, soon, and in little memory."""

import gzip
import json
import logging
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from huggingface_hub.utils._http import _parse_retry_after, parse_ratelimit_headers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remote import (
    Here,
    client,
    index_bytes,
    legacy_bytes,
    run,
    safetensors_bytes,
    state_dict,
    torch_bytes,
)

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources import ranges
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.hub import read_hub, read_url
from kernelatlas.sources.ranges import Location, RangeSource
from kernelatlas.sources.source import Reading

Headers = list[tuple[str, str]]
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers.items())))
        try:
            self.server.answer(self)
        except OSError:  # the client went away
            self.close_connection = True

    do_HEAD = do_GET

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last byte that are asked for."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        return (int(match[1]), int(match[2])) if match else None

    def say(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Write an answer as it is given, with a Content-Length if it has none."""
        if "content-length" not in {name.lower() for name, _ in headers}:
            headers = [*headers, ("Content-Length", str(len(body)))]
        lines = [f"HTTP/1.1 {status} Any"] + [f"{name}: {value}" for name, value in headers]
        text = "\r\n".join([*lines, "", ""])
        self.wfile.write(text.encode("latin-1" if max(text) <= "\xff" else "utf-8"))
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self, data: bytes, *headers: tuple[str, str]) -> None:
        """Answer as an honest server does."""
        if self.span is None:
            self.say(200, [*headers], data)
            return
        first, last = self.span
        if first >= len(data):
            self.say(416, [("Content-Range", f"bytes */{len(data)}")])
            return
        body = data[first : last + 1]
        told = f"bytes {first}-{first + len(body) - 1}/{len(data)}"
        self.say(206, [("Content-Range", told), *headers], body)

    def flood(self) -> None:
        """Send zeros until the client goes away."""
        while True:
            self.wfile.write(bytes(1 << 16))

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server on 127.0.0.1, each of whose answers is the test's."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.broken: list[BaseException | None] = []
        self.answer: Callable[[Handler], None] = lambda handler: handler.say(404, [])

    def handle_error(self, *_: object) -> None:
        self.broken.append(sys.exception())

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        broken = [error for error in self.broken if not isinstance(error, OSError)]
        assert not broken, broken[0]

    @property
    def endpoint(self) -> str:  # as a hub has it
        return self.url


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def here(server, tmp_path, monkeypatch) -> Iterator[Here]:
    def no_names(host: bytes | str, *arguments: Any, **options: Any) -> Any:
        """Asking for the addresses of odd names takes long in some networks."""
        if host not in ("127.0.0.1", b"127.0.0.1"):
            str(host).encode("idna")
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup(host, *arguments, **options)

    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with client(monkeypatch, tmp_path, server) as here:
        logging.getLogger("kernelatlas").setLevel(logging.CRITICAL)
        yield here


def outcome(read: Callable[[], Any]) -> Reading | str:
    """Return what is read, or the message of a KernelAtlasError; nothing else may be raised."""
    begin = time.monotonic()
    try:
        found = read()
    except KernelAtlasError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 700
        return message
    finally:
        assert time.monotonic() - begin < 5
    return getattr(found, "reading", found)


def same(one: Reading, other: Reading) -> None:
    assert (one.tensors, one.size) == (other.tensors, other.size)
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.weights.shape == theirs.weights.shape
        assert mine.weights.tobytes() == theirs.weights.tobytes()


# --- files -------------------------------------------------------------------------------

# With little data, so that most changes are of headers.
LITTLE = {
    "a.weight": torch.zeros(3),
    "b.dw.weight": torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)),
    "c.dw.weight": torch.arange(14.0).reshape(2, 1, 1, 7),
}
SEEDS = {
    "safetensors": safetensors_bytes(LITTLE),
    "zip": torch_bytes(LITTLE),
    "legacy": legacy_bytes(LITTLE),
    "index": index_bytes({"model-1.safetensors": LITTLE}),
}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A checkpoint with some bytes changed, taken away or put in."""
    data = bytearray(SEEDS[draw(st.sampled_from(sorted(SEEDS)))])
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        # Headers and tables of contents are at both ends.
        at = draw(st.sampled_from([at, min(at, 300), max(len(data) - 1 - at % 300, 0)]))
        stop = at + draw(st.sampled_from([0, 1, 1, 1, 4, 1000]))
        data[at:stop] = draw(st.binary(max_size=4))
    return bytes(data)


NUMBERS = st.one_of(
    st.integers(-2, 100), st.sampled_from([2**31, 2**63, 10**30, 1.5, "9", None, [], True])
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64", "I8", "F4", "X", None]),
        "shape": st.one_of(
            st.just([2, 1, 3, 3]), st.lists(NUMBERS, max_size=5), st.sampled_from([None, "4", {}])
        ),
        "data_offsets": st.one_of(st.lists(NUMBERS, max_size=3), st.just([0, 72])),
    }
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=8), inner)),
    max_leaves=6,
)
HEADERS = st.one_of(
    st.dictionaries(st.sampled_from(["a.weight", "b", "__metadata__"]), ENTRIES | VALUES), VALUES
)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A safetensors file whose header is any JSON, of any claimed length."""
    text = json.dumps(draw(HEADERS)).encode()
    length = draw(st.one_of(st.just(len(text)), st.sampled_from([0, 1, 10**8, 2**63, 2**64 - 1])))
    data = struct.pack("<Q", length) + text + bytes(draw(st.sampled_from([0, 72, 100])))
    # The header may also be longer than what is read of it first.
    return data if draw(st.booleans()) else data.replace(b"{", b"{" + b" " * ranges.HEAD, 1)


SHARDS = st.one_of(
    st.sampled_from(["model-1.safetensors", "model-2.safetensors", "../x.safetensors", "", "/"]),
    VALUES,
)


@st.composite
def indices(draw: st.DrawFn) -> bytes:
    shards = st.dictionaries(st.text(max_size=5), SHARDS, max_size=4)
    return json.dumps(
        draw(st.one_of(st.fixed_dictionaries({"weight_map": shards}), VALUES))
    ).encode()


@FUZZ
@given(data=st.one_of(damaged(), written(), indices()))
def test_any_file_is_read_from_a_server_as_from_a_disk(here, server, data):
    folder = here.folder / "files"
    folder.mkdir(exist_ok=True)
    (folder / "net").write_bytes(data)
    (folder / "model-1.safetensors").write_bytes(SEEDS["safetensors"])

    def answer(handler: Handler) -> None:
        path = folder / handler.path.removeprefix("/")
        if path.is_file() and path.parent == folder:
            handler.serve(path.read_bytes())
        else:
            handler.say(404, [])

    server.answer = answer
    here_found = outcome(lambda: read_depthwise(folder / "net"))
    there_found = outcome(lambda: read_url("net", f"{server.url}/net"))
    if isinstance(here_found, Reading) and isinstance(there_found, Reading):
        same(here_found, there_found)
    else:
        assert isinstance(here_found, str), there_found
        assert isinstance(there_found, str), here_found


# --- answers -----------------------------------------------------------------------------

SPREAD = safetensors_bytes(state_dict(seed=5))
COUNTS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([ranges.HEAD, len(SPREAD), 10**10, 10**17, 10**30, -len(SPREAD)]),
)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"))


@st.composite
def lies(draw: st.DrawFn) -> dict[str, Any]:
    """False values in one answer."""
    kinds = ("status", "first", "last", "total", "length", "etag", "encoding", "form", "body")
    kinds = (*kinds, "moved")
    lie: dict[str, Any] = {}
    for kind in draw(st.sets(st.sampled_from(kinds), max_size=2)):
        lie[kind] = {
            "status": st.sampled_from([200, 204, 206, 304, 302, 400, 403, 404, 416, 429, 500, 503]),
            "first": COUNTS,
            "last": COUNTS,
            "total": COUNTS,
            "length": COUNTS,
            "etag": st.sampled_from(['"x"', 'W/"x"', "", "x" * 3000, "ÿ"]),
            "encoding": st.sampled_from(["gzip", "identity", "br", "x"]),
            "form": st.one_of(
                TEXTS, st.sampled_from(["bytes 0-1", "bytes */5", "items 0-1/2", "bytes ٣-٤/٥"])
            ),
            "body": COUNTS,
            "moved": st.tuples(COUNTS, COUNTS),
        }[kind]
        lie[kind] = draw(lie[kind])
    return lie


@FUZZ
@given(told=st.lists(lies(), max_size=6), after=lies())
def test_what_is_read_despite_false_answers_is_true(here, server, told, after):
    """Headers and lengths are false; wrong bytes of the right length cannot be noticed."""
    left = list(told)

    def answer(handler: Handler) -> None:
        if handler.span is None:
            handler.serve(SPREAD)
            return
        lie = left.pop(0) if left else after
        first, last = handler.span
        if "moved" in lie:  # another range, and an honest answer about it
            first, last = max(first + lie["moved"][0], 0), max(last + lie["moved"][1], 0)
        body = SPREAD[first : last + 1]
        length = lie.get("length", 0)
        if "body" in lie:
            body = SPREAD[first : max(last + 1 + lie["body"], first)]
            length = length if "length" in lie else 0
        start, end = first + lie.get("first", 0), min(last, len(SPREAD) - 1) + lie.get("last", 0)
        form = lie.get("form", f"bytes {start}-{end}/{len(SPREAD) + lie.get('total', 0)}")
        headers = [
            ("Content-Range", form.encode("latin-1", "replace").decode("latin-1")),
            ("Content-Length", str(len(body) + length)),
            ("ETag", lie.get("etag", '"x"')),
        ]
        if "encoding" in lie:
            headers.append(("Content-Encoding", lie["encoding"]))
        handler.close_connection = bool(length)
        handler.say(lie.get("status", 206), headers, body)

    server.answer = answer
    found = outcome(lambda: read_url("net", f"{server.url}/net"))
    assert sum(here.waits) <= 60 * 40
    here.waits.clear()
    if isinstance(found, Reading):
        same(found, outcome(lambda: local(here.folder, SPREAD)))


@pytest.mark.parametrize(
    ("first_by", "last_by", "more"), [(8, 0, 0), (-8, 0, 0), (0, 8, 0), (-8, -8, 0), (0, 0, 8)]
)
def test_another_range_than_was_asked_for_is_not_taken(here, server, first_by, last_by, more):
    """Each of these answers is honest about itself, but for more than it announces."""

    def answer(handler: Handler) -> None:
        if handler.span is None or handler.span[0] == 0:
            handler.serve(SPREAD)
            return
        first, last = handler.span[0] + first_by, handler.span[1] + last_by
        told = f"bytes {first}-{last}/{len(SPREAD)}"
        handler.say(206, [("Content-Range", told)], SPREAD[first : last + 1 + more])

    server.answer = answer
    found = outcome(lambda: read_url("net", f"{server.url}/net"))
    same(found, outcome(lambda: local(here.folder, SPREAD)))
    assert "Range" not in server.asked[-1][2]  # it was downloaded whole


def local(folder: Path, data: bytes) -> Reading:
    path = folder / "true"
    if not path.exists():
        path.write_bytes(data)
    return read_depthwise(path)


LOCATIONS = [
    "/files/net", "files/net", "", "?", "///", "http://[bad", "http://127.0.0.1:99999/x",
    "http://127.0.0.1:x/", "http://:80/", "ftp://127.0.0.1/x", "http:", "http:///x", "\\\\x\\y",
    "http://user:hidden@127.0.0.1:1/?hidden", "javascript:x", "#", "%", "https://127.0.0.1:1/x",
    "http://127.0.0.1:1\\@127.0.0.1/", f"http://{'x' * 70}/", "http://x..x/", "/loop",
]  # fmt: skip
TOLD = {
    "X-Repo-Commit": st.one_of(st.just("a" * 40), TEXTS, st.just("../../x")),
    "X-Linked-Size": st.one_of(COUNTS.map(str), TEXTS, st.just(str(len(SPREAD)))),
    "X-Linked-ETag": st.one_of(st.just('"x"'), TEXTS, st.just('"../../../x"')),
    "ETag": st.one_of(st.just('"x"'), TEXTS),
    "Location": st.sampled_from(LOCATIONS),
    "X-Error-Code": st.sampled_from(
        ["EntryNotFound", "RepoNotFound", "GatedRepo", "RevisionNotFound", "x"]
    ),
    "X-Error-Message": TEXTS,
    "Retry-After": TEXTS,
    "RateLimit": st.one_of(TEXTS, st.from_regex(r'"\w+";r=\d{1,3};t=\d+', fullmatch=True)),
    "X-HF-Warning": TEXTS,
    "Link": st.sampled_from(["<http://127.0.0.1:1/x>; rel=xet-auth", "<", ""]),
    "Set-Cookie": TEXTS,
    "Content-Encoding": st.sampled_from(["gzip", "br"]),
}


@FUZZ
@given(
    told=st.fixed_dictionaries({}, optional=TOLD),
    status=st.sampled_from([200, 200, 302, 302, 307, 204, 300, 304, 400, 401, 403, 404, 429, 503]),
    body=st.sampled_from([b"", b"[1]", b'{"error": 1, "errors": 7}', b"\xff\xfe", b"[" * 60_000]),
)
def test_whatever_a_hub_tells_of_a_file_there_is_one_error_or_the_truth(
    here, server, told, status, body
):
    def answer(handler: Handler) -> None:
        if handler.path == "/loop":
            handler.say(302, [("Location", "/loop")], body)
        elif handler.command == "HEAD" or handler.path == "/odd":
            handler.say(status, [(k, v.strip()) for k, v in told.items()], body)
        else:
            handler.serve(SPREAD)

    server.answer = answer
    for read in (
        lambda: read_hub("net", "owner/net", ["model.safetensors"], "b" * 40),
        lambda: read_url("net", f"{server.url}/odd"),
    ):
        found = outcome(read)
        assert max(here.waits, default=0) <= 60
        here.waits.clear()
        if isinstance(found, Reading):
            same(found, outcome(lambda: local(here.folder, SPREAD)))
        else:
            assert "hidden" not in found


@FUZZ
@given(
    code=st.sampled_from([408, 429, 500, 503]),
    after=st.one_of(TEXTS, st.integers(-5, 10**12).map(str), st.just("9" * 5000)),
    limit=st.one_of(
        TEXTS,
        st.builds(
            '"a";r={};t={}'.format, st.sampled_from([0, 1, "9" * 5000]), st.integers(0, 10**12)
        ),
        st.just('"a";r=0;t=' + "9" * 5000),
    ),
    policy=st.one_of(TEXTS, st.just('"a";q=' + "9" * 5000 + ";w=1")),
)
def test_no_wait_is_longer_than_a_minute(code, after, limit, policy):
    """Whatever the headers are, huggingface_hub understands what is left of them."""
    headers = [("Retry-After", after), ("RateLimit", limit), ("RateLimit-Policy", policy)]
    response = httpx2.Response(
        code,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
        stream=httpx2.ByteStream(b"x"),
        request=httpx2.Request("GET", "http://127.0.0.1/"),
    )
    ranges._limit(response)
    assert parse_ratelimit_headers(response.headers) is None
    wait = _parse_retry_after(response.headers)
    assert wait is None or 0 <= wait < 60


# --- ranges ------------------------------------------------------------------------------


@FUZZ
@given(
    size=st.integers(1, 400),
    spans=st.lists(st.tuples(st.integers(0, 420), st.integers(0, 60)), max_size=12),
    reads=st.lists(st.tuples(st.integers(0, 420), st.integers(0, 60), st.booleans()), max_size=12),
    head=st.integers(1, 50),
    gap=st.integers(1, 40),
)
def test_ranges_hold_what_was_asked_for_in_any_order(here, server, size, spans, reads, head, gap):
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    server.answer = lambda handler: handler.serve(data)
    server.asked.clear()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ranges, "HEAD", head)
        monkeypatch.setattr(ranges, "GAP", gap)
        source = RangeSource("net", lambda: Location(server.url), no_sibling)
        assert source.size == size
        source.prefetch(sorted((begin, begin + count) for begin, count in spans))
        for begin, count in spans:
            assert bytes(source.fetch(begin, count)) == data[begin : begin + count]
        for begin, count, seen in reads:
            expected = data[begin : begin + count]
            if seen and len(expected) == count and count:
                assert bytes(source.view(begin, count)) == expected
            else:
                assert source.fetch(begin, count) == expected
    assert source.moved <= sum(len(data) for _ in server.asked)


def no_sibling(name: str) -> Reading:
    raise AssertionError(name)


def test_nothing_that_is_there_is_fetched_again(here, server):
    """Spans that begin, end or lie in what an earlier request has brought."""
    data = bytes(range(256)) * 4096
    server.answer = lambda handler: handler.serve(data)
    source = RangeSource("net", lambda: Location(server.url), no_sibling)
    tail = len(data) - 1000
    source.prefetch([(tail, len(data))])
    source.prefetch([(100, 200), (100_000, 140_000), (200_000, 210_000), (900_000, len(data))])
    moved = ranges.HEAD + 1000 + (210_000 - ranges.HEAD) + (tail - 900_000)
    assert (source.moved, source.requests) == (moved, 4)
    assert source.fetch(0, 140_000) == data[:140_000]
    assert source.fetch(900_000, len(data)) == data[900_000:]
    assert source.moved == moved


def test_an_address_that_expires_for_all_threads_is_renewed_once(here, server):
    server.answer = lambda handler: handler.serve(SPREAD)
    asked = []

    def locate() -> Location:
        asked.append(Location(server.url, signed=True))
        time.sleep(0.05)
        return asked[-1]

    source = RangeSource("net", locate, no_sibling)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(source._renew, [source.location] * 8))
    assert len(asked) == 2
    renewed = [source._renew(source.location) for _ in range(5)]
    assert renewed == [True] * (ranges.RENEWALS - 1) + [False] * (6 - ranges.RENEWALS)


# --- servers that mean harm --------------------------------------------------------------


def test_little_memory_is_taken_for_large_claims(server, tmp_path):
    """The claims are of gigabytes, and what can be sent is endless."""
    claimed = 10 * 10**9

    def depthwise(shapes: list[list[int]]) -> bytes:
        header, end = {}, 0
        for i, shape in enumerate(shapes):
            stop = end + 4 * int(np.prod(shape))
            header[f"{i}.weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [end, stop]}
            end = stop
        rest = {"dtype": "U8", "shape": [claimed - end], "data_offsets": [end, claimed]}
        text = json.dumps({**header, "z": rest}).encode()
        return struct.pack("<Q", len(text)) + text

    one = depthwise([[1 << 20, 1, 16, 16]])
    heads = {
        "header": struct.pack("<Q", 8_000_000) + b"{",
        "broken": struct.pack("<Q", 8_000_000) + b"{",
        "one": one,
        "too_large": depthwise([[1 << 20, 1, 16, 17]]),
        "scattered": depthwise([[2, 1, 3, 3], [25_000]] * 10_000),
        "index": b'  {"weight_map": {"',
        "zip": b"PK\x03\x04",
        "legacy": b"\x80\x02",
    }

    def answer(handler: Handler) -> None:
        name = handler.path.removeprefix("/")
        handler.close_connection = True
        closing = [("Connection", "close")]  # or the client might use it once more
        if name in ("error", "redirect", "busy"):
            status = {"error": 404, "redirect": 302, "busy": 503}[name]
            told = [*closing, ("Content-Length", str(claimed)), ("Location", "/redirect")]
            handler.say(status, told)
            handler.flood()
        head = heads[name]
        if handler.span is None:
            handler.say(503, closing)
            return
        first, last = handler.span
        total = claimed + len(head) if b"data_offsets" in head else claimed
        told = [*closing, ("Content-Range", f"bytes {first}-{last}/{total}")]
        handler.say(206, [*told, ("Content-Length", str(last + 1 - first))])
        if name in ("one", "broken") and first:
            return
        for begin in range(first, last + 1, 1 << 16):
            chunk = head[begin : begin + (1 << 16)].ljust(1 << 16, b"\0")
            handler.wfile.write(chunk[: last + 1 - begin])

    server.answer = answer
    names = [*heads, "error", "redirect", "busy"]
    done = run(
        no_hub(), tmp_path / "out", {name: {"url": f"{server.url}/{name}"} for name in names},
        WITHOUT_PAUSES,
    )  # fmt: skip
    assert list(done.errors) == names
    for name, text in [
        ("header", "damaged or truncated"), ("broken", "fails 6 times"), ("one", "fails 6 times"),
        ("too_large", "of depthwise weights"), ("scattered", "10000 depthwise layers"),
        ("index", "too long for an index"), ("zip", "damaged or truncated"), ("legacy", "503"),
        ("error", "answers 404"), ("redirect", "TooManyRedirects"), ("busy", "answers 503"),
    ]:  # fmt: skip
        assert text in done.errors[name], done.errors[name]
    assert done.peak < 300 << 20  # of which 80 are the imports
    assert done.seconds < 20


WITHOUT_PAUSES = """
from huggingface_hub.utils import _http
from kernelatlas.sources import hub, ranges
class Clock:
    monotonic = ranges.time.monotonic
    sleep = staticmethod(lambda seconds: None)
_http.time = hub.time = ranges.time = Clock
"""


def no_hub() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    direct = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return kept | direct | {"HF_HOME": "/nowhere"}


@pytest.mark.parametrize("whole", [False, True])
def test_a_trickle_ends(here, server, monkeypatch, whole):
    monkeypatch.setattr(ranges, "PATIENCE", 0.1)

    def answer(handler: Handler) -> None:
        first = 0 if whole else handler.span[0]
        told = [("Content-Range", f"bytes {first}-999/1000"), ("Content-Length", f"{1000 - first}")]
        handler.say(200 if whole else 206, told)
        for _ in range(1000 - first):
            handler.wfile.write(b"x")
            time.sleep(0.02)

    server.answer = answer
    begin = time.monotonic()
    message = here.error("net", url=f"{server.url}/net")
    assert "ReadTimeout: only" in message
    assert time.monotonic() - begin < 5
    assert here.waits == [1, 2, 4, 8, 8]


def test_a_body_that_is_slow_but_not_too_slow_is_read(here, server, monkeypatch):
    monkeypatch.setattr(ranges, "PATIENCE", 0.01)

    def answer(handler: Handler) -> None:
        first, last = handler.span
        told = [("Content-Range", f"bytes {first}-{last}/{len(SPREAD)}")]
        handler.say(206, [*told, ("Content-Length", str(last + 1 - first))])
        for begin in range(first, last + 1, 1 << 16):
            handler.wfile.write(SPREAD[begin : min(begin + (1 << 16), last + 1)])
            time.sleep(0.05)

    server.answer = answer
    assert here.table("net", url=f"{server.url}/net")
    assert here.waits == []


def test_the_token_does_not_follow_a_redirect_to_another_origin(here, server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    data = SEEDS["safetensors"]
    with Server() as other:
        other.answer = lambda handler: handler.serve(data)

        def answer(handler: Handler) -> None:
            if handler.command == "HEAD":
                handler.say(200, [("ETag", '"x"'), ("Content-Length", str(len(data)))])
            else:
                handler.say(302, [("Location", f"{other.url}/x")])

        server.answer = answer
        assert here.table("net", hub="owner/net")
        assert {headers.get("authorization") for *_, headers in server.asked} == {
            "Bearer hf_secret"
        }
        assert other.asked
        assert not any("hf_secret" in str(headers) for *_, headers in other.asked)


def test_cookies_are_neither_kept_nor_a_trap(here, server):
    odd = [("Set-Cookie", "a=ÿ; Path=/"), ("Set-Cookie", "b=c; Path=/")]
    server.answer = lambda handler: handler.serve(SPREAD, *odd)
    assert here.table("net", url=f"{server.url}/net")
    assert len(server.asked) == 3
    assert not any("cookie" in {name.lower() for name in headers} for *_, headers in server.asked)


def test_an_empty_file_is_called_empty(here, server):
    server.answer = lambda handler: handler.serve(b"")
    assert "is empty (0 bytes)" in here.error("net", url=f"{server.url}/net")
    assert "is empty (0 bytes)" in here.error("net", hub="owner/net")


def test_a_login_page_in_place_of_a_hub_is_named(here, server):
    page = b"<!DOCTYPE html><title>Please log in</title>"
    server.answer = lambda handler: handler.serve(page)
    assert "is a web page or XML" in here.error("net", hub="owner/net")
    server.answer = lambda handler: handler.say(200, [("Content-Type", "text/html")], page)
    assert "is missing the 'X-Repo-Commit' header" in here.error("net", hub="owner/net")
    assert "is a web page or XML" in here.error("net", url=f"{server.url}/net")


def test_a_compressed_whole_file_is_read(here, server):
    data = SEEDS["legacy"]
    packed = gzip.compress(data)
    server.answer = lambda handler: handler.say(200, [("Content-Encoding", "gzip")], packed)
    assert here.table("net", url=f"{server.url}/net")
    server.answer = lambda handler: handler.say(200, [("Content-Encoding", "gzip")], data)
    assert "DecodingError" in here.error("net", url=f"{server.url}/net")


def test_something_else_than_http_is_named(here, server):
    address = server.url.replace("http:", "https:")
    message = here.error("net", url=f"{address}/net")
    assert "fails 6 times (ConnectError" in message
    server.answer = lambda handler: handler.wfile.write(b"SSH-2.0-" + b"x" * 5000 + b"\r\n\r\n")
    message = here.error("net", url=f"{server.url}/net?key=hidden")
    assert "fails 6 times (RemoteProtocolError" in message


def test_addresses_in_errors_have_no_secrets():
    for address, told in [
        ("https://me:hidden@host/a/b?hidden#hidden", "https://host/a/b"),
        ("https://host:8443/a%20b", "https://host:8443/a%20b"),
        ("http://[bad", "an address that is not valid"),
    ]:
        assert ranges.public(address) == told
        assert (
            ranges.brief(ValueError(f"no '{address}'\nat all")) == f"ValueError: no '{told}' at all"
        )
    assert ranges.brief(httpx2.LocalProtocolError("hidden")) == "LocalProtocolError"
    assert len(ranges.brief(ValueError("x" * 5000))) == 200


# --- TLS ---------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_tls_is_verified_and_never_left(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    data = SEEDS["zip"]
    with Server() as plain, Server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http://127.0.0.1", "https://localhost")

        def answer(handler: Handler) -> None:
            if handler.path == "/down":
                handler.say(302, [("Location", f"{plain.url}/x")])
            else:
                handler.serve(data)

        server.answer = answer
        remotes = {"net": {"url": f"{url}/net"}, "down": {"url": f"{url}/down"}}
        trust = {"SSL_CERT_FILE": str(certificate)}
        trusting = run(no_hub() | trust, tmp_path / "a", remotes, WITHOUT_PAUSES)
        doubting = run(no_hub(), tmp_path / "b", remotes, WITHOUT_PAUSES)
    assert trusting.table("net")
    assert "redirected from https to http" in trusting.errors["down"]
    assert plain.asked == []
    for error in doubting.errors.values():
        assert "CERTIFICATE_VERIFY_FAILED" in error

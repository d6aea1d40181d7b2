"""A model hub on 127.0.0.1 that speaks the real one's protocol, and that can be told to fail.

Two origins, as in the wild: the hub answers for names and revisions and keeps small files; large
ones it redirects to a storage by URLs that are signed and expire. For tests:

    with Hub(folder) as hub:
        hub.publish("owner/name", {"model.safetensors": data})
        hub.fault("ranges", "cut", times=2)

and for benchmarks: `python localhub.py FOLDER --latency 0.05 --bandwidth 20e6`.
"""

import argparse
import gzip
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import socket
import struct
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote
from uuid import uuid4

REPO = r"/(\w[\w.-]*/\w[\w.-]*)"
RESOLVE = re.compile(REPO + r"/resolve/([^/]+)/(.+)")
API = re.compile("/api/models" + REPO + r"(?:/(revision|tree)/([^/]+))?")
CHUNK = 1 << 18
# Data of virtual files. Their period is a prime: no layout of tensors has it too.
BLOCK = array("f", map(random.Random(0).uniform, [-1.0] * 65521, [1.0] * 65521)).tobytes()

# Kinds of faults with their options.
KINDS = {
    "status": {"code", "headers", "body"},  # this answer instead
    "expired": set(),  # 403, as for a signature that is too old
    "close": set(),  # no answer, the connection is closed
    "cut": {"at"},  # closed after `at` bytes of the body (half)
    "reset": {"at"},  # the same by RST; at=-1: before the headers, as always without a body
    "hang": {"at", "seconds"},  # silence in the same place, for ever or a while
    "short206": {"keep", "honest"},  # `keep` bytes (half); not honest: Content-Range as asked for
    "ignore_range": set(),  # 200 and everything
    "wrong_total": {"by"},  # Content-Range tells a file larger by 1
    "wrong_size": {"by"},  # X-Linked-Size the same
    "shifted": {"by"},  # 206 with bytes further on (by 1)
    "gzip": set(),  # 200 and everything, compressed
    "flip": {"at", "mask"},  # another byte in the body, in the middle
    "bare": {"drop"},  # without these headers
}
NEED_RANGE = {"short206", "ignore_range", "wrong_total", "shifted"}
NEED_BODY = {"cut", "gzip", "flip"}
BREAK = {"close", "cut", "reset", "hang"}
BARE = ("X-Linked-Size", "X-Linked-ETag", "ETag")


@dataclass(eq=False)
class Blob:
    """What is served: a file, some bytes, or (virtual) bytes and then what is made up."""

    size: int
    sha256: str = ""
    path: Path | None = None
    head: bytes = b""
    data: Callable[[int, int], bytes] | None = None  # a range behind the head; else endless float32
    flip: tuple[int, int] | None = None  # where, and which bits

    @property
    def oid(self) -> str:
        """A stand-in for git's name of a file, which is not its digest."""
        return self.sha256[:40]

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        with self.path.open("rb") if self.path else nullcontext() as file:
            if file:
                file.seek(start)
            while start < stop:
                count = min(CHUNK, stop - start)
                chunk = file.read(count) if file else self._made(start, count)
                if not chunk:
                    return
                if self.flip and start <= self.flip[0] < start + len(chunk):
                    at, mask = self.flip[0] - start, self.flip[1]
                    chunk = chunk[:at] + bytes([chunk[at] ^ mask]) + chunk[at + 1 :]
                yield chunk
                start += len(chunk)

    def _made(self, start: int, count: int) -> bytes:
        if start < len(self.head):
            return self.head[start : start + count]
        start -= len(self.head)
        if self.data:
            return self.data(start, start + count)
        start %= len(BLOCK)
        return BLOCK[start : start + count]


@dataclass
class Record:
    """One request. `status` is 0 where no answer was given; `sent` counts bytes of the body."""

    origin: str
    method: str
    path: str
    headers: dict[str, str]  # by names in lower case
    status: int = 0
    sent: int = 0
    fault: str | None = None

    @property
    def step(self) -> str:
        if self.origin == "storage":
            return "ranges"
        return "api" if self.path.startswith("/api/") else "metadata"


@dataclass
class Fault:
    """`after` so many requests, the next `times` fail; `struck` counts those that did."""

    step: str
    kind: str
    times: float
    after: int
    where: Callable[[Record], bool] | None
    options: dict[str, Any]
    struck: int = 0

    def concerns(self, record: Record, reply: "Reply") -> bool:
        """Faults of a part of an answer wait for an answer that has this part."""
        if self.step != record.step or (self.where is not None and not self.where(record)):
            return False
        if self.kind in NEED_RANGE:
            return reply.status == 206
        if self.kind in NEED_BODY:
            body = reply.length if record.method != "HEAD" and reply.status < 300 else 0
            return body > int(self.options.get("at", 0))
        return self.kind != "wrong_size" or "X-Linked-Size" in reply.headers


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    blob: Blob = field(default_factory=lambda: Blob(0))
    start: int = 0
    stop: int = 0
    fault: Fault | None = None

    @property
    def length(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int, total: int | None = None) -> None:
        self.status, self.start, self.stop = 206, start, stop
        self.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total or self.blob.size}"

    def whole(self, data: bytes | None = None) -> None:
        if data is not None:
            self.blob = Blob(len(data), head=data)
        self.start, self.stop = 0, self.blob.size
        self.headers.pop("Content-Range", None)


class Refused(Exception):
    """An error as the real hub (with its code in X-Error-Code) or a storage answers."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def reply(self, origin: str) -> Reply:
        if origin == "hub":
            body, kind = json.dumps({"error": self.message}), "application/json"
            headers = {"X-Error-Message": self.message, **self.headers}
            if self.code:
                headers["X-Error-Code"] = self.code
        else:
            body = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
            body, kind = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}', "application/xml"
            headers = dict(self.headers)
        reply = Reply(self.status, {"Content-Type": kind, **headers})
        reply.whole(body.encode())
        return reply


def json_reply(value: object) -> Reply:
    reply = Reply(200, {"Content-Type": "application/json; charset=utf-8"})
    reply.whole(json.dumps(value).encode())
    return reply


def expired() -> Refused:
    return Refused(403, "AccessDenied", "Request has expired")


def spoil(reply: Reply, fault: Fault, origin: str) -> Reply:
    """Change an answer by a fault; faults of the connection happen when it is sent."""
    options = fault.options
    match fault.kind:
        case "status":
            reply = Reply(options.get("code", 503), dict(options.get("headers", {})))
            reply.whole(options.get("body", b""))
        case "expired":
            reply = expired().reply(origin)
        case "short206":
            stop = reply.start + options.get("keep", reply.length // 2)
            told = reply.headers["Content-Range"]
            reply.part(reply.start, stop)
            if not options.get("honest", True):
                reply.headers["Content-Range"] = told
        case "ignore_range":
            reply.status = 200
            reply.whole()
        case "wrong_total":
            reply.part(reply.start, reply.stop, reply.blob.size + options.get("by", 1))
        case "wrong_size":
            size = int(reply.headers["X-Linked-Size"]) + options.get("by", 1)
            reply.headers["X-Linked-Size"] = str(size)
        case "shifted":
            by = options.get("by", 1)
            by = by if reply.stop + by <= reply.blob.size else -by
            reply.part(max(0, reply.start + by), reply.stop + by)
        case "gzip":
            reply.status = 200
            reply.whole(gzip.compress(b"".join(reply.blob.chunks(0, reply.blob.size)), 1))
            reply.headers["Content-Encoding"] = "gzip"
        case "flip":
            at = reply.start + options.get("at", reply.length // 2)
            reply.blob = replace(reply.blob, flip=(at, options.get("mask", 0xFF)))
        case "bare":
            for name in options.get("drop", BARE):
                reply.headers.pop(name, None)
    reply.fault = fault
    return reply


def asked(text: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a single range; None where the answer is the whole file."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if not match or text == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


class Link:
    """Bytes a second that all connections share."""

    def __init__(self, rate: float | None) -> None:
        self.rate, self.free, self.lock = rate, 0.0, threading.Lock()

    @property
    def chunk(self) -> int:
        return CHUNK if self.rate is None else max(1024, min(CHUNK, int(self.rate / 500)))

    def carry(self, count: int) -> None:
        if self.rate is None:
            return
        with self.lock:
            # Sleeping takes a little too long; so much may be sent in advance.
            self.free = max(self.free, time.monotonic() - 0.01) + count / self.rate
            wait = self.free - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        record = Record(self.server.origin, self.command, path, headers)
        hub = self.server.hub
        reply = hub._reply(record, query)
        if not hub._stopping.wait(hub.latency):
            self._send(reply, record)

    do_HEAD = do_GET

    def _send(self, reply: Reply, record: Record) -> None:
        body = reply.length if self.command != "HEAD" else 0
        fault = reply.fault if reply.fault and reply.fault.kind in BREAK else None
        at = body
        if fault:
            half = body // 2 if body and fault.kind != "close" else -1
            at = min(fault.options.get("at", half), body)
            if at < 0:
                if self._break(fault):
                    return
                at, fault = body, None
        record.status = reply.status
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(reply.length))
        self.end_headers()
        self._write(reply.blob.chunks(reply.start, reply.start + at), record)
        if fault is None or not self._break(fault):
            self._write(reply.blob.chunks(reply.start + at, reply.start + body), record)

    def _write(self, chunks: Iterator[bytes], record: Record) -> None:
        link = self.server.hub.link
        for chunk in chunks:
            for start in range(0, len(chunk), link.chunk):
                piece = chunk[start : start + link.chunk]
                link.carry(len(piece))
                # Counted before it is sent, so that a client that has received it finds it counted.
                record.sent += len(piece)
                self.wfile.write(piece)

    def _break(self, fault: Fault) -> bool:
        """Apply a fault to the connection; return False to go on with the answer."""
        seconds = fault.options.get("seconds")
        if fault.kind == "hang" and not self.server.hub._stopping.wait(seconds):
            return False
        if fault.kind == "reset":
            time.sleep(0.05)  # so that what was sent arrives
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.abrupt.add(self.connection)
        self.close_connection = True
        return True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    block_on_close = False

    def __init__(self, hub: "Hub", origin: str, port: int) -> None:
        self.hub, self.origin = hub, origin
        self.connections: set[socket.socket] = set()
        self.abrupt: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request: Any, address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        if request in self.abrupt:  # A FIN would come before the RST.
            self.abrupt.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # clients may disconnect
            super().handle_error(request, address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Hub:
    """The hub and its storage, serving `root/<owner>/<name>/<file>` and `root/plain/<path>`.

    `latency` is waited before each answer; `bandwidth` (bytes a second) is shared by all
    connections. `token` opens private repositories; without one, any token is known and opens none.
    """

    def __init__(
        self,
        root: Path,
        latency: float = 0.0,
        bandwidth: float | None = None,
        token: str | None = None,
        port: int = 0,
    ) -> None:
        self.root, self.latency, self.link, self.token = Path(root), latency, Link(bandwidth), token
        self.lfs_limit = 1024
        self.lifetime = 3600  # of signed URLs, in seconds
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.revisions: dict[tuple[str, str], str] = {}
        self._secret = os.urandom(16)
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._records: list[Record] = []
        self._faults: list[Fault] = []
        self._virtual: dict[str, dict[str, Blob]] = {}
        self._files: dict[Path, tuple[tuple[int, ...], Blob]] = {}
        self._commits: dict[tuple[str, str], dict[str, Blob]] = {}
        self._ports = [port, 0]
        self._servers: list[_Server] = []

    def __enter__(self) -> "Hub":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, on the same ports if it ran before."""
        self._stopping.clear()
        names = ("hub", "storage")
        self._servers = [_Server(self, *pair) for pair in zip(names, self._ports, strict=True)]
        self._ports = [server.server_address[1] for server in self._servers]
        self.endpoint, self.storage = (f"http://127.0.0.1:{port}" for port in self._ports)

    def stop(self) -> None:
        """Close all connections and refuse new ones."""
        self._stopping.set()
        while self._servers:
            self._servers.pop().stop()

    def publish(self, repo: str, files: Mapping[str, bytes | Path]) -> str:
        """Add or replace files and return the commit; earlier commits keep their files."""
        blobs = self.root / ".blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        with self._lock:
            for name, data in files.items():
                target, new = self.root / repo / name, blobs / uuid4().hex
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(data, bytes):
                    new.write_bytes(data)
                else:
                    shutil.copyfile(data, new)
                if target.is_symlink():
                    target.unlink()
                target.symlink_to(new.resolve())
            return self.commit(repo)

    def virtual(
        self,
        repo: str,
        filename: str,
        head: bytes,
        size: int | None = None,
        data: Callable[[int, int], bytes] | None = None,
    ) -> str:
        """Add a file without a disk: `head` (length and header of a safetensors file), then data.

        The size is by default the one that the header tells. The digest is not of the bytes.
        `data` returns those from one place behind the head to another.
        """
        if size is None:
            tensors = json.loads(head[8:])
            ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
            size = len(head) + max(ends, default=0)
        digest = hashlib.sha256(head + str(size).encode()).hexdigest()
        with self._lock:
            blob = Blob(size, digest, head=head, data=data)
            self._virtual.setdefault(repo, {})[filename] = blob
            return self.commit(repo)

    def commit(self, repo: str) -> str:
        """The latest commit of a repository: a digest over its files."""
        with self._lock:
            files = dict(self._virtual.get(repo, {}))
            folder = self.root / repo
            for path in folder.rglob("*"):
                if path.is_file():
                    files[path.relative_to(folder).as_posix()] = self._blob(path)
            lines = [f"{name} {files[name].sha256}\n" for name in sorted(files)]
            commit = hashlib.sha1("".join(lines).encode()).hexdigest()
            self._commits[repo, commit] = files
            return commit

    def url(self, path: str) -> str:
        """Address of a file below `root/plain`, which has no signature."""
        return f"{self.storage}/plain/{quote(path)}"

    def environment(self, home: Path) -> dict[str, str]:
        """Environment of a client in a process of its own, with an empty cache in `home`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        return kept | direct | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home)}

    def fault(
        self,
        step: str,
        kind: str,
        times: float = 1,
        after: int = 0,
        where: Callable[[Record], bool] | None = None,
        **options: Any,
    ) -> Fault:
        """Let requests fail: of "metadata" (the hub's files), "ranges" (storage) or "api".

        The first fault set that concerns a request takes it; the others do not count it.
        """
        if step not in {"metadata", "ranges", "api"} or not options.keys() <= KINDS[kind]:
            raise ValueError(f"no such fault: {step}, {kind}, {options}")
        fault = Fault(step, kind, times, after, where, options)
        with self._lock:
            self._faults.append(fault)
        return fault

    @property
    def requests(self) -> list[Record]:
        """All requests until now, as they arrived."""
        with self._lock:
            return list(self._records)

    def reset(self) -> None:
        """Forget requests and faults."""
        with self._lock:
            self._records.clear()
            self._faults.clear()

    def _exists(self, repo: str) -> bool:
        there = (self.root / repo).is_dir() and not repo.startswith("plain/")
        return there or repo in self._virtual

    def _blob(self, path: Path) -> Blob:
        """The file at a path, read again only if it has changed."""
        path = path.resolve()
        state = path.stat()
        key = (state.st_ino, state.st_size, state.st_mtime_ns)
        known = self._files.get(path)
        if known and known[0] == key:
            return known[1]
        if known:  # edited in place: earlier commits cannot be served
            commits = self._commits.items()
            self._commits = {k: files for k, files in commits if known[1] not in files.values()}
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        blob = Blob(state.st_size, sha256, path)
        self._files[path] = (key, blob)
        return blob

    def _reply(self, record: Record, query: str) -> Reply:
        if record.path == "/_requests":  # for clients of the hub as a program
            return json_reply([asdict(r) for r in self.requests])
        with self._lock:
            self._records.append(record)
            try:
                answer = self._answer if record.origin == "hub" else self._answer_storage
                reply = answer(record, query)
            except Refused as refused:
                reply = refused.reply(record.origin)
            for fault in self._faults:
                if fault.struck < fault.times and fault.concerns(record, reply):
                    if fault.after > 0:
                        fault.after -= 1
                        continue
                    fault.struck += 1
                    record.fault = fault.kind
                    return spoil(reply, fault, record.origin)
            return reply

    def _answer(self, record: Record, query: str) -> Reply:
        resolve, api = RESOLVE.fullmatch(record.path), API.fullmatch(record.path)
        match = resolve or api
        if record.path == "/api/agent-harnesses":  # requested once for each HF_HOME
            return json_reply({"standardEnvVars": [], "harnesses": {}})
        if match is None:
            raise Refused(404, "", "Sorry, we can't find the page you are looking for.")
        repo = match[1]
        self._admit(repo, record.headers.get("authorization"), files=resolve is not None)
        if resolve:
            commit = self._commit_of(repo, unquote(resolve[2]))
            return self._resolve(repo, commit, unquote(resolve[3]), record)
        commit = self._commit_of(repo, unquote(match[3] or "main"))
        return json_reply(self._api(repo, commit, match[2]))

    def _admit(self, repo: str, authorization: str | None, files: bool) -> None:
        known = authorization is not None
        if known and self.token is not None and authorization != f"Bearer {self.token}":
            raise Refused(401, "", "Invalid credentials in Authorization header")
        mine = known and self.token is not None
        if not self._exists(repo) or (repo in self.private and not mine):
            raise Refused(404 if known else 401, "RepoNotFound", "Repository not found")
        if files and repo in self.gated:
            message = f"Access to model {repo} is restricted"
            raise Refused(403 if known else 401, "GatedRepo", message)

    def _commit_of(self, repo: str, revision: str) -> str:
        present = self.commit(repo)
        commit = self.revisions.get((repo, revision), revision)
        commit = present if commit == "main" else commit
        if (repo, commit) not in self._commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _resolve(self, repo: str, commit: str, name: str, record: Record) -> Reply:
        told = {"X-Repo-Commit": commit}
        blob = self._commits[repo, commit].get(name)
        if blob is None:
            raise Refused(404, "EntryNotFound", "Entry not found", **told)
        if blob.size < self.lfs_limit:
            return self._file(blob, f'"{blob.oid}"', record, told)
        path, expires = f"/repos/{repo}/{blob.sha256}", int(time.time() + self.lifetime)
        query = f"Expires={expires}&Signature={self._sign(path, expires)}"
        told["Location"] = f"{self.storage}{quote(path)}?{query}"
        told |= {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.sha256}"'}
        return Reply(302, {**told, "ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes"})

    def _api(self, repo: str, commit: str, action: str | None) -> object:
        """A list of all files ("tree"), or what the hub tells about a repository."""
        files: list[dict[str, Any]] = []
        for name, blob in sorted(self._commits[repo, commit].items()):
            files.append({"type": "file", "path": name, "size": blob.size, "oid": blob.oid})
            if blob.size >= self.lfs_limit:
                files[-1]["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}
        if action == "tree":
            return files
        about = {"private": repo in self.private, "gated": repo in self.gated, "tags": []}
        siblings = [{"rfilename": file["path"]} for file in files]
        return {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, **about}

    def _answer_storage(self, record: Record, query: str) -> Reply:
        path = unquote(record.path)
        if path.startswith("/plain/"):
            base = (self.root / "plain").resolve()
            file = (base / path.removeprefix("/plain/")).resolve()
            if not file.is_file() or not file.is_relative_to(base):
                raise Refused(404, "NoSuchKey", "The specified key does not exist.")
            blob = self._blob(file)
            return self._file(blob, f'"{blob.sha256}"', record, {})
        fields = {name: values[0] for name, values in parse_qs(query).items()}
        expires = fields.get("Expires", "0")
        if not hmac.compare_digest(fields.get("Signature", ""), self._sign(path, expires)):
            raise Refused(403, "SignatureDoesNotMatch", "The signature does not match")
        if int(expires) <= time.time():
            raise expired()
        for (repo, _), files in self._commits.items():
            for blob in files.values():
                if path == f"/repos/{repo}/{blob.sha256}":
                    return self._file(blob, f'"{blob.sha256}"', record, {})
        raise Refused(404, "NoSuchKey", "The specified key does not exist.")

    def _file(self, blob: Blob, etag: str, record: Record, headers: dict[str, str]) -> Reply:
        common = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        reply = Reply(200, {**common, "ETag": etag, **headers}, blob)
        reply.whole()
        if record.headers.get("if-match", etag) not in {etag, "*"}:
            raise Refused(412, "PreconditionFailed", "The ETag is another one")
        span = asked(record.headers.get("range", ""), blob.size)
        if span and record.headers.get("if-range", etag) == etag:
            if span[0] >= span[1]:
                told = {"Content-Range": f"bytes */{blob.size}"}
                raise Refused(416, "InvalidRange", "The range is not satisfiable", **told)
            reply.part(*span)
        return reply

    def _sign(self, path: str, expires: int | str) -> str:
        return hmac.new(self._secret, f"{path}?{expires}".encode(), "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a folder as a model hub, until killed.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--bandwidth", type=float, help="bytes a second, of all connections")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--virtual",
        action="append",
        default=[],
        metavar="OWNER/NAME/FILE=HEAD",
        help="serve made-up data below the safetensors header (length and JSON) in the file HEAD",
    )
    options = parser.parse_args()
    with Hub(options.root, options.latency, options.bandwidth, port=options.port) as hub:
        for text in options.virtual:
            address, head = text.split("=", 1)
            owner, name, filename = address.split("/", 2)
            hub.virtual(f"{owner}/{name}", filename, Path(head).read_bytes())
        for folder in options.root.glob("[!.]*/*/"):  # Digests take a while: not while measuring.
            hub.commit(folder.relative_to(options.root).as_posix())
        print(hub.endpoint, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()

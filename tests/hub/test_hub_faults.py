"""Faults that pass change no byte of a table; faults that last end in one clear error."""

import errno
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub.utils._http as hub_http
import pytest
from huggingface_hub import hf_hub_download
from localhub import Hub, Record
from remote import (
    Here,
    client,
    legacy_bytes,
    run,
    safetensors_bytes,
    sharded,
    state_dict,
    torch_bytes,
)

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources import hub as hub_module
from kernelatlas.sources import ranges, safetensors
from kernelatlas.sources.extract import extract

TOKEN = "hf_kernelatlas_secret"
STATE = state_dict(seed=3)
REPOS = {
    "safe": {"model.safetensors": safetensors_bytes(STATE)},
    "zip": {"pytorch_model.bin": torch_bytes(STATE)},
    "legacy": {"pytorch_model.bin": legacy_bytes(STATE)},
    "sharded": sharded(
        {
            "model-1.safetensors": {name: STATE[name] for name in list(STATE)[:3]},
            "model-2.safetensors": {name: STATE[name] for name in list(STATE)[3:]},
        }
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, dict[str, bytes]]]:
    """A hub, and the tables that are read from it while nothing fails."""
    folder = tmp_path_factory.mktemp("faults")
    with Hub(folder / "hub", token=TOKEN) as hub:
        for name, files in REPOS.items():
            hub.publish(f"owner/{name}", files)
        (hub.root / "plain").mkdir()
        for name in ("safe", "zip", "legacy"):
            [data] = REPOS[name].values()
            (hub.root / "plain" / name).write_bytes(data)
        with pytest.MonkeyPatch.context() as monkeypatch, client(monkeypatch, folder, hub) as here:
            tables = {name: here.table(name, hub=f"owner/{name}") for name in REPOS}
            tables |= {
                f"plain_{name}": here.table(f"plain_{name}", url=hub.url(name))
                for name in ("safe", "zip", "legacy")
            }
        yield hub, {name: path.read_bytes() for name, path in tables.items()}


@pytest.fixture
def hub(world: tuple[Hub, dict[str, bytes]]) -> Iterator[Hub]:
    hub, _ = world
    hub.reset()
    yield hub
    hub.private.clear()
    hub.gated.clear()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: Hub) -> Iterator[Here]:
    with client(monkeypatch, tmp_path, hub) as here:
        yield here


def busy(code: int, **headers: Any) -> dict[str, Any]:
    return {"code": code, "headers": {k.replace("_", "-"): str(v) for k, v in headers.items()}}


# --- faults that pass -------------------------------------------------------------------------

LIMIT = '"resolvers";r=0;t={}'

# A fault, its options, and the waits that it leads to.
PASSING_ANYWHERE: list[tuple[str, dict[str, Any], list[float]]] = [
    ("status", busy(429, Retry_After=1), [2]),
    ("status", busy(429, Retry_After=600), [60]),
    ("status", busy(429, Retry_After="9" * 5000), [60]),
    ("status", busy(429, Retry_After="²"), [1]),
    ("status", busy(429, Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"), [1]),
    ("status", busy(429, RateLimit=LIMIT.format(7), RateLimit_Policy='"fixed";q=500;w=300'), [8]),
    ("status", busy(429, RateLimit=LIMIT.format(600), Retry_After=1), [60]),
    ("status", busy(429, RateLimit=LIMIT.format("9" * 5000)), [60]),
    ("status", busy(429, RateLimit='"api";r=3;t=600', Retry_After=2), [3]),
    ("status", busy(503, RateLimit=LIMIT.format(600), RateLimit_Policy="q=" + "9" * 5000), [1]),
    ("status", busy(503), [1]),
    ("status", busy(503, Retry_After=30), [31]),
    ("status", busy(500), [1]),
    ("status", busy(504), [1]),
    ("status", busy(408), [1]),
    ("status", {**busy(502), "body": b"\xff[{" * 50_000}, [1]),
    ("status", {**busy(503, Content_Encoding="gzip"), "body": b"not gzip"}, [1]),
    ("close", {}, [1]),
    ("reset", {"at": -1}, [1]),
    ("hang", {"at": -1}, [1]),
]
PASSING_IN_BODIES: list[tuple[str, dict[str, Any], list[float]]] = [
    ("cut", {}, [1]),
    ("cut", {"at": 0}, [1]),
    ("reset", {}, [1]),
    ("hang", {}, [1]),
    ("short206", {}, [1]),
    ("short206", {"keep": 1}, [1]),
    ("short206", {"honest": False}, [1]),
    ("expired", {}, []),
    ("status", {"code": 400, "body": b"<Error><Code>ExpiredToken</Code></Error>"}, []),
    ("bare", {}, []),
]


def name_of(value: Any) -> str:
    return str(value)[:60] if not isinstance(value, list) else ""


@pytest.mark.parametrize(
    ("step", "kind", "options", "waits"),
    [
        *(("metadata", *fault) for fault in PASSING_ANYWHERE),
        *(("ranges", *fault) for fault in PASSING_ANYWHERE + PASSING_IN_BODIES),
    ],
    ids=name_of,
)
def test_a_fault_that_passes_is_survived(world, here, hub, caplog, step, kind, options, waits):
    _, tables = world
    here.expect(kind)
    # Of ranges also the third: there are other threads then.
    for after in [0] if step == "metadata" else [0, 2]:
        hub.reset()
        here.waits.clear()
        fault = hub.fault(step, kind, after=after, **options)
        table = here.table("safe", hub="owner/safe")
        assert fault.struck == 1
        assert table.read_bytes() == tables["safe"]
        assert here.waits == waits
    told = [record.getMessage() for record in caplog.records]
    if waits and max(waits) >= 60:
        assert any("waiting 60 s" in text for text in told)
    assert not any("Signature" in text or "Expires" in text for text in told)


@pytest.mark.parametrize("name", ["zip", "sharded"])
@pytest.mark.parametrize(("kind", "options"), [("cut", {}), ("status", busy(503)), ("expired", {})])
def test_other_formats_survive_too(world, here, hub, name, kind, options):
    fault = hub.fault("ranges", kind, times=3, after=1, **options)
    assert here.table(name, hub=f"owner/{name}").read_bytes() == world[1][name]
    assert fault.struck == 3


@pytest.mark.parametrize("name", ["safe", "zip", "legacy"])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", busy(429, Retry_After=600)), ("status", busy(503)), ("close", {}),
        ("cut", {}), ("reset", {}), ("hang", {}),
    ],
)  # fmt: skip
def test_addresses_survive_too(world, here, hub, name, kind, options, after):
    here.expect(kind)
    fault = hub.fault("ranges", kind, after=after, **options)
    model = f"plain_{name}"
    assert here.table(model, url=hub.url(name)).read_bytes() == world[1][model]
    assert fault.struck == 1
    assert sum(here.waits) <= 60


@pytest.mark.parametrize(
    "faults",
    [
        [("status", busy(503))],
        [("status", busy(429, Retry_After=600))],
        [("cut", {}), ("status", busy(503))],  # in the middle of the download
        [("cut", {}), ("cut", {}), ("status", busy(502)), ("reset", {})],
        [("hang", {})],
        [("close", {})],
    ],
    ids=str,
)
def test_whole_downloads_survive(world, here, hub, faults):
    here.expect(faults[0][0])
    # The first request is for the head, which tells that the format cannot be ranged.
    set_faults = [hub.fault("ranges", kind, after=1, **options) for kind, options in faults]
    assert here.table("legacy", hub="owner/legacy").read_bytes() == world[1]["legacy"]
    assert [fault.struck for fault in set_faults] == [1] * len(faults)
    assert sum(here.waits) <= 70


def test_a_hub_that_goes_and_comes_back_is_survived(world, here, hub):
    for step, after in [("metadata", 0), ("ranges", 0), ("ranges", 2)]:
        fault = hub.fault(step, "status", after=after)
        here.clock.meanwhile = [hub.stop, hub.start]
        here.waits.clear()
        assert here.table("safe", hub="owner/safe").read_bytes() == world[1]["safe"]
        assert fault.struck == 1
        assert len(here.waits) >= 2
        hub.reset()


@pytest.mark.parametrize("error", [ValueError, RuntimeError, ImportError, AttributeError])
@pytest.mark.parametrize("source", ["hub", "cache", "url"])
def test_a_fault_of_this_program_is_not_called_a_fault_of_a_server(
    world, here, hub, monkeypatch, source, error
):
    def faulty(*_):
        raise error("a fault of ours")

    if source == "cache":
        hf_hub_download("owner/safe", "model.safetensors")
    monkeypatch.setattr(safetensors, "as_float32", faulty)
    remote = {"url": f"{hub.endpoint}/owner/safe/resolve/main/model.safetensors"}
    with pytest.raises(error, match="a fault of ours"):
        here.table("safe", **(remote if source == "url" else {"hub": "owner/safe"}))


def test_a_client_that_another_thread_has_closed_is_survived(world, here, hub, monkeypatch):
    """As huggingface_hub does with all threads' client when one of them cannot connect."""
    calls = []

    def get_session() -> httpx2.Client:
        calls.append(session())
        if len(calls) != 3:
            return calls[-1]
        closed = httpx2.Client()
        closed.close()
        return closed

    session = hub_http.get_session
    monkeypatch.setattr(hub_http, "get_session", get_session)
    assert here.table("safe", hub="owner/safe").read_bytes() == world[1]["safe"]
    assert here.waits == [1]


def test_a_connection_that_breaks_often_makes_progress(here, hub, monkeypatch):
    """Only attempts that bring no bytes count; and no byte is fetched twice."""
    monkeypatch.setattr(ranges, "GAP", 4 << 10)
    fault = hub.fault("ranges", "cut", times=20, at=8 << 10)
    assert here.table("safe", hub="owner/safe")
    assert fault.struck == 20
    assert set(here.waits) == {1}
    sent = [r.sent for r in hub.requests if r.step == "ranges"]
    assert sent.count(8 << 10) >= 20
    assert sum(sent) < 0.5 * len(REPOS["safe"]["model.safetensors"])


def test_a_server_that_caps_its_answers_costs_no_waiting(here, hub, monkeypatch):
    monkeypatch.setattr(ranges, "GAP", 4 << 10)
    fault = hub.fault("ranges", "short206", times=12, keep=10_000)
    assert here.table("safe", hub="owner/safe")
    assert fault.struck == 12
    assert here.waits == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ignore_range", {}), ("gzip", {}), ("shifted", {}), ("short206", {"keep": 300_000})],
)
@pytest.mark.parametrize("after", [0, 2])
def test_ranges_that_are_not_what_was_asked_for_lead_to_a_whole_download(
    world, here, hub, kind, options, after
):
    fault = hub.fault("ranges", kind, math.inf, after=after, **options)
    assert here.table("safe", hub="owner/safe").read_bytes() == world[1]["safe"]
    assert fault.struck >= 1
    assert hub.requests[-1].sent > 1_000_000
    assert (here.folder / "home/hub/models--owner--safe").is_dir()


# --- faults that last --------------------------------------------------------------------------


@dataclass
class Lasting:
    """A fault that lasts, and the words of the error."""

    kind: str
    text: str
    steps: tuple[str, ...] = ("metadata", "ranges")
    after: tuple[int, ...] = (0, 2)
    repo: str = "safe"
    options: dict[str, Any] | None = None


LASTING = [
    Lasting("status", "answers 503: run again later", options=busy(503)),
    Lasting("status", "answers 500: run again later", options=busy(500, Retry_After=3600)),
    Lasting("status", "answers 429: too many requests: run again", options=busy(429)),
    Lasting("status", "answers 429", options=busy(429, Retry_After=600)),
    Lasting("status", "answers 429", options=busy(429, RateLimit=LIMIT.format(10**9))),
    Lasting("status", "answers 410: check the address", options=busy(410)),
    Lasting("status", "answers 404", ("ranges",), options=busy(404)),
    Lasting("status", "answers 400", ("ranges",), options=busy(400)),
    Lasting("status", "answers 304", options=busy(304)),
    Lasting("close", "run again"),
    Lasting("reset", "run again", options={"at": -1}),
    Lasting("hang", "run again", options={"at": -1}),
    Lasting("cut", "fails 6 times", ("ranges",), options={"at": 10}),
    Lasting("hang", "fails 6 times", ("ranges",), options={"at": 10}),
    Lasting("reset", "fails 6 times", ("ranges",), options={"at": 0}),
    Lasting("short206", "sends less", ("ranges",), options={"keep": 9, "honest": False}),
    Lasting("short206", "sends less", ("ranges",), options={"keep": 9}),
    Lasting("wrong_size", "by another: run again", ("metadata",), (0,)),
    Lasting("wrong_size", "by another: run again", ("metadata",), (0,), options={"by": -9}),
    Lasting("wrong_total", "by another: run again", ("ranges",)),
    Lasting("expired", "answers 403: check", ("ranges",)),
    Lasting("flip", "claims a header of", ("ranges",), (0,), options={"at": 6, "mask": 1}),
    Lasting("flip", "damaged or truncated", ("ranges",), (0,), options={"at": 0, "mask": 1}),
    Lasting("flip", "report it there", ("ranges",), (0,), options={"at": 9, "mask": 1}),
    Lasting("flip", "is neither a", ("ranges",), (0,), "zip", {"at": 0, "mask": 1}),
    Lasting("flip", "CRC", ("ranges",), (3,), "zip", {"at": 1000, "mask": 1}),
]


@pytest.mark.parametrize(
    ("fault", "step", "after"),
    [
        pytest.param(f, step, after, id=f"{step}-{after}-{f.kind}-{str(f.options)[:60]}")
        for f in LASTING
        for step in f.steps
        for after in (f.after if step == "ranges" else (0,))
    ],
)
def test_a_fault_that_lasts_ends_in_one_error(here, hub, caplog, fault, step, after):
    here.expect(fault.kind)
    struck = hub.fault(step, fault.kind, math.inf, after=after, **(fault.options or {}))
    message = here.error("net", hub=f"owner/{fault.repo}")
    assert struck.struck >= 1
    assert f"owner/{fault.repo}" in message
    assert fault.text in message
    assert "Signature" not in message
    # Eight threads may wait at a time, each 60 s five times at most.
    assert max(here.waits, default=0) <= 60
    assert len(here.waits) <= 5 * 3
    assert "Signature" not in caplog.text


@pytest.mark.parametrize("name", ["safe", "legacy"])
@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("status", busy(503), "answers 503: run again later"),
        ("status", busy(429, Retry_After=600), "answers 429: too many requests"),
        ("status", busy(401), "answers 401: download the file yourself and name it with `file:`"),
        ("status", busy(403), "answers 403: download the file yourself"),
        ("status", busy(404, X_Error_Code="EntryNotFound"), "answers 404: check the address"),
        ("status", busy(404, X_Error_Code="RepoNotFound"), "answers 404: check the address"),
        ("status", busy(404, X_Error_Code="RevisionNotFound"), "answers 404: check the address"),
        ("status", busy(503, X_Error_Code="EntryNotFound"), "answers 503: run again later"),
        ("close", {}, "run again"),
        ("hang", {"at": -1}, "run again"),
        ("wrong_total", {}, "another range"),
    ],
)
def test_lasting_faults_of_addresses(here, hub, tmp_path, monkeypatch, name, kind, options, text):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    here.expect(kind)
    hub.fault("ranges", kind, math.inf, **options)
    url = hub.url(name).replace("://", "://someone:hidden@") + "?key=hidden"
    if kind == "wrong_total":
        # The size is known from the address alone.
        message = here.error("net", url=url) if name == "safe" else f"{hub.url(name)}another range"
        text = "bytes where its header needs" if name == "safe" else text
    else:
        message = here.error("net", url=url)
    assert hub.url(name) in message
    assert text in message
    assert "hidden" not in message
    assert not list(tmp_path.glob("tmp*"))


def test_what_is_not_there_or_not_open_is_named_with_a_remedy(here, hub, monkeypatch):
    for name in ("gated", "private"):
        hub.publish(f"owner/{name}", REPOS["safe"])
    hub.publish("owner/other", {"flax_model.msgpack": b"x"})
    hub.publish("owner/lacking", {"model.safetensors.index.json": REPOS["sharded"][
        "model.safetensors.index.json"]})  # fmt: skip
    hub.gated.add("owner/gated")
    hub.private.add("owner/private")

    def error(repo: str, token: str | None = None, **remote: Any) -> str:
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        else:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        message = here.error("net", hub=repo, **remote)
        assert repo in message
        assert "hf_" not in message
        return message

    assert "no repository owner/none, or it is private: check its name" in error("owner/none")
    assert "no repository owner/none" in error("owner/none", TOKEN)
    assert "set HF_TOKEN to a token that may read it" in error("owner/private")
    assert "gated: accept its conditions on its page and set HF_TOKEN" in error("owner/gated")
    assert "gated: accept its conditions" in error("owner/gated", TOKEN)
    assert "set HF_TOKEN to a valid token, or unset" in error("owner/private", "hf_wrong")
    assert "has no revision 'v9'" in error("owner/safe", revision="v9")
    message = error("owner/other")
    assert "has no model.safetensors nor model.safetensors.index.json nor pytorch" in message
    assert "{name: net, hub: owner/other, filename: …}" in message
    assert "has no x.bin" in error("owner/safe", filenames=["x.bin"])
    assert "has no model-1.safetensors, which its index names" in error("owner/lacking")
    # Names that are not valid.
    assert "check its entry in the zoo" in error("owner/a/b")
    assert "check its entry in the zoo" in error("owner/safe", filenames=["../x"])
    assert "check its entry in the zoo" in error("owner/safe", filenames=["C:/x\0"])
    # A token that is not valid in a header; the client's error would quote it.
    for token in ("hf_a\x0bb", "hf_ä"):
        assert "HF_TOKEN" in error("owner/safe", token)
    # A private repository with a public storage.
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert here.table("net", hub="owner/private")


def test_a_server_that_is_down_is_named(here, hub):
    hub.stop()
    try:
        message = here.error("net", hub="owner/safe")
        assert "net: owner/safe/model.safetensors: the server cannot be reached" in message
        assert "check the network, the proxy and HF_ENDPOINT, and run again" in message
        assert here.waits == [1, 2, 4, 8, 8]
        here.waits.clear()
        assert "fails 6 times (ConnectError" in here.error("net", url=hub.url("safe"))
        assert here.waits == [1, 2, 4, 8, 8]
    finally:
        hub.start()


def test_a_server_that_goes_down_between_ranges_and_the_whole_file_is_named(here, hub):
    fault = hub.fault("metadata", "status", math.inf, where=of_legacy, after=1, code=500)
    assert "the server cannot be reached" in here.error("net", hub="owner/legacy")
    assert fault.struck >= 1


def of_legacy(record: Record) -> bool:
    return "/legacy/" in record.path and record.path.endswith("pytorch_model.bin")


def test_another_length_than_announced_is_told_without_the_signature(here, hub):
    hub.fault("ranges", "ignore_range", math.inf)
    hub.fault("metadata", "wrong_size", math.inf)
    message = here.error("net", hub="owner/safe")
    assert "is not as long as announced" in message
    for record in hub.requests:
        assert record.path[-20:] not in message


def test_a_file_that_changes_while_it_is_read_is_not_mixed(here, hub, monkeypatch):
    hub.publish("owner/moving", REPOS["safe"])
    new = REPOS["safe"]["model.safetensors"][:-1] + b"x"
    # The commit is pinned: what the hub says of it must not change.
    fault = hub.fault("ranges", "expired", after=1)
    hub.fault("ranges", "bare", math.inf)
    locate = hub_module._locate

    def change(repo: str, filename: str, revision: str | None) -> Any:
        if fault.struck:
            revision = hub.publish("owner/moving", {"model.safetensors": new})
        return locate(repo, filename, revision)

    monkeypatch.setattr(hub_module, "_locate", change)
    assert "changed while it was read: run again" in here.error("net", hub="owner/moving")
    hub.reset()
    plain = hub.root / "plain/moving"
    plain.write_bytes(REPOS["safe"]["model.safetensors"])

    def swap(record: Record) -> bool:
        if record.path.endswith("moving") and "bytes=0-" not in record.headers["range"]:
            plain.write_bytes(new)
        return False

    hub.fault("ranges", "close", where=swap)
    assert "changed while it was read" in here.error("net", url=hub.url("moving"))


# --- this machine ------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written_harms_whole_downloads_only(world, here, hub, monkeypatch):
    monkeypatch.setattr(hub_module.constants, "HF_HUB_CACHE", "/proc/kernelatlas")
    assert here.table("safe", hub="owner/safe").read_bytes() == world[1]["safe"]
    message = here.error("legacy", hub="owner/legacy")
    assert "a file cannot be read or written (No such file or directory: /proc/" in message
    assert "check HF_HOME" in message


def test_a_full_disk_is_named(here, hub, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub_module, "hf_hub_download", full)
    monkeypatch.setattr(hub_module, "_download", full)
    for remote in ({"hub": "owner/legacy"}, {"url": hub.url("legacy")}):
        message = here.error("net", **remote)
        assert "No space left on device" in message
        assert "free some space, or set HF_HOME (TMPDIR for addresses)" in message
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert "No space left on device" in here.error("net", url=hub.url("legacy"))


def test_a_damaged_cache_is_named(here, hub):
    refs = here.folder / "home/hub/models--owner--safe/refs/main"
    refs.parent.mkdir(parents=True)
    refs.write_bytes(b"\xff\xfe")
    assert "owner/safe in the hub's cache" in here.error("net", hub="owner/safe")


def test_the_output_is_not_touched_by_a_failure(here, hub):
    before = here.table("net", hub="owner/safe").read_bytes()
    hub.fault("ranges", "status", math.inf)
    with pytest.raises(KernelAtlasError):
        extract(here.folder / "net.parquet", "net", remote={"hub": "owner/safe"})
    assert (here.folder / "net.parquet").read_bytes() == before
    assert [path.name for path in here.folder.glob("*net*")] == ["net.parquet"]


def test_with_real_waiting(world, hub, tmp_path):
    """With the real clock, in a process of its own: a hang, a busy server, one that stays busy."""
    patience = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
    hub.publish("owner/busy", REPOS["safe"])
    faults = [
        hub.fault("ranges", "hang", after=1),
        hub.fault("metadata", "status", **busy(429, Retry_After=1)),
        hub.fault(
            "metadata", "status", math.inf, where=lambda r: "/busy/" in r.path,
            **busy(429, Retry_After=0),
        ),
    ]  # fmt: skip
    remotes = {"safe": {"hub": "owner/safe"}, "busy": {"hub": "owner/busy"}}
    done = run(hub.environment(tmp_path / "home"), tmp_path / "out", remotes, **patience)
    assert [fault.struck for fault in faults] == [1, 1, 6]
    assert done.table("safe").read_bytes() == world[1]["safe"]
    assert "answers 429: too many requests" in done.errors["busy"]
    assert 1 + 1 + 2 + 5 <= done.seconds < 20
    assert "answers 429, asks to wait 1 s" in done.log
    assert "ReadTimeout" in done.log

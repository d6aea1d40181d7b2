"""Every source gives the layers that were published, and moves few other bytes."""

import hashlib
import http.client
import json
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import torch
from localhub import Hub, Record
from remote import (
    assert_holds,
    bin_sharded,
    legacy_bytes,
    run,
    safetensors_bytes,
    sharded,
    state_dict,
    torch_bytes,
)

from kernelatlas.running.files import metadata_of

NATURAL = ["stages.2.dw", "stages.9.strip", "stages.10.dw"]
TOKEN = "hf_kernelatlas_secret"


def of_repo(repo: str):
    """Tell whether a request is about a file of a repository."""
    return lambda record: f"/{repo}/" in record.path


def of_file(name: str):
    return lambda record: record.path.endswith(f"/{name}")


def long_header() -> bytes:
    return safetensors_bytes(state_dict(seed=11), metadata={"note": "x" * 200_000})


def many_tensors() -> dict[str, torch.Tensor]:
    """So many tensors that the archive's table of contents is longer than the first read."""
    small = {f"norm.{i}.weight": torch.zeros(1) for i in range(3000)}
    return {**state_dict(seed=12), **small}


def straddling() -> dict[str, torch.Tensor]:
    return {"a.dw.weight": torch.randn(4_000, 1, 3, 3), "b.dw.weight": torch.randn(4_000, 1, 3, 3)}


SMALL = {"dw.weight": torch.arange(18.0).reshape(2, 1, 3, 3)}
WHOLE = state_dict(seed=9)
SHARDS = {
    "model-00001-of-00003.safetensors": {key: WHOLE[key] for key in list(WHOLE)[:3]},
    "model-00002-of-00003.safetensors": {key: WHOLE[key] for key in list(WHOLE)[3:]},
    "model-00003-of-00003.safetensors": {"head.weight": torch.zeros(10, 20)},
}
PUBLISHED = {
    **{name: state_dict(dtype, seed) for seed, (name, dtype) in enumerate(
        [("float32", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)]
    )},
    **{name: state_dict(seed=seed) for seed, name in enumerate(
        ["zip", "both", "legacy", "ignoring", "compressing", "private", "plain_ignoring",
         "plain_safetensors", "plain_zip", "plain_legacy", "plain_digest", "plain_wrong",
         "plain_compressing", "compressing_zip"], start=20
    )},
    "sharded": WHOLE,
    "bin_sharded": WHOLE,
    "plain_sharded": WHOLE,
    "long_header": state_dict(seed=11),
    "many_tensors": many_tensors(),
    "straddling": straddling(),
    "small": SMALL,
    "plain_small": SMALL,
}  # fmt: skip
PICKLED = {
    *("zip", "legacy", "compressing_zip", "many_tensors", "plain_zip", "plain_legacy"),
    *("plain_digest", "plain_ignoring", "bin_sharded"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A hub, what a client has read from it, and its requests by repository or file."""
    folder = tmp_path_factory.mktemp("sources")
    with Hub(folder / "hub", token=TOKEN) as hub:
        remotes = publish(hub)
        done = run(hub.environment(folder / "home"), folder / "first", remotes, HF_TOKEN=TOKEN)
        yield SimpleNamespace(
            hub=hub, folder=folder, remotes=remotes, done=done, requests=hub.requests,
            environment=hub.environment(folder / "home"),
        )  # fmt: skip


def publish(hub: Hub) -> dict[str, dict[str, str]]:
    """Publish everything; return the parameter `remote` of each model."""
    safe = "model.safetensors"
    files = {
        name: {safe: safetensors_bytes(PUBLISHED[name])}
        for name in ("float32", "float16", "bfloat16", "ignoring", "compressing", "private",
                     "straddling", "small")
    }  # fmt: skip
    files["zip"] = {"pytorch_model.bin": torch_bytes(PUBLISHED["zip"])}
    files["compressing_zip"] = {"pytorch_model.bin": torch_bytes(PUBLISHED["compressing_zip"])}
    files["both"] = {safe: safetensors_bytes(PUBLISHED["both"]), "pytorch_model.bin": b"no"}
    files["legacy"] = {"pytorch_model.bin": legacy_bytes(PUBLISHED["legacy"])}
    files["many_tensors"] = {"pytorch_model.bin": torch_bytes(PUBLISHED["many_tensors"])}
    files["long_header"] = {safe: long_header()}
    files["sharded"] = sharded(SHARDS)
    files["bin_sharded"] = bin_sharded(SHARDS)
    remotes = {name: {"hub": f"owner/{name}"} for name in files}
    for name, content in files.items():
        hub.publish(f"owner/{name}", content)
    plain = {
        "plain_safetensors": safetensors_bytes, "plain_zip": torch_bytes,
        "plain_legacy": legacy_bytes, "plain_digest": legacy_bytes, "plain_wrong": torch_bytes,
        "plain_ignoring": torch_bytes, "plain_compressing": safetensors_bytes,
        "plain_small": safetensors_bytes,
    }  # fmt: skip
    folder = hub.root / "plain"
    folder.mkdir()
    for name, write in plain.items():
        (folder / name).write_bytes(write(PUBLISHED[name]))
        remotes[name] = {"url": hub.url(name)}
    digest = hashlib.sha256((folder / "plain_digest").read_bytes()).hexdigest()
    remotes["plain_digest"]["sha256"] = digest
    remotes["plain_wrong"]["sha256"] = digest
    for name, data in sharded(SHARDS).items():
        (folder / name).write_bytes(data)
    index = "model.safetensors.index.json"
    remotes["plain_sharded"] = {"url": hub.url(index)}
    digest = hashlib.sha256((folder / index).read_bytes()).hexdigest()
    remotes["plain_index"] = {"url": hub.url(index), "sha256": digest}
    hub.private.add("owner/private")
    hub.fault("ranges", "ignore_range", inf, where=of_repo("owner/ignoring"))
    hub.fault("ranges", "ignore_range", inf, where=of_file("plain_ignoring"))
    for where in (of_repo("owner/compressing"), of_repo("owner/compressing_zip")):
        hub.fault("ranges", "gzip", inf, where=where)
    hub.fault("ranges", "gzip", inf, where=of_file("plain_compressing"))
    return remotes


def requests_for(world: SimpleNamespace, name: str) -> list[Record]:
    about = of_file(name) if name.startswith("plain_") else of_repo(f"owner/{name}")
    return [record for record in world.requests if about(record)]


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "plain_wrong"])
def test_every_source_gives_what_was_published(world, name):
    ordered = name in PICKLED or len(PUBLISHED[name]) < 5
    names = None if ordered else NATURAL
    assert_holds(world.done.table(name), PUBLISHED[name], names)


def test_only_what_a_digest_does_not_confirm_is_an_error(world):
    errors = {name: error for name, error in world.done.errors.items() if error}
    assert list(errors) == ["plain_wrong", "plain_index"]
    assert "index of shards, which its SHA-256 does not cover" in errors["plain_index"]
    assert errors["plain_wrong"].startswith(f"plain_wrong: {world.remotes['plain_wrong']['url']}: ")
    assert "SHA-256" in errors["plain_wrong"]
    assert not (world.done.folder / "plain_wrong.parquet").exists()


@pytest.mark.parametrize(
    "name",
    ["float32", "float16", "bfloat16", "zip", "plain_safetensors", "plain_zip", "both"],
)
def test_only_ranges_are_moved_where_that_can_be(world, name):
    ranges = [record for record in requests_for(world, name) if record.step == "ranges"]
    assert {record.status for record in ranges} == {206}
    assert 3 <= len(ranges) <= 4
    size = metadata_of(world.done.table(name))["bytes"]
    assert sum(record.sent for record in ranges) < 0.65 * size


def test_a_small_file_is_moved_once(world):
    for name in ("small", "plain_small"):
        gets = [record for record in requests_for(world, name) if record.method == "GET"]
        size = metadata_of(world.done.table(name))["bytes"]
        assert [record.sent for record in gets] == [size]


def test_a_weight_beyond_the_first_request_is_not_moved_twice(world):
    sent = sum(record.sent for record in requests_for(world, "straddling"))
    assert sent == metadata_of(world.done.table("straddling"))["bytes"]


def test_the_next_candidates_are_asked_for_in_order(world):
    asked = [(r.path.rpartition("/")[2], r.status) for r in requests_for(world, "zip")]
    assert asked[:3] == [
        ("model.safetensors", 404), ("model.safetensors.index.json", 404),
        ("pytorch_model.bin", 302),
    ]  # fmt: skip


def test_a_shard_without_depthwise_weights_costs_little(world):
    asked = Counter(r.path.rpartition("/")[2] for r in requests_for(world, "sharded"))
    assert asked["model-00003-of-00003.safetensors"] == 2  # where it is, and its header
    metadata = metadata_of(world.done.table("sharded"))
    sizes = map(len, sharded(SHARDS).values())
    assert metadata["bytes"] == sum(sizes)
    assert metadata["source"] == "owner/sharded/model.safetensors.index.json"


def test_pickled_shards_are_moved_in_ranges_too(world):
    metadata = metadata_of(world.done.table("bin_sharded"))
    assert metadata["source"] == "owner/bin_sharded/pytorch_model.bin.index.json"
    asked = {r.path.rpartition("/")[2] for r in requests_for(world, "bin_sharded")}
    assert {f"pytorch_model-0000{i}-of-00003.bin" for i in (1, 2, 3)} <= asked


def test_whole_downloads_stay_in_the_hubs_cache_and_nowhere_else(world):
    cache = world.folder / "home/hub"
    kept = {"legacy", "ignoring", "compressing", "compressing_zip"}
    assert {path.name for path in cache.glob("models--*")} == {
        f"models--owner--{name}" for name in kept
    }


def test_metadata_tells_the_file_and_its_version(world):
    for name, filename in [("float32", "model.safetensors"), ("legacy", "pytorch_model.bin")]:
        data = (world.hub.root / "owner" / name / filename).read_bytes()
        metadata = metadata_of(world.done.table(name))
        assert metadata["source"] == f"owner/{name}/{filename}"
        assert metadata["commit"] == world.hub.commit(f"owner/{name}")
        assert metadata["etag"] == hashlib.sha256(data).hexdigest()
        assert metadata["bytes"] == len(data)
    data = (world.hub.root / "plain/plain_zip").read_bytes()
    metadata = metadata_of(world.done.table("plain_zip"))
    assert metadata["source"] == world.hub.url("plain_zip")
    assert metadata["etag"] == hashlib.sha256(data).hexdigest()
    digest = metadata_of(world.done.table("plain_digest"))["sha256"]
    assert digest == world.remotes["plain_digest"]["sha256"]


# --- secrets -----------------------------------------------------------------------------


def test_the_token_reaches_the_hub_and_no_one_else(world):
    told = {"hub": set(), "storage": set()}
    for record in world.requests:
        told[record.origin].add(record.headers.get("authorization"))
    assert told == {"hub": {f"Bearer {TOKEN}", None}, "storage": {None}}
    # None: the list that huggingface_hub asks for once.
    bare = {
        r.path for r in world.requests if r.origin == "hub" and "authorization" not in r.headers
    }
    assert bare <= {"/api/agent-harnesses"}
    small = [record for record in requests_for(world, "small") if record.method == "GET"]
    assert [record.headers["authorization"] for record in small] == [f"Bearer {TOKEN}"]


def test_no_token_is_sent_to_an_address_though_it_be_the_hubs(world, tmp_path):
    address = f"{world.hub.endpoint}/owner/small/resolve/main/model.safetensors"
    private = f"{world.hub.endpoint}/owner/private/resolve/main/model.safetensors"
    whole = f"{world.hub.endpoint}/owner/legacy/resolve/main/pytorch_model.bin"
    before = len(world.hub.requests)
    done = run(
        world.environment, tmp_path / "out",
        {"mine": {"url": address}, "hidden": {"url": private}, "whole": {"url": whole}},
        HF_TOKEN=TOKEN,
    )  # fmt: skip
    assert_holds(done.table("mine"), SMALL)
    assert_holds(done.table("whole"), PUBLISHED["legacy"])
    assert "answers 401" in done.errors["hidden"]
    assert "HF_TOKEN" not in done.errors["hidden"]
    asked = world.hub.requests[before:]
    assert "/api/agent-harnesses" not in {record.path for record in asked}
    assert len(asked) == 2 + 2 * 2  # with a redirect of each of the last
    assert not any("authorization" in record.headers for record in asked)


def test_neither_tokens_nor_signatures_are_written_anywhere(world):
    assert "bytes moved" in world.done.log
    written = [path for path in world.folder.rglob("*") if path.is_file()]
    written = [path for path in written if not path.is_relative_to(world.hub.root)]
    assert len(written) > 20
    for path in written:
        data = path.read_bytes()
        for secret in (TOKEN, "Signature=", "Expires="):
            assert secret.encode() not in data, path


# --- the cache, and revisions ------------------------------------------------------------


def test_the_cache_comes_first_and_gives_the_same_tables(world, tmp_path):
    names = ["float32", "zip", "sharded", "long_header", "legacy", "many_tensors", "small"]
    remotes = {name: world.remotes[name] for name in names}
    home = tmp_path / "home"
    environment = world.hub.environment(home)
    offline = run(environment, tmp_path / "empty", remotes, HF_HUB_OFFLINE="1")
    for name in names:
        assert offline.errors[name].startswith(f"{name}: owner/{name} is not in the hub's cache")
    assert not list(offline.folder.glob("*.parquet"))
    for name in names:
        cache(home, world.hub, f"owner/{name}")
    before = len(world.hub.requests)
    for variables in ({}, {"HF_HUB_OFFLINE": "1"}):
        again = run(environment, tmp_path / f"again{len(variables)}", remotes, **variables)
        for name in names:
            assert again.table(name).read_bytes() == world.done.table(name).read_bytes(), name
    assert world.hub.requests[before:] == []


def cache(home: Path, hub: Hub, repo: str) -> None:
    """Write files into a cache as huggingface_hub does."""
    folder = home / "hub" / f"models--{repo.replace('/', '--')}"
    commit = hub.commit(repo)
    for path in (hub.root / repo).iterdir():
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        blob = folder / "blobs" / (sha256 if len(data) >= hub.lfs_limit else sha256[:40])
        link = folder / "snapshots" / commit / path.name
        for file in (blob, link, folder / "refs/main"):
            file.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link.symlink_to(f"../../blobs/{blob.name}")
        (folder / "refs/main").write_text(commit)


def test_a_whole_download_serves_offline_runs(world, tmp_path):
    remotes = {name: world.remotes[name] for name in ("legacy", "ignoring", "float32")}
    done = run(world.environment, tmp_path / "out", remotes, HF_HUB_OFFLINE="1")
    for name in ("legacy", "ignoring"):
        assert done.table(name).read_bytes() == world.done.table(name).read_bytes()
    assert "HF_HUB_OFFLINE" in done.errors["float32"]
    plain = run(
        world.environment, tmp_path / "plain", {"plain": world.remotes["plain_zip"]},
        HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert "HF_HUB_OFFLINE is set" in plain.errors["plain"]


def test_a_revision_pins_the_kernels(world, tmp_path):
    old, new = state_dict(seed=50), state_dict(seed=51)
    commits = [
        world.hub.publish("owner/pinned", {"model.safetensors": safetensors_bytes(state)})
        for state in (old, new)
    ]
    world.hub.revisions["owner/pinned", "v1"] = commits[0]
    remotes = {
        "old": {"hub": "owner/pinned", "revision": commits[0]},
        "tag": {"hub": "owner/pinned", "revision": "v1"},
        "new": {"hub": "owner/pinned"},
        "none": {"hub": "owner/pinned", "revision": "v2"},
        "etag": {"hub": "owner/pinned", "etag": "another"},
    }
    done = run(world.environment, tmp_path / "out", remotes)
    for name, state, commit in [("old", old, commits[0]), ("tag", old, commits[0]),
                                ("new", new, commits[1])]:  # fmt: skip
        assert_holds(done.table(name), state, NATURAL)
        metadata = metadata_of(done.table(name))
        assert metadata["commit"] == commit
        assert metadata["etag"] == hashlib.sha256(safetensors_bytes(state)).hexdigest()
    assert "has no revision 'v2'" in done.errors["none"]
    assert "no longer the file that was locked" in done.errors["etag"]


def test_shards_come_from_the_commit_of_their_index(world, tmp_path):
    """A second publication in between must not be mixed with the first."""
    old = {"model-1.safetensors": {"dw.weight": torch.randn(2, 1, 3, 3)}}
    new = {"model-1.safetensors": {"dw.weight": torch.randn(2, 1, 3, 3)}}
    world.hub.publish("owner/moving", sharded(old))
    moved = []

    def second_publication(record: Record) -> bool:
        if of_file("model-1.safetensors")(record) and of_repo("owner/moving")(record) and not moved:
            moved.append(record)
            world.hub.publish("owner/moving", sharded(new))
        return False

    world.hub.fault("metadata", "close", where=second_publication)
    done = run(world.environment, tmp_path / "out", {"net": {"hub": "owner/moving"}})
    assert moved
    assert_holds(done.table("net"), old["model-1.safetensors"])


# --- proxies, large files, settings ------------------------------------------------------


def test_a_proxy_is_used_and_given_no_more_than_the_servers(world, tmp_path):
    with proxy() as (address, seen):
        done = run(
            world.environment, tmp_path / "out",
            {name: world.remotes[name] for name in ("float32", "plain_zip")},
            NO_PROXY="", no_proxy="", HTTP_PROXY=address, http_proxy=address, HF_TOKEN=TOKEN,
        )  # fmt: skip
    for name in ("float32", "plain_zip"):
        assert done.table(name).read_bytes() == world.done.table(name).read_bytes()
    origins = {f"{parts.scheme}://{parts.netloc}" for parts in (urlsplit(url) for url, _ in seen)}
    assert origins == {world.hub.endpoint, world.hub.storage}
    assert {url.startswith(world.hub.endpoint) for url, token in seen if token} == {True}


class proxy:
    """A proxy on 127.0.0.1, and the addresses and tokens of the requests that it gets."""

    def __enter__(self) -> tuple[str, list[tuple[str, str | None]]]:
        seen: list[tuple[str, str | None]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append((self.path, self.headers["Authorization"]))
                parts = urlsplit(self.path)
                there = http.client.HTTPConnection(parts.netloc)
                there.request(
                    self.command, f"{parts.path}?{parts.query}", headers=dict(self.headers.items())
                )
                answer = there.getresponse()
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.read())
                there.close()

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}", seen

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_of_a_large_network_hardly_anything_is_moved(world, tmp_path):
    head, size, depthwise = convnext()
    world.hub.virtual("owner/large", "model.safetensors", head)
    before = len(world.hub.requests)
    done = run(world.environment, tmp_path / "out", {"large": {"hub": "owner/large"}})
    asked = [record for record in world.hub.requests[before:] if record.step != "api"]
    sent = sum(record.sent for record in asked)
    assert size > 300_000_000
    assert depthwise < sent < 0.02 * size
    assert len(asked) <= 40
    metadata = metadata_of(done.table("large"))
    assert metadata["bytes"] == size
    assert depthwise < metadata["bytes_read"] <= sent
    assert done.peak < 100 << 20


def convnext() -> tuple[bytes, int, int]:
    """Length and header of a safetensors file like ConvNeXt V2 base; its size; depthwise bytes."""
    header, end, depthwise = {}, 0, 0
    for stage, (blocks, width) in enumerate([(3, 128), (3, 256), (27, 512), (3, 1024)]):
        for block in range(blocks):
            for name, shape in [
                ("conv_dw.weight", [width, 1, 7, 7]),
                ("mlp.fc1.weight", [4 * width, width]),
                ("mlp.fc2.weight", [width, 4 * width]),
            ]:
                count = 4 * torch.Size(shape).numel()
                entry = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + count]}
                header[f"stages.{stage}.blocks.{block}.{name}"] = entry
                end += count
                depthwise += count if name == "conv_dw.weight" else 0
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text, 8 + len(text) + end, depthwise


def test_settings_that_cannot_work_are_named(world, tmp_path):
    """They are first used when the client is made."""
    remotes = {"net": world.remotes["float32"], "plain": world.remotes["plain_zip"]}

    def errors(number: int, **variables: str) -> dict[str, str | None]:
        return run(world.environment, tmp_path / str(number), remotes, **variables).errors

    socks = "socks5://user:hidden@127.0.0.1:1"
    for error in errors(1, ALL_PROXY=socks, NO_PROXY="", no_proxy="").values():
        assert "SOCKS" in error
        assert "hidden" not in error
    for error in errors(2, SSL_CERT_FILE=str(tmp_path / "none.pem")).values():
        assert "SSL_CERT_FILE" in error
    found = errors(3, HF_ENDPOINT="localhost")
    assert "HF_ENDPOINT" in found["net"]
    assert found["plain"] is None  # an address, not a hub

"""The hub of the other tests: real clients can use it, and each fault does what its name says."""

import gzip
import hashlib
import http.client
import json
import math
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from localhub import Hub

REPO = "owner/name"
WEIGHTS = random.Random(1).randbytes(100_000)
CONFIG = b'{"architecture": "none"}'


@pytest.fixture
def hub(tmp_path: Path):
    with Hub(tmp_path / "hub", token="hf_secret") as hub:
        hub.publish(REPO, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
        yield hub


def client(hub: Hub, home: Path, code: str, **environment: str) -> list:
    """Run code in a process of its own (HF_ENDPOINT is read at import); return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json\nshow = lambda x: print(json.dumps(x))\n{code}"],
        env=hub.environment(home) | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask(url: str, method: str = "GET", timeout: float = 30, **headers: str):
    """One request on a connection of its own; the answer and its body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def address(hub: Hub, name: str = "model.safetensors", revision: str = "main") -> str:
    return f"{hub.endpoint}/{REPO}/resolve/{revision}/{name}"


def signed(hub: Hub) -> str:
    return ask(address(hub), "HEAD")[0].headers["Location"]


DOWNLOAD = f"""
from pathlib import Path
from huggingface_hub import hf_hub_download
from hashlib import sha256
for name in ["model.safetensors", "config.json"]:
    show(sha256(Path(hf_hub_download("{REPO}", name)).read_bytes()).hexdigest())
"""


def test_downloads_equal_what_was_published_and_are_cached(hub, tmp_path):
    digests = [hashlib.sha256(data).hexdigest() for data in (WEIGHTS, CONFIG)]
    assert client(hub, tmp_path / "home", DOWNLOAD) == digests
    steps = [(r.step, r.method, r.status) for r in hub.requests if r.step != "api"]
    assert steps == [
        ("metadata", "HEAD", 302), ("ranges", "GET", 200),
        ("metadata", "HEAD", 200), ("metadata", "GET", 200),
    ]  # fmt: skip
    assert [r.sent for r in hub.requests if r.method == "GET"][-2:] == [len(WEIGHTS), len(CONFIG)]
    hub.reset()
    assert client(hub, tmp_path / "home", DOWNLOAD, HF_HUB_OFFLINE="1") == digests
    assert hub.requests == []


def test_the_token_opens_private_repositories_and_never_reaches_the_storage(hub, tmp_path):
    hub.private.add(REPO)
    client(hub, tmp_path / "home", DOWNLOAD, HF_TOKEN="hf_secret")
    by_origin = {
        origin: {r.headers.get("authorization") for r in hub.requests if r.origin == origin}
        for origin in ("hub", "storage")
    }
    assert "Bearer hf_secret" in by_origin["hub"]
    assert by_origin["storage"] == {None}


def test_metadata_as_the_client_reads_it(hub, tmp_path):
    code = f"""
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
for name in ["model.safetensors", "config.json"]:
    told = get_hf_file_metadata(hf_hub_url("{REPO}", name))
    show([told.commit_hash, told.etag, told.size, told.location, told.xet_file_data])
api = HfApi()
show([api.model_info("{REPO}").sha, api.list_repo_files("{REPO}")])
show([(f.path, f.size, f.lfs and f.lfs.sha256) for f in api.list_repo_tree("{REPO}")])
"""
    weights, config, info, tree = client(hub, tmp_path / "home", code)
    commit, digest = hub.commit(REPO), hashlib.sha256(WEIGHTS).hexdigest()
    assert weights[:3] == [commit, digest, len(WEIGHTS)]
    assert weights[3].startswith(f"{hub.storage}/repos/")
    assert config[0] == commit
    assert config[2:] == [len(CONFIG), address(hub, "config.json"), None]
    assert info == [commit, ["config.json", "model.safetensors"]]
    assert tree[1] == ["model.safetensors", len(WEIGHTS), digest]


def test_errors_as_the_client_names_them(hub, tmp_path):
    hub.publish("owner/gated", {"a.json": b"{}"})
    hub.publish("owner/private", {"a.json": b"{}"})
    hub.gated.add("owner/gated")
    hub.private.add("owner/private")
    code = f"""
from huggingface_hub import hf_hub_download
for repo, name, revision, token in [
    ("owner/none", "a.json", None, None),
    ("owner/none", "a.json", None, "hf_secret"),
    ("owner/private", "a.json", None, None),
    ("owner/private", "a.json", None, "hf_wrong"),
    ("owner/private", "a.json", None, "hf_secret"),
    ("owner/gated", "a.json", None, None),
    ("owner/gated", "a.json", None, "hf_secret"),
    ("{REPO}", "none.json", None, None),
    ("{REPO}", "config.json", "none", None),
    ("{REPO}", "config.json", "0" * 40, None),
]:
    try:
        hf_hub_download(repo, name, revision=revision, token=token)
        show(None)
    except Exception as error:
        show([type(error).__name__, error.response.status_code])
"""
    assert client(hub, tmp_path / "home", code) == [
        ["RepositoryNotFoundError", 401],
        ["RepositoryNotFoundError", 404],
        ["RepositoryNotFoundError", 401],
        ["HfHubHTTPError", 401],
        None,
        ["GatedRepoError", 401],
        ["GatedRepoError", 403],
        ["RemoteEntryNotFoundError", 404],
        ["RevisionNotFoundError", 404],
        ["RevisionNotFoundError", 404],
    ]


def test_timm_loads_published_weights(hub, tmp_path):
    # The process that has timm writes the weights to the hub's folder.
    code = """
import os, pathlib, timm, torch
from safetensors.torch import save_file
name = "test_convnext.r160_in1k"
torch.manual_seed(3)
state = timm.create_model(name, pretrained=False).state_dict()
file = pathlib.Path(os.environ["FOLDER"], timm.get_pretrained_cfg(name).hf_hub_id)
file.mkdir(parents=True)
save_file(state, file / "model.safetensors")
loaded = timm.create_model(name, pretrained=True).state_dict()
show(loaded.keys() == state.keys() and all(torch.equal(loaded[k], state[k]) for k in state))
"""
    assert client(hub, tmp_path / "home", code, FOLDER=str(hub.root)) == [True]
    steps = [(r.step, r.method, r.status) for r in hub.requests if r.step != "api"]
    assert steps == [("metadata", "HEAD", 302), ("ranges", "GET", 200)]


def test_commits_keep_their_files(hub):
    old = hub.commit(REPO)
    new = hub.publish(REPO, {"model.safetensors": WEIGHTS[::-1]})
    hub.revisions[REPO, "v1"] = old
    for revision, commit, data in [
        (old, old, WEIGHTS), (new, new, WEIGHTS[::-1]), ("main", new, WEIGHTS[::-1]),
        ("v1", old, WEIGHTS),
    ]:  # fmt: skip
        answer, _ = ask(address(hub, revision=revision), "HEAD")
        assert answer.headers["X-Repo-Commit"] == commit
        assert ask(answer.headers["Location"])[1] == data


def test_files_edited_in_place_make_another_commit(hub):
    path = hub.root / "owner/other/model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"a" * 2000)
    old = hub.commit("owner/other")
    path.write_bytes(b"b" * 2001)
    assert hub.commit("owner/other") != old
    answer, _ = ask(f"{hub.endpoint}/owner/other/resolve/{old}/model.safetensors")
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("99990-", 99990, 100000), ("-7", 99993, 100000),
     ("99990-200000", 99990, 100000)],
)  # fmt: skip
def test_ranges(hub, text, start, stop):
    plain = hub.root / "plain/a b/x.bin"
    plain.parent.mkdir(parents=True)
    plain.write_bytes(WEIGHTS)
    for url in (signed(hub), hub.url("a b/x.bin")):
        answer, body = ask(url, Range=f"bytes={text}")
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(WEIGHTS)}"
        assert body == WEIGHTS[start:stop]


def test_conditions_of_ranges(hub):
    url = signed(hub)
    etag = ask(url, "HEAD")[0].headers["ETag"]
    assert etag == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    for status, headers in [
        (200, {}),
        (200, {"Range": "bytes=5-4"}),
        (200, {"Range": "bytes=0-1,4-5"}),
        (206, {"Range": "bytes=0-1", "If-Range": etag}),
        (200, {"Range": "bytes=0-1", "If-Range": '"other"'}),
        (206, {"Range": "bytes=0-1", "If-Match": etag}),
        (412, {"Range": "bytes=0-1", "If-Match": '"other"'}),
        (416, {"Range": f"bytes={len(WEIGHTS)}-"}),
    ]:
        assert ask(url, **headers)[0].status == status, headers


def test_signatures(hub):
    url = signed(hub)
    assert ask(url)[0].status == 200
    for wrong in (url[:-1] + "x", url.replace("Expires=", "Expires=1"), url.split("?")[0]):
        answer, body = ask(wrong)
        assert answer.status == 403
        assert b"SignatureDoesNotMatch" in body
    hub.lifetime = -1
    answer, body = ask(signed(hub))
    assert answer.status == 403
    assert b"Request has expired" in body


def test_virtual_files_are_finite_float32(hub, tmp_path):
    shape = [500_000, 1, 1, 1]
    header = json.dumps(
        {"a.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 2_000_000]}}
    ).encode()
    hub.virtual("owner/big", "model.safetensors", struct.pack("<Q", len(header)) + header)
    code = """
from huggingface_hub import hf_hub_download
show(hf_hub_download("owner/big", "model.safetensors"))
"""
    from safetensors.numpy import load_file

    [path] = client(hub, tmp_path / "home", code)
    values = load_file(path)["a.weight"]
    assert list(values.shape) == shape
    assert np.isfinite(values).all()
    start = 8 + len(header) + 1_000_000
    url = f"{hub.endpoint}/owner/big/resolve/main/model.safetensors"
    answer, _ = ask(url, "HEAD")
    _, body = ask(answer.headers["Location"], Range=f"bytes={start}-{start + 399}")
    assert body == values.ravel()[250_000:250_100].tobytes()


def ranged(hub: Hub, kind: str, timeout: float = 30, **options):
    """Ask for bytes 100 to 199 of the weights under a fault."""
    url = signed(hub)
    fault = hub.fault("ranges", kind, **options)
    try:
        return ask(url, timeout=timeout, Range="bytes=100-199")
    finally:
        assert fault.struck == 1
        assert hub.requests[-1].fault == kind


WHOLE = "bytes 100-199/100000"


@pytest.mark.parametrize(
    ("kind", "options", "status", "told", "body"),
    [
        ("status", {"code": 503, "body": b"busy"}, 503, None, b"busy"),
        ("short206", {}, 206, "bytes 100-149/100000", WEIGHTS[100:150]),
        ("short206", {"keep": 1, "honest": False}, 206, WHOLE, WEIGHTS[100:101]),
        ("ignore_range", {}, 200, None, WEIGHTS),
        ("wrong_total", {}, 206, "bytes 100-199/100001", WEIGHTS[100:200]),
        ("shifted", {"by": 8}, 206, "bytes 108-207/100000", WEIGHTS[108:208]),
        ("bare", {}, 206, WHOLE, WEIGHTS[100:200]),
        ("hang", {"seconds": 0.1}, 206, WHOLE, WEIGHTS[100:200]),
    ],
)
def test_faults_in_answers(hub, kind, options, status, told, body):
    answer, received = ranged(hub, kind, **options)
    assert (answer.status, answer.headers["Content-Range"]) == (status, told)
    assert received == body
    assert (answer.headers["ETag"] is None) == (kind in {"status", "bare"})


def test_a_compressed_answer(hub):
    answer, body = ranged(hub, "gzip")
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == WEIGHTS


def test_flipped_bits(hub):
    answer, body = ranged(hub, "flip", at=7, mask=1)
    assert answer.status == 206
    assert [i for i in range(100) if body[i] != WEIGHTS[100 + i]] == [7]
    assert body[7] ^ 1 == WEIGHTS[107]


def test_an_expired_url(hub):
    answer, body = ranged(hub, "expired")
    assert answer.status == 403
    assert b"Request has expired" in body


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("close", {}, http.client.RemoteDisconnected),
        ("cut", {}, http.client.IncompleteRead),
        ("cut", {"at": 0}, http.client.IncompleteRead),
        ("reset", {}, ConnectionResetError),
        ("reset", {"at": -1}, ConnectionResetError),
        ("hang", {}, TimeoutError),
        ("hang", {"at": -1}, TimeoutError),
    ],
)
def test_broken_connections(hub, kind, options, error):
    with pytest.raises(error) as caught:
        ranged(hub, kind, timeout=0.5 if kind == "hang" else 30, **options)
    if kind == "cut":
        assert len(caught.value.partial) == options.get("at", 50)
        assert caught.value.expected == 100 - options.get("at", 50)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("close", http.client.RemoteDisconnected),
        ("reset", ConnectionResetError),
        ("hang", TimeoutError),
    ],
)
def test_broken_metadata(hub, kind, error):
    hub.fault("metadata", kind)
    with pytest.raises(error):
        ask(address(hub), "HEAD", timeout=0.5 if kind == "hang" else 30)
    assert hub.requests[-1].status == 0
    assert ask(address(hub), "HEAD")[0].status == 302


def test_wrong_metadata(hub):
    hub.fault("metadata", "wrong_size", by=-5)
    hub.fault("metadata", "bare")
    limit = {"Retry-After": "7", "RateLimit": '"resolvers";r=0;t=7'}
    hub.fault("metadata", "status", code=429, headers=limit)
    answer, _ = ask(address(hub), "HEAD")
    assert answer.headers["X-Linked-Size"] == str(len(WEIGHTS) - 5)
    answer, _ = ask(address(hub), "HEAD")
    assert not {"X-Linked-Size", "X-Linked-ETag", "ETag"} & set(answer.headers)
    assert answer.headers["X-Repo-Commit"] == hub.commit(REPO)
    answer, _ = ask(address(hub), "HEAD")
    assert answer.status == 429
    assert limit.items() <= dict(answer.headers).items()


def test_faults_are_counted(hub):
    url = signed(hub)
    for_ever = hub.fault("ranges", "status", math.inf, code=500, where=lambda r: r.method == "HEAD")
    hub.fault("ranges", "status", times=2, after=1, code=502)
    assert [ask(url)[0].status for _ in range(4)] == [200, 502, 502, 200]
    assert [ask(url, "HEAD")[0].status for _ in range(3)] == [500] * 3
    assert for_ever.struck == 3
    hub.reset()
    assert ask(url, "HEAD")[0].status == 200
    with pytest.raises(ValueError, match="no such fault"):
        hub.fault("ranges", "cut", half=True)


def test_connections_are_kept_and_requests_of_many_are_all_recorded(hub):
    url = signed(hub)
    target = url.removeprefix(hub.storage)
    hub.reset()
    bodies = []

    def many() -> None:
        connection = http.client.HTTPConnection(urlsplit(hub.storage).netloc)
        for start in range(50):
            connection.request("GET", target, headers={"Range": f"bytes={start}-{start + 9}"})
            bodies.append((start, connection.getresponse().read()))
        connection.close()

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == len(hub.requests) == 400
    assert all(body == WEIGHTS[start : start + 10] for start, body in bodies)
    assert sum(r.sent for r in hub.requests) == 4000


def test_stopping_ends_connections_and_starting_again_keeps_the_address(hub):
    hub.fault("ranges", "hang")
    parts = urlsplit(signed(hub))
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    before = hub.endpoint
    hub.stop()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        ask(address(hub), "HEAD")
    hub.start()
    assert hub.endpoint == before
    assert ask(address(hub), "HEAD")[0].status == 302


def test_as_a_program(hub, tmp_path):
    head = tmp_path / "head"
    head.write_bytes(struct.pack("<Q", 2) + b"{}")
    script = Path(__file__).with_name("localhub.py")
    command = [
        sys.executable,
        str(script),
        str(hub.root),
        "--latency",
        "0.01",
        "--bandwidth",
        "1e6",
    ]
    command += ["--virtual", f"owner/big/model.bin={head}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            endpoint = program.stdout.readline().strip()
            answer, body = ask(f"{endpoint}/{REPO}/resolve/main/config.json")
            assert (answer.status, body) == (200, CONFIG)
            assert ask(f"{endpoint}/owner/big/resolve/main/model.bin")[1] == head.read_bytes()
            records = json.loads(ask(f"{endpoint}/_requests")[1])
            assert [(r["status"], r["sent"]) for r in records] == [(200, len(CONFIG)), (200, 10)]
        finally:
            program.terminate()

"""Whole networks from a hub and from addresses: into the hub's cache, by revision and token."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from localhub import Hub
from remote import Here, State, bin_sharded, client, safetensors_bytes, sharded, torch_bytes

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import sha256
from kernelatlas.sources.whole import read_weights

TOKEN = "hf_ThisIsASecretOfTheTests"


def network(seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"stem.weight": (40, 3, 3, 3), "dw.weight": (40, 1, 3, 3), "head.bias": (1000,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub"), token=TOKEN) as hub:
        yield hub


@pytest.fixture
def here(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    with client(monkeypatch, tmp_path, hub) as here:
        hub.reset()
        yield here


def assert_is(found: dict[str, np.ndarray], seed: int) -> None:
    expected = network(seed)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert np.array_equal(found[name], tensor), name


def test_the_commit_of_the_kernel_table_is_read(hub: Hub, here: Here) -> None:
    repo = "timm/moving"
    hub.publish(repo, {"model.safetensors": safetensors_bytes(network(1))})
    table = here.table("net", hub=repo)
    hub.publish(repo, {"model.safetensors": safetensors_bytes(network(2))})
    for _ in range(2):
        assert_is(read_weights("net", table, remote={"hub": repo}).values, 1)
        hub.reset()
    assert hub.requests == []  # the second time it was in the cache
    other = here.table("other", hub=repo)
    assert_is(read_weights("other", other, remote={"hub": repo}).values, 2)


def test_files_in_shards_are_read_whole(hub: Hub, here: Here) -> None:
    state = network(3)
    files = {"model-00001-of-00002.safetensors": dict(list(state.items())[:1])}
    files["model-00002-of-00002.safetensors"] = dict(list(state.items())[1:])
    for repo, published in (("o/shards", sharded(files)), ("o/bins", bin_sharded(files))):
        hub.publish(repo, published)
        table = here.table(repo.replace("/", "-"), hub=repo)
        assert_is(read_weights("net", table, remote={"hub": repo}).values, 3)


def test_private_repositories_need_the_token(
    hub: Hub, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = "o/private"
    hub.publish(repo, {"model.safetensors": safetensors_bytes(network(4))})
    hub.private.add(repo)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    table = here.table("net", hub=repo)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(KernelAtlasError, match=f"net: {repo}.*set HF_TOKEN to a token"):
        read_weights("net", table, remote={"hub": repo})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert_is(read_weights("net", table, remote={"hub": repo}).values, 4)
    sent = [r for r in hub.requests if r.origin == "storage" and "authorization" in r.headers]
    assert sent == []


def test_addresses_are_read_whole_and_checked(hub: Hub, here: Here, tmp_path: Path) -> None:
    folder = hub.root / "plain"
    folder.mkdir(exist_ok=True)
    (folder / "net.pth").write_bytes(torch_bytes(network(5)))
    (folder / "net.safetensors").write_bytes(safetensors_bytes(network(5)))
    for name in ("net.pth", "net.safetensors"):
        url = hub.url(name)
        table = here.table("net", url=url)
        remote = {"url": url}
        assert_is(read_weights("net", table, remote=remote).values, 5)
        digest = sha256(folder / name)
        assert_is(read_weights("net", table, remote={**remote, "sha256": digest}).values, 5)
        with pytest.raises(KernelAtlasError, match="the file was not used"):
            read_weights("net", table, remote={**remote, "sha256": "0" * 64})


def test_what_is_missing_is_named(hub: Hub, here: Here) -> None:
    repo = "o/emptied"
    hub.publish(repo, {"model.safetensors": safetensors_bytes(network(6))})
    table = here.table("net", hub=repo)
    with pytest.raises(KernelAtlasError, match=r"the repository o/emptied has no other\.bin"):
        read_weights("net", table, remote={"hub": repo, "filenames": ["other.bin"]})
    with pytest.raises(KernelAtlasError, match=r"there is no repository o/none"):
        read_weights("net", table, remote={"hub": "o/none"})

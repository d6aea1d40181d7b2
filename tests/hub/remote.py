"""Checkpoints to publish, clients that read them, and what their tables must hold."""

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub.file_download
import huggingface_hub.utils._http as hub_http
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import close_session, constants, set_client_factory
from localhub import Hub
from safetensors.torch import save as safetensors_bytes

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources import hub as hub_module
from kernelatlas.sources import ranges
from kernelatlas.sources.extract import extract

State = dict[str, torch.Tensor]


def state_dict(dtype: torch.dtype = torch.float32, seed: int = 0) -> State:
    """Depthwise layers far from each other: three ranges, and a fourth beside the third."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        "a.weight": normal(80_000),
        "stages.10.dw.weight": normal(60, 1, 3, 3),
        "stages.10.mlp.weight": normal(150_000),
        "stages.2.dw.weight": normal(5_600, 1, 3, 3),
        "stages.2.mlp.weight": normal(300),
        "stages.9.strip.weight": normal(5, 1, 1, 7),
        "z.weight": normal(80_000),
    }


def torch_bytes(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def legacy_bytes(content: Any) -> bytes:
    return torch_bytes(content, _use_new_zipfile_serialization=False)


def index_bytes(shards: Mapping[str, State]) -> bytes:
    """What says in which file each tensor is."""
    weight_map = {name: shard for shard, state in shards.items() for name in state}
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


def sharded(shards: Mapping[str, State]) -> dict[str, bytes]:
    files = {name: safetensors_bytes(state) for name, state in shards.items()}
    return {**files, "model.safetensors.index.json": index_bytes(shards)}


def bin_sharded(shards: Mapping[str, State]) -> dict[str, bytes]:
    """The same as torch.save writes it, with the names that transformers gives."""
    pickled = {
        name.replace("model-", "pytorch_model-").replace(".safetensors", ".bin"): state
        for name, state in shards.items()
    }
    files = {name: torch_bytes(state) for name, state in pickled.items()}
    return {**files, "pytorch_model.bin.index.json": index_bytes(pickled)}


def layers_of(table: Path) -> dict[str, np.ndarray]:
    """The layers of a kernel table, in its order."""
    layers = {}
    file = pq.ParquetFile(table)
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        [name], [kh], [kw] = (set(rows[key].to_pylist()) for key in ("layer", "kh", "kw"))
        values = np.concatenate([chunk.flatten() for chunk in rows["weights"].chunks])
        layers[name] = values.reshape(rows.num_rows, kh, kw)
    return layers


def assert_holds(table: Path, state: State, names: list[str] | None = None) -> None:
    """Compare a kernel table with the state dict that was published, bit for bit."""
    depthwise = {
        name.removesuffix(".weight"): tensor.float().numpy()[:, 0]
        for name, tensor in state.items()
        if tensor.dim() == 4 and tensor.shape[1] == 1
    }
    found = layers_of(table)
    assert list(found) == (names or list(depthwise))
    for name, expected in depthwise.items():
        assert found[name].shape == expected.shape
        assert found[name].dtype == np.float32
        assert found[name].tobytes() == np.ascontiguousarray(expected).tobytes()


@dataclass
class Done:
    """What a client has left: an error or None for each model, its log, its folder of tables."""

    errors: dict[str, str | None]
    log: str
    folder: Path
    seconds: float
    peak: int  # bytes of its resident memory

    def table(self, model: str) -> Path:
        assert self.errors[model] is None, self.errors[model]
        return self.folder / f"{model}.parquet"


DRIVER = r"""
import json, re, sys, time
from kernelatlas.running.job import logged
folder, remotes = sys.argv[1], json.loads(sys.stdin.read())
errors, begin = {}, time.monotonic()
with logged(f"{folder}/log"):
    from kernelatlas.errors import KernelAtlasError
    from kernelatlas.sources.extract import extract
    exec(sys.argv[2])
    for model, remote in remotes.items():
        try:
            errors[model] = extract(f"{folder}/{model}.parquet", model, remote=remote)
        except KernelAtlasError as error:
            errors[model] = str(error)
peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
with open(f"{folder}/done", "w") as file:
    json.dump([errors, time.monotonic() - begin, peak], file)
"""


def run(
    environment: Mapping[str, str],
    folder: Path,
    remotes: Mapping[str, Any],
    prelude: str = "",
    **variables: str,
) -> Done:
    """Extract models, by name, in a process of its own: settings are read at import.

    The prelude is code that it runs before.
    """
    folder.mkdir(parents=True)
    temporary = folder / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), prelude],
        input=json.dumps(remotes),
        env={**environment, "TMPDIR": str(temporary), **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )
    log = (folder / "log").read_text() + done.stdout + done.stderr
    assert done.returncode == 0, log
    errors, seconds, peak = json.loads((folder / "done").read_text())
    assert list(temporary.iterdir()) == []
    return Done(errors, log, folder, seconds, peak)


class Clock:
    """The module `time`, but for sleeping, which is only noted."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.meanwhile: list[Callable[[], None]] = []  # one for each of the first waits

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


TIMEOUTS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")


@dataclass
class Here:
    """A client in this process; `waits` are those that it would have made."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    @property
    def waits(self) -> list[float]:
        return self.clock.waits

    def expect(self, kind: str) -> None:
        """Time out soon where a fault leads to it."""
        if kind == "hang":
            for name in TIMEOUTS:
                setattr(constants, name, 0.2)

    def table(self, model: str, **remote: Any) -> Path:
        path = self.folder / f"{model}.parquet"
        extract(path, model, remote=remote)
        return path

    def error(self, model: str, **remote: Any) -> str:
        """The message of an extraction that must fail, checked for its form."""
        path = self.folder / "none" / f"{model}.parquet"
        with pytest.raises(KernelAtlasError) as caught:
            extract(path, model, remote=remote)
        message = str(caught.value)
        assert message.startswith(f"{model}: ")
        assert "\n" not in message
        assert len(message) < 600
        assert not path.parent.exists()
        return message


@contextmanager
def client(monkeypatch: pytest.MonkeyPatch, folder: Path, hub: Hub | None = None) -> Iterator[Here]:
    """Let this process read from a hub with an empty cache, without waiting."""
    here = Here(folder)
    endpoint = hub.endpoint if hub else "http://127.0.0.1:9"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(folder / "home/hub"),
        "HF_TOKEN_PATH": str(folder / "home/token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": True,  # or the hub would be asked for a list
        **dict.fromkeys(TIMEOUTS, 10),
    }.items():
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for module in (hub_http, huggingface_hub.file_download, ranges, hub_module):
        monkeypatch.setattr(module, "time", here.clock)
    ranges.use_limited_client.cache_clear()
    logging.getLogger("kernelatlas").setLevel(logging.INFO)
    try:
        yield here
    finally:
        close_session()
        set_client_factory(hub_http.default_client_factory)
        ranges.use_limited_client.cache_clear()
        logging.getLogger("kernelatlas").setLevel(logging.NOTSET)

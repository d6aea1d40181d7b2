"""Archives, NumPy files and HDF5 files at a server: the same layers as from a disk."""

import gzip
import io
import zipfile

import h5py
import numpy as np
import pytest
import torch
from hostile import tar_archive as tar
from hostile import zip_archive as zipped
from localhub import Hub
from remote import client, layers_of, torch_bytes

from kernelatlas.running.files import metadata_of
from kernelatlas.sources.extract import extract

STATE = {"head.weight": torch.zeros(2000, 500), "a.dw.weight": torch.randn(4, 1, 3, 3)}


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value.numpy() for name, value in STATE.items()})
    return buffer.getvalue()


def hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/depthwise_conv2d/vars/0"] = STATE["a.dw.weight"].numpy().transpose(2, 3, 0, 1)
        file["layers/dense/vars/0"] = STATE["head.weight"].numpy()
    return buffer.getvalue()


FILES = {
    "net.tar": tar({"a.txt": b"text", "net.pth": torch_bytes(STATE)}),
    "net.zip": zipped({"a.txt": b"text", "net.pth": torch_bytes(STATE)}),
    "net.npz": npz(),
    "net.pth.gz": gzip.compress(torch_bytes(STATE)),
    "net.tar.gz": gzip.compress(tar({"net.pth": torch_bytes(STATE)})),
    "net.h5": hdf5(),
    "net.keras": zipped(
        {"config.json": b'{"config": {"layers": []}}', "model.weights.h5": hdf5()},
        zipfile.ZIP_DEFLATED,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_at_a_server_are_read_as_on_a_disk(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(FILES[name])
    extract(tmp_path / "local.parquet", "net", tmp_path / name)
    with Hub(tmp_path / "hub") as hub:
        (hub.root / "plain").mkdir(parents=True)
        (hub.root / "plain" / name).write_bytes(FILES[name])
        with client(monkeypatch, tmp_path, hub) as here:
            table = here.table("net", url=hub.url(name))
    local, remote = layers_of(tmp_path / "local.parquet"), layers_of(table)
    assert local.keys() == remote.keys()
    assert len(local) == 1
    for layer, kernels in local.items():
        assert kernels.tobytes() == remote[layer].tobytes()
    if name in ("net.tar", "net.zip", "net.npz"):  # read by ranges
        assert metadata_of(table)["bytes_read"] < 100_000

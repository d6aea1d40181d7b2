"""Jobs of one machine take its GPUs in turn."""

import multiprocessing

import pytest
import torch

from gpu import GPU, needs_gpu
from kernelatlas.errors import KernelAtlasError
from kernelatlas.running import device

# Nine processes that start from nothing would each import torch.
FORK = multiprocessing.get_context("fork")


def claim_and_wait(told, folder):
    device.tempfile.tempdir = str(folder)
    told.send(device.claim(["a", "b"]))
    told.recv()


@pytest.fixture
def claimant(tmp_path):
    running = []

    def start():
        pipe, told = FORK.Pipe()
        process = FORK.Process(target=claim_and_wait, args=(told, tmp_path), daemon=True)
        process.start()
        running.append((process, pipe))
        return process, pipe.recv()

    yield start
    for process, _ in running:
        process.kill()
        process.join()


def test_claims_differ_and_end_with_their_process(claimant):
    first, index = claimant()
    assert index == 0
    assert [claimant()[1] for _ in range(7)] == [1, 0, 1, 0, 1, 0, 1]
    first.kill()
    first.join()
    assert claimant()[1] == 0


def test_no_link_of_another_is_followed(claimant, tmp_path, monkeypatch):
    monkeypatch.setattr(device.tempfile, "tempdir", str(tmp_path))
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / f"kernelatlas-{device.os.getuid()}-a-0.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        device.claim(["a"])
    assert victim.read_text() == "kept"


def test_a_device_that_is_not_here():
    assert device.resolve("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(KernelAtlasError, match="device 'cuda' is not on this machine"):
            device.resolve("cuda")


@needs_gpu
def test_convolutions_and_products_are_in_single_precision():
    on = device.resolve(GPU)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 64, 16, 16, generator=generator)
    weights = torch.rand(64, 64, 3, 3, generator=generator)
    for kind, operation in (
        ("convolution", lambda a, b: torch.nn.functional.conv2d(a, b)),
        ("product", lambda a, b: a.flatten(1)[:, :576] @ b.flatten(1).T),
    ):
        exact = operation(images.double(), weights.double())
        found = operation(images.to(on), weights.to(on)).cpu().double()
        # Half of ten bits would be 5e-4.
        assert ((found - exact).abs() / exact.abs()).max() < 2e-5, kind

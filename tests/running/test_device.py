"""Jobs of one machine take its GPUs in turn."""

import subprocess
import sys

import pytest
import torch

from gpu import GPU, needs_gpu
from kernelatlas.errors import KernelAtlasError
from kernelatlas.running import device

CLAIM = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from kernelatlas.running.device import claim
print(claim(["a", "b"]), flush=True)
input()
"""


@pytest.fixture
def claimant(tmp_path):
    running = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_claims_differ_and_end_with_their_process(claimant):
    first, index = claimant()
    assert index == 0
    assert [claimant()[1] for _ in range(7)] == [1, 0, 1, 0, 1, 0, 1]
    first.kill()
    first.wait()
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

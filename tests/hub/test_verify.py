"""The check against a real hub, tried on the local one."""

import subprocess
import sys
from pathlib import Path

import timm
import torch
from localhub import Hub
from safetensors.torch import save
from verify import NETWORKS

from kernelatlas.sources.registry import tags


def test_three_networks_are_read_and_compared_with_timm(tmp_path):
    with Hub(tmp_path / "hub") as hub:
        for name in NETWORKS:
            torch.manual_seed(0)
            state = timm.create_model(name, pretrained=False).state_dict()
            hub.publish(tags()[name].hub, {"model.safetensors": save(state)})
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("verify.py")],
            env=hub.environment(tmp_path / "home"),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(NETWORKS)
    assert done.stdout.count("equal to timm") == 3
    assert not list((tmp_path / "home").rglob("*.safetensors"))

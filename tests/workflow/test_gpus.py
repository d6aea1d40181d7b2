"""Jobs that use a GPU are as many at once as there are GPUs; without one they run all the same."""

import re
from glob import glob

import pytest

TRAININGS = [f"results/autoencoders/k7_seed{seed}.safetensors" for seed in (1, 2)]


HERE = len(glob("/dev/nvidia[0-9]*"))


# What the profile counts; torch, which sees no such device, trains on the CPU.
@pytest.mark.parametrize(("visible", "at_once"), [("0", 1), ("0,1", 2), (None, min(2, HERE or 2))])
def test_trainings_at_once(finished, visible, at_once, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    finished.update("config.yaml", device="auto", seeds=[0, 1, 2])
    if visible is not None:
        finished.variables = {"CUDA_VISIBLE_DEVICES": visible}
    run = finished.snakemake(*TRAININGS)
    assert run.code == 0, run.text
    events = re.findall(r"Training the autoencoder|Finished jobid", run.text)
    running = most = 0
    for event in events:
        running += 1 if event.startswith("Training") else -1
        most = max(most, running)
    assert (len(events), most) == (4, at_once)

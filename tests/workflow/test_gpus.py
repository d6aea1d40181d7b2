"""Small jobs share a GPU, four at once."""

import re

SEEDS = range(1, 6)
TRAININGS = [f"results/autoencoders/k7_seed{seed}.safetensors" for seed in SEEDS]


def test_four_trainings_share_a_gpu(finished):
    finished.update("config.yaml", device="auto", seeds=[0, *SEEDS])
    # What the profile counts; torch, which sees no such device, trains on the CPU.
    finished.variables = {"CUDA_VISIBLE_DEVICES": "0"}
    run = finished.snakemake("--cores", "5", *TRAININGS)
    assert run.code == 0, run.text
    events = re.findall(r"Training the autoencoder|Finished jobid", run.text)
    running = most = 0
    for event in events:
        running += 1 if event.startswith("Training") else -1
        most = max(most, running)
    assert (len(events), most) == (10, 4)

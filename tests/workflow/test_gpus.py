"""Small jobs share a GPU, four at once, and the smallest use none."""

import json
import re

import pandas as pd

from project import TRAINED, planted

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


def test_fits_of_many_kernels_use_a_gpu(fresh):
    planted(fresh.path / "nets/a.safetensors", seed=1, n=160)
    fresh.edit(
        "workflow/kernelatlas/running/resources.py", "FEWEST_ON_GPU = 30_000", "FEWEST_ON_GPU = 150"
    )
    fresh.update("zoo.yaml", families=TRAINED)
    fresh.update("config.yaml", device="auto")
    fresh.variables = {"CUDA_VISIBLE_DEVICES": "0"}
    assert quarters(fresh) == {"a": 1, "b": 0}
    assert quarters(fresh, "--resources", "gpu_quarters=0") == {"a": 0, "b": 0}
    fresh.update("config.yaml", device="cpu")
    assert quarters(fresh) == {"a": 0, "b": 0}


def quarters(project, *options):
    """Fit again, and return the quarters of a GPU that each network's job had."""
    networks = ["a", "b"]
    files = [f"results/fits/{name}.parquet" for name in networks]
    run = project.snakemake("--benchmark-extended", "--forcerun", "fits", *options, "--", *files)
    assert run.code == 0, run.text
    found = {}
    for name in networks:
        row = pd.read_csv(project.path / f"results/benchmarks/fits/{name}.tsv", sep="\t").iloc[0]
        found[name] = json.loads(row["resources"].replace("'", '"'))["gpu_quarters"]
    return found

"""A run that is killed at any moment goes on where it was, and ends with the same bytes."""

import contextlib
import os
import random
import signal
import subprocess
import time

import pytest


def kill_during(project, stage, rng):
    """Start a run, kill all its processes shortly after `stage` begins; tell if it was running."""
    log = project.path / f"killed-{stage}.log"
    with log.open("w") as file:
        run = subprocess.Popen(
            project.command("all"),
            cwd=project.path,
            env=project.environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        deadline = time.monotonic() + 300
        while stage not in log.read_text() and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2))
        running = run.poll() is None
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    return running


@pytest.mark.parametrize("seed", [0])
def test_killed_runs_end_like_an_uninterrupted_one(fresh, finished, seed):
    rng = random.Random(seed)
    stages = ["Extracting", "Gathering the 7x7", "Training the autoencoder", "Gathering the shapes",
              "Labelling", "Counting the labels", "Drawing"]  # fmt: skip
    killed = 0
    for stage in stages:
        killed += kill_during(fresh, stage, rng)
        # Whatever stands under its final name is whole.
        expected = finished.digests()
        for path, digest in fresh.digests().items():
            if ".partial-" not in path:
                assert expected[path] == digest, path
        assert fresh.snakemake("--unlock").code == 0
    assert killed >= 4
    run = fresh.snakemake("all")
    assert run.code == 0, run.text
    # Two runs in two folders are equal byte for byte.
    assert fresh.digests() == finished.digests()
    assert len(fresh.digests()) > 40

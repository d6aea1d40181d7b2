"""Many short jobs through Slurm: extraction from local files, one model a job.

    python benchmarks/slurm.py [MODELS] [WAY ...]

Starts a real Slurm of one node (tests/slurm/cluster.py: root, no Slurm on this machine yet) and
reads as many small checkpoints in each way:

- plain: `snakemake --cores 2`, no Slurm;
- login: profiles/slurm, extraction where Snakemake runs (`extract_on: login`);
- group: profiles/slurm, one job of Slurm for all (`extract_on: nodes`);
- single: the same without the group, a job of Slurm for each.

Prints jobs of Slurm, seconds, how many times plain that is, and the seconds in which no job ran:
waiting for Slurm and for Snakemake's next question.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/slurm")]

from cluster import Cluster  # noqa: E402

from project import Project, new_project, planted  # noqa: E402

WAYS = ["plain", "login", "group", "single"]
TARGET = "results/tables/sizes.csv"


def prepare(folder: Path, models: int, way: str) -> Project:
    project = new_project(folder)
    names = [f"m{i:04}" for i in range(models)]
    for seed, name in enumerate(names):
        planted(project.path / f"nets/{name}.safetensors", seed)
    zoo = {"families": {"many": [{"name": n, "file": f"nets/{n}.safetensors"} for n in names]}}
    (project.path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    project.update("config.yaml", extract_on="nodes" if way in ("group", "single") else "login")
    if way == "single":
        grouped = r'    group:\n        "kernels" if NODES_EXTRACT else None\n'
        for file, rules in (("sources", 1), ("kernels", 2)):
            path = project.path / f"workflow/rules/{file}.smk"
            text, found = re.subn(grouped, "", path.read_text())
            assert found == rules
            path.write_text(text)
    return project


def seconds_of_jobs(cluster: Cluster, folder: Path) -> tuple[int, float]:
    """Return the number of jobs of a folder, and the seconds in which one of them ran."""
    jobs = [job for job in cluster.completed() if job["WorkDir"] == str(folder)]
    assert all(job["JobState"] == "COMPLETED" for job in jobs)
    times = sorted(
        tuple(datetime.fromisoformat(job[key]).timestamp() for key in ("StartTime", "EndTime"))
        for job in jobs
    )
    total, end = 0.0, 0.0
    for start, stop in times:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return len(jobs), total


def main(models: int, ways: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        cluster = Cluster(Path(temporary) / "slurm")
        cluster.start()
        try:
            print(f"{models} models, {os.cpu_count()} cores\n")
            print(f"{'way':8}{'jobs':>6}{'s':>8}{'× plain':>9}{'s without a job':>17}", flush=True)
            plain = None
            for way in ways:
                project = prepare(Path(temporary) / way, models, way)
                profile = "default" if way == "plain" else "slurm"
                command = [*project.command(TARGET), "--workflow-profile", f"profiles/{profile}"]
                if way != "plain":  # cores are then those of a job
                    command = [c for c in command if c not in ("--cores", "2")]
                began = time.monotonic()
                subprocess.run(
                    command, cwd=project.path, env=project.environment, check=True,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
                took = time.monotonic() - began
                plain = plain or took
                jobs, busy = seconds_of_jobs(cluster, project.path)
                idle = f"{took - busy:.0f}" if jobs else "–"
                print(f"{way:8}{jobs:6}{took:8.0f}{took / plain:9.2f}{idle:>17}", flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(*(numbers or [200]), [way for way in sys.argv[1:] if way in WAYS] or WAYS)

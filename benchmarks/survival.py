"""Whether a run of a zoo survives broken networks, kills at random moments and a full disk.

`python benchmarks/survival.py --fraction 0.1 --targets all` works as `resources.py` does, with a
hub at which some of the networks (5 %, drawn at random) are gone, gated or out of order for ever,
and with `missing: skip`. Once for each stage it starts Snakemake, kills all of its processes at a
random moment of that stage, and starts it again; the next stage is the first to begin of those
that are left. At the end a run goes on undisturbed.

Prints a row a run: the stage, how many files were finished when it began, how many of these had
changed when it ended (none should: what is finished stays), how many are new, and how it ended;
then what the last run said of the networks, how often, and whether anything was named that
answered. `--full` expects a full disk instead of killing: put the folder of results on a small one,
and on a larger one before the next call with the same `--folder`. Linux only.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from resources import ROOT, make_project, publish, repository, thinned
from virtual import pools

sys.path.insert(0, str(ROOT / "tests/hub"))
from localhub import Hub, Record

from kernelatlas.sources.zoo import Model

STAGES = {
    "all": ["Extracting", "Gathering the 3x3 kernels", "Training the autoencoder",
            "Gathering the shapes", "Labelling the kernels", "Counting the labels", "Drawing"],
    "evidence": ["Fitting", "Finding the maps", "by curves that have not", "of the null models",
                 "Running the baselines", "Searching for master keys", "Comparing"],
}  # fmt: skip
BROKEN = {"gone": 404, "gated": 403, "out of order": 503}
LONGEST = 20.0  # seconds from the start of a stage to a kill


def break_some(hub: Hub, models: Sequence[Model], share: float) -> dict[str, str]:
    """Let networks fail, each in one way; return these by name."""
    trained = sorted(model.name for model in models if model.trained)
    chosen = random.Random(0).sample(trained, max(1, round(share * len(trained))))
    found = {name: list(BROKEN)[i % len(BROKEN)] for i, name in enumerate(chosen)}
    for name, how in found.items():
        prefix = f"/{repository(name)}/"

        def concerns(record: Record, prefix: str = prefix) -> bool:
            return record.path.startswith(prefix)

        hub.fault("metadata", "status", times=float("inf"), where=concerns, code=BROKEN[how])
    return found


def finished(path: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of all files of results that have their final name."""
    return {
        file: (state.st_size, state.st_mtime_ns)
        for file in path.rglob("*")
        if file.is_file() and ".partial-" not in file.name and (state := file.stat())
        if file.relative_to(path).parts[0] not in ("logs", "benchmarks")
    }


class Runs:
    """Runs of Snakemake in a project, and what they did to its results."""

    def __init__(self, path: Path, targets: Sequence[str], hub: Hub, cores: int) -> None:
        self.path, self.results = path, path / "results"
        self.environment = hub.environment(path / "home")
        self.environment |= {"PYTHONPATH": str(path / "workflow")}
        self.begin = [sys.executable, "-m", "snakemake", "--nocolor"]
        self.begin += ["--configfile", "own.yaml", "--config", "missing=skip"]
        self.options = ["--cores", str(cores), "--", *targets]
        self.rows: list[dict[str, Any]] = []
        self.log = path / "log"

    def go(self, stages: Sequence[str], rng: random.Random) -> str | None:
        """Run, kill it in the first of the stages that begins, if any does, and note a row.

        Returns the stage.
        """
        subprocess.run([*self.begin, "--unlock"], cwd=self.path, env=self.environment, check=True)
        before, began = finished(self.results), time.monotonic()
        with open(self.log, "w") as log:
            run = subprocess.Popen(
                [*self.begin, *self.options],
                cwd=self.path,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            while not (begun := self._begun(stages)) and run.poll() is None:
                time.sleep(0.2)
            end = time.monotonic() + rng.uniform(0, LONGEST)
            while run.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            if begun and run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        after = finished(self.results)
        self.rows.append(
            {
                "stage": begun or "to the end",
                "s": time.monotonic() - began,
                "finished before": len(before),
                "changed": sum(after.get(file) != state for file, state in before.items()),
                "new": len(after.keys() - before.keys()),
                "ended": "killed" if run.returncode < 0 else f"status {run.returncode}",
            }
        )
        print(self.rows[-1], flush=True)
        return begun

    def _begun(self, stages: Sequence[str]) -> str | None:
        log = self.log.read_text()
        return min((s for s in stages if s in log), key=log.index, default=None)


def said(log: str, broken: dict[str, str], models: Sequence[Model]) -> pd.DataFrame:
    """Return a row a kind of failure: networks, how many are told, and lines that name them.

    The last row is of networks that answered.
    """
    lines = [line for line in log.splitlines() if re.match("WARNING|ERROR", line)]
    told = Counter(m.name for m in models for line in lines if f"{m.name}:" in line)
    kinds = {m.name: broken.get(m.name, "answers") for m in models if m.trained}
    frame = pd.DataFrame({"network": kinds.values(), "lines": [told[name] for name in kinds]})
    groups = frame.groupby("network")["lines"]
    return groups.agg(networks="size", told=lambda n: (n > 0).sum(), lines="sum").reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=ROOT / "workflow/zoos/timm.yaml")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--targets", nargs="+", default=["all"])
    parser.add_argument("--stages", nargs="+", help="beginnings of messages; default: of targets")
    parser.add_argument("--broken", type=float, default=0.05, help="share of the networks")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="of the default zoo")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--full", action="store_true", help="the disk is too small")
    parser.add_argument("--folder", type=Path, required=True, help="to work in")
    given = parser.parse_args()
    models, known = thinned(given.zoo, True, given.fraction), pools(given.results)
    path, rng = given.folder.absolute(), random.Random(given.seed)
    if not (path / "Snakefile").exists():
        make_project(path, models, "cpu")
    with Hub(path / "hub") as hub:
        publish(hub, models, known)
        broken = break_some(hub, models, given.broken)
        runs = Runs(path, given.targets, hub, given.cores)
        stages = given.stages or [s for target in given.targets for s in STAGES.get(target, [])]
        left = [] if given.full else stages
        while begun := runs.go(left, rng):
            left.remove(begun)
    print(pd.DataFrame(runs.rows).round(1).to_string(index=False), "\n")
    log = runs.log.read_text()
    print(said(log, broken, models).to_string(index=False), "\n")
    print("\n".join(line for line in log.splitlines() if re.match("WARNING|ERROR", line))[:4000])


if __name__ == "__main__":
    main()

"""What each rule takes in seconds and memory, by the share of a zoo's networks.

`python benchmarks/resources.py --fractions 0.01 0.03 0.1 0.3 1` runs the real Snakefile in a copy
of the project, once for each share of a zoo's networks (default: all of timm's), on two cores,
against a hub on this machine with files of the networks' own layouts (`benchmarks/virtual.py`),
whose kernels are like those of the default zoo: `make` comes first.

Prints two tables. A row a rule and share: its jobs and what the largest of them took: MB and
kernels of the input, peak RSS in MB, what Snakemake's benchmark says of it (it looks twice a second
for 15 s, then twice a minute), seconds and those on a core; then the seconds of all its jobs. A row
a rule: least squares over all its jobs, MB and CPU seconds as base + slope · input MB, and by how
much any job exceeds them. MB are 2**20 bytes. Linux only.

A folder goes on only with the version of the project that began it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml
from virtual import Network, Pools, pools

from kernelatlas.sources.registry import tags
from kernelatlas.sources.zoo import Model, load_zoo

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/hub"))
from localhub import Hub  # noqa: E402

SOURCES = ("Snakefile", "config.yaml", "envs", "profiles", "workflow")
MB = 2**20
# Runs when a script ends, and writes down its peak, its time on a core and its input.
AT_END = """
import atexit, json, os, sys

def note():
    job = getattr(sys.modules["__main__"], "snakemake", None)
    if job is None:
        return
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    row = {"rule": job.rule, "log": job.log[0], "peak": peak / 1024, "cpu": sum(os.times()[:4]),
           "input": list(job.input), "output": list(job.output)}
    with open(os.environ["KERNELATLAS_JOBS"], "a") as file:
        print(json.dumps(row), file=file)

atexit.register(note)
"""


def thinned(zoo: Path, every_tag: bool, fraction: float) -> list[Model]:
    """Return every 1/fraction-th trained model of each family, by kernels, and their controls."""
    models = load_zoo(zoo, every_tag)
    trained = [model for model in models if model.architecture]
    trained.sort(key=lambda model: (model.family, tags()[model.name].kernels))
    ends = np.floor(0.5 + fraction * np.arange(len(trained) + 1))
    chosen = [m for m, more in zip(trained, np.diff(ends), strict=True) if more]
    families = {model.family for model in chosen}
    return chosen + [m for m in models if not m.trained and m.family in families]


def make_project(path: Path, models: Sequence[Model], device: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, path / name)
        else:
            shutil.copy2(ROOT / name, path / name)
    (path / "customised").mkdir()
    (path / "customised/sitecustomize.py").write_text(AT_END)
    families: dict[str, list[Any]] = {}
    for model in models:
        entry: Any = model.name
        if not model.trained:
            entry = {"name": model.name, "init": model.init, "seed": model.seed}
            entry |= {"arguments": model.arguments} if model.arguments else {}
        elif tags()[model.name].hub is None:  # of another host
            entry = {"name": model.name, "hub": repository(model.name)}
            entry |= {"architecture": model.architecture}
        families.setdefault(model.family, []).append(entry)
    (path / "zoo.yaml").write_text(yaml.safe_dump({"families": families}))
    own = {"zoo": "zoo.yaml", "dynamics": None, "device": device}
    (path / "own.yaml").write_text(yaml.safe_dump(own))


def check_project(path: Path) -> None:
    """Refuse a folder in which another version of the project has run: SystemExit."""
    found = (file for name in SOURCES for file in (ROOT / name, *(ROOT / name).rglob("*")))
    for file in found:
        copy = path / file.relative_to(ROOT)
        if not file.is_file() or "__pycache__" in file.parts:
            continue
        if not copy.is_file() or copy.read_bytes() != file.read_bytes():
            raise SystemExit(f"{copy} is of another version of the project: use a new folder")


def repository(name: str) -> str:
    return tags()[name].hub or f"timm/{name}"


def publish(hub: Hub, models: Sequence[Model], known: Pools) -> None:
    for model in models:
        if model.trained:
            network = Network(model.name, str(model.architecture), known)
            file = tags()[model.name].filename or "model.safetensors"
            hub.virtual(repository(model.name), file, network.head, data=network.read)


def run(path: Path, targets: Sequence[str], hub: Hub, cores: int) -> float:
    """Run Snakemake and return its seconds; SystemExit if it fails."""
    variables = hub.environment(path / "home")
    # The copy's own library: the project may change while it runs.
    found = [path / "workflow", path / "customised", os.environ.get("PYTHONPATH")]
    variables |= {"PYTHONPATH": os.pathsep.join(str(folder) for folder in found if folder)}
    variables |= {"KERNELATLAS_JOBS": str(path / "jobs")}
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--nocolor"]
    command += ["--configfile", "own.yaml", "--", *targets]
    began = time.perf_counter()
    with open(path / "log", "w") as log:
        done = subprocess.run(command, cwd=path, env=variables, stdout=log, stderr=log)
    if done.returncode:
        raise SystemExit(f"Snakemake failed:\n{(path / 'log').read_text()[-4000:]}")
    return time.perf_counter() - began


def measured(path: Path) -> list[dict[str, Any]]:
    """Return a row a job, of what was run again the last time."""
    jobs = {}
    for line in (path / "jobs").read_text().splitlines():
        job = json.loads(line)
        jobs[job["log"]] = job
    rows = []
    for job in jobs.values():
        times = path / job["log"].replace("/logs/", "/benchmarks/").replace(".log", ".tsv")
        said = pd.read_csv(times, sep="\t").iloc[0]
        inputs = {path / file for file in job["input"]}
        rows.append(
            {
                "rule": job["rule"],
                "job": times.stem,
                "input MB": sum(file.stat().st_size for file in inputs) / MB,
                "kernels": kernels(inputs) or kernels({path / job["output"][0]}),
                "peak MB": job["peak"],
                "max_rss": said["max_rss"],
                "s": said["s"],
                "CPU s": job["cpu"],
            }
        )
    return rows


def kernels(paths: set[Path]) -> int:
    """Return the rows in kernel tables, or in label tables, or in corpora."""
    counts = {"kernels": 0, "labels": 0, "corpora": 0}
    for path in paths:
        if path.parent.name in counts:
            counts[path.parent.name] += pq.read_metadata(path).num_rows
    return max(counts.values())


def largest(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a rule and share: the number of jobs, the greatest of columns, and sums."""
    groups = jobs.groupby(["rule", "share"], sort=False)
    columns = ["input MB", "kernels", "peak MB", "max_rss", "s", "CPU s"]
    found = groups[columns].max().assign(jobs=groups.size(), all=groups["s"].sum())
    return found.sort_values(["share", "all"]).reset_index()


def fits(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a rule: lines through its jobs, and how far any is above them."""
    rows = []
    for rule, group in jobs.groupby("rule", sort=False):
        row: dict[str, Any] = {"rule": rule, "jobs": len(group)}
        size = group["input MB"].to_numpy()
        for name, values in (("MB", group["peak MB"]), ("s", group["CPU s"])):
            slope, base = np.polyfit(size, values, 1) if np.ptp(size) > 1 else (0, values.mean())
            above = (values - base - slope * size).max()
            row |= {f"{name} base": base, f"{name} / MB": slope, f"{name} above": above}
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=ROOT / "workflow/zoos/timm.yaml")
    parser.add_argument("--tags", choices=["default", "all"], default="all")
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--targets", nargs="+", default=["all"])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="as in config.yaml")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="of the default zoo")
    parser.add_argument(
        "--folder",
        type=Path,
        help="to work in, keep, and go on with after an interruption; default: a temporary one",
    )
    arguments = parser.parse_args()
    parts, known = [], pools(arguments.results)
    with tempfile.TemporaryDirectory(prefix="kernelatlas-") as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        for fraction in arguments.fractions:
            path = folder / f"share{fraction:g}"
            models = thinned(arguments.zoo, arguments.tags == "all", fraction)
            if path.exists():
                check_project(path)
            else:
                make_project(path, models, arguments.device)
            with Hub(path / "hub") as hub:
                publish(hub, models, known)
                seconds = run(path, arguments.targets, hub, arguments.cores)
            part = pd.DataFrame(measured(path)).assign(share=fraction)
            parts.append(part)
            total = part.loc[part["rule"] == "kernels", "kernels"].sum()
            print(
                f"{fraction:g}: {len(models)} networks, {total:,} kernels; {len(part)} jobs of "
                f"{part['s'].sum():.0f} s in all, {seconds:.0f} s with Snakemake",
                flush=True,
            )
            if not arguments.folder:
                shutil.rmtree(path)
    jobs = pd.concat(parts, ignore_index=True)
    print(f"\n{largest(jobs).to_string(index=False, float_format='{:.4g}'.format)}")
    print(f"\n{fits(jobs).to_string(index=False, float_format='{:.4g}'.format)}")
    training = jobs[jobs["rule"] == "autoencoder"]
    millions = training["kernels"] / 1e6
    for k, group in training.groupby(training["job"].str.split("_").str[0]):
        if len(set(group["share"])) > 1:
            slope, base = np.polyfit(millions[group.index], group["CPU s"], 1)
            print(f"autoencoder {k}: {base:.0f} s + {slope:.0f} s per million kernels")
    if arguments.folder:
        jobs.to_csv(folder / "jobs.csv", index=False)


if __name__ == "__main__":
    main()

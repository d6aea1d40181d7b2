"""A small copy of the project in which the real Snakefile runs on tiny checkpoints."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[1]
SOURCES = ["Snakefile", "config.yaml", "envs", "profiles", "workflow"]
ZOO = {
    "families": {
        "first": [
            {"name": "a", "file": "nets/a.safetensors", "trained_on": "planted kernels"},
            {
                "name": "a.untrained",
                "init": "convnext_atto",
                "seed": 0,
                "arguments": {"depths": [1, 1, 1, 1], "dims": [16, 16, 16, 16]},
            },
        ],
        "second": [{"name": "b", "file": "nets/b.safetensors"}],
    }
}
# Without the network that timm makes, for tests that do without it.
TRAINED = {"first": ZOO["families"]["first"][:1], "second": ZOO["families"]["second"]}
CONFIG = {
    "zoo": "zoo.yaml",
    "dynamics": None,
    "minimum_kernels": 50,
    "seeds": [0],
    "device": "cpu",
    "autoencoder": {
        "points": 64,
        "centroids": 8,
        "rounds": 10,
        "widths": [16],
        "fourier": 32,
        "decoder_steps": 50,
        "steps": 20,
        "batch": 64,
        "learning_rate": 0.003,
        "weight_decay": 0.0001,
    },
    "evidence": {
        "sample": 100,
        "r2": 0.8,
        "false_positives": 0.01,
        "resamples": 50,
        "codes": 20,
        "keys": 8,
        "published": None,
        "pictures": 30,
    },
    "search": {"pictures": 8, "candidates": 2},
}


def planted(path: Path, seed: int, sizes: tuple[int, ...] = (7,), n: int = 120) -> None:
    """Write a checkpoint of one depthwise layer a size: noisy templates."""
    from kernelatlas.clustering.templates import bank

    random = np.random.default_rng(seed)
    state = {"stem.weight": random.normal(size=(4, 3, 4, 4)).astype(np.float32)}
    for layer, k in enumerate(sizes):
        weights = bank(k).weights
        kernels = weights[random.integers(len(weights), size=n)]
        noisy = kernels + random.normal(0, 0.03, kernels.shape)
        state[f"stages.{layer}.conv_dw.weight"] = noisy.astype(np.float32).reshape(n, 1, k, k)
    path.parent.mkdir(exist_ok=True)
    save_file(state, path)


@dataclass
class Run:
    code: int
    text: str

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs of each rule ran, or would run, as counted by Snakemake."""
        table = re.search(r"^job\s+count\n[-\s]+\n(.*?)^total", self.text, re.M | re.S)
        rows = [line.split() for line in table[1].splitlines()] if table else []
        return {rule: int(count) for rule, count in rows}

    @property
    def jobs(self) -> list[str]:
        """Names of the rules that ran, or would run."""
        return sorted(self.counts)

    @property
    def errors(self) -> list[str]:
        """Different lines of error; those of jobs stand in the text twice."""
        return list(dict.fromkeys(self.told("ERROR ")))

    def told(self, beginning: str) -> list[str]:
        """Lines with a beginning, also behind one of Snakemake's, whose end it writes later."""
        return re.findall(rf"{beginning}.*", self.text)


def nothing_to_do(run: Run) -> bool:
    return "Nothing to be done" in run.text and run.code == 0


@dataclass
class Project:
    """A copy of the project's sources in a folder of its own.

    `variables` are set in the environment of its runs.
    """

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    def snakemake(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Run:
        command = [*prefix, *self.command(*arguments)]
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
        return Run(done.returncode, done.stdout)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        # Only the copy's own library may be found.
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return inherited | {"PYTHONSAFEPATH": "1"} | self.variables

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.path / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def update(self, file: str, **values: object) -> None:
        path = self.path / file
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))

    def digests(self) -> dict[str, str]:
        """Digests of all results; logs, timings and records of jobs differ from run to run."""
        return {
            str(path.relative_to(self.path)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.path / "results").rglob("*"))
            if path.is_file()
            and not {"logs", "benchmarks"} & set(path.parts)
            and not path.name.startswith(".")
        }

    def copy(self, path: Path) -> "Project":
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path)


def new_project(path: Path) -> Project:
    path.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, path / name)
    # What is remembered of the library here is so of its copy.
    if (memory := ROOT / ".snakemake/kernelatlas/fingerprints.json").exists():
        (path / memory.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy2(memory, path / memory.relative_to(ROOT))
    (path / "results").mkdir()
    shutil.copy2(ROOT / "results/README.md", path / "results")  # the columns, for a release
    planted(path / "nets/a.safetensors", 1)
    planted(path / "nets/b.safetensors", 2)
    (path / "zoo.yaml").write_text(yaml.safe_dump(ZOO))
    project = Project(path)
    project.update("config.yaml", **CONFIG)
    return project

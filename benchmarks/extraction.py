"""What extraction costs beside timm and huggingface_hub, and what batches would gain.

`python benchmarks/extraction.py` prints, for whole processes with empty caches against a hub on
this machine: seconds, CPU seconds, peak memory, bytes moved and requests of our extraction, of
timm.create_model(pretrained=True), and of hf_hub_download with safetensors; medians of some
repeats. `python benchmarks/extraction.py batching` prints how long a hundred models take as jobs
of Snakemake, as bare processes and in one process. Timings compare within one run only.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Nothing large is imported here: the peak of a child is at least what its parent has.

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "no latency": (0.0, None),
    "50 ms, 20 MB/s": (0.05, 20e6),
}
SMALL = "convnextv2_atto.fcmae_ft_in1k"  # the batches are of its like
BASE = "convnextv2_base.fcmae_ft_in22k_in1k"
MODELS = [SMALL, BASE, "mobilenetv3_large_100.ra_in1k", "efficientnet_b0.ra_in1k"]
# Of 2.6 GB, and of the most depthwise weights in timm: without a disk, for us alone.
LARGE = ["convnextv2_huge.fcmae_ft_in1k", "focalnet_huge_fl4.ms_in22k"]
CLIENTS = {
    "extract": """
import json, sys
from kernelatlas.sources.extract import extract
output, model, remote, architecture = sys.argv[1:]
extract(output, model, remote=json.loads(remote), architecture=architecture)
""",
    "timm": """
import sys
import timm
timm.create_model(sys.argv[2], pretrained=True)
""",
    "download": """
import json, sys
from huggingface_hub import hf_hub_download
from safetensors import safe_open
path = hf_hub_download(json.loads(sys.argv[3])["hub"], "model.safetensors")
with safe_open(path, "np") as file:
    shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    kernels = {n: file.get_tensor(n) for n, s in shapes.items() if len(s) == 4 and s[1] == 1 < s[0]}
""",
}
BATCH = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from kernelatlas.sources.extract import extract
threads, jobs = sys.argv[1:]
with ThreadPoolExecutor(int(threads)) as pool:
    for _ in pool.map(lambda job: extract(**job), json.loads(jobs)):
        pass
"""
VERSIONS = ("numpy", "pyarrow", "huggingface_hub", "safetensors", "timm", "torch", "snakemake")


@dataclass
class Cost:
    """Of a process and its children; the memory is that of the largest of them."""

    seconds: float
    cpu: float
    peak: float  # MiB
    moved: float = 0.0  # MB
    requests: int = 0


def run(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> Cost:
    """Run a process to its end; SystemExit with its words if it fails."""
    with tempfile.TemporaryFile("w+") as words:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=words, stderr=words)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            raise SystemExit(f"{command[:3]} failed:\n{words.read()[-4000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**20)


def apart(task: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a process of its own, which may grow."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(task, arguments)


def make_weights(root: Path, names: list[str]) -> None:
    """Save networks of timm, untrained, as they lie in its repositories."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    for name in names:
        path = root / "timm" / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        save_file(timm.create_model(name).state_dict(), path, metadata={"format": "pt"})


def make_head(path: Path, name: str) -> None:
    """Write length and header of a network's safetensors file, for the hub to make up the rest."""
    import timm
    import torch

    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in sorted(state):
        begin, end = end, end + 4 * state[key].numel()
        header[key] = {"dtype": "F32", "shape": [*state[key].shape], "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text)


class Hub:
    """The hub of the tests in a process of its own."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.seen = endpoint, 0

    def environment(self, home: Path) -> dict[str, str]:
        """For a client with an empty cache in `home`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        return kept | {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PYTHONPATH": str(ROOT / "workflow"),
        }

    def count(self, cost: Cost) -> Cost:
        """Add what was moved and asked for since the last call."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.endpoint}/_requests") as answer:
            records = json.load(answer)
        new, self.seen = records[self.seen :], len(records)
        cost.moved, cost.requests = sum(record["sent"] for record in new) / 1e6, len(new)
        return cost


@contextmanager
def serve(root: Path, network: str, heads: dict[str, Path]) -> Iterator[Hub]:
    latency, bandwidth = NETWORKS[network]
    command = [sys.executable, str(ROOT / "tests/hub/localhub.py"), str(root)]
    command += ["--latency", str(latency)]
    command += ["--bandwidth", str(bandwidth)] if bandwidth else []
    for repo, head in heads.items():
        command += ["--virtual", f"{repo}/model.safetensors={head}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Hub(process.stdout.readline().strip())
        finally:
            process.kill()


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def measure(hub: Hub, folder: Path, client: str, model: str) -> Cost:
    """Run a client once, with nothing in its cache."""
    home = folder / "home"
    remote = json.dumps({"hub": f"timm/{model}"})
    output = str(folder / f"{model}.parquet")
    arguments = [output, model, remote, model.partition(".")[0]]
    command = [sys.executable, "-c", CLIENTS[client], *arguments]
    cost = hub.count(run(command, hub.environment(home)))
    shutil.rmtree(home, ignore_errors=True)
    return cost


def median(costs: list[Cost]) -> Cost:
    def middle(name: str) -> float:
        return statistics.median(getattr(cost, name) for cost in costs)

    moved, requests = middle("moved"), int(middle("requests"))
    return Cost(middle("seconds"), middle("cpu"), max(c.peak for c in costs), moved, requests)


def compare_models(folder: Path, repeats: int) -> None:
    root = folder / "hub"
    heads = {f"timm/{model}": folder / f"{model}.head" for model in LARGE}
    apart(make_weights, root, MODELS)
    for model, head in zip(LARGE, heads.values(), strict=True):
        apart(make_head, head, model)
    runs = [(model, client) for model in MODELS for client in CLIENTS]
    runs += [(model, "extract") for model in LARGE]
    found: dict[tuple[str, str, str], Cost] = {}
    for network in NETWORKS:
        with serve(root, network, heads) as hub:
            costs: dict[tuple[str, str], list[Cost]] = {pair: [] for pair in runs}
            for _ in range(repeats):
                for model, client in runs:
                    costs[model, client].append(measure(hub, folder, client, model))
        found |= {(network, *pair): median(costs[pair]) for pair in runs}
        print(f"\n{network}; × is how many times more than extract")
        print(table(_rows(network, runs, found)), flush=True)
    _judge(found)


def _rows(
    network: str, runs: list[tuple[str, str]], found: dict[tuple[str, str, str], Cost]
) -> list[list[str]]:
    rows = [["model", "client", "s", "×", "CPU s", "peak MiB", "MB moved", "×", "requests"]]
    for model, client in runs:
        cost, ours = found[network, model, client], found[network, model, "extract"]
        rows.append(
            [
                model,
                client,
                f"{cost.seconds:.2f}",
                f"{cost.seconds / ours.seconds:.1f}",
                f"{cost.cpu:.2f}",
                f"{cost.peak:.0f}",
                f"{cost.moved:.2f}",
                f"{cost.moved / ours.moved:.1f}",
                str(cost.requests),
            ]
        )
    return rows


def _judge(found: dict[tuple[str, str, str], Cost]) -> None:
    still, slow = NETWORKS
    ours = {key: cost for key, cost in found.items() if key[2] == "extract"}
    timm, extract = found[slow, BASE, "timm"], found[slow, BASE, "extract"]
    faster, fewer = timm.seconds / extract.seconds, timm.moved / extract.moved
    peak = max(cost.peak for cost in ours.values())
    longest = max(cost.seconds for key, cost in ours.items() if key[0] == still)
    targets = [
        (f"{BASE}, {slow}: {faster:.1f} times faster than timm (15)", faster >= 15),
        (f"{BASE}: {fewer:.1f} times fewer bytes than timm (90)", fewer >= 90),
        (f"peak of extract: {peak:.0f} MiB, whatever the checkpoint's size (100)", peak < 100),
        (f"longest extract, {still}: {longest:.2f} s (1)", longest <= 1),
    ]
    print()
    for text, reached in targets:
        print(f"{'reached' if reached else 'MISSED '}  {text}")


def make_project(path: Path, names: list[str]) -> None:
    """Make a copy of the project whose zoo are these models."""
    sys.path.insert(0, str(ROOT / "tests"))
    import yaml

    from project import new_project

    new_project(path)
    models = [{"name": name, "architecture": _architecture(), **_entry(name)} for name in names]
    (path / "zoo.yaml").write_text(yaml.safe_dump({"families": {"all": models}}))


def _architecture() -> str:
    return SMALL.partition(".")[0]


def _entry(name: str) -> dict[str, str]:
    return {"hub": f"owner/{name}", "filename": "model.safetensors"}


class Batches:
    """Ways to extract many models; each method is one, with nothing left of the last."""

    def __init__(self, hub: Hub, folder: Path, names: list[str]) -> None:
        self.hub, self.folder, self.names = hub, folder, names
        self.project, self.home = folder / "project", folder / "home"
        self.output = self.project / "results" / "kernels"

    def snakemake(self, cores: int) -> Cost:
        paths = [f"results/kernels/{name}.parquet" for name in self.names]
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet", "all"]
        environment = {**self.hub.environment(self.home), "PYTHONSAFEPATH": "1"}
        del environment["PYTHONPATH"]  # only the copy's own library may be found
        return run([*command, "--", *paths], environment, self.project)

    def processes(self, at_once: int, arguments: Callable[[str], list[str]]) -> Cost:
        def start(name: str) -> Cost:
            return run([sys.executable, *arguments(name)], self.hub.environment(self.home))

        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            costs = list(pool.map(start, self.names))
        seconds = time.perf_counter() - began
        return Cost(seconds, sum(c.cpu for c in costs), max(c.peak for c in costs))

    def extraction(self, name: str) -> list[str]:
        job = self._job(name)
        remote = json.dumps(job["remote"])
        return ["-c", CLIENTS["extract"], job["output"], name, remote, job["architecture"]]

    def one_process(self, threads: int) -> Cost:
        jobs = json.dumps([self._job(name) for name in self.names])
        command = [sys.executable, "-c", BATCH, str(threads), jobs]
        return run(command, self.hub.environment(self.home))

    def _job(self, name: str) -> dict[str, Any]:
        entry = _entry(name)
        return {
            "output": str(self.output / f"{name}.parquet"),
            "model": name,
            "remote": {"hub": entry["hub"], "filenames": [entry["filename"]]},
            "architecture": _architecture(),
        }

    def all(self) -> dict[str, Callable[[], Cost]]:
        imports = "import kernelatlas.sources.extract, kernelatlas.sources.hub"
        return {
            "Snakemake, a job each, --cores 2": lambda: self.snakemake(2),
            "Snakemake, a job each, --cores 8": lambda: self.snakemake(8),
            "a process each, 2 at once": lambda: self.processes(2, self.extraction),
            "a process each, 8 at once": lambda: self.processes(8, self.extraction),
            "  only importing, 2 at once": lambda: self.processes(2, lambda _: ["-c", imports]),
            "  only starting, 2 at once": lambda: self.processes(2, lambda _: ["-c", "pass"]),
            "one process, one after another": lambda: self.one_process(1),
            "one process, 8 threads": lambda: self.one_process(8),
        }

    def measure(self, way: Callable[[], Cost]) -> Cost:
        shutil.rmtree(self.project / "results", ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.output.mkdir(parents=True)
        return self.hub.count(way())


def compare_batches(folder: Path, models: int) -> None:
    root, head = folder / "hub", folder / "head"
    root.mkdir()
    names = [f"m{number:04}" for number in range(models)]
    apart(make_head, head, SMALL)
    apart(make_project, folder / "project", names)
    heads = {f"owner/{name}": head for name in names}
    for network in NETWORKS:
        rows = [["way", "s", "s a model", "CPU s a model", "peak MiB", "MB moved", "requests"]]
        with serve(root, network, heads) as hub:
            batches = Batches(hub, folder, names)
            for label, way in batches.all().items():
                cost = batches.measure(way)
                each = [f"{cost.seconds / models:.3f}", f"{cost.cpu / models:.3f}"]
                moved = [f"{cost.peak:.0f}", f"{cost.moved:.1f}", str(cost.requests)]
                rows.append([label, f"{cost.seconds:.1f}", *each, *moved])
        print(f"\n{models} models like {SMALL}; {network}, for all together")
        print(table(rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["models", "batching"], default="models")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement of a model")
    parser.add_argument("--models", type=int, default=100, help="in a batch")
    arguments = parser.parse_args()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in VERSIONS]
    print(f"Python {platform.python_version()}, {', '.join(versions)}; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="kernelatlas-") as folder:
        if arguments.what == "models":
            compare_models(Path(folder), arguments.repeats)
        else:
            compare_batches(Path(folder), arguments.models)


if __name__ == "__main__":
    main()

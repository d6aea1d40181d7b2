"""Whole jobs of fits, from the start of Python to its end, of this checkout and of another one.

`python benchmarks/fit_jobs.py OTHER FOLDER` runs the script of the rule `fits` of both in turn, on
the kernel tables in FOLDER, such as `results/kernels` of a run of `benchmarks/resources.py`: those
at the middles of `--networks` equal parts of the zoo by their kernels, so that the ratio of sums is
about that of all of its jobs. `git worktree add OTHER COMMIT` makes another checkout.

Prints a row a network: kernels, seconds on a core of the other checkout and of this one, and their
ratio; then the sums. Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from kernelatlas.kernels.table import count_sizes
from kernelatlas.names import SMALLEST_FIT

ROOT = Path(__file__).parents[1]
# What Snakemake's preamble makes, as far as the script uses it.
JOB = """
import runpy, sys
from types import SimpleNamespace
tree, kernels, folder, *sizes = sys.argv[1:]
sys.path.insert(0, f"{tree}/workflow")
snakemake = SimpleNamespace(
    input=[kernels], output=[f"{folder}/fits.parquet"], log=[f"{folder}/log"], threads=1,
    params=SimpleNamespace(sizes=[int(k) for k in sizes]), config={"device": "cpu"},
    resources=SimpleNamespace(gpu_quarters=0),
)
runpy.run_path(f"{tree}/workflow/scripts/evidence/fits.py", {"snakemake": snakemake})
"""


def seconds(tree: Path, kernels: Path, sizes: list[int]) -> float:
    """Return the seconds on a core that a job takes."""
    with tempfile.TemporaryDirectory(prefix="kernelatlas-") as folder:
        command = [sys.executable, "-c", JOB, str(tree), str(kernels), folder, *map(str, sizes)]
        job = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=folder)
        _, status, used = os.wait4(job.pid, 0)
    if status:
        raise SystemExit(f"{kernels}: the job of {tree} failed")
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="another checkout")
    parser.add_argument("folder", type=Path, help="of kernel tables")
    parser.add_argument("--networks", type=int, default=12)
    given = parser.parse_args()
    tables = sorted(given.folder.absolute().glob("*.parquet"))
    known = sorted((pq.read_metadata(path).num_rows, path) for path in tables)
    rows = []
    for part in range(given.networks):
        kernels, path = known[int((part + 0.5) * len(known) / given.networks)]
        counts = count_sizes(path)
        fitted = (counts["kh"] == counts["kw"]) & (counts["kh"] >= SMALLEST_FIT)
        sizes = counts.loc[fitted, "kh"].tolist()
        other, own = (seconds(tree.absolute(), path, sizes) for tree in (given.other, ROOT))
        rows.append((path.stem, kernels, other, own, other / own))
        print(path.stem, file=sys.stderr, flush=True)
    table = pd.DataFrame(rows, columns=["network", "kernels", "other s", "own s", "ratio"])
    print(table.to_string(index=False, float_format="{:.2f}".format))
    other, own = table["other s"].sum(), table["own s"].sum()
    print(f"\n{other:.1f} s, {own:.1f} s, ratio {other / own:.2f}")


if __name__ == "__main__":
    main()

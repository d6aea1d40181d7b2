"""What one network more costs, in a folder that `resources.py` has finished.

`python benchmarks/one_more.py --targets all evidence --folder F/share1` adds a network that timm
does not have to the zoo of that folder, in a family of its own, and runs Snakemake again.

Prints the seconds of the run, a row a rule with its jobs and their seconds on a core, and a row a
folder of the results with the files that are as they were, that were written again, and that are
new. Linux only.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml
from resources import ROOT, check_project, publish, run, thinned
from survival import finished
from virtual import Network, pools

sys.path.insert(0, str(ROOT / "tests/hub"))
from localhub import Hub

NAME = "ours"


def jobs(path: Path) -> pd.DataFrame:
    """Return what every job so far wrote down, in the order of their ends."""
    return pd.read_json(path / "jobs", lines=True)


def compared(
    before: Mapping[Path, object], after: Mapping[Path, object], results: Path
) -> pd.DataFrame:
    """Return a row a folder of results: files that are the same, written again, and new."""
    kinds = [
        "new" if file not in before else "the same" if before[file] == state else "written again"
        for file, state in after.items()
    ]
    folders = [file.relative_to(results).parts[0] for file in after]
    return pd.crosstab(pd.Series(folders, name="folder"), pd.Series(kinds, name="files"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=ROOT / "workflow/zoos/timm.yaml")
    parser.add_argument("--fraction", type=float, default=1, help="of the finished run")
    parser.add_argument("--targets", nargs="+", default=["all"])
    parser.add_argument("--architecture", default="convformer_s18", help="of the new network")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="of the default zoo")
    parser.add_argument("--folder", type=Path, required=True, help="of the finished run")
    given = parser.parse_args()
    path, known = given.folder.absolute(), pools(given.results)
    check_project(path)
    zoo = yaml.safe_load((path / "zoo.yaml").read_text())
    if NAME in zoo["families"]:
        raise SystemExit(f"{path / 'zoo.yaml'}: has {NAME} already: finish another run")
    own = {"name": NAME, "hub": f"{NAME}/{NAME}", "architecture": given.architecture}
    zoo["families"][NAME] = [own]
    (path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    files, done = finished(path / "results"), len(jobs(path))
    with Hub(path / "hub") as hub:
        publish(hub, thinned(given.zoo, True, given.fraction), known)
        network = Network(NAME, given.architecture, known)
        hub.virtual(own["hub"], "model.safetensors", network.head, data=network.read)
        seconds = run(path, given.targets, hub, given.cores)
    made = jobs(path).iloc[done:]
    kernels = sum(row["channels"] for row in network.rows)
    print(
        f"{kernels:,} kernels: {len(made)} jobs, {made['cpu'].sum():.0f} CPU s, {seconds:.0f} s\n"
    )
    rules = made.groupby("rule")["cpu"].agg(jobs="size", seconds="sum")
    print(rules.sort_values("seconds", ascending=False).to_string(float_format="{:.1f}".format))
    print(f"\n{compared(files, finished(path / 'results'), path / 'results').to_string()}")


if __name__ == "__main__":
    main()

"""What a run costs by rule and number of kernels: a table for docs/cluster.md, and a figure.

`python benchmarks/cost.py FOLDER/jobs.csv …` reads what `benchmarks/resources.py --folder FOLDER`
wrote, of one machine, replaces the table between the marks of this program in docs/cluster.md and
draws docs/cluster/cost.png. Seconds are those on a core, of all jobs of a rule; memory is that of
the largest job. Rules that took less than a hundredth of the largest run are one row. A rule that
did not run for a number of kernels has no seconds there.

With `--name NAME` the table is the one whose mark has this name, and the figure cost_NAME.png;
`--without OTHER.csv` leaves out the rules of another run, such as those of `all`.
"""

import argparse
import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
MARK = "<!-- recorded: python benchmarks/resources.py and benchmarks/cost.py{} -->"
OTHERS = "others"
SHOWN = 8  # rules in the figure: as many colours as are told apart


def read(path: Path) -> pd.DataFrame:
    """Return jobs with the number of kernels of their run, `all`."""
    jobs = pd.read_csv(path)
    kernels = jobs[jobs["rule"] == "kernels"].groupby("share")["kernels"].sum()
    return jobs.assign(all=jobs["share"].map(kernels))


def by_rule(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a rule and number of kernels, `all`: jobs, seconds, and the peak in MB."""
    seconds = jobs.groupby(["all", "rule"])["CPU s"].sum()
    shares = (seconds / seconds.groupby("all").transform("sum")).groupby("rule").max()
    few = set(shares.index[shares < 0.01])
    jobs["rule"] = jobs["rule"].mask(jobs["rule"].isin(few), OTHERS)
    groups = jobs.groupby(["rule", "all"])
    found = groups.agg(seconds=("CPU s", "sum"), peak=("peak MB", "max"))
    return found.assign(jobs=groups.size()).reset_index()


def growth(kernels: pd.Series, seconds: pd.Series) -> float:
    """Return the exponent of the seconds between the two largest numbers of kernels."""
    return float(np.diff(np.log(seconds.iloc[-2:]))[0] / np.diff(np.log(kernels.iloc[-2:]))[0])


def table(costs: pd.DataFrame) -> str:
    numbers = sorted(costs["all"].unique())
    head = ["rule", "jobs", *(f"{number:,} kernels: s" for number in numbers)]
    head += ["grows as kernels to the power of"] * (len(numbers) > 1) + ["peak, GB"]
    lines = [head, ["---"] * len(head)]
    order = costs.groupby("rule")["seconds"].max().sort_values(ascending=False).index
    whole = costs.groupby("all", as_index=False).agg(
        seconds=("seconds", "sum"), jobs=("jobs", "sum"), peak=("peak", "max")
    )
    rows = [(f"`{rule}`", costs[costs["rule"] == rule]) for rule in order if rule != OTHERS]
    rows += [(OTHERS, costs[costs["rule"] == OTHERS]), ("all", whole)]
    for name, own in rows:
        known = own.set_index("all")["seconds"]
        line = [name, f"{own['jobs'].iloc[-1]:.0f}"]
        line += [f"{known[number]:,.0f}" if number in known else "–" for number in numbers]
        if len(numbers) > 1:
            line.append(f"{growth(known.index.to_series(), known):.2f}")
        lines.append([*line, f"{own['peak'].max() / 1024:.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(costs: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, layout="constrained")
    last = costs[costs["all"] == costs["all"].max()].sort_values("seconds", ascending=False)
    for rule in [name for name in last["rule"] if name != OTHERS][:SHOWN]:
        own = costs[costs["rule"] == rule]
        axes[0].plot(own["all"], own["seconds"], marker="o", markersize=3, label=rule)
        axes[1].plot(own["all"], own["peak"] / 1024, marker="o", markersize=3, label=rule)
    whole = costs.groupby("all")["seconds"].sum()
    axes[0].plot(whole.index, whole, color="black", marker="o", markersize=3, label="all rules")
    ends = np.array([whole.index.min(), whole.index.max()])
    proportional = whole.iloc[-1] * ends / ends[-1]
    axes[0].plot(ends, proportional, color="grey", linestyle=":", label="proportional")
    axes[0].set(xscale="log", yscale="log", xlabel="kernels", ylabel="seconds on a core, all jobs")
    axes[1].set(xlabel="kernels", ylabel="peak memory of the largest job (GB)", ylim=(0, None))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=Path, nargs="+")
    parser.add_argument("--name", default="", help="of the mark")
    parser.add_argument("--without", type=Path, help="jobs whose rules are left out")
    given = parser.parse_args()
    jobs = pd.concat(map(read, given.jobs), ignore_index=True)
    if given.without:
        jobs = jobs[~jobs["rule"].isin(pd.read_csv(given.without)["rule"])]
    costs = by_rule(jobs)
    document = ROOT / "docs/cluster.md"
    mark = MARK.format(f", {given.name}" if given.name else "")
    block = re.compile(rf"(?<={re.escape(mark)}\n).*?(?=<!-- end -->)", re.S)
    text, found = block.subn(lambda _: f"\n{table(costs)}\n\n", document.read_text(), count=1)
    if not found:
        raise SystemExit(f"{document}: no {mark}")
    document.write_text(text)
    picture = ROOT / f"docs/cluster/cost{given.name and '_'}{given.name}.png"
    picture.parent.mkdir(exist_ok=True)
    draw(costs, picture)


if __name__ == "__main__":
    main()

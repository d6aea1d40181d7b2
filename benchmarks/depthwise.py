"""How often the rules by which depthwise weights are told are wrong or in doubt.

`python benchmarks/depthwise.py` builds, without memory for weights, all architectures of timm with
depthwise layers, for colour and for grey images; every third of its other architectures for grey
images; and the small networks of tests/sources/networks.py. It prints what their weights of
the shape (n, 1, kh, kw) are taken for, in the order of definition and by names. It takes about
five minutes.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import timm
import torch

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "workflow"), str(ROOT / "tests/sources")]

import networks  # noqa: E402

from kernelatlas.sources.depthwise import judge  # noqa: E402
from kernelatlas.sources.registry import architectures, tags  # noqa: E402
from kernelatlas.sources.weights import natural  # noqa: E402


def count(builds: Iterable[Callable[[], torch.nn.Module]]) -> dict[str, Counter[tuple[bool, str]]]:
    """Count, for both orders, pairs of whether a weight is depthwise and what it is taken for."""
    found: dict[str, Counter[tuple[bool, str]]] = {"definition": Counter(), "names": Counter()}
    for build in builds:
        shapes, truth = networks.shapes_of(build)
        by_name = {name: shapes[name] for name in sorted(shapes, key=natural)}
        for order, verdicts in (
            ("definition", judge(shapes, True)),
            ("names", judge(by_name, False)),
        ):
            found[order].update((name in truth, v.kind) for name, v in verdicts.items())
    return found


def main() -> None:
    depthwise = sorted(architectures())
    others = sorted({tag.architecture for tag in tags().values()} - set(depthwise))[::3]
    sets: dict[str, list[Callable[[], torch.nn.Module]]] = {
        "timm": [partial(timm.create_model, name) for name in depthwise],
        "timm, grey": [partial(timm.create_model, name, in_chans=1) for name in depthwise],
        "timm without depthwise layers, grey": [
            partial(timm.create_model, name, in_chans=1) for name in others
        ],
        "small networks": list(networks.NETWORKS.values()),
        "small networks, left aside": list(networks.LEFT_ASIDE.values()),
    }
    print("| networks | order | depthwise: taken for it, doubtful, left out | others: the same |")
    print("|---|---|---|---|")
    for name, builds in sets.items():
        for order, found in count(builds).items():
            columns = [
                ", ".join(
                    str(found[is_depthwise, kind]) for kind in ("depthwise", "doubtful", "other")
                )
                for is_depthwise in (True, False)
            ]
            print(f"| {name} ({len(builds)}) | {order} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()

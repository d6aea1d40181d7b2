"""How fast the recipes train, beside the same loop fed by a plain torch DataLoader.

Prints a row a recipe and device (the CPU on one thread, CUDA where there is one): images a second
of our loop, the time to its end with all tests, and images a second of the same steps on crops
from a DataLoader, one crop an item, with no and with two workers. All three take turns; medians
of three turns. Timings compare within one run only.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from kernelatlas.running.device import describe
from kernelatlas.training.architectures import depthwise, from_recipe
from kernelatlas.training.network import accuracies, adamw, update
from kernelatlas.training.pictures import Crops
from kernelatlas.training.recipes import read_recipe

ROOT = Path(__file__).parents[1]
TURNS, STEPS = 3, 4

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Items(Dataset):
    """Each item a crop of its own: what a DataLoader asks for."""

    def __init__(self, data: dict[str, Any], n: int):
        self.crops, self.n = Crops(**data), n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, shown = self.crops.batch(1, torch.Generator().manual_seed(index))
        return images[0], shown[0]


def ours(recipe: dict[str, Any], device: torch.device) -> Batches:
    crops, generator = Crops(**recipe["data"], device=device), torch.Generator().manual_seed(0)
    while True:
        yield crops.batch(recipe["optimiser"]["batch"], generator)


def loaded(recipe: dict[str, Any], device: torch.device, workers: int) -> Batches:
    batch = recipe["optimiser"]["batch"]
    items = Items(recipe["data"], batch * (TURNS + 1) * STEPS)
    loader = DataLoader(items, batch, num_workers=workers, pin_memory=device.type == "cuda")
    return (tuple(part.to(device) for part in pair) for pair in loader)


def measure(path: Path, device: torch.device) -> dict[str, Any]:
    recipe = read_recipe(path)
    options, test = recipe["optimiser"], recipe["test"]
    model = from_recipe(recipe).to(device).to(memory_format=torch.channels_last)
    optimiser = adamw(model, options)
    feeds = {
        "ours": ours(recipe, device),
        "loader, 0 workers": loaded(recipe, device, 0),
        "loader, 2 workers": loaded(recipe, device, 2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in feeds}
    for turn, (name, batches) in itertools.product(range(TURNS + 1), feeds.items()):
        began = time.perf_counter()
        for images, shown in itertools.islice(batches, STEPS):
            update(model, optimiser, images, shown, options)
        if turn:  # the first warms up
            seconds[name].append(time.perf_counter() - began)
    pace = {name: STEPS * options["batch"] / median(times) for name, times in seconds.items()}
    crops = Crops(**recipe["data"], device=device).held_out(test["per_subject"])
    began = time.perf_counter()
    accuracies(model, *crops)
    tests = (time.perf_counter() - began) * (1 + -(-options["steps"] // test["every"]))
    finish = options["steps"] * options["batch"] / pace["ours"] + tests
    return {
        "recipe": path.stem,
        "device": describe(device),
        "kernels": sum(len(weights) for weights in depthwise(model).values()),
        "images/s": f"{pace['ours']:.1f}",
        "min to finish": f"{finish / 60:.1f}",
        **{
            name: f"{speed:.1f} (×{pace['ours'] / speed:.2f})"
            for name, speed in pace.items()
            if name != "ours"
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", type=Path, help="default: all in workflow/zoos")
    arguments = parser.parse_args()
    recipes = arguments.recipes or sorted((ROOT / "workflow/zoos/recipes").glob("*.yaml"))
    torch.set_num_threads(1)  # as the rule `network`
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda"))
    rows = [measure(path, device) for path in recipes for device in devices]
    print(pd.DataFrame(rows).to_string(index=False))
    print("× is how many times faster ours is")


if __name__ == "__main__":
    main()

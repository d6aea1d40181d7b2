"""Train a small depthwise-separable network on a few pictures, from a recipe.

The task is to tell which picture a crop comes from and by which of four
quarter turns it was rotated: it needs no labels and cannot be solved by colour alone.
"""

import logging
import math
from collections.abc import Callable
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.optim import param_groups_weight_decay

from kernelatlas import __version__, architectures
from kernelatlas.architectures import ROTATIONS
from kernelatlas.device import describe, resolve
from kernelatlas.pictures import Crops

log = logging.getLogger(__name__)


def train(
    recipe: dict[str, Any],
    device: str = "auto",
    on_test: Callable[[dict[str, float], torch.nn.Module], None] = lambda row, model: None,
) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[dict[str, float]]]:
    """Train the network of a recipe.

    Parameters
    ----------
    recipe
        Keys architecture, arguments, seed, data, optimiser and test, as in
        workflow/zoos/recipes/*.yaml.
    device
        See `kernelatlas.device.resolve`.
    on_test
        Called with each row of the history and the network.

    Returns
    -------
    state : dict of str to Tensor
        The trained parameters in half precision.
    metadata : dict
        Recipe, versions, device and the held-out accuracy of `state`.
    history : list of dict
        step, learning_rate, loss (mean cross-entropy of the training crops since the
        last row, nats) and accuracy (share of the held-out crops) per test.
    """
    place = resolve(device)
    options, seed = recipe["optimiser"], recipe["seed"]
    crops = Crops(**recipe["data"], device=place)
    model = architectures.from_recipe(recipe)
    model.to(place).to(memory_format=torch.channels_last)
    groups = param_groups_weight_decay(model, options["weight_decay"])
    optimiser = torch.optim.AdamW(groups, lr=options["learning_rate"])
    generator = torch.Generator().manual_seed(seed)
    held_out = crops.held_out(recipe["test"]["per_picture"])
    every, steps = recipe["test"]["every"], options["steps"]

    history: list[dict[str, float]] = []
    total = 0.0
    for step in range(1, steps + 1):
        rate = learning_rate(step, steps, options["warmup"], options["learning_rate"])
        for group in optimiser.param_groups:
            group["lr"] = rate
        images, classes = crops.batch(options["batch"], generator)
        model.train()
        scores = model(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(scores, classes, label_smoothing=options["label_smoothing"])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options["gradient_clip"])
        optimiser.step()
        total += loss.item()
        if step % every == 0 or step == steps:
            window = (step - 1) % every + 1
            row = {
                "step": step,
                "learning_rate": rate,
                "loss": total / window,
                "accuracy": accuracy(model, *held_out),
            }
            total = 0.0
            history.append(row)
            log.info(
                "step %d of %d, loss %.3f, held-out accuracy %.3f",
                step,
                steps,
                row["loss"],
                row["accuracy"],
            )
            on_test(row, model)

    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(state)
    metadata = {
        "recipe": recipe,
        "held_out_accuracy": accuracy(model, *held_out),
        "held_out_crops": len(held_out[1]),
        "classes": ROTATIONS * len(crops.train),
        "device": describe(place),
        "threads": torch.get_num_threads(),
        "versions": {
            "kernelatlas": __version__,
            "timm": timm.__version__,
            "torch": torch.__version__,
        },
    }
    return state, metadata, history


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Return the rate of a step, 1 … steps: linear warm-up, then a half cosine to zero."""
    if step <= warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


@torch.no_grad()
def accuracy(
    model: torch.nn.Module, images: torch.Tensor, classes: torch.Tensor, batch: int = 64
) -> float:
    """Return the share of images, (n, 3, h, w), whose class is the highest score."""
    model.eval()
    right = 0
    for start in range(0, len(images), batch):
        block = images[start : start + batch].contiguous(memory_format=torch.channels_last)
        right += int((model(block).argmax(1) == classes[start : start + batch]).sum())
    return right / len(images)

"""Trainings of one recipe with depthwise kernels that are learned, or frozen up to a scalar.

After arXiv 2509.11711: each frozen kernel is the best a·f + b of the same kernel of a trained
network, with f one of a few filters; b is learned, as is all else, from the recipe's own
initialisation. Here the trained network is the one whose kernels are learned, with the same seed.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from kernelatlas.evidence.initialise import initialise_depthwise
from kernelatlas.evidence.masterkeys import random_filters
from kernelatlas.running.device import resolve
from kernelatlas.running.progress import tracked
from kernelatlas.training import architectures
from kernelatlas.training.network import Trained, accuracies, adamw, learning_rate, update
from kernelatlas.training.pictures import ROTATIONS, Crops, n_subjects

log = logging.getLogger(__name__)

LEARNED, KEYS, RANDOM = "learned", "keys", "random"
VARIANTS = (LEARNED, KEYS, RANDOM)


def filters(variant: str, keys: np.ndarray | None, seed: int) -> dict[int, np.ndarray] | None:
    """Return the filters of a variant by k: None if it learns them.

    Parameters
    ----------
    variant
        One of `VARIANTS`.
    keys : ndarray of shape (n, k, k)
        Master keys; of the random filters, the number and the size.
    seed
        Of the random filters.
    """
    if variant == LEARNED or keys is None:
        return None
    n, k, _ = keys.shape
    return {k: keys if variant == KEYS else random_filters(n, k, seed).reshape(n, k, k)}


def train(
    recipe: Mapping[str, Any],
    seed: int,
    filters: Mapping[int, np.ndarray] | None = None,
    assign_from: str | Path | None = None,
    device: str = "auto",
) -> Trained:
    """Train the network of a recipe from another seed, perhaps with frozen kernels.

    Parameters
    ----------
    recipe
        As `kernelatlas.training.recipes.read_recipe` returns it.
    seed
        In place of the recipe's.
    filters, assign_from
        By k, arrays of shape (n, k, k), and the checkpoint of a trained network: see
        `kernelatlas.evidence.initialise.initialise_depthwise`. Without them kernels are learned.
    device
        See `kernelatlas.running.device.resolve`.

    Returns
    -------
    Trained
        State with plain weights a·f + b, and no trajectory. The metadata have the seed, the
        number of learned parameters, chance, and the held-out accuracies after training.
    """
    target = resolve(device)
    options = recipe["optimiser"]
    crops = Crops(**recipe["data"], device=target)
    model = architectures.from_recipe({**recipe, "seed": seed})
    if filters is not None:
        initialise_depthwise(model, filters, seed, assign_from, bias=True, freeze=True)
    model.to(target).to(memory_format=torch.channels_last)
    optimiser = adamw(model, options)
    generator = torch.Generator().manual_seed(seed)
    held_out = crops.held_out(recipe["test"]["per_subject"])
    subjects = n_subjects(recipe["data"])
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    history = []
    for step in tracked(range(1, options["steps"] + 1), "training", "steps"):
        rate = learning_rate(step, options["steps"], options["warmup"], options["learning_rate"])
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, _ = update(model, optimiser, *crops.batch(options["batch"], generator), options)
        if step % recipe["test"]["every"] == 0 or step == options["steps"]:
            history.append({"step": step, "loss": loss, **accuracies(model, *held_out)})
            accuracy = history[-1]["accuracy"]
            log.info("step %d: loss %.3f, held-out accuracy %.3f", step, loss, accuracy)
    _make_plain(model)
    metadata = {
        "recipe": {**recipe, "seed": seed},
        "parameters": learned,
        "held_out_crops": len(held_out[1]),
        "chance": 1 / (subjects * ROTATIONS),
        "chance_subject": 1 / subjects,
        "held_out": accuracies(model, *held_out),
    }
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    return Trained(state, metadata, history, {})


def _make_plain(model: nn.Module) -> None:
    """Replace parametrised weights by what they are computed to be."""
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")

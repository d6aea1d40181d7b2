"""Train a small depthwise-separable network on a few images, from a recipe.

The network classifies each crop twice: by its subject, and by which multiple of 90° it was rotated.
Neither needs annotations, and the colours alone do not determine the rotation. The loss is the sum
of both cross-entropies; a prediction is correct if both classes are.
"""

import json
import logging
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F

from kernelatlas import __version__
from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.running.device import describe, resolve
from kernelatlas.running.files import whole
from kernelatlas.running.progress import Progress
from kernelatlas.running.tensors import write_tensors
from kernelatlas.training import architectures
from kernelatlas.training.pictures import ROTATIONS, Crops, n_subjects

log = logging.getLogger(__name__)

FIRST = 10  # step of the first checkpoint of a trajectory


@dataclass
class Trained:
    """The results of a training.

    Attributes
    ----------
    state : dict of str to Tensor
        The trained parameters in half precision.
    metadata : dict
        Recipe, versions, device and the held-out accuracies of `state`.
    history : list of dict
        One row per test: step, learning_rate, loss (mean cross-entropy of the training crops since
        the last row, nats), accuracy_training (accuracy on these crops, each predicted before the
        step that trains on it) and the `accuracies` on the held-out crops.
    trajectory : dict of int to dict of str to Tensor
        The depthwise weights in half precision, by step.
    """

    state: dict[str, torch.Tensor]
    metadata: dict[str, Any]
    history: list[dict[str, float]]
    trajectory: dict[int, dict[str, torch.Tensor]]

    def write_weights(self, path: str | Path) -> None:
        """Write the network and its metadata as safetensors."""
        write_tensors(path, self.state, self.metadata)

    def write_trajectory(self, folder: str | Path) -> None:
        """Write the depthwise weights of each step to `folder`/step{step}.safetensors."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for step, weights in self.trajectory.items():
            metadata = {**self.metadata, "step": step}
            del metadata["held_out"]  # the accuracies after the last step
            write_tensors(Path(folder) / f"step{step:05d}.safetensors", weights, metadata)


@dataclass
class _State:
    """The state of the training loop after a step, enough to resume it."""

    step: int = 0
    loss: float = 0.0  # sums since the last test
    correct: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    trajectory: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)


def train(
    recipe: dict[str, Any],
    device: str = "auto",
    resume: str | Path | None = None,
    code: str = "",
    on_test: Callable[[dict[str, float], torch.nn.Module], None] = lambda row, model: None,
) -> Trained:
    """Train the network of a recipe.

    Parameters
    ----------
    recipe
        As `kernelatlas.training.recipes.read_recipe` returns it.
    device
        See `kernelatlas.running.device.resolve`.
    resume
        A file in which the state of the training is saved at every test. If it exists and its
        recipe, `code`, device, number of threads and versions are the same, training resumes from
        it. It is removed at the end.
    code
        Digest of the code of the training.
    on_test
        Called with each row of the history and the network.
    """
    target = resolve(device)
    options, seed = recipe["optimiser"], recipe["seed"]
    crops = Crops(**recipe["data"], device=target)
    model = architectures.from_recipe(recipe)
    model.to(target).to(memory_format=torch.channels_last)
    optimiser = adamw(model, options)
    generator = torch.Generator().manual_seed(seed)
    held_out = crops.held_out(recipe["test"]["per_subject"])
    every, steps = recipe["test"]["every"], options["steps"]
    kept = trajectory_steps(recipe.get("trajectory", 0), steps)
    metadata = {
        "recipe": recipe,
        "held_out_crops": len(held_out[1]),
        "subjects": n_subjects(recipe["data"]),
        "device": describe(target),
        "threads": torch.get_num_threads(),
        "versions": {
            "kernelatlas": __version__,
            "timm": timm.__version__,
            "torch": torch.__version__,
        },
    }
    identity = json.dumps([metadata, code], sort_keys=True)
    done = _resumed(resume, identity, model, optimiser, generator) or _State()

    said = ""
    with Progress("training", steps) as progress:
        progress.skip(done.step)
        for step in range(done.step + 1, steps + 1):
            rate = learning_rate(step, steps, options["warmup"], options["learning_rate"])
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss, share = update(
                model, optimiser, *crops.batch(options["batch"], generator), options
            )
            done.step = step
            done.loss += loss
            done.correct += share
            if step in kept:
                done.trajectory[step] = _half(architectures.depthwise(model))
            if step % every == 0 or step == steps:
                window = (step - 1) % every + 1
                row = {
                    "step": step,
                    "learning_rate": rate,
                    "loss": done.loss / window,
                    "accuracy_training": done.correct / window,
                    **accuracies(model, *held_out),
                }
                done.loss = done.correct = 0.0
                done.history.append(row)
                said = (
                    f"loss {row['loss']:.3f}, accuracy in training {row['accuracy_training']:.3f}, "
                    f"held-out {row['accuracy']:.3f}"
                )
                log.info("step %d of %d: %s", step, steps, said)
                on_test(row, model)
                if resume is not None and step < steps:
                    _keep(resume, identity, model, optimiser, generator, done)
            progress.advance(said=said)

    state = _half(model.state_dict())
    model.load_state_dict(state)
    metadata["held_out"] = accuracies(model, *held_out)
    if resume is not None:
        Path(resume).unlink(missing_ok=True)
    return Trained(state, metadata, done.history, done.trajectory)


def update(
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    images: torch.Tensor,
    shown: torch.Tensor,
    options: dict[str, Any],
) -> tuple[float, float]:
    """Take one step of training; return the loss and the accuracy on these images.

    Parameters
    ----------
    images, shown
        As `kernelatlas.training.pictures.Crops.batch` returns them.
    options
        The optimiser of the recipe, for label_smoothing and gradient_clip.
    """
    model.train()
    scores = model(images.contiguous(memory_format=torch.channels_last))
    loss = both_losses(scores, shown, options["label_smoothing"])
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), options["gradient_clip"])
    optimiser.step()
    return loss.item(), correct(scores, shown).all(1).float().mean().item()


def adamw(model: torch.nn.Module, options: dict[str, Any]) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe; the learning rate is set again at every step."""
    decays = {key: options[key] for key in ("weight_decay", "depthwise_weight_decay")}
    return torch.optim.AdamW(parameter_groups(model, **decays), lr=options["learning_rate"])


def parameter_groups(
    model: torch.nn.Module, weight_decay: float, depthwise_weight_decay: float
) -> list[dict[str, Any]]:
    """Return parameter groups for AdamW: depthwise kernels, other weights, undecayed vectors."""
    depthwise, others, vectors = [], [], []
    for parameter in model.parameters():
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif depthwise_shape(parameter.shape):
            depthwise.append(parameter)
        else:
            others.append(parameter)
    return [
        {"params": depthwise, "weight_decay": depthwise_weight_decay},
        {"params": others, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def trajectory_steps(points: int, steps: int) -> list[int]:
    """Return the steps of the checkpoints of a trajectory: `points` on a logarithmic scale.

    The untrained and the trained network, at the ends, are not included.
    """
    scale = np.geomspace(min(FIRST, steps), steps, points + 1)[:-1]
    return sorted({int(step) for step in scale.round()} - {steps})


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Return the learning rate of a step in 1 … steps: linear warm-up, then cosine decay to 0."""
    if step <= warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def both_losses(scores: torch.Tensor, shown: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return the sum of the mean cross-entropies of subject and rotation, in nats.

    Parameters
    ----------
    scores
        (n, subjects + rotations).
    shown
        (n, 2): the subject and the rotation.
    """
    questions = (scores[:, :-ROTATIONS], scores[:, -ROTATIONS:])
    subject, rotation = (
        F.cross_entropy(answer, shown[:, i], label_smoothing=smoothing)
        for i, answer in enumerate(questions)
    )
    return subject + rotation


def correct(scores: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Return whether the subject and the rotation with the highest scores are correct, (n, 2)."""
    answers = (scores[:, :-ROTATIONS].argmax(1), scores[:, -ROTATIONS:].argmax(1))
    return torch.stack(answers, dim=1) == shown


def accuracies(
    model: torch.nn.Module, images: torch.Tensor, shown: torch.Tensor, batch: int = 64
) -> dict[str, float]:
    """Return the accuracies on images, (n, 3, h, w).

    `accuracy` counts predictions with the correct subject and rotation; accuracy_subject and
    accuracy_rotation count either.
    """
    found = answers(model, images, shown, batch)
    subject, rotation = found.double().mean(0).tolist()
    return {
        "accuracy": found.all(1).double().mean().item(),
        "accuracy_subject": subject,
        "accuracy_rotation": rotation,
    }


@torch.no_grad()
def answers(
    model: torch.nn.Module, images: torch.Tensor, shown: torch.Tensor, batch: int = 64
) -> torch.Tensor:
    """Return whether subject and rotation of each image are correct, (n, 2), as `correct`."""
    model.eval()
    return torch.cat(
        [
            correct(model(block.contiguous(memory_format=torch.channels_last)), truth)
            for block, truth in zip(images.split(batch), shown.split(batch), strict=True)
        ]
    )


def _half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        # Always a copy: tensors of the CPU would share the memory of the network.
        name: (tensor.half() if tensor.is_floating_point() else tensor.clone()).cpu().contiguous()
        for name, tensor in state.items()
    }


def _keep(
    path: str | Path,
    identity: str,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    done: _State,
) -> None:
    content = {
        "identity": identity,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "random": torch.get_rng_state(),  # for dropout and stochastic depth
        "random_cuda": torch.cuda.get_rng_state_all(),
        "progress": vars(done),
    }
    with whole(path) as partial:
        torch.save(content, partial)


def _resumed(
    path: str | Path | None,
    identity: str,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> _State | None:
    """Restore the state of an interrupted training; return None if there is none that fits."""
    if path is None or not Path(path).exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        log.warning("%s: cannot be read (%s): training starts again", path, error)
        return None
    if not isinstance(content, dict) or content.get("identity") != identity:
        log.warning("%s: of another recipe, code or machine: training starts again", path)
        return None
    model.load_state_dict(content["model"])
    optimiser.load_state_dict(content["optimiser"])
    generator.set_state(content["generator"])
    torch.set_rng_state(content["random"])
    torch.cuda.set_rng_state_all(content["random_cuda"])
    done = _State(**content["progress"])
    log.info("resuming after step %d, from %s", done.step, path)
    return done

"""Networks that can be tested with other depthwise kernels than their own, and their tests.

Networks that were trained here are tested on the held-out crops of their recipe, networks of timm
on ImageNet pictures of the user.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.table import read_square
from kernelatlas.running.device import resolve
from kernelatlas.running.tensors import read_tensors
from kernelatlas.training import architectures
from kernelatlas.training.imagenet import Prepared, ranks, sample
from kernelatlas.training.network import answers
from kernelatlas.training.pictures import ROTATIONS, Crops, n_subjects
from kernelatlas.training.pretrained import CLASSES, load
from kernelatlas.training.response_norm import replace_response_norms

TOP = 5
BATCH = 32  # crops tested at once: a quarter faster than twice as many, for a processor's caches
SUBJECT, TOP1 = "subject", "top-1"
Progress = Callable[[int], object]  # is told how many pictures more have been seen


@dataclass(frozen=True, eq=False)
class Trial:
    """A network and its test.

    Attributes
    ----------
    network
        In evaluation mode, on its device.
    kernels
        Copies of the raw kernels that can be replaced, (n, k·k) float32, by layer.
    kept
        Number of depthwise kernels of other sizes.
    measure
        What a correct answer is: `SUBJECT` of a crop, or `TOP1`, the class of a picture.
    chance
        Share of correct answers by chance.
    pictures, members
        Number of pictures or crops, of which so many together are one place.
    identity
        Digest of all weights and of the test, but for the pixels of pictures.
    test
        Tests the network as it is, with the last two parameters of `answers`.
    """

    network: nn.Module
    kernels: dict[str, np.ndarray]
    kept: int
    measure: str
    chance: float
    pictures: int
    members: int
    identity: str
    test: Callable[[Progress, np.ndarray | None], dict[str, np.ndarray]]

    def answers(
        self,
        replacement: Mapping[str, np.ndarray],
        progress: Progress = lambda n: None,
        groups: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Test the network with some of its kernels replaced, all others being its own.

        Parameters
        ----------
        replacement
            Kernels of some layers, as `kernels`.
        progress
            Is told how many pictures more have been seen.
        groups
            Which pictures, or places of crops; None for all.

        Returns
        -------
        dict of str to ndarray of shape (groups, members), bool
            Whether each picture was answered right, by question: `accuracy` is the measure;
            `accuracy_top5`, or `accuracy_rotation` and `accuracy_both`. Members of a group are
            rotations of one crop.
        """
        put(self.network, {**self.kernels, **replacement})
        return self.test(progress, groups)


@contextlib.contextmanager
def opened(
    model: str,
    checkpoint: Mapping[str, Any],
    table: str | Path,
    sizes: Sequence[int],
    images: str | None = None,
    limit: int | None = None,
    device: str = "auto",
) -> Iterator[Trial]:
    """Yield the trial of a model of the zoo.

    Parameters
    ----------
    checkpoint
        Its `file`, if it was trained here; if it is a network of timm, what
        `kernelatlas.training.pretrained.load` takes.
    table
        Its kernel table.
    images, limit
        For a network of timm, a folder of pictures, and how many of them are taken at most.

    Raises
    ------
    KernelAtlasError
        If network or pictures cannot be read.
    UnsuitedError
        If the network cannot be tested on ImageNet pictures.
    """
    if images is None or limit is None:
        yield on_crops(checkpoint["file"], sizes, device)
        return
    network = load(model, table, **checkpoint)
    paths, labels = sample(images, limit)
    with Prepared(network, paths) as pictures:
        yield on_pictures(network, table, sizes, pictures, labels, device)


def load_network(path: str | Path) -> tuple[nn.Module, dict]:
    """Return a network that `kernelatlas.training.network.train` wrote, and its metadata.

    Raises
    ------
    KernelAtlasError
        If the file holds no such network.
    """
    try:
        state, known = read_tensors(path, framework="pt")
        model = architectures.from_recipe(known["recipe"])
        model.load_state_dict(state)
    except (KernelAtlasError, KeyError, RuntimeError) as error:
        raise KernelAtlasError(
            f"{path}: no network with the recipe that trained it ({error}): "
            "take one that the rule `network` made"
        ) from error
    return model.eval(), known


def on_crops(path: str | Path, sizes: Sequence[int], device: str = "auto") -> Trial:
    """Return the trial of a network that was trained here, on its recipe's held-out crops.

    Parameters
    ----------
    sizes
        Kernel sizes that can be replaced.
    device
        See `kernelatlas.running.device.resolve`.

    Raises
    ------
    KernelAtlasError
        As `load_network` and `resolve`.
    """
    network, known = load_network(path)
    recipe, target = known["recipe"], resolve(device)
    kernels = layers(network, sizes)
    all_kernels = sum(map(len, architectures.depthwise(network).values()))
    identity = _identity(network, json.dumps(recipe, sort_keys=True))
    network.to(target)
    replace_response_norms(network)
    images, shown = Crops(**recipe["data"], device=target).held_out(recipe["test"]["per_subject"])

    def test(progress: Progress, groups: np.ndarray | None) -> dict[str, np.ndarray]:
        pairs = images, shown
        if groups is not None:
            members = groups[:, None] * ROTATIONS + np.arange(ROTATIONS)
            chosen = torch.from_numpy(members.ravel()).to(target)
            pairs = images[chosen], shown[chosen]
        found = answers(network, *pairs, BATCH).cpu().numpy()
        progress(len(found))
        subject, rotation = found.reshape(-1, ROTATIONS, 2).transpose(2, 0, 1)
        return {
            "accuracy": subject,
            "accuracy_rotation": rotation,
            "accuracy_both": subject & rotation,
        }

    return Trial(
        network,
        kernels,
        kept=all_kernels - sum(map(len, kernels.values())),
        measure=SUBJECT,
        chance=1 / n_subjects(recipe["data"]),
        pictures=len(shown),
        members=ROTATIONS,
        identity=identity,
        test=test,
    )


def on_pictures(
    network: nn.Module,
    table: str | Path,
    sizes: Sequence[int],
    pictures: Prepared,
    labels: Sequence[int],
    device: str = "auto",
) -> Trial:
    """Return the trial of a network of timm on ImageNet pictures.

    Parameters
    ----------
    network
        As `kernelatlas.training.pretrained.build` returns it.
    table
        Its kernel table, whose kernels must be the network's.
    sizes
        Kernel sizes that can be replaced.
    pictures, labels
        Pictures, and the number of the class of each.
    device
        See `kernelatlas.running.device.resolve`.

    Raises
    ------
    KernelAtlasError
        If the kernel table is of other weights, or as `resolve`.
    """
    kernels = _of_table(network, table, sizes)
    others = sum(map(len, architectures.depthwise(network).values()))
    text = json.dumps([list(labels), str(pictures.config)])
    identity = _identity(network, text)
    network.to(resolve(device)).to(memory_format=torch.channels_last)
    replace_response_norms(network)

    def test(progress: Progress, groups: np.ndarray | None) -> dict[str, np.ndarray]:
        places = None if groups is None else groups.tolist()
        found = ranks(network, pictures, labels, progress, places)[:, None]
        return {"accuracy": found == 0, "accuracy_top5": found < TOP}

    return Trial(
        network,
        kernels,
        kept=max(others - sum(map(len, kernels.values())), 0),
        measure=TOP1,
        chance=1 / CLASSES,
        pictures=len(labels),
        members=1,
        identity=identity,
        test=test,
    )


def _of_table(network: nn.Module, table: str | Path, sizes: Sequence[int]) -> dict[str, np.ndarray]:
    parameters = dict(network.named_parameters())
    found = {}
    for k in sizes:
        rows, weights = read_square(table, k)
        for name, part in rows.groupby("layer", observed=True):
            stored = weights[part.sort_values("channel").index]
            own = parameters.get(f"{name}.weight")
            if own is None or not np.array_equal(own.detach().flatten(1), stored, equal_nan=True):
                raise KernelAtlasError(
                    f"{table}: layer '{name}' is not that of the network which was read now: "
                    "delete the table and run again"
                )
            found[str(name)] = stored.copy()
    return found


def _identity(network: nn.Module, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@torch.no_grad()
def put(model: nn.Module, kernels: Mapping[str, np.ndarray]) -> None:
    """Overwrite depthwise weights, by parameter name without `.weight`."""
    weights = dict(model.named_parameters())
    for name, values in kernels.items():
        parameter = weights[f"{name}.weight"]
        parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))


def layers(model: nn.Module, sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Return copies of the square depthwise weights of these sizes, (n, k·k), by layer."""
    return {
        name.removesuffix(".weight"): tensor.flatten(1).numpy().copy()
        for name, tensor in architectures.depthwise(model).items()
        if tensor.shape[2] == tensor.shape[3] and tensor.shape[3] in sizes
    }

"""Held-out accuracy of a network whose depthwise kernels are replaced, without retraining."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import fits
from kernelatlas.evidence.masterkeys import best_filter, energies, idealised, random_filters
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.running.tensors import read_tensors
from kernelatlas.training import architectures
from kernelatlas.training.network import accuracies
from kernelatlas.training.pictures import ROTATIONS, Crops, n_subjects

log = logging.getLogger(__name__)

UNTOUCHED, MEAN = "untouched", "mean"
SEEDS = (0, 1, 2)  # of random filters
BATCH = 32  # images tested at once: a quarter faster than twice as many, for a processor's caches


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


def by_filters(weights: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the best a·f + b of each kernel, f one of the filters.

    Parameters
    ----------
    weights : ndarray of shape (n, k·k), float32
        Raw. Degenerate kernels are not replaced.
    filters : ndarray of shape (m, k·k), float32
        Normalised; without any only the mean b is left.
    """
    replaced = weights.copy()
    valid = ~degenerate(weights)
    raw = weights[valid]
    mean = raw.mean(axis=1, keepdims=True, dtype=np.float64)
    if not len(filters):
        replaced[valid] = np.broadcast_to(mean, raw.shape)
        return replaced
    best = filters[best_filter(normalise(raw), filters)[0]].astype(np.float64)
    amplitude = np.einsum("ij,ij->i", raw - mean, best)[:, None]
    replaced[valid] = amplitude * best + mean
    return replaced


def explained(weights: np.ndarray, replaced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R² of each replacement and the kernel's energy ‖w − mean(w)‖², (n,) each.

    Degenerate kernels are left out.
    """
    valid = ~degenerate(weights)
    energy = energies(weights[valid])
    missed = weights[valid].astype(np.float64) - replaced[valid]
    return 1 - (missed**2).sum(axis=1) / energy, energy


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


def fitted(table: pd.DataFrame, kernels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the analytic fit of each kernel; degenerate kernels stay as they are.

    Parameters
    ----------
    table
        As `kernelatlas.evidence.fitted.fit_model` returns it, of the same network.
    kernels
        As `layers` returns them.

    Raises
    ------
    KernelAtlasError
        If the table has other kernels.
    """
    by_layer = {str(name): rows for name, rows in table.groupby("layer", observed=True)}
    found = {}
    for name, weights in kernels.items():
        rows = by_layer.get(name, table.iloc[:0]).sort_values("channel", ignore_index=True)
        if len(rows) != len(weights):
            raise KernelAtlasError(
                f"layer {name}: {len(rows)} fits of {len(weights)} kernels: delete the model's "
                "table of fits and run again"
            )
        k = side(weights)
        unfit = rows["degenerate"].to_numpy()
        found[name] = np.where(unfit[:, None], weights, fits.render(rows, k))
    return found


def variants(
    kernels: Mapping[str, np.ndarray],
    keys: Mapping[int, np.ndarray],
    prototypes: Mapping[int, np.ndarray],
    table: pd.DataFrame,
) -> Iterator[tuple[str, int | None, dict[str, np.ndarray]]]:
    """Yield the name of each variant, its seed, and the kernels by layer.

    Parameters
    ----------
    kernels
        As `layers` returns them.
    keys, prototypes
        By k, filters of shape (n, k·k), normalised.
    table
        See `fitted`.
    """

    def replaced(filters: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            name: by_filters(weights, filters[side(weights)]) for name, weights in kernels.items()
        }

    yield UNTOUCHED, None, dict(kernels)
    yield "fits", None, fitted(table, kernels)
    yield "prototypes", None, replaced(prototypes)
    yield "master keys", None, replaced(keys)
    yield "idealised", None, replaced({k: idealised(k)[1] for k in keys})
    for seed in SEEDS:
        noise = {k: random_filters(len(filters), k, seed) for k, filters in keys.items()}
        yield "random", seed, replaced(noise)
    yield MEAN, None, replaced({k: filters[:0] for k, filters in keys.items()})


def evaluate(
    path: str | Path,
    keys: Mapping[int, np.ndarray],
    prototypes: Mapping[int, np.ndarray],
    table: pd.DataFrame,
) -> pd.DataFrame:
    """Test a network with its own and with replaced depthwise kernels.

    Everything else is kept, including the statistics of batch normalisation.

    Parameters
    ----------
    path
        A network that `kernelatlas.training.network.train` wrote, tested on its recipe's held-out
        crops.
    keys, prototypes, table
        See `variants`; depthwise kernels of other sizes than those of `keys` are kept.

    Returns
    -------
    DataFrame
        A row for each variant and seed, columns as in results/README.md.
    """
    model, known = load_network(path)
    recipe = known["recipe"]
    images, shown = Crops(**recipe["data"]).held_out(recipe["test"]["per_subject"])
    kernels = layers(model, sorted(keys))
    n = sum(map(len, kernels.values()))
    others = sum(map(len, architectures.depthwise(model).values())) - n
    rows = []
    for variant, seed, replacement in variants(kernels, keys, prototypes, table):
        put(model, replacement)
        pairs = [explained(kernels[name], replacement[name]) for name in kernels]
        r2, energy = (np.concatenate(values) for values in zip(*pairs, strict=True))
        row = {
            "variant": variant,
            "seed": seed,
            "kernels": n,
            "kept": others,
            "mean_r2": r2.mean(),
            "energy_explained": energy @ r2 / energy.sum(),
            **accuracies(model, images, shown, BATCH),
        }
        log.info("%s", row)
        rows.append(row)
    chance = 1 / n_subjects(recipe["data"])
    return pd.DataFrame(rows).assign(
        seed=lambda frame: frame["seed"].astype("Int16"),
        crops=len(shown),
        chance=chance / ROTATIONS,
        chance_subject=chance,
    )

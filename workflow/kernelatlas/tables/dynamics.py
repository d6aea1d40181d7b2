"""Intermediate states of trainings: kernels identified after each number of steps, by shape."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.reasons import composition
from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.kernels.table import read_square
from kernelatlas.running.tensors import read_metadata
from kernelatlas.tables.layers import network_table
from kernelatlas.tables.models import KNOWN, read_labels

COLUMNS = (*KNOWN, "network", "step")
STATE = ["family", "network", "trained_on", "step", "k"]


def read_states(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Return the label tables of states as one, with the properties of each state.

    Parameters
    ----------
    models
        name, family, trained, training data, network and step of each state.
    """
    return read_labels(paths, models, COLUMNS)


def emergence_table(
    labels: Sequence[str | Path],
    kernels: Sequence[str | Path],
    models: Sequence[Sequence],
    thresholds: Mapping[str, float],
) -> pd.DataFrame:
    """Count identified kernels in each state, and how much their initial kernels explain.

    Parameters
    ----------
    labels, kernels
        Label and kernel tables of the states, in the order of `models`.
    thresholds
        Of the dissimilarity, by kernel size.

    Returns
    -------
    DataFrame
        A row for each state and kernel size, see results/README.md; low and high are of
        `kernelatlas.tables.layers.network_table`.
    """
    table = (
        read_states(labels, models)
        .groupby(STATE, sort=True)
        .agg(
            kernels=("identified", "size"),
            degenerate=("degenerate", "sum"),
            identified=("identified", "sum"),
            mean_dissimilarity=("dissimilarity", "mean"),
        )
        .reset_index()
    )
    table["share_identified"] = table["identified"] / table["kernels"]
    intervals = network_table(labels, [model[: len(KNOWN)] for model in models], thresholds)
    states = pd.DataFrame(models, columns=list(COLUMNS))[["model", "network", "step"]]
    found = intervals.merge(states, on="model").drop(columns="model")
    table = table.merge(found, how="left", on=["network", "step", "k"])
    paths = {(m[4], m[5]): path for m, path in zip(models, kernels, strict=True)}
    table["initial_energy"] = [
        initial_energy(paths[network, step], paths[network, 0], k)
        if (network, 0) in paths
        else np.nan
        for network, step, k in zip(table["network"], table["step"], table["k"], strict=True)
    ]
    table["initial_energy_chance"] = 1 / (table["k"] ** 2 - 1)
    return table


def initial_energy(kernels: str | Path, initial: str | Path, k: int) -> float:
    """Return the share of the kernels' energy that their initial kernels explain.

    With centred kernels w and the centred, scaled initial kernels u this is
    Σ⟨w, u⟩² / Σ‖w‖²: 1 if training only scales each kernel, and on average 1/(k² − 1)
    for independent kernels. Kernels degenerate in either are left out.

    Parameters
    ----------
    kernels, initial
        Paths of kernel tables of one network.
    """
    after, before = (_centred(path, k) for path in (kernels, initial))
    shared = after.index.intersection(before.index)
    w, u = (np.stack(side.loc[shared].to_list()) for side in (after, before))
    explained = (w * u).sum(axis=1) ** 2 / (u * u).sum(axis=1)
    return float(explained.sum() / (w * w).sum())


def _centred(path: str | Path, k: int) -> pd.Series:
    """Return the centred kernels that are not degenerate, by layer and channel."""
    rows, weights = read_square(path, k)
    valid = ~rows["degenerate"].to_numpy()
    values = weights[valid].astype(np.float64)
    index = pd.MultiIndex.from_frame(rows.loc[valid, ["layer", "channel"]].astype({"layer": str}))
    return pd.Series(list(values - values.mean(axis=1, keepdims=True)), index=index)


def state_composition(labels: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """Count the kernels of each state by size and label."""
    return composition(read_states(labels, models), STATE)


def shape_shares(composition: pd.DataFrame) -> pd.DataFrame:
    """Return each network's shares of shapes at its last step, and their mean and spread by family.

    Parameters
    ----------
    composition
        As `state_composition` returns it.

    Returns
    -------
    DataFrame
        A row for each network, kernel size and shape. share is identified kernels of the shape in
        all kernels of the size; mean and sd (of a sample, empty for one network) are over
        the networks of the family.
    """
    last = composition["step"] == composition.groupby("network")["step"].transform("max")
    shares = (shares_by_shape(composition[last], STATE) / 100).reset_index()
    table = shares.melt(STATE, var_name="shape", value_name="share")
    table = table.sort_values(STATE, kind="stable", ignore_index=True)
    families = table.groupby(["family", "k", "shape"])["share"]
    return table.assign(
        networks=families.transform("size"),
        mean=families.transform("mean"),
        sd=families.transform("std"),
    )


def network_tables(
    networks: Sequence[Sequence], weights: Sequence[str | Path], histories: Sequence[str | Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Describe how networks were trained, and their accuracy.

    Parameters
    ----------
    networks
        network, family and training data.
    weights, histories
        Paths of what `kernelatlas.training.network.train` wrote for each.

    Returns
    -------
    networks, learning : DataFrame
        A row for each network, and the rows of the histories.
    """
    rows, curves = [], []
    for (network, family, trained_on), file, path in zip(networks, weights, histories, strict=True):
        known = read_metadata(file)
        history = pd.read_parquet(path)
        curves.append(history.assign(family=family, network=network))
        recipe, versions = known["recipe"], known["versions"]
        optimiser, data = recipe["optimiser"], recipe["data"]
        photographs = data.get("photographs")
        rows.append(
            {
                "family": family,
                "network": network,
                "trained_on": trained_on,
                "architecture": recipe["architecture"],
                "seed": recipe["seed"],
                "steps": optimiser["steps"],
                "batch": optimiser["batch"],
                "augmentation": (
                    f"crops of {data['size']} pixels at scales {data['scale'][0]:g} to "
                    f"{data['scale'][1]:g}, mirrored, turned by quarters, grey with probability "
                    f"{data['grey']:g}, brightness and contrast ± {data['jitter']:.0%}"
                    + (", pixels shuffled" if data.get("shuffled") else "")
                ),
                "loss": (
                    "cross-entropy of subject and of rotation, label smoothing "
                    f"{optimiser['label_smoothing']:g}"
                ),
                "held_out": (
                    f"the last {photographs['held_out']:.0%} of each photograph's columns"
                    if photographs
                    else "a picture of its own of each world"
                ),
                "held_out_crops": known["held_out_crops"],
                "chance": 1 / known["subjects"] / 4,
                **known["held_out"],
                "accuracy_training": history["accuracy_training"].iloc[-1],
                "loss_training": history["loss"].iloc[-1],
                "device": known["device"],
                "threads": known["threads"],
                "torch": versions["torch"],
                "timm": versions["timm"],
            }
        )
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)

"""How far the kernels of one network move between two of its checkpoints, layer by layer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.templates import grid
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import read_square
from kernelatlas.names import shape_of

PAIRINGS = 20  # random pairings of the kernels of a layer, for the null
COLUMNS = [
    *("family", "network", "trained_on", "step", "last_step"),
    *("k", "layer_index", "layer", "kernels"),
    *("cosine", "cosine_low", "cosine_high", "cosine_null", "norm_change"),
    *("same_shape", "same_shape_null", "moved", "moved_null"),
]


def drift_table(
    labels: Sequence[str | Path], kernels: Sequence[str | Path], models: Sequence[Sequence]
) -> pd.DataFrame:
    """Compare the kernels of every checkpoint of a training with those of its last one.

    Parameters
    ----------
    labels, kernels
        Label and kernel tables of the checkpoints, in the order of `models`.
    models
        name, family, trained, training data, network and step of each.

    Returns
    -------
    DataFrame
        A row for each checkpoint but the last, and layer of square kernels, see results/README.md.

    Raises
    ------
    KernelAtlasError
        If two checkpoints of a network do not have the same layers.
    """
    states = pd.DataFrame(
        models, columns=["model", "family", "trained", "trained_on", "network", "step"]
    ).assign(labels=list(map(str, labels)), kernels=list(map(str, kernels)))
    rows: list[dict] = []
    for network, own in states.sort_values("step").groupby("network"):
        last = own.iloc[-1]
        after = _layers(last["labels"], last["kernels"])
        for state in own.iloc[:-1].to_dict("records"):
            before = _layers(state["labels"], state["kernels"])
            if before.keys() != after.keys():
                raise KernelAtlasError(
                    f"{state['kernels']}: other layers than {last['kernels']}, the last "
                    f"checkpoint of '{network}': a network keeps its architecture"
                )
            known = {key: state[key] for key in ("family", "network", "trained_on")}
            for (k, index, layer), (weights, shapes) in before.items():
                row = drift(weights, after[k, index, layer][0], shapes, after[k, index, layer][1])
                place = {"step": state["step"], "last_step": last["step"]}
                place |= {"k": k, "layer_index": index, "layer": layer}
                rows.append({**known, **place, **row})
    return pd.DataFrame(rows, columns=COLUMNS)


def _layers(labels: str, kernels: str) -> dict[tuple[int, int, str], tuple[np.ndarray, np.ndarray]]:
    """Return weights and shapes by k, index and name of the layer; NaN where degenerate."""
    named = pd.read_parquet(labels, columns=["layer_index", "channel", "k", "label"])
    named["shape"] = named["label"].astype(str).map(shape_of)
    found = {}
    for k in sorted(int(k) for k in named["k"].unique()):
        rows, weights = read_square(kernels, k)
        values = np.where(rows["degenerate"].to_numpy()[:, None], np.nan, weights)
        both = rows.reset_index().merge(named[named["k"] == k], on=["layer_index", "channel"])
        for layer, own in both.groupby(both["layer"].astype(str), sort=False):
            place = k, int(own["layer_index"].iloc[0]), str(layer)
            found[place] = values[own["index"]], own["shape"].to_numpy()
    return found


def drift(
    before: np.ndarray, after: np.ndarray, shapes: np.ndarray, new_shapes: np.ndarray
) -> dict[str, float]:
    """Compare the kernels of one layer, channel by channel, beside channels paired at random.

    Parameters
    ----------
    before, after : ndarray of shape (n, k·k)
        NaN where degenerate; such kernels are left out.
    shapes, new_shapes : ndarray of shape (n,)
        Shapes of their labels.

    Returns
    -------
    dict
        kernels; cosine (median of the cosines of the centred kernels, with quartiles), norm_change
        (median of ‖w′‖ / ‖w‖ − 1 of the raw kernels), same_shape (share), moved (median distance of
        the centres of energy, in pixels); the same of random pairs as _null. NaN without kernels.
    """
    valid = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
    n = int(valid.sum())
    if not n:
        return {"kernels": 0, **dict.fromkeys(COLUMNS[COLUMNS.index("kernels") + 1 :], np.nan)}
    w, v = (np.asarray(side[valid], dtype=float) for side in (before, after))
    a, b = normalise(w), normalise(v)
    start, end = centres(a), centres(b)
    cosines = np.einsum("ij,ij->i", a, b)
    low, middle, high = np.quantile(cosines, [0.25, 0.5, 0.75])
    rng = np.random.default_rng(0)
    orders = [rng.permutation(n) for _ in range(PAIRINGS)]
    unrelated = np.concatenate([np.einsum("ij,ij->i", a, b[order]) for order in orders])
    distances = np.concatenate([np.linalg.norm(start - end[order], axis=1) for order in orders])
    names, old = np.unique(shapes[valid], return_inverse=True)
    counts = np.bincount(old) / n
    new = np.array([(new_shapes[valid] == name).mean() for name in names])
    return {
        "kernels": n,
        **{"cosine": middle, "cosine_low": low, "cosine_high": high},
        "cosine_null": float(np.median(unrelated)),
        "norm_change": float(np.median(np.linalg.norm(v, axis=1) / np.linalg.norm(w, axis=1)) - 1),
        "same_shape": float((shapes[valid] == new_shapes[valid]).mean()),
        "same_shape_null": float(counts @ new),  # what all pairings have on average
        "moved": float(np.median(np.linalg.norm(start - end, axis=1))),
        "moved_null": float(np.median(distances)),
    }


def centres(kernels: np.ndarray) -> np.ndarray:
    """Return the centres of energy, Σ w² (x, y) / Σ w², in pixels from the middle, (n, 2).

    x to the right, y upwards. Unlike the centre of a fitted function, every kernel has one.
    """
    x, y = grid(round(kernels.shape[1] ** 0.5))
    energy = np.asarray(kernels, dtype=float) ** 2
    place = np.stack([np.ravel(x), np.ravel(y)], axis=1)
    return energy @ place / energy.sum(axis=1, keepdims=True)

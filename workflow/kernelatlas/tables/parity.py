"""Networks on pictures of other sizes and with moved paddings, with intervals over pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

LEVEL = (0.025, 0.975)
NOT = ""  # the layer of a network that is left as it is
SIZE_COLUMNS = [
    *("family", "model", "size", "layer", "map", "pictures"),
    *("accuracy", "accuracy_low", "accuracy_high", "change", "change_low", "change_high"),
    *("log_likelihood", "excess", "excess_low", "excess_high"),
]
MOVE_COLUMNS = [
    *("family", "model", "layer", "k", "size", "map", "moved", "expected_x", "expected_y"),
    *("median_x", "median_y", "missed", "pictures", "accuracy"),
    *("change", "change_low", "change_high", "gain", "gain_low", "gain_high"),
]


def parity_tables(
    parts: Sequence[str | Path], layers: pd.DataFrame, models: Sequence[Sequence], resamples: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summarise what `kernelatlas.evidence.parity.parity_table` measured.

    Parameters
    ----------
    parts
        Such tables of `models`, in their order.
    layers
        As `kernelatlas.tables.offsets.layer_moves` returns them.
    models
        name, family and more of each.
    resamples
        Of the bootstrap over pictures.

    Returns
    -------
    sizes : DataFrame
        A row for each size of which the network is left as it is.
    moves : DataFrame
        A row for each layer, size and padding. Columns as in results/README.md.
    """
    sizes, moves = [], []
    for path, (name, family, *_) in zip(parts, models, strict=True):
        table = pd.read_parquet(path)
        known = {"family": family, "model": name}
        own = layers[layers["model"] == name].set_index("layer")
        sizes += [{**known, **row} for row in _sizes(table, resamples)]
        moves += [{**known, **row} for row in _moves(table, own, resamples)]
    kinds = {"map": "Int16"}
    return (
        pd.DataFrame(sizes, columns=SIZE_COLUMNS).astype(kinds),
        pd.DataFrame(moves, columns=MOVE_COLUMNS).astype(kinds),
    )


def _sizes(table: pd.DataFrame, resamples: int) -> list[dict]:
    """Return the rows of one network; excess is over the mean of the two steps beside."""
    untouched = table[table["layer"] == NOT]
    if untouched.empty:
        return []
    correct = untouched.pivot_table("correct", "picture", "size")
    likely = untouched.pivot_table("log_likelihood", "picture", "size")
    maps = untouched.groupby("size")["map"].first()
    layer = untouched["last"].iloc[0]
    steps = sorted(untouched.loc[untouched["step"], "size"].unique())
    own = steps[len(steps) // 2]
    rows = []
    for size in correct.columns:
        row = {"size": int(size), "layer": layer, "map": maps[size], "pictures": len(correct)}
        row |= _mean("accuracy", correct[size], resamples)
        row |= _mean("change", correct[size] - correct[own], resamples)
        row["log_likelihood"] = likely[size].mean()
        if size in steps[1:-1]:
            place = steps.index(size)
            beside = (likely[steps[place - 1]] + likely[steps[place + 1]]) / 2
            row |= _mean("excess", likely[size] - beside, resamples)
        rows.append(row)
    return rows


def _mean(name: str, values: pd.Series, resamples: int) -> dict[str, float]:
    low, high = bootstrap(values.to_numpy(dtype=float), resamples)
    return {name: values.mean(), f"{name}_low": low, f"{name}_high": high}


def _moves(table: pd.DataFrame, layers: pd.DataFrame, resamples: int) -> list[dict]:
    rows = []
    untouched = table[table["layer"] == NOT].set_index(["size", "picture"])
    tested = table[table["layer"] != NOT]
    for size, layer in tested[["size", "layer"]].drop_duplicates().itertuples(index=False):
        group = tested[(tested["size"] == size) & (tested["layer"] == layer)]
        base, found = untouched.loc[size], layers.loc[layer]
        for moved, own in [(0, base.reset_index()), *group.groupby("moved")]:
            own = own.set_index("picture").loc[base.index]
            first = group.iloc[0]
            row = {"layer": layer, "k": int(found["k"]), "size": int(size), "map": first["map"]}
            # A pixel more on the left and the top, and one less opposite.
            expected = first["expected_x"] + moved, first["expected_y"] - moved
            medians = found["median_x"], found["median_y"]
            row |= {"moved": int(moved), "expected_x": expected[0], "expected_y": expected[1]}
            row |= {"median_x": medians[0], "median_y": medians[1]}
            row["missed"] = np.abs(np.subtract(medians, expected)).mean()
            row |= {"pictures": len(own), "accuracy": own["correct"].mean()}
            for column, name in (("correct", "change"), ("log_likelihood", "gain")):
                change = own[column].astype(float) - base[column].astype(float)
                row |= _mean(name, change, resamples)
            rows.append(row)
    order = ["layer", "size", "moved"]
    return sorted(rows, key=lambda row: [row[key] for key in order])


def bootstrap(values: np.ndarray, resamples: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean over pictures."""
    drawn = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), LEVEL)
    return float(low), float(high)

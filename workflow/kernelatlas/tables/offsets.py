"""Offsets of the centres of kernels: are squares centres shifted by half a pixel?"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binom

from kernelatlas.clustering.templates import bank, grid
from kernelatlas.evidence.described import described
from kernelatlas.evidence.intervals import independent, share
from kernelatlas.kernels.gaussians import gaussian
from kernelatlas.kernels.normalise import normalise
from kernelatlas.names import SQUARES
from kernelatlas.running.progress import tracked
from kernelatlas.tables.fits import beside_fits

CENTRED = ("on-centre", "off-centre", "on-cross", "off-cross", "on-square", "off-square")
TOGETHER = "all with a centre"
NEAR = 0.1  # pixels
REACH = 0.5 + NEAR  # of offsets that shares count: all that are near half a pixel
# Bins of a tenth of a pixel: 0 and ±0.5 are the middles of some.
EDGES = np.linspace(-1.05, 1.05, 22)
PLANTED, SIGMAS, FEWEST = 20000, (0.5, 1.4), 100
SHARES = ("centred", "half_one", "half_both")
EXPECTED = ("expected_x", "expected_y")
OF_MAP = ("stride", "height", "width", *EXPECTED)
LAYER_COLUMNS = [
    *("family", "model", "k", "layer_index", "layer", "stride", "height", "width", *EXPECTED),
    *("kernels", "squares", "share_squares", "low", "high", "centred", "at_limit"),
    *("median_x", "x_low", "x_high", "median_y", "y_low", "y_high", "squares_x", "squares_y"),
]
LABEL = pd.CategoricalDtype(sorted(CENTRED))
# Of kernels with a centre, which are kept of all networks at once.
POOLED = ["k", "label", "stride", *EXPECTED, "x", "y", "at_limit", "fitted"]
STRIDE_COLUMNS = [
    *("k", "stride", *EXPECTED, "layers", "kernels", "squares", "share_squares", "low", "high"),
    *("centred", "median_x", "median_y", "share_quadrant"),
]


def offset_tables(
    fits: Sequence[str | Path],
    labels: Sequence[str | Path],
    kernels: Sequence[str | Path],
    maps: Mapping[str, str | Path],
    models: Sequence[Sequence],
    r2: float,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Describe the offsets of shifted Gaussians fitted to identified kernels with a centre.

    Parameters
    ----------
    fits, labels, kernels
        Tables of `models`, in their order.
    maps
        Tables of `kernelatlas.training.maps`, by the names of the models that have one.
    r2
        Threshold of R² of the shifted Gaussian, as `described` takes it.

    Returns
    -------
    offsets : DataFrame
        A row for each kernel size and label (and all together), see results/README.md.
    layers : DataFrame
        A row for each layer: its map, what its padding makes one expect, what is found.
    strides : DataFrame
        The same by kernel size, stride and expected move.
    histogram : DataFrame
        k, label, x, y and kernels in bins of a tenth of a pixel, without empty bins and offsets
        of more than a pixel.

    Raises
    ------
    KernelAtlasError
        If the rows of a model's fits and labels are not of the same kernels.
    """
    parts, layers = [], []
    networks = list(zip(fits, labels, kernels, models, strict=True))
    for of_fits, of_labels, of_kernels, (name, family, *_) in tracked(
        networks, "offsets", "networks"
    ):
        every = read_offsets(of_fits, of_labels, of_kernels, maps.get(name))
        every["fitted"] = every["centred"] & described(every["r2"], r2)
        layers.append(layer_moves(every.assign(family=family, model=name)))
        parts.append(every.loc[every["centred"], POOLED].astype({"label": LABEL}))
    rows, of_layers = _joined(parts), _joined(layers)
    of_layers = of_layers.sort_values(["family", "model"], kind="stable", ignore_index=True)
    offsets = pd.concat([_describe(rows), _describe(rows.assign(label=TOGETHER))])
    offsets = offsets.sort_values("k", kind="stable", ignore_index=True)
    chances = [
        chance(int(k)).loc[label].to_dict()
        for k, label in zip(offsets["k"], offsets["label"], strict=True)
    ]
    names = [f"chance_{share}" for share in SHARES]
    offsets = offsets.join(pd.DataFrame(chances, columns=names, index=offsets.index))
    fitted = rows[rows["fitted"]]
    return offsets, of_layers, stride_moves(fitted, of_layers), _histogram(fitted)


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return rows of all parts; those without rows have no types of their own."""
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def read_offsets(
    fits: str | Path, labels: str | Path, kernels: str | Path, maps: str | Path | None = None
) -> pd.DataFrame:
    """Return the kernels of one model.

    Columns k, layer_index, layer, channel, label, centred (identified as a label with a centre), x,
    y, r2, at_limit (whether a parameter of the fit ended at a limit of the search), stride, and of
    its map height, width, expected_x, expected_y; empty where unknown.
    """
    known = ["shifted_x", "shifted_y", "shifted_r2", "shifted_at_limit"]
    frame = beside_fits(labels, fits, ["layer", "label", "identified"], known)
    frame = frame.rename(columns=dict(zip(known, ("x", "y", "r2", "at_limit"), strict=True)))
    frame["at_limit"] = frame["at_limit"].notna()
    frame["centred"] = frame["identified"] & frame["label"].isin(CENTRED)
    frame = frame.astype({"layer": "str", "label": "str"})
    strides = pd.read_parquet(kernels, columns=["layer_index", "stride"]).drop_duplicates()
    strides["stride"] = strides["stride"].astype("Int16")
    frame = frame.merge(strides, how="left", on="layer_index")
    seen = pd.DataFrame(columns=["layer", *OF_MAP]) if maps is None else pd.read_parquet(maps)
    seen = seen[["layer", *OF_MAP]].rename(columns={"stride": "stride_of_map"})
    frame = frame.merge(seen.astype({"layer": "str"}), how="left", on="layer")
    frame["stride"] = frame["stride"].fillna(frame.pop("stride_of_map").astype("Int16"))
    kinds = {"height": "Int16", "width": "Int16"}
    kinds |= dict.fromkeys(("expected_x", "expected_y"), "float64")
    return frame.drop(columns=["model", "identified"]).astype(kinds)


def layer_moves(kernels: pd.DataFrame) -> pd.DataFrame:
    """Describe each layer: how its kernels should be moved, and how they are.

    Parameters
    ----------
    kernels
        As `read_offsets` returns them, with family, model and fitted.

    Returns
    -------
    DataFrame
        Columns as in results/README.md.
    """
    by = ["family", "model", "k", "layer_index", "layer", "stride", "height", "width", *EXPECTED]
    square, fitted = kernels["label"].isin(SQUARES), kernels["fitted"]
    moves = [f"{what}_{axis}" for what in ("median", "squares") for axis in ("x", "y")]
    values = kernels[by].assign(
        squares=kernels["centred"] & square,
        centred=fitted,
        at_limit=fitted & kernels["at_limit"],
        **{f"median_{axis}": kernels[axis].where(fitted) for axis in ("x", "y")},
        **{f"squares_{axis}": kernels[axis].where(fitted & square) for axis in ("x", "y")},
    )
    groups = values.groupby(by, dropna=False, observed=True)
    table = groups.agg(
        kernels=("squares", "size"),
        share_squares=("squares", "mean"),
        **{name: (name, "sum") for name in ("squares", "centred", "at_limit")},
        **{name: (name, "median") for name in moves},
    ).reset_index()
    interval = independent(table["squares"].to_numpy(), table["kernels"].to_numpy())
    table = table.assign(low=interval.low, high=interval.high)
    of = groups.ngroup()[fitted].to_numpy()
    for axis in ("x", "y"):
        ends = median_intervals(kernels.loc[fitted, axis].to_numpy(), of, len(table))
        table[f"{axis}_low"], table[f"{axis}_high"] = ends
    kinds = {"k": "int64", "layer_index": "int64", **dict.fromkeys(moves, "float64")}
    kinds |= dict.fromkeys(("stride", "height", "width"), "Int16")
    return table[LAYER_COLUMNS].astype(kinds)


def stride_moves(fitted: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """Count squares and moves by kernel size, stride and expected move; intervals over layers.

    Parameters
    ----------
    fitted
        Kernels as for `layer_moves`, those that are fitted.
    layers
        As it returns them.
    """
    by = ["k", "stride", *EXPECTED]
    rows = []
    for key, group in layers.groupby(by, dropna=False):
        found = share(group["squares"].to_numpy(), group["kernels"].to_numpy())
        row = dict(zip(by, key, strict=True)) | {"layers": len(group)}
        row |= {"kernels": int(group["kernels"].sum()), "squares": int(group["squares"].sum())}
        row |= {"share_squares": float(found.value)}
        rows.append({**row, "low": float(found.low), "high": float(found.high)})
    counted = pd.DataFrame(rows, columns=STRIDE_COLUMNS[: len(by) + 6])
    way, where = np.sign(fitted[list(EXPECTED)].to_numpy()), np.sign(fitted[["x", "y"]].to_numpy())
    asked = (np.abs(way) == 1).all(axis=1)  # neither unknown nor none
    moves = fitted.assign(there=np.where(asked, (way == where).all(axis=1), np.nan))
    moves = moves.groupby(by, dropna=False).agg(
        centred=("x", "size"),
        median_x=("x", "median"),
        median_y=("y", "median"),
        share_quadrant=("there", "mean"),
    )
    kinds = {"stride": "Int16"}
    table = counted.astype(kinds).merge(moves.reset_index().astype(kinds), how="left", on=by)
    table["centred"] = table["centred"].fillna(0).astype("int64")
    return table[STRIDE_COLUMNS]


def median_intervals(
    values: np.ndarray, group: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order statistics between which medians are with at least 95 % probability.

    Parameters
    ----------
    values : ndarray of shape (n,), float
    group : ndarray of shape (n,), int
        The group of each value, below `groups`.

    Returns
    -------
    low, high : ndarray of shape (groups,)
        NaN of groups of fewer than six values. Source: David & Nagaraja, Order Statistics
        (2003), 7.1.
    """
    order = values[np.lexsort((values, group))].astype(float)
    counts = np.bincount(group, minlength=groups)
    first = counts.cumsum() - counts
    below = np.where(counts, binom.ppf(0.025, np.maximum(counts, 1), 0.5), 0).astype(int)
    low, high = np.full((2, groups), np.nan)
    some = below > 0
    low[some] = order[(first + below - 1)[some]]
    high[some] = order[(first + counts - below)[some]]
    return low, high


def lattice(x: ArrayLike, y: ArrayLike) -> dict[str, np.ndarray]:
    """Tell which offsets are within a tenth of a pixel of a point of the half-pixel lattice.

    Returns
    -------
    dict of ndarray of bool
        centred: of the kernel's centre; half_one: of half a pixel from it along one axis and
        of zero along the other; half_both: of half a pixel along both.
    """
    dx, dy = (np.abs(np.asarray(values, dtype=float)) for values in (x, y))
    (none_x, none_y), (half_x, half_y) = (
        [np.abs(values - at) <= NEAR for values in (dx, dy)] for at in (0.0, 0.5)
    )
    return {
        "centred": none_x & none_y,
        "half_one": (half_x & none_y) | (none_x & half_y),
        "half_both": half_x & half_y,
    }


@cache
def chance(k: int) -> pd.DataFrame:
    """Return the shares of `lattice` for offsets that are uniform, not on a lattice.

    20,000 Gaussians of either sign, with σ from 0.5 to 1.4 pixels and offsets uniform in
    [−0.6, 0.6]², labelled by their most similar template: the label alone depends on the offset.

    Returns
    -------
    DataFrame
        A row for each label (and all together); empty for labels of fewer than 100 of them.
    """
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-REACH, REACH, (2, PLANTED))
    sigma, sign = rng.uniform(*SIGMAS, PLANTED), rng.choice([-1.0, 1.0], PLANTED)
    columns, rows = grid(k)
    weights = np.stack(
        [
            s * gaussian(columns - dx, rows - dy, d).ravel()
            for dx, dy, d, s in zip(x, y, sigma, sign, strict=True)
        ]
    )
    label = bank(k).name(normalise(weights), -1).label
    masks = {**{name: label == name for name in CENTRED}, TOGETHER: np.isin(label, CENTRED)}
    table = {
        name: {
            f"chance_{share}": found[mask].mean() if mask.sum() >= FEWEST else np.nan
            for share, found in lattice(x, y).items()
        }
        for name, mask in masks.items()
    }
    return pd.DataFrame.from_dict(table, orient="index")


def _describe(rows: pd.DataFrame) -> pd.DataFrame:
    """Count by kernel size and label; the order of labels is that of `CENTRED`."""
    size = rows[["x", "y"]].abs()
    near = rows["fitted"] & (size <= REACH).all(axis=1)
    shares = pd.DataFrame(lattice(size["x"], size["y"])).astype(float)
    values = rows[["k"]].assign(
        label=pd.Categorical(rows["label"], [*CENTRED, TOGETHER]),
        fitted=rows["fitted"],
        at_limit=rows["fitted"] & rows["at_limit"],
        near=near,
        x=size["x"].where(rows["fitted"]),
        y=size["y"].where(rows["fitted"]),
        **{f"share_{share}": shares[share].where(near) for share in SHARES},
    )
    groups = values.groupby(["k", "label"], observed=True)
    sums = {"identified": ("fitted", "size")}
    counted = {"kernels": "fitted", "at_limit": "at_limit", "near": "near"}
    sums |= {name: (of, "sum") for name, of in counted.items()}
    medians = {"median_x": ("x", "median"), "median_y": ("y", "median")}
    means = {f"share_{share}": (f"share_{share}", "mean") for share in SHARES}
    table = groups.agg(**sums, **medians, **means).reset_index()
    counts = dict.fromkeys(("kernels", "at_limit", "near"), "int64")
    return table.astype({"label": "str", **counts})


def _histogram(rows: pd.DataFrame) -> pd.DataFrame:
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    parts = []
    for (k, label), group in rows.groupby(["k", "label"], observed=True):
        counts, _, _ = np.histogram2d(group["x"], group["y"], [EDGES, EDGES])
        x, y = np.nonzero(counts)
        position = {"x": middles[x].round(1), "y": middles[y].round(1)}
        parts.append(pd.DataFrame({"k": k, "label": label, **position, "kernels": counts[x, y]}))
    columns = ["k", "label", "x", "y", "kernels"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    kinds = {"k": "int16", "label": "str", "x": "float64", "y": "float64", "kernels": "int64"}
    return table.astype(kinds)

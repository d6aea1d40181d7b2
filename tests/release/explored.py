"""A zoo of odd kernels with its tables, and what its explorer must hold, read with pandas."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import fits
from kernelatlas.evidence.fitted import write_fits
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, read_square, write_kernels
from kernelatlas.release.explorer_folder import write_data
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_tables import Network
from kernelatlas.running.files import write_frame
from kernelatlas.running.tensors import write_tensors
from kernelatlas.tables.layers import layer_table, shape_table
from kernelatlas.tables.models import model_table

THRESHOLDS = {"3": 0.12, "7": 0.3}
STUDIED = {3: 0.12, 7: 0.3}
MINIMUM = 0.75
POINTS = 64
R2 = 0.8
# In the order of the zoo, in which families are not together.
MODELS = [
    ["one", "late", True, "pictures"],
    ["two", "early", True, "pictures"],
    ["gone", "early", True, "pictures"],
    ["one.untrained", "late", False, ""],
    ["odd", "late", True, "pictures"],
]
ORDERED = ["one", "one.untrained", "odd", "two", "gone"]
HOSTILE = "<img src=x onerror=alert(1)>/\"'\u202e"


def planted(k: int, n: int, seed: int, noise: float = 0.05) -> np.ndarray:
    """Return templates with noise, scaled and shifted, (n, k, k)."""
    random, templates = np.random.default_rng([k, n, seed]), bank(k).weights
    kernels = templates[random.integers(len(templates), size=n)]
    kernels = kernels + random.normal(0, noise, kernels.shape) * random.uniform(0, 3, (n, 1))
    scaled = kernels * 10.0 ** random.uniform(-3, 1, (n, 1)) + random.normal(0, 0.01, (n, 1))
    return scaled.astype(np.float32).reshape(n, k, k)


def odd_kernels() -> np.ndarray:
    """Return 7×7 kernels that are degenerate, not finite, huge, dead or next to constant."""
    kernels = planted(7, 12, 4)
    kernels[0], kernels[1] = 0, 3.5
    kernels[2, 0, :3] = np.nan, np.inf, -np.inf
    kernels[3] = np.nan
    kernels[4] *= 1e30
    kernels[5] *= 1e-30
    kernels[6] = 1e-44  # the least that float32 tells from 0
    return kernels


def layers_of(name: str) -> list[Layer]:
    """Return the layers of a network."""
    random = np.random.default_rng(len(name))
    if name == "one":
        return [
            Layer("stem.dw", planted(7, 40, 0), 2, 1),
            Layer("a.dw", planted(3, 70, 1), 1, 1),
            Layer("b.dw", planted(7, 33, 2), 1, 3),
        ]
    if name == "two":
        return [Layer("x", planted(3, 65, 3)), Layer(HOSTILE, planted(7, 20, 3))]
    if name == "one.untrained":
        return [Layer("noise", random.normal(size=(50, 7, 7)).astype(np.float32))]
    if name == "odd":
        return [
            Layer("even", random.normal(size=(5, 2, 2)).astype(np.float32)),
            Layer("strip", random.normal(size=(3, 1, 7)).astype(np.float32)),
            Layer("odd", odd_kernels()),
            Layer("strip2", random.normal(size=(4, 1, 7)).astype(np.float32)),
        ]
    return []


def a_curve(k: int, seed: int) -> Curve:
    """Return a curve that passes through some templates."""
    random, templates = np.random.default_rng([k, seed]), bank(k).weights
    knots = templates[random.choice(len(templates), 9, replace=False)]
    at = np.linspace(0, 7.999, POINTS)
    low, share = at.astype(int), (at % 1)[:, None]
    return Curve(k, seed, normalise((1 - share) * knots[low] + share * knots[low + 1]), 12.0)


def make_tables(folder: Path, seeds=(0, 1, 2), models=MODELS) -> Path:
    """Write all tables of the zoo, as the workflow does."""
    curves = {k: [a_curve(k, seed) for seed in seeds] for k in STUDIED}
    for k, of_size in curves.items():
        for curve in of_size:
            known = {"k": k, "seed": curve.seed, "concentration": curve.concentration}
            path = folder / f"autoencoders/k{k}_seed{curve.seed}.safetensors"
            write_tensors(path, {"curve": curve.points}, known)
    clusters = {}
    for k, limit in STUDIED.items():
        corpus = np.concatenate(
            [
                layer.weights.reshape(-1, k * k)
                for layer in layers_of("one")
                if layer.weights.shape[1] == k
            ]
        )
        clusters[k] = cluster_table(normalise(corpus), curves[k], limit, MINIMUM)
        write_frame(clusters[k], folder / f"clusters/k{k}.parquet")
    for name, *_ in models:
        kernels = folder / f"kernels/{name}.parquet"
        layers = layers_of(name)
        skipped = {} if layers else {"skipped": f"{name}: no such file"}
        write_kernels(kernels, name, layers, {"source": f"{name}.safetensors", **skipped})
        labels, fitted = [], []
        for k, limit in STUDIED.items() if layers else ():
            rows, weights = read_square(kernels, k)
            if not len(rows):
                continue
            labels.append(label_kernels(kernels, curves[k], clusters[k], limit, MINIMUM))
            key = rows[KEY].astype({"model": str, "layer": str}).assign(k=np.int16(k))
            fitted.append(pd.concat([key, fits.fit(weights)], axis=1))
        rule = {"thresholds": THRESHOLDS, "minimum_cosine": MINIMUM}
        write_labels(labels, folder / f"labels/{name}.parquet", list(seeds), **rule)
        table = pd.concat(fitted or [_no_fits()]).sort_values(["layer_index", "channel"])
        write_fits(table.reset_index(drop=True), folder / f"fits/{name}.parquet")
    paths = [folder / f"labels/{name}.parquet" for name, *_ in models]
    write_frame(model_table(paths, models, THRESHOLDS), folder / "tables/models.parquet")
    write_frame(shape_table(paths, models), folder / "tables/shapes.parquet")
    write_frame(layer_table(paths, models, THRESHOLDS), folder / "tables/layers.parquet")
    nulls = [
        ("late", "one", "trained", "identified", 9, 0.9, 0.5, 1.0),
        ("late", "all networks", "trained", "identified", 73, 0.8, 0.7, 0.9),
        ("all families", "all networks", "trained", "identified", 93, 0.8, 0.7, 0.9),
        ("all families", "all networks", "trained", "r2", 93, 0.7, 0.6, 0.8),
        ("all families", "all networks", "white", "identified", 93, 0.0125, 0.0, np.nan),
    ]
    columns = ["family", "model", "set", "rule", "kernels", "share", "low", "high"]
    write_frame(pd.DataFrame(nulls, columns=columns), folder / "tables/nulls_k7.parquet")
    return folder


def _no_fits() -> pd.DataFrame:
    empty = dict.fromkeys(("model", "layer"), "object")
    empty |= {"layer_index": "int16", "channel": "int32", "k": "int16"}
    return pd.DataFrame({n: pd.Series(dtype=kind) for n, kind in {**empty, **fits.SCHEMA}.items()})


def explore(tables: Path, folder: Path, models=MODELS, seeds=(0, 1, 2), nulls=(7,)) -> Path:
    """Write the explorer's data."""
    networks = [
        Network(
            *model,
            *(tables / f"{kind}/{model[0]}.parquet" for kind in ("kernels", "labels", "fits")),
        )
        for model in models
    ]
    write_data(
        folder,
        networks,
        [tables / f"clusters/k{k}.parquet" for k in STUDIED],
        [tables / f"autoencoders/k{k}_seed{seed}.safetensors" for k in STUDIED for seed in seeds],
        Shares(*(tables / f"tables/{name}.parquet" for name in ("models", "shapes", "layers"))),
        {k: tables / f"tables/nulls_k{k}.parquet" for k in nulls},
        R2,
    )
    return folder


class Data:
    """The explorer's data of a size beside the tables, in the order of places."""

    def __init__(self, tables: Path, folder: Path, size: str) -> None:
        self.index = json.loads((folder / "index.json").read_text())
        self.size = self.index["sizes"][size]
        self.arrays = {path.stem: np.load(path) for path in (folder / size).glob("*.npy")}
        height, width = map(int, size.split("x"))
        names = [self.index["networks"][number]["name"] for number in self.size["networks"]]
        self.networks = [json.loads((folder / f"networks/{n}.json").read_text()) for n in names]
        self.layers = [network["layers"][size] for network in self.networks]
        found = []
        for number, name in enumerate(names):
            own = pd.read_parquet(tables / f"kernels/{name}.parquet")
            own = own[(own["kh"] == height) & (own["kw"] == width)].assign(network=number)
            for kind in ("labels", "fits"):
                other = pd.read_parquet(tables / f"{kind}/{name}.parquet")
                other = other[other["k"] == (height if height == width else -1)]
                other = other.drop(columns=["model", "layer", "k", "degenerate"])
                own = own.merge(other, on=["layer_index", "channel"], how="left", sort=False)
            found.append(own.sort_values(["layer_index", "channel"]))
        self.kernels = pd.concat(found, ignore_index=True)

    @property
    def weights(self) -> np.ndarray:
        """Decoded, by row, (n, pixels)."""
        scale = self.size["scale"]
        q = self.arrays["scale"].astype(float)
        integers = self.arrays["weights"].reshape(len(q), -1).astype(float)
        integers[integers == -128] = np.nan
        return integers * (scale["least"] * scale["ratio"] ** q)[:, None]

    def cell_of(self, kernel: pd.Series, clusters: pd.DataFrame) -> int:
        """Return the cell that a kernel must be in, by its label and its cluster."""
        for number, cell in enumerate(self.size["cells"]):
            if cell["label"] != kernel["label"]:
                continue
            if kernel["label"] != "other" or pd.isna(kernel["cluster"]) or kernel["cluster"] < 0:
                return number
            if clusters["cluster"].iloc[number] == kernel["cluster"]:
                return number
        raise AssertionError(kernel["label"])

    def row_of(self, place: int) -> int:
        """Return a kernel's row by the page's way: from network, layer and channel."""
        cells, starts = self.arrays["cells"], self.arrays["layer_starts"]
        for i, layers in enumerate(self.layers):
            for j, layer in enumerate(layers):
                first = layer["first"]
                if first <= place < first + layer["channels"]:
                    cell, many = int(cells[place]), len(layers)
                    block = len(self.size["cells"]) * (self.size["network_layers"][i] + i)
                    start = starts[block + cell * (many + 1) + j]
                    return int(start + (cells[first:place] == cell).sum())
        raise AssertionError(place)

    def place_of(self, row: int) -> int:
        """Return a kernel's place by the page's way: from the ranges of rows."""
        starts = self.arrays["network_starts"]
        cell = next(c for c in range(len(starts)) if starts[c, 0] <= row < starts[c, -1])
        i = int(np.searchsorted(starts[cell], row, side="right")) - 1
        many = len(self.layers[i])
        block = len(self.size["cells"]) * (self.size["network_layers"][i] + i)
        own = self.arrays["layer_starts"][block + cell * (many + 1) :][: many + 1]
        j = int(np.searchsorted(own, row, side="right")) - 1
        layer = self.layers[i][j]
        cells = self.arrays["cells"][layer["first"] :][: layer["channels"]]
        return int(layer["first"] + np.flatnonzero(cells == cell)[row - own[j]])

"""The explorer's data of as many kernels as all of timm has (`python benchmarks/explorer.py`).

The networks, their layers and the sizes of their kernels are those of the registry of timm. Their
kernels are drawn from the trained networks in results/, with their labels, dissimilarities, codes
and fits, so that names and functions are as frequent as there; each is scaled at random and gets
noise of 2 % of its length. Sizes without labels there are normal noise. Printed are the bytes of
each array, and seconds and peak memory of the process that makes all of them from the tables.
"""

import argparse
import logging
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.release.explorer_folder import write_data
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_tables import PARAMETERS, Network
from kernelatlas.running.files import LABELS_VERSION, metadata_of, write_frame, write_parquet
from kernelatlas.sources.registry import LAYERS, TAGS
from kernelatlas.tables.layers import layer_table, shape_table

ROOT = Path(__file__).parents[1]
SIZES = (3, 5, 7, 9)
NOISE = 0.02
KEY = ["model", "layer", "layer_index", "channel", "k"]
FITTED = [*KEY, "function", "form", "r2", *PARAMETERS, "degenerate"]


class Pool:
    """The k×k kernels of the trained networks in results/, to draw from."""

    def __init__(self, results: Path, k: int) -> None:
        models = pd.read_parquet(results / "tables/models.parquet")
        own = models[(models["k"] == k) & models["trained"].astype(bool)]["model"]
        labels, fits, weights = [], [], []
        for model in own:
            size = [("k", "==", k)]
            labels.append(pq.read_table(results / f"labels/{model}.parquet", filters=size))
            path = results / f"fits/{model}.parquet"
            fits.append(pq.read_table(path, columns=FITTED, filters=size))
            sides = [("kh", "==", k), ("kw", "==", k)]
            table = pq.read_table(results / f"kernels/{model}.parquet", filters=sides)
            weights.append(pc.list_flatten(table["weights"]).to_numpy().reshape(-1, k, k))
        self.labels, self.fits = pa.concat_tables(labels), pa.concat_tables(fits)
        self.weights = np.concatenate(weights)

    def noisy(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return kernels in other scales and with noise."""
        kernels = self.weights[rows]
        length = np.linalg.norm(kernels, axis=(1, 2), keepdims=True)
        noise = random.standard_normal(kernels.shape, np.float32) / kernels.shape[1]
        scale = np.exp(random.standard_normal((len(rows), 1, 1), np.float32))
        return scale * (kernels + NOISE * length * noise)


def write_tables(folder: Path, results: Path, kernels: int) -> list[Network]:
    """Write kernel, label and fit tables of timm's networks, of so many kernels in all."""
    tags, layers = pd.read_parquet(TAGS), pd.read_parquet(LAYERS)
    tags = tags[tags["kernels"] > 0].sort_values(["family", "name"])
    share = kernels / tags["kernels"].sum()
    by_architecture = dict(tuple(layers.groupby("architecture", observed=True)))
    pools = {k: Pool(results, k) for k in SIZES}
    rule = metadata_of(next(results.glob("labels/*.parquet")))
    networks, shares = [], []
    for number, tag in enumerate(tags.itertuples()):
        random = np.random.default_rng(number)
        own = by_architecture[tag.architecture]
        made = list(_layers(own, share, pools, random))
        network = Network(
            tag.name,
            tag.family,
            True,
            "ImageNet-1k",
            *(folder / kind / f"{tag.name}.parquet" for kind in ("kernels", "labels", "fits")),
        )
        write_kernels(network.kernels, tag.name, [layer for layer, _ in made], {"source": tag.name})
        for path, kind in ((network.labels, "labels"), (network.fits, "fits")):
            parts = [
                _of_layer(
                    getattr(pools[layer.weights.shape[1]], kind), rows, tag.name, index, layer
                )
                for index, (layer, rows) in enumerate(made)
                if rows is not None
            ]
            table = pa.concat_tables([getattr(pools[3], kind).slice(0, 0), *parts])
            write_parquet(table, path, rule if kind == "labels" else None)
            if kind == "labels":
                shares.append(_shares(tag.name, table))
        networks.append(network)
    write_frame(pd.concat(shares), folder / "tables/models.parquet", schema_version=LABELS_VERSION)
    paths = [network.labels for network in networks]
    models = [(own.name, own.family, own.trained, own.trained_on) for own in networks]
    write_frame(shape_table(paths, models), folder / "tables/shapes.parquet")
    layers_of_all = layer_table(paths, models, rule["thresholds"])
    write_frame(layers_of_all, folder / "tables/layers.parquet")
    return networks


def _layers(
    rows: pd.DataFrame, share: float, pools: dict[int, Pool], random: np.random.Generator
) -> Iterator[tuple[Layer, np.ndarray | None]]:
    """Yield layers, and of those with labels the rows of the pool that their kernels are."""
    for row in rows.sort_values("layer_index").itertuples():
        n = max(round(row.channels * share), 1)
        drawn = None
        if row.kh == row.kw and row.kh in pools:
            pool = pools[row.kh]
            drawn = random.integers(len(pool.weights), size=n)
            weights = pool.noisy(drawn, random)
        else:
            weights = random.standard_normal((n, row.kh, row.kw), np.float32)
        yield Layer(row.layer, weights, int(row.stride), int(row.dilation)), drawn


def _of_layer(table: pa.Table, rows: np.ndarray, model: str, index: int, layer: Layer) -> pa.Table:
    """Return rows of a label or fit table, as kernels of another layer."""
    part, n = table.take(rows), len(rows)
    new = {
        "model": pa.array([model] * n, pa.string()).dictionary_encode(),
        "layer": pa.array([layer.name] * n, pa.string()).dictionary_encode(),
        "layer_index": np.full(n, index, np.int16),
        "channel": np.arange(n, dtype=np.int32),
    }
    for name, values in new.items():
        at = part.schema.get_field_index(name)
        part = part.set_column(at, part.schema.field(at), pa.chunked_array([values]))
    return part


def _shares(model: str, labels: pa.Table) -> pd.DataFrame:
    """Return the columns of the table models that the explorer shows."""
    rows = labels.select(["k", "identified", "degenerate"]).to_pandas()
    counts = rows.groupby("k", as_index=False).agg(
        kernels=("identified", "size"),
        degenerate=("degenerate", "sum"),
        share_identified=("identified", "mean"),
    )
    share = counts["share_identified"]
    return counts.assign(model=model, low=0.9 * share, high=np.minimum(1.1 * share, 1))


def measured(folder: Path, results: Path, networks: list[Network]) -> tuple[float, float]:
    """Write the data; return seconds and peak MiB."""
    began = time.perf_counter()
    seeds = metadata_of(networks[0].labels)["seeds"]
    tables = networks[0].kernels.parents[1] / "tables"
    write_data(
        folder,
        networks,
        [results / f"clusters/k{k}.parquet" for k in SIZES],
        [results / f"autoencoders/k{k}_seed{seed}.safetensors" for k in SIZES for seed in seeds],
        Shares(*(tables / f"{name}.parquet" for name in ("models", "shapes", "layers"))),
        {k: results / f"tables/nulls_k{k}.parquet" for k in SIZES},
        0.8,
    )
    seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_bytes(folder: Path) -> None:
    """Print the bytes of each kind of file, in MB."""
    sizes: dict[str, dict[str, float]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            kind = path.stem if path.suffix == ".npy" else path.relative_to(folder).parts[0]
            by_size = sizes.setdefault(kind, {})
            of = path.parent.name if path.suffix == ".npy" else ""
            by_size[of] = by_size.get(of, 0) + path.stat().st_size / 1e6
    table = pd.DataFrame(sizes).T.fillna(0)
    table["all"] = table.sum(axis=1)
    table.loc["all"] = table.sum()
    print(table.round(2).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=int, default=12_678_333, help="in all, about")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--folder", type=Path, help="keep the data in this folder")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # some of the kernels are degenerate
    with tempfile.TemporaryDirectory(prefix="explorer-") as scratch:
        folder = arguments.folder or Path(scratch) / "data"
        began = time.perf_counter()
        networks = write_tables(Path(scratch), arguments.results, arguments.kernels)
        tables = sum(path.stat().st_size for path in Path(scratch).rglob("*.parquet"))
        print(f"tables: {tables / 1e6:.0f} MB, made in {time.perf_counter() - began:.0f} s")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            run = process.submit(measured, folder, arguments.results, networks)
            seconds, memory = run.result()
        print_bytes(folder)
        print(f"{seconds:.0f} s, {memory:.0f} MiB at most")


if __name__ == "__main__":
    main()

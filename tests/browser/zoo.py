"""The tables of a small zoo, by the library itself: embedded networks, controls, hostile names.

Layers and channels of the embedded networks are left out, so that all is made in seconds.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from curves import QUICK

from kernelatlas.clustering.autoencoder import fit
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, read_square, write_kernels
from kernelatlas.release import explorer_page
from kernelatlas.release.explorer_folder import write_data
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_tables import Network
from kernelatlas.running.files import metadata_of, write_frame, write_parquet
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.tables.layers import layer_table, shape_table
from kernelatlas.tables.models import model_table

ROOT = Path(__file__).parents[2]
SEEDS = [0, 1, 2]
SIZES = [3, 5, 7, 9]
THRESHOLDS = {"3": 0.2, "5": 0.3, "7": 0.3, "9": 0.3}
MINIMUM_COSINE = 0.75
R2 = 0.8
# Names of layers can hold anything: markup, what addresses are made of, any script.
HOSTILE = [
    "<img src=x onerror=\"document.title='broken'\">",
    "a/b?c=1&d=2#e%2F %zz+'\"`;",
    "слой · 层 · \u202elayer",
]
SKIPPED = "owner/<b>gone</b>: no such file"


@dataclass(frozen=True)
class Zoo:
    """Networks with their tables, and the tables of all of them.

    Attributes
    ----------
    folder
        Laid out as the workflow's results.
    networks
        As `kernelatlas.release.explorer_folder.write_data` takes them.
    shares
        The tables models, shapes and layers.
    """

    folder: Path
    networks: list[Network]
    shares: Shares

    @property
    def clusters(self) -> list[Path]:
        return [self.folder / f"clusters/k{k}.parquet" for k in SIZES]

    @property
    def curves(self) -> list[Path]:
        autoencoders = self.folder / "autoencoders"
        return [autoencoders / f"k{k}_seed{seed}.safetensors" for k in SIZES for seed in SEEDS]

    @property
    def nulls(self) -> dict[int, Path]:
        return {k: self.folder / f"tables/nulls_k{k}.parquet" for k in SIZES}


def make_zoo(folder: Path) -> Zoo:
    """Make the tables of all networks."""
    layers = {
        ("convnextv2_mini", "convnextv2"): _embedded("convnextv2_mini", 8),
        ("mobilenetv3_mini", "mobilenetv3"): _embedded("mobilenetv3_mini", 6),
        ("convmixer_mini", "convmixer"): _embedded("convmixer_mini", 2),
        ("hostile-1.0_x", "planted"): _hostile(),
        ("gone", "planted"): [],
    }
    for name, family in list(layers)[:2]:
        layers[f"{name}.untrained", family] = _untrained(layers[name, family])
    curves = {k: _curves(folder, k, layers.values()) for k in SIZES}
    networks = []
    for (name, family), own in layers.items():
        paths = [folder / f"{kind}/{name}.parquet" for kind in ("kernels", "labels", "fits")]
        trained = not name.endswith(".untrained")
        network = Network(name, family, trained, "<i>pictures</i>" if trained else None, *paths)
        source = {"source": f"{name}.safetensors", "commit": "0" * 40}
        write_kernels(paths[0], name, own, source if own else source | {"skipped": SKIPPED})
        _label_and_fit(network, own, curves)
        networks.append(network)
    for k in SIZES:
        write_frame(_nulls(k), folder / f"tables/nulls_k{k}.parquet")
    return Zoo(folder, networks, _shares(networks, folder))


def write_explorer(zoo: Zoo, folder: Path) -> Path:
    """Write the explorer of a zoo, its page too."""
    tables = (zoo.clusters, zoo.curves, zoo.shares, zoo.nulls)
    write_data(folder / "data", zoo.networks, *tables, R2)
    source = Path(explorer_page.__file__).parent / "page"
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*.*")}
    explorer_page.write_page(files, folder)
    return folder


def _shares(networks: list[Network], folder: Path) -> Shares:
    models = [[n.name, n.family, n.trained, n.trained_on or ""] for n in networks]
    labels = [network.labels for network in networks]
    shares = Shares(*(folder / f"tables/{name}.parquet" for name in ("models", "shapes", "layers")))
    write_frame(model_table(labels, models, THRESHOLDS), shares.models)
    write_frame(shape_table(labels, models), shares.shapes)
    write_frame(layer_table(labels, models, THRESHOLDS), shares.layers)
    return shares


def _embedded(name: str, most: int) -> list[Layer]:
    """Return some layers of an embedded network, from the first to the last."""
    layers = read_depthwise(ROOT / f"resources/zoo/{name}.safetensors").layers
    chosen = layers[:: -(-len(layers) // most)]
    return [Layer(layer.name, layer.weights[:64], 1 + index % 2, 1) for index, layer in
            enumerate(chosen)]  # fmt: skip


def _untrained(layers: list[Layer]) -> list[Layer]:
    random = np.random.default_rng(1)
    noise = [random.normal(0, 0.02, layer.weights.shape).astype(np.float32) for layer in layers]
    return [Layer(layer.name, weights) for layer, weights in zip(layers, noise, strict=True)]


def _hostile() -> list[Layer]:
    """Return layers of odd names, sizes, scales and kernels."""
    random = np.random.default_rng(2)
    layers = []
    for index, (name, scale) in enumerate(zip(HOSTILE, (1e-6, 1.0, 3e4), strict=True)):
        k = (7, 3, 7)[index]
        templates = bank(k).weights[random.permutation(len(bank(k).weights))[:40]]
        noisy = (templates + random.normal(0, 0.03, templates.shape)).reshape(-1, k, k)
        layers.append(Layer(name, (scale * noisy).astype(np.float32), index + 1, 2))
    odd = random.normal(size=(6, 7, 7)).astype(np.float32)
    odd[0], odd[1] = 0, 0.25
    odd[2, 3, 3] = np.inf
    odd[3, 0] = np.nan
    strips = random.normal(size=(5, 3, 11)).astype(np.float32)
    return [*layers, Layer("degenerate", odd), Layer("strips", strips)]


def _curves(folder: Path, k: int, networks) -> list[Curve]:
    parts = [layer.weights.reshape(-1, k * k) for layers in networks for layer in layers
             if layer.weights.shape[1:] == (k, k)]  # fmt: skip
    weights = np.concatenate(parts)
    corpus = normalise(weights[np.isfinite(weights).all(1) & (np.ptp(weights, axis=1) > 0)])
    curves = []
    for seed in SEEDS:
        path = folder / f"autoencoders/k{k}_seed{seed}.safetensors"
        fit(corpus, QUICK, seed, "cpu")[0].save(path, {"seed": seed})
        curves.append(Curve.load(path))
    clusters = cluster_table(corpus, curves, THRESHOLDS[str(k)], MINIMUM_COSINE)
    write_frame(clusters, folder / f"clusters/k{k}.parquet")
    return curves


def _label_and_fit(network: Network, layers: list[Layer], curves: dict[int, list[Curve]]) -> None:
    sides = sorted({layer.weights.shape[1] for layer in layers if layer.name != "strips"})
    labels = []
    for k in sides:
        clusters = pd.read_parquet(network.labels.parents[1] / f"clusters/k{k}.parquet")
        rule = (THRESHOLDS[str(k)], MINIMUM_COSINE)
        labels.append(label_kernels(network.kernels, curves[k], clusters, *rule))
    rule = {"thresholds": THRESHOLDS, "minimum_cosine": MINIMUM_COSINE}
    write_labels(labels, network.labels, SEEDS, **rule)
    write_fits(fit_model(network.kernels, SIZES), network.fits)


def _nulls(k: int) -> pd.DataFrame:
    """Return shares that differ everywhere, so that none is taken for another."""
    sets = ["trained", "untrained", "shuffled", "white", "covariance"]
    rows = [
        (family, "all networks", name, rule, 1000 + k, share, share - 0.01 * k / 9, share + 0.02)
        for i, family in enumerate(["all families", "convnextv2", "mobilenetv3", "convmixer"])
        for j, name in enumerate(sets)
        for rule in ("identified", "r2")
        for share in [0.9 - 0.15 * j - 0.013 * i - 0.001 * k]
    ]
    columns = ["family", "model", "set", "rule", "kernels", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def make_large_zoo(folder: Path, zoo: Zoo, networks: int = 40, layers: int = 25) -> Zoo:
    """Make tables of a million 7×7 kernels: those of a zoo in other scales, with noise.

    Labels, codes and fits are those of the kernels that they are drawn from.
    """
    random = np.random.default_rng(3)
    sources = [network for network in zoo.networks if network.family != "planted"]
    weights = np.concatenate([read_square(n.kernels, 7)[1] for n in sources])
    labels, fitted = (_rows_of([getattr(n, kind) for n in sources]) for kind in ("labels", "fits"))
    channels = 1_000_000 // networks // layers
    made = []
    for number in range(networks):
        name = f"large{number}"
        paths = [folder / f"{kind}/{name}.parquet" for kind in ("kernels", "labels", "fits")]
        drawn = random.integers(len(weights), size=channels * layers)
        scale = random.lognormal(size=(len(drawn), 1)).astype(np.float32)
        noise = random.standard_normal((len(drawn), 49), np.float32)
        kernels = scale * weights[drawn] * (1 + 0.1 * noise)
        parts = np.split(kernels.reshape(-1, 7, 7), layers)
        own = [Layer(f"layers.{index}", part) for index, part in enumerate(parts)]
        write_kernels(paths[0], name, own, {"source": "drawn"})
        index = np.repeat(np.arange(layers), channels)
        texts = [pa.array([name]).take(0 * index), pa.array([x.name for x in own]).take(index)]
        keys = [text.dictionary_encode() for text in texts]
        keys += [index.astype(np.int16), np.tile(np.arange(channels, dtype=np.int32), layers)]
        for path, table in zip(paths[1:], (labels, fitted), strict=True):
            rows = table.take(drawn)
            for column, values in zip(KEY, keys, strict=True):
                at = rows.schema.get_field_index(column)
                rows = rows.set_column(at, rows.schema.field(at), pa.chunked_array([values]))
            write_parquet(rows, path, metadata_of(sources[0].labels) if table is labels else None)
        made.append(Network(name, f"family{number % 4}", True, None, *paths))
    return Zoo(zoo.folder, made, _shares(made, folder))


def _rows_of(paths: list[Path]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, filters=[("k", "==", 7)]) for path in paths])

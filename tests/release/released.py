"""A tiny release, and the results that it is made of."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from curves import QUICK

from kernelatlas.clustering.autoencoder import fit
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import fits
from kernelatlas.evidence.stability import stability_table
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, write_kernels
from kernelatlas.release.release import write_release
from kernelatlas.running.files import write_frame
from kernelatlas.tables.models import model_table

K = 7
MODELS = [["net", "fam", True, "planted kernels"], ["net.untrained", "fam", False, ""]]
SETTINGS = {
    "kernel_sizes": [K],
    "seeds": [0, 1, 2],
    "thresholds": {"3": 0.2, "7": 0.3},
    "r2": 0.8,
    "clusters": {"minimum_cosine": 0.75},
}
RULE = {"thresholds": SETTINGS["thresholds"], "minimum_cosine": 0.75}
MANIFEST = {"schema_version": 2, "settings": SETTINGS, "models": [], "files": {}}
SHAPES = ("on-centre", "off-centre", "first-derivative 0°", "first-derivative 90°")
DICTIONARY = """# Title

How it is made.

Common columns.

## kernels/{model}.parquet: not released

## autoencoders/k{k}.safetensors: curves

## clusters/k{k}.parquet: cuts

## labels/{model}.parquet: the labels

## fits/{model}.parquet: the functions

## tables/, each twice

| table | columns |
|---|---|
| models | of models |
| seeds | of seeds |

More of them:

| table | columns |
|---|---|
| nulls_k{k} | of nulls |
| stability_k{k} | of the vote and networks |
"""


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy templates, (n, 7, 7), and their labels."""
    random, templates = np.random.default_rng(seed), bank(K)
    # One template of each: what two have in common could take either's label.
    index = random.choice([templates.labels.index(label) for label in SHAPES], n)
    weights = templates.weights[index] + random.normal(0, 0.02, (n, K * K))
    scaled = weights * random.uniform(0.1, 3, (n, 1)) + random.normal(0, 0.1, (n, 1))
    labels = np.array([templates.labels[i] for i in index])
    return scaled.astype(np.float32).reshape(n, K, K), labels


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(n, K, K)).astype(np.float32)


def make_results(folder: Path) -> Path:
    """Make the results that a release is made of: really trained, small."""
    corpus = normalise(planted(400, 0)[0].reshape(-1, K * K))
    curves = []
    for seed in SETTINGS["seeds"]:
        path = folder / f"autoencoders/k7_seed{seed}.safetensors"
        fit(corpus, QUICK, seed, "cpu")[0].save(path, {"seed": seed})
        curves.append(Curve.load(path))
    clusters = cluster_table(corpus, curves, 0.3, 0.75)
    write_frame(clusters, folder / "clusters/k7.parquet")
    labels = []
    for (name, *_), weights in zip(MODELS, (planted(60, 1)[0], noise(20)), strict=True):
        source = {"source": f"{name}.safetensors", "sha256": "0" * 64}
        if name == "net":
            source = {"source": "timm/convnext_atto.d2_in1k/model.safetensors", "commit": "abc"}
        write_kernels(folder / f"kernels/{name}.parquet", name, [Layer("dw", weights)], source)
        table = label_kernels(folder / f"kernels/{name}.parquet", curves, clusters, 0.3, 0.75)
        labels.append(folder / f"labels/{name}.parquet")
        write_labels([table], labels[-1], SETTINGS["seeds"], **RULE)
        fitted = fits.fit(weights.reshape(-1, K * K))
        keys = table.select([*KEY, "k"]).to_pandas().astype({"model": "str"})
        write_frame(pd.concat([keys, fitted], axis=1), folder / f"fits/{name}.parquet")
    counts = model_table(labels, MODELS, SETTINGS["thresholds"])
    write_frame(counts, folder / "tables/models.parquet", folder / "tables/models.csv")
    every = ("all families", "all networks")
    nulls = [
        ("fam", "net", "white", "identified", 9, 0.9, 0.5, 1.0),
        (*every, "trained", "identified", 60, 0.8, 0.7, 0.9),
        (*every, "trained", "r2", 60, 0.7, 0.6, 0.8),
        (*every, "white", "identified", 1000, 0.0125, 0.0, 0.1),
        (*every, "white", "r2", 1000, 0.5, 0.4, 0.6),
    ]
    columns = ["family", "model", "set", "rule", "kernels", "share", "low", "high"]
    write_frame(pd.DataFrame(nulls, columns=columns), folder / "tables/nulls_k7.parquet")
    crossfit = np.full(400, np.nan)  # nothing is held out: the table has what all curves saw
    unseen = pd.DataFrame({"fold": -1, "label": None, "agreement": crossfit})
    unseen = unseen.assign(dissimilarity=crossfit)
    models = np.full(400, "net", dtype=object)
    stability = stability_table(models, corpus, curves, unseen, 0.3, 0.75)
    write_frame(stability, folder / "tables/stability_k7.parquet")
    (folder / "README.md").write_text(DICTIONARY)
    return folder


def build(results: Path, folder: Path, dictionary: Path | None = None) -> Path:
    files = []
    for part in ("autoencoders", "clusters", "labels", "fits", "tables"):
        shutil.copytree(results / part, folder / part, dirs_exist_ok=True)
        files += [folder / part / path.name for path in (results / part).iterdir()]
    kernels = [results / f"kernels/{name}.parquet" for name, *_ in MODELS]
    write_release(folder, files, kernels, MODELS, SETTINGS, dictionary or results / "README.md")
    return folder

"""Kernels of 31×31 and 51×51 pixels, as in RepLKNet and SLaK, go the whole way."""

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter

from project import new_project

SIZES, N = (31, 51), 120
SHAPES = ("on-centre", "off-centre", "first-derivative", "second-derivative")

# More than other tests of the workflow train with, so that the shapes are learnt.
AUTOENCODER = {
    "points": 256,
    "centroids": 32,
    "rounds": 30,
    "widths": [64, 64],
    "fourier": 256,
    "decoder_steps": 300,
    "steps": 150,
    "batch": 128,
    "learning_rate": 0.003,
    "weight_decay": 0.0001,
}


def planted(k, seed):
    """Kernels of `SHAPES` in turn, under noise that is correlated over some pixels."""
    rng = np.random.default_rng([k, seed])
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis, -axis)
    kernels = []
    for row in range(N):
        sigma, angle = rng.uniform(0.05, 0.12) * k, rng.uniform(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        g = np.exp(-(x**2 + y**2) / (2 * sigma**2))
        centre = g - np.exp(-(x**2 + y**2) / (2 * 2.56 * sigma**2)) / 2.56 / 2
        values = (centre, -centre, along * g, (along**2 / sigma**2 - 1) * g)[row % 4]
        noise = gaussian_filter(rng.standard_normal((k, k)), 1)
        kernels.append(values / np.linalg.norm(values) + 0.3 * noise / np.linalg.norm(noise))
    return np.array(kernels, np.float32)[:, None]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A project of two networks, and its run."""
    project = new_project(tmp_path_factory.mktemp("large") / "project")
    for seed, name in enumerate("ab"):
        state = {"stem.weight": np.ones((4, 3, 4, 4), np.float32)}
        for k in SIZES:
            state[f"stages.{k}.large.weight"] = planted(k, seed)
        # Beside them, as in these networks, kernels of 5×5 and strips.
        rng = np.random.default_rng(seed)
        for kh, kw in ((5, 5), (51, 5), (5, 51)):
            values = rng.standard_normal((60, 1, kh, kw), np.float32)
            state[f"stages.{kh}.small{kw}.weight"] = values
        save_file(state, project.path / f"nets/{name}.safetensors")
    # Nothing but these layers is in the files that would tell that they are depthwise.
    models = [
        {"name": name, "file": f"nets/{name}.safetensors", "depthwise": True} for name in "ab"
    ]
    project.update("zoo.yaml", families={"large": models})
    project.update("config.yaml", kernel_sizes=list(SIZES), autoencoder=AUTOENCODER)
    config = yaml.safe_load((project.path / "config.yaml").read_text())
    project.update("config.yaml", evidence={**config["evidence"], "sample": 50})
    # Of `all` and of `evidence`, what trains nothing but the autoencoders and crossfit.
    figures = ("spectrum", "pca", "weightsum", "training")
    targets = [
        *(f"results/labels/{name}.parquet" for name in "ab"),
        "results/fits/a.parquet",
        f"results/figures/nulls_k{SIZES[-1]}.pdf",
        *(f"results/figures/{name}_k{k}.pdf" for name in figures for k in SIZES),
        *(f"results/figures/{name}.pdf" for name in ("models", "large_clusters", "large_layers")),
        *(f"results/tables/{name}_k{k}.csv" for name in ("masterkeys", "distances") for k in SIZES),
        *(f"results/tables/{name}.csv" for name in ("sizes", "layer_statistics")),
    ]
    return project, targets, project.snakemake(*targets)


def test_every_target_is_made(run):
    project, targets, done = run
    assert done.code == 0, done.text
    for target in targets:
        assert (project.path / target).stat().st_size > 0


def test_planted_kernels_get_their_shape(run):
    project, *_ = run
    labels = pd.concat(
        pd.read_parquet(project.path / f"results/labels/{name}.parquet") for name in "ab"
    )
    assert set(labels["k"]) == set(SIZES)  # strips and 5×5 are not asked for
    for _, rows in labels.groupby("k"):
        truth = np.array(SHAPES)[rows["channel"] % 4]
        shape = rows["label"].astype(str).str.extract(f"({'|'.join(SHAPES)})")[0]
        assert (shape == truth).mean() > 0.97
        assert rows["identified"].mean() > 0.95


def test_kernels_are_fitted_as_well_as_the_noise_allows(run):
    project, *_ = run
    fits = pd.read_parquet(project.path / "results/fits/a.parquet")
    for _, rows in fits.groupby("k"):
        assert rows["r2"].median() > 0.9  # 1 / (1 + 0.3²) = 0.917 of the energy is planted
    nulls = pd.read_parquet(project.path / f"results/nulls/k{SIZES[-1]}.parquet")
    shuffled = nulls.query("null == 'shuffled'")
    assert len(shuffled) > 30
    assert shuffled["r2"].max() < 0.2


def test_sizes_that_are_not_square_are_listed(run):
    project, *_ = run
    sizes = pd.read_csv(project.path / "results/tables/sizes.csv")
    assert {(51, 5), (5, 51), (5, 5)} <= set(zip(sizes["kh"], sizes["kw"], strict=True))

"""Moved paddings through the real Snakefile: a network of timm, pictures, tables and a figure."""

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from PIL import Image

from project import nothing_to_do

IDS = ("n01440764", "n01443537", "n01484850")


@pytest.fixture
def pictured(fresh):
    """Write a small network of timm with random weights, its zoo and nine pictures."""
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet")
    torch.save(network.state_dict(), fresh.path / "net.pth")
    entry = {"name": "net", "file": "net.pth", "architecture": "test_efficientnet"}
    (fresh.path / "zoo.yaml").write_text(yaml.safe_dump({"families": {"fam": [entry]}}))
    rng = np.random.default_rng(0)
    for number in range(9):
        folder = fresh.path / "images" / IDS[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    fresh.update("config.yaml", images="images")
    return fresh


def test_paddings_and_sizes_of_pictures_are_tested_where_there_are_pictures(pictured):
    targets = [f"results/figures/{name}.pdf" for name in ("parity", "strides")]
    run = pictured.snakemake(*targets)
    assert run.code == 0, run.text
    assert nothing_to_do(pictured.snakemake(*targets))
    tables = pictured.path / "results/tables"
    layers = pd.read_parquet(tables / "offsets_layers.parquet").set_index("layer")
    maps = pd.read_parquet(pictured.path / "results/maps/net.parquet").set_index("layer")
    assert (layers["stride"] == maps.loc[layers.index, "stride"]).all()
    strided = layers[layers["stride"] == 2]
    assert strided["width"].is_monotonic_decreasing
    sizes = pd.read_parquet(tables / "parity_sizes.parquet")
    assert (sizes["pictures"] == 9).all()
    assert sizes["layer"].unique().tolist() == [strided.index[-1]]
    moves = pd.read_parquet(tables / "parity_moves.parquet")
    assert set(moves["layer"]) == set(strided.index)
    unmoved = moves[moves["moved"] == 0]
    assert (unmoved[["change", "gain"]] == 0).all(axis=None)
    assert (moves.loc[moves["moved"] != 0, "gain"] != 0).any()
    # Without pictures nothing is tested, and the strides stay.
    pictured.update("config.yaml", images=None)
    run = pictured.snakemake("evidence", "--dry-run")
    assert "parity" not in run.counts
    assert "figure_strides" not in run.counts

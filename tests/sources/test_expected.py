"""What is known of kernel sizes before networks are read is what reading them finds."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.numpy import save_file

from kernelatlas.kernels.sizes import surely_studied
from kernelatlas.kernels.table import count_sizes
from kernelatlas.sources.expected import expected_counts, other_sizes
from kernelatlas.sources.extract import extract
from kernelatlas.sources.registry import sizes_by_architecture
from kernelatlas.sources.zoo import Model, load_dynamics, load_zoo
from kernelatlas.training.recipes import read_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.chdir(ROOT)  # zoo files name paths from here


def found(path):
    table = count_sizes(path)
    return {(kh, kw): n for kh, kw, n in zip(table["kh"], table["kw"], table["kernels"])}  # noqa: B905


def known(models, tables="nowhere", digest=None):
    return expected_counts(models, tables, read_recipe, lambda model: digest)


def test_all_of_the_embedded_networks_is_known_and_true(tmp_path):
    zoo = load_zoo("workflow/zoos/embedded.yaml")
    models = [*zoo, *load_dynamics("workflow/zoos/dynamics.yaml", zoo)]
    counts = known(models)
    assert set(counts) == {model.name for model in models}
    read = 0
    for model in models:
        if model.file:
            extract(tmp_path / "x.parquet", model.name, model.file, options=model_options(model))
            assert counts[model.name] == found(tmp_path / "x.parquet"), model.name
            read += 1
    assert read > 60


def model_options(model):
    from kernelatlas.sources.source import Options

    return Options(**model.options)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convmixer_768_32", "mixnet_s"])
def test_the_registry_counts_what_timm_builds(name):
    with torch.device("meta"):
        network = timm.create_model(name)
    counts = {}
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and 1 < module.groups == module.out_channels:
            size = tuple(module.kernel_size)
            counts[size] = counts.get(size, 0) + module.out_channels
    assert sizes_by_architecture()[name] == counts
    assert known([Model("x", "f", hub="a/b", architecture=name)])["x"] == counts
    assert known([Model("x", "f", init=name, seed=0)])["x"] == counts


def test_what_changes_kernels_leaves_them_unknown():
    name = "mobilenetv3_small_050"
    for changed in ({"fused": True, "architecture": name}, {"init": name, "arguments": {"a": 1}}):
        assert known([Model("x", "f", **changed)]) == {}


def test_a_kernel_table_tells_as_long_as_it_is_of_the_same_file(tmp_path):
    kernels = np.random.default_rng(0).normal(size=(12, 1, 5, 5)).astype(np.float32)
    save_file({"a.conv_dw.weight": kernels}, tmp_path / "x.safetensors")
    model = Model("x", "f", file=str(tmp_path / "x.safetensors"))
    assert known([model], tmp_path) == {}
    extract(tmp_path / "x.parquet", "x", model.file)
    assert known([model], tmp_path) == {"x": {(5, 5): 12}}
    assert known([model], tmp_path, digest="0" * 64) == {}


def test_sizes_are_sure_with_twice_the_minimum_or_less_than_it():
    counts = [{(7, 7): 150, (3, 3): 99}, {(7, 7): 50, (5, 7): 1000}]
    assert surely_studied(counts, [3, 5, 7, 9], 100) == {7}
    assert surely_studied(counts, [7], 101) is None
    assert surely_studied(counts, [7], 201) == set()


def test_other_sizes_than_expected_are_an_error():
    expected = {"a": {(3, 3): 9, (1, 5): 2}, "b": {(7, 7): 9}}
    assert other_sizes(expected, {"a": {3}, "b": set(), "c": {5}}) is None
    assert "b: has square kernels of 5 pixels, where 7" in other_sizes(expected, {"b": {5}})

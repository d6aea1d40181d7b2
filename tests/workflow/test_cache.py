"""Snakemake's cache between workflows gives what the rules would make."""

import os

import pytest
import yaml

from project import new_project

CACHED = ["--cache", "kernels", "autoencoder"]


@pytest.fixture
def pair(tmp_path):
    """Two projects that share a cache: the second trains on a corpus of the same bytes."""
    (tmp_path / "cache").mkdir()
    projects = [new_project(tmp_path / name) for name in ("first", "second")]
    for project in projects:
        project.variables = {"SNAKEMAKE_OUTPUT_CACHE": str(tmp_path / "cache")}
        project.update("config.yaml", seeds=[0, 1])
    return projects


def test_a_cache_shared_by_two_folders(pair, tmp_path):
    first, second = pair
    # One file under two names: its tables differ, though all else is equal.
    zoo = yaml.safe_load((first.path / "zoo.yaml").read_text())
    zoo["families"]["second"].append({"name": "c", "file": "nets/b.safetensors"})
    for project in pair:
        (project.path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    targets = [
        *(f"results/kernels/{model}.parquet" for model in ("a", "b", "c", "a.untrained")),
        *(f"results/autoencoders/k7_seed{seed}.safetensors" for seed in (0, 1)),
    ]
    run = first.snakemake(*targets, *CACHED)
    assert run.code == 0, run.text
    cached = list((tmp_path / "cache").iterdir())
    assert len(cached) == 4 + 2 * 2  # four models are counted by size; two seeds with two files

    run = second.snakemake(*targets, *CACHED)
    assert run.code == 0, run.text
    links = [path for path in (second.path / "results").rglob("*") if path.is_symlink()]
    assert len(links) == len(cached)
    assert {os.path.realpath(path) for path in links} == set(map(str, cached))
    assert second.digests() == first.digests()

    # Without a cache the same bytes are made.
    second.variables = {}
    run = second.snakemake(*targets, "--forceall")
    assert run.code == 0, run.text
    assert not [path for path in (second.path / "results").rglob("*") if path.is_symlink()]
    assert second.digests() == first.digests()

"""`snakemake frozen`, and a file of published filters, through the real Snakefile."""

import numpy as np
import pandas as pd
import yaml

from project import TRAINED, nothing_to_do, planted

RECIPE = "workflow/zoos/recipes/short/convnextv2_short.yaml"
TINY = {
    "base": "../convnextv2_mini.yaml",
    "arguments": {"depths": [1, 1, 0, 0], "dims": [8, 12, 12, 12], "patch_size": 2},
    "data": {
        "photographs": None,
        "dead_leaves": {"worlds": 3, "pictures": 1, "side": 48, "seed": 0},
        "size": 32,
    },
    "optimiser": {"steps": 2, "batch": 4, "warmup": 1},
    "test": {"per_subject": 1, "every": 1},
    "trajectory": 0,
}


def test_frozen_of_a_tiny_recipe_and_what_makes_it_again(described):
    (described.path / RECIPE).write_text(yaml.safe_dump(TINY))
    run = described.snakemake("frozen")
    assert run.code == 0, run.text
    assert run.counts["frozen_training"] == 3
    table = pd.read_csv(described.path / "results/tables/frozen.csv")
    assert table["variant"].tolist() == ["learned", "keys", "random"]
    assert (described.path / "results/figures/frozen.png").stat().st_size > 5000
    assert nothing_to_do(described.snakemake("frozen"))

    # A training that is lost is made again, with the same bytes, and no other.
    before = described.digests()
    (described.path / "results/frozen/keys_seed0.safetensors").unlink()
    run = described.snakemake("frozen")
    assert run.code == 0, run.text
    assert run.counts["frozen_training"] == 1
    assert described.digests() == before
    # It is of its own: nothing of it is among the results of other targets.
    jobs = described.snakemake("all", "evidence", "--dry-run", "--forcerun", "corpus").jobs
    assert "masterkeys" in jobs
    assert not [job for job in jobs if "frozen" in job]


def test_frozen_without_7x7_kernels_says_so(fresh):
    (fresh.path / RECIPE).write_text(yaml.safe_dump(TINY))
    fresh.update("zoo.yaml", families=TRAINED)
    for name in "ab":
        planted(fresh.path / f"nets/{name}.safetensors", 1, sizes=(5,))
    fresh.update("config.yaml", kernel_sizes=[5, 7])
    run = fresh.snakemake("frozen")
    assert run.code != 0
    assert any("has too few kernels of 7x7" in line for line in run.errors), run.text


def test_published_filters_are_compared_with_where_there_is_a_file(described):
    values = np.random.default_rng(0).normal(size=(8, 7, 7))
    np.save(described.path / "eight.npy", values)
    described.update("config.yaml", evidence={**evidence_of(described), "published": "eight.npy"})
    table = "results/tables/masterkeys_models_k7.parquet"
    run = described.snakemake(table)
    assert run.code == 0, run.text
    models = pd.read_parquet(described.path / table)
    assert "published" in set(models["filters"])
    filters = pd.read_parquet(described.path / table.replace("models", "filters"))
    own = filters[filters["filters"] == "published"]["weights"]
    assert np.corrcoef(own.iloc[3], values[3].ravel())[0, 1] > 0.999
    # Another file is another table.
    np.save(described.path / "eight.npy", values[::-1])
    assert described.snakemake(table, "--dry-run").jobs == ["tables_masterkeys"]

    (described.path / "eight.npy").write_bytes(b"not an array")
    run = described.snakemake(table)
    assert run.code != 0
    assert any("evidence.published: eight.npy: line 1" in line for line in run.errors), run.text
    described.update("config.yaml", evidence={**evidence_of(described), "published": "none.txt"})
    run = described.snakemake(table)
    assert run.code != 0
    assert "ERROR config.yaml: evidence.published: no file 'none.txt'" in run.errors[0]


def evidence_of(project):
    return yaml.safe_load((project.path / "config.yaml").read_text())["evidence"]

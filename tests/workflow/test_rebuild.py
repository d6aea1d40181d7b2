"""What is rebuilt after which change, on the real Snakefile."""

import json
import os
import time

import pandas as pd
import pytest
import yaml

from project import ROOT, Project, nothing_to_do, planted

AFTER_CLUSTERS = [
    "all", "clusters", "figure_family_clusters", "figure_family_layers", "figure_models",
    "figure_pca", "figure_spectrum", "figure_weightsum", "labels", "tables_family",
    "tables_models", "tables_pca", "tables_spectrum", "tables_weightsum",
]  # fmt: skip


def test_a_second_run_has_nothing_to_do(finished):
    assert nothing_to_do(finished.snakemake("all"))


def test_touching_every_file_rebuilds_nothing(finished):
    later = time.time() + 5
    for path in finished.path.rglob("*"):
        if path.is_file() and not {"results", ".snakemake"} & set(path.parts):
            os.utime(path, (later, later))
    assert nothing_to_do(finished.snakemake("all"))


def test_rewording_comments_and_docstrings_rebuilds_nothing(finished):
    for path in (finished.path / "workflow").rglob("*.py"):
        text = path.read_text()
        if text.startswith('"""'):
            text = text.replace('"""', '"""Reworded: ', 1)
        path.write_text(f"{text}\n# a comment more\n")
    assert nothing_to_do(finished.snakemake("all"))


def test_a_formula_of_the_templates_rebuilds_clusters_and_what_follows(finished):
    finished.edit(
        "workflow/kernelatlas/clustering/templates.py", "SQUARE_SIGMA = 0.3", "SQUARE_SIGMA = 0.35"
    )
    run = finished.snakemake("all", "--dry-run")
    assert run.jobs == AFTER_CLUSTERS


def test_a_new_model_rebuilds_its_own_kernels_and_what_depends_on_the_corpus(finished):
    planted(finished.path / "nets/c.safetensors", 3)
    zoo = yaml.safe_load((finished.path / "zoo.yaml").read_text())
    zoo["families"]["second"].append({"name": "c", "file": "nets/c.safetensors"})
    (finished.path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    before = {p: p.stat().st_mtime_ns for p in (finished.path / "results/kernels").iterdir()}
    table = "results/tables/models.parquet"
    run = finished.snakemake(table)
    assert run.code == 0, run.text
    for path, time_ns in before.items():
        assert path.stat().st_mtime_ns == time_ns, path
    assert "Extracting the depthwise kernels of c\n" in run.text
    assert "Gathering the 7x7 kernels" in run.text
    assert "Training the autoencoder of 7x7 kernels" in run.text
    models = pd.read_parquet(finished.path / table)
    assert set(models["model"]) == {"a", "a.untrained", "b", "c"}
    assert nothing_to_do(finished.snakemake(table))


def test_a_threshold_rebuilds_labels_and_what_follows(finished):
    labels = finished.path / "results/labels/a.parquet"
    before = pd.read_parquet(labels)
    finished.update("config.yaml", thresholds={"3": 0.2, "5": 0.2, "7": 0.05})
    dry = finished.snakemake("all", "--dry-run")
    spared = {"figure_spectrum", "tables_spectrum"}
    assert dry.jobs == [rule for rule in AFTER_CLUSTERS if rule not in spared]
    run = finished.snakemake("results/labels/a.parquet")
    assert run.code == 0, run.text
    after = pd.read_parquet(labels)
    assert after["identified"].sum() < before["identified"].sum()
    assert after["codes"].dropna().map(list).equals(before["codes"].dropna().map(list))


def test_a_figures_code_rebuilds_that_figure(finished):
    finished.edit("workflow/kernelatlas/figures/training.py", "len(seeds) <= 10", "len(seeds) <= 9")
    assert finished.snakemake("all", "--dry-run").jobs == ["all", "figure_training"]


def test_a_deleted_figure_is_made_again_alone(finished):
    before = finished.digests()
    (finished.path / "results/figures/models.pdf").unlink()
    run = finished.snakemake("all")
    assert run.jobs == ["all", "figure_models"]
    assert finished.digests() == before


def test_a_deleted_table_is_made_again_with_what_depends_on_it(finished):
    before = finished.digests()
    (finished.path / "results/tables/pca_k7.parquet").unlink()
    run = finished.snakemake("all")
    assert run.jobs == ["all", "figure_pca", "tables_pca"]
    assert finished.digests() == before


def test_a_deleted_autoencoder_is_trained_again_to_the_same_bytes(finished):
    before = finished.digests()
    weights = "results/autoencoders/k7_seed0.safetensors"
    (finished.path / weights).unlink()
    run = finished.snakemake(weights, "results/labels/a.parquet", "results/figures/training_k7.pdf")
    assert {"autoencoder", "clusters", "labels", "figure_training"} <= set(run.jobs)
    assert not {"kernels", "untrained", "sizes", "corpus"} & set(run.jobs)
    assert finished.digests() == before
    # So that nothing else has to follow.
    assert nothing_to_do(finished.snakemake("all"))


def test_a_checkpoint_written_again_with_the_same_bytes_rebuilds_nothing(finished):
    path = finished.path / "nets/a.safetensors"
    content = path.read_bytes()
    time.sleep(0.02)
    path.unlink()
    path.write_bytes(content)
    assert nothing_to_do(finished.snakemake("all"))


def test_a_single_figure_can_be_asked_for(fresh):
    run = fresh.snakemake("results/figures/first_clusters.pdf", "--dry-run")
    assert run.code == 0
    assert {"kernels", "sizes", "untrained", "figure_family_clusters"} <= set(run.jobs)
    assert not any(job.startswith(("figure_models", "figure_pca")) for job in run.jobs)


@pytest.mark.parametrize("arguments", [(), ("zoo", "dynamics", "frozen")])
def test_the_real_project_plans_without_error(arguments):
    """The default config, zoo and recipes of the repository."""
    run = Project(ROOT).snakemake("--dry-run", "--nolock", *arguments)
    assert run.code == 0, run.text


def test_a_changed_shard_is_read_again(fresh):
    planted(fresh.path / "nets/one.safetensors", 5)
    index = {"weight_map": {"x": "one.safetensors"}}
    (fresh.path / "nets/model.safetensors.index.json").write_text(json.dumps(index))
    models = [{"name": "c", "file": "nets/model.safetensors.index.json"}]
    fresh.update("zoo.yaml", families={"first": models})
    table = "results/kernels/c.parquet"
    assert fresh.snakemake(table).code == 0
    assert nothing_to_do(fresh.snakemake(table))
    planted(fresh.path / "nets/one.safetensors", 6)
    assert fresh.snakemake(table).jobs == ["kernels"]

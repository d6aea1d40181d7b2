"""What trains no autoencoder again: another device, models of other sizes, equal kernels."""

import re

import yaml

from project import Project, Run, nothing_to_do, planted


def trained(run: Run) -> list[str]:
    """Sizes and seeds of the autoencoders that a run trained."""
    assert run.code == 0, run.text
    return sorted(re.findall(r"Training the autoencoder of (\S+) kernels, seed (\d+)", run.text))


def inodes(project: Project) -> dict[str, int]:
    """The inodes of what trainings make: a file that is written again has another."""
    results = project.path / "results"
    paths = [
        *(results / "autoencoders").glob("k*"),
        *(results / "crossfit").glob("*"),
        *(results / "tables").glob("baselines_*"),
    ]
    return {path.name: path.stat().st_ino for path in paths}


def test_another_device_rebuilds_nothing(finished):
    for device in ("auto", "cpu", "cuda"):
        run = finished.snakemake("all", "--dry-run", "--config", f"device={device}")
        assert nothing_to_do(run), run.text


def test_a_model_of_other_sizes_alone_leaves_a_corpus_and_its_tables_as_they_are(finished):
    before = inodes(finished)
    planted(finished.path / "nets/c.safetensors", 3, sizes=(3,))
    zoo = yaml.safe_load((finished.path / "zoo.yaml").read_text())
    zoo["families"]["third"] = [{"name": "c", "file": "nets/c.safetensors"}]
    (finished.path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    run = finished.snakemake("results/labels/a.parquet", "results/labels/c.parquet")
    assert trained(run) == [("3x3", "0")]
    assert {name: inodes(finished)[name] for name in before} == before
    run = finished.snakemake("all", "--dry-run")
    assert run.counts["tables_models"] == run.counts["tables_family"] == 1
    assert run.counts["figure_family_clusters"] == run.counts["figure_family_layers"] == 1
    assert run.counts["tables_weightsum"] == run.counts["tables_pca"] == 1  # of 3x3


def test_a_corpus_of_equal_kernels_trains_nothing(described):
    tables = [f"results/tables/{name}_k7.csv" for name in ("baselines", "stability")]
    lost = ["results/kernels/a.parquet", "results/corpora/k7.parquet"]
    made_of_them = ["results/autoencoders/k7_seed0.safetensors", "results/labels/a.parquet"]
    targets = [*lost, *made_of_them, *tables]
    assert nothing_to_do(described.snakemake(*targets))
    before, digests = inodes(described), described.digests()
    for file in lost:
        (described.path / file).unlink()
    run = described.snakemake(*targets)
    assert trained(run) == [("7x7", "0")]  # the job runs
    for job in ("autoencoders/k7_seed0", "tables/baselines_k7", "crossfit/k7"):
        assert "kept" in (described.path / f"results/logs/{job}.log").read_text(), job
    assert inodes(described) == before
    assert described.digests() == digests
    assert nothing_to_do(described.snakemake("all", *tables))


def test_other_kernels_train(finished):
    planted(finished.path / "nets/a.safetensors", 9)
    before = inodes(finished)
    weights = "results/autoencoders/k7_seed0.safetensors"
    run = finished.snakemake(weights)
    assert trained(run) == [("7x7", "0")]
    assert not before.items() & inodes(finished).items()
    assert nothing_to_do(finished.snakemake(weights))

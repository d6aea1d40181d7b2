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


def test_a_model_of_other_sizes_alone_leaves_a_corpus_as_it_is(finished):
    before = inodes(finished)
    planted(finished.path / "nets/c.safetensors", 3, sizes=(3,))
    zoo = yaml.safe_load((finished.path / "zoo.yaml").read_text())
    zoo["families"]["third"] = [{"name": "c", "file": "nets/c.safetensors"}]
    (finished.path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    run = finished.snakemake("results/labels/a.parquet", "results/labels/c.parquet")
    assert trained(run) == [("3x3", "0")]
    assert {name: inodes(finished)[name] for name in before} == before


def test_a_corpus_of_equal_kernels_trains_nothing(finished):
    targets = ["all", *(f"results/tables/{name}_k7.csv" for name in ("baselines", "stability"))]
    assert finished.snakemake(*targets).code == 0
    before, digests = inodes(finished), finished.digests()
    (finished.path / "results/kernels/a.parquet").unlink()
    (finished.path / "results/corpora/k7.parquet").unlink()
    run = finished.snakemake(*targets)
    assert trained(run) == [("7x7", "0")]  # the job runs
    for job in ("autoencoders/k7_seed0", "tables/baselines_k7", "crossfit/k7"):
        assert "kept" in (finished.path / f"results/logs/{job}.log").read_text(), job
    assert inodes(finished) == before
    assert finished.digests() == digests
    assert nothing_to_do(finished.snakemake(*targets))


def test_other_kernels_train(finished):
    planted(finished.path / "nets/a.safetensors", 9)
    before = inodes(finished)
    run = finished.snakemake("all")
    assert trained(run) == [("7x7", "0")]
    assert inodes(finished) != before
    assert nothing_to_do(finished.snakemake("all"))

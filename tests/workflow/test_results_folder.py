"""Results are where the config says, and nothing of one zoo is taken for another's."""

import hashlib
import re
import shutil

import yaml

from project import planted


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_zoo(project, name, **families):
    entries = {
        family: [{"name": model, "file": f"nets/{model}.safetensors"} for model in models]
        for family, models in families.items()
    }
    (project.path / name).write_text(yaml.safe_dump({"families": entries}))


def test_every_file_of_every_target_follows_the_folder(finished):
    # With kernels and counts at hand, the whole plan is known.
    kept = {"README.md", "kernels", "untrained", "tables"}
    for path in (finished.path / "results").iterdir():
        if path.name not in kept:
            shutil.rmtree(path)
    for path in (finished.path / "results/tables").iterdir():
        if path.stem != "sizes":
            path.unlink()
    shutil.copytree(finished.path / "results", finished.path / "elsewhere")
    for path in (finished.path / "results").iterdir():
        if path.name != "README.md":
            shutil.rmtree(path)
    targets = ["all", "evidence", "search", "frozen", "release", "zoo"]
    run = finished.snakemake(*targets, "--dry-run", "--config", "results=elsewhere/")
    assert run.code == 0, run.text
    assert len(run.jobs) > 40
    assert "elsewhere/networks/convmixer_mini.safetensors" in run.text
    # Snakemake's paths; messages and reasons speak of them too.
    assert set(re.findall(r"(?<![\w/])results/[\w/.]*", run.text)) == set()
    assert [path.name for path in (finished.path / "results").iterdir()] == ["README.md"]


def test_results_in_another_folder_are_the_same_and_found_by_their_path(finished, tmp_path):
    other = tmp_path / "of this zoo" / "other"
    files = ["labels/a.parquet", "figures/first_layers.png"]
    paths = [str(other / file) for file in files]
    run = finished.snakemake(*paths, "--config", f"results={other}")
    assert run.code == 0, run.text
    for file in files:
        assert digest(other / file) == digest(finished.path / "results" / file)
    assert (other / "logs/labels/a.log").exists()
    assert (other / "benchmarks/labels/a.tsv").exists()
    run = finished.snakemake(str(other / "labels/q.parquet"), "--config", f"results={other}")
    assert "no model 'q' in the zoo zoo.yaml" in run.errors[0]


def test_a_second_zoo_is_refused_in_the_folder_of_the_first(finished):
    before = finished.digests()
    planted(finished.path / "nets/c.safetensors", 3)
    write_zoo(finished, "other.yaml", third=["c"])
    run = finished.snakemake("all", "--config", "zoo=other.yaml")
    assert run.code == 1
    (error,) = run.errors
    for part in ("results: ", "zoo.yaml", "figures/first_clusters", "results=results_other"):
        assert part in error
    assert finished.digests() == before
    files = ["results_other/figures/third_layers.pdf", "results_other/tables/composition.csv"]
    own = ["--config", "zoo=other.yaml", "results=results_other"]
    run = finished.snakemake(*files, *own)
    assert run.code == 0, run.text
    assert finished.digests() == before
    assert "Nothing to be done" in finished.snakemake("all").text
    models = (finished.path / "results_other/tables/composition.csv").read_text()
    assert "third,c" in models
    assert "first,a" not in models


def test_what_a_shorter_zoo_leaves_behind_is_named(finished):
    write_zoo(finished, "zoo.yaml", first=["a"])
    run = finished.snakemake("results/tables/models.csv")
    assert run.code == 0, run.text
    (line, again) = [line for line in run.text.splitlines() if line.startswith("results: has ")]
    assert line == again  # at the end once more
    for part in ("figures/second_clusters.pdf", "zoo.yaml does not have", "delete them"):
        assert part in line
    for path in (finished.path / "results").rglob("*"):
        if path.name.startswith(("second_", "b.", "a.untrained.")) and "kernels" not in path.parts:
            path.unlink()
    run = finished.snakemake("results/tables/models.csv")
    assert "results: has " not in run.text


def test_figures_of_a_size_that_the_zoo_has_no_longer_are_named(finished):
    figure = finished.path / "results/figures/spectrum_k9.pdf"
    figure.write_bytes(b"")
    run = finished.snakemake("all", "--dry-run")
    assert "results: has a file of models, families or sizes that zoo.yaml" in run.text
    assert "figures/spectrum_k9.pdf" in run.text

"""The workflow runs from another folder, as a module and included in another workflow."""

import hashlib

import pytest
import yaml

from project import Project

ZOO = {
    "families": {
        "first": [{"name": name, "file": f"../nets/{name}.safetensors"} for name in ("a", "b")]
    }
}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def mine(finished, tmp_path):
    """A folder of one's own, with a config, a zoo and checkpoints; the workflow is elsewhere."""
    folder = tmp_path / "mine"
    (folder / "settings").mkdir(parents=True)
    (finished.path / "nets").rename(folder / "nets")
    (folder / "settings/zoo.yaml").write_text(yaml.safe_dump(ZOO))
    (folder / "settings/mine.yaml").write_text("zoo: zoo.yaml\n")
    return Project(folder)


def test_another_folder_and_a_config_that_says_only_what_differs(finished, mine):
    paths = ["-s", str(finished.path / "Snakefile"), "-d", str(mine.path)]
    config = ["--configfile", str(mine.path / "settings/mine.yaml")]
    labels = "results/labels/a.parquet"
    run = finished.snakemake(*paths, *config, "--", labels)
    assert run.code == 0, run.text
    assert digest(mine.path / labels) == digest(finished.path / labels)
    (mine.path / "config.yaml").write_text("zoo: settings/zoo.yaml\nseeds: [0, 1, 2]\n")
    run = mine.snakemake("-s", str(finished.path / "Snakefile"), "--dry-run", labels)
    assert run.counts["autoencoder"] == 2  # the seeds that there were not


def test_a_module_with_a_prefix_leaves_the_users_files_where_they_are(finished, mine):
    (mine.path / "Snakefile").write_text(
        "module atlas:\n"
        f"    snakefile: {str(finished.path / 'Snakefile')!r}\n"
        "    config: {'zoo': 'settings/zoo.yaml', 'kernel_sizes': [7]}\n"
        "    prefix: 'part'\n"
        "use rule * from atlas as atlas_*\n"
        "rule own:\n"
        "    default_target: True\n"
        "    input: 'part/results/tables/sizes.csv'\n"
    )
    run = mine.snakemake()
    assert run.code == 0, run.text
    assert (mine.path / "part/results/logs/kernels/a.log").exists()
    assert not (mine.path / "results").exists()
    sizes = "results/tables/sizes.csv"
    text = (mine.path / "part" / sizes).read_text().splitlines()
    assert set(text) < set((finished.path / sizes).read_text().replace("second", "first").split())
    run = mine.snakemake("--dry-run", "atlas_all", "atlas_release", "atlas_evidence")
    assert run.code == 0, run.text
    assert {"atlas_figure_models", "atlas_fits", "atlas_release_manifest"} <= set(run.jobs)
    run = mine.snakemake("--dry-run", "part/results/labels/q.parquet")
    assert run.errors[0].startswith("ERROR part/results/labels/q.parquet: no model 'q' in the zoo")


def test_path_variables_of_a_module_name_the_folder_of_its_results(finished, mine):
    (mine.path / "Snakefile").write_text(
        "module atlas:\n"
        f"    snakefile: {str(finished.path / 'Snakefile')!r}\n"
        "    config: {'zoo': 'settings/zoo.yaml'}\n"
        "    pathvars: results='deep/atlas'\n"
        "use rule * from atlas\n"
    )
    run = mine.snakemake("--dry-run", "deep/atlas/kernels/a.parquet")
    assert run.code == 0, run.text
    assert run.jobs == ["kernels"]
    run = mine.snakemake("--dry-run", "deep/atlas/kernels/q.parquet")
    assert run.errors[0].startswith("ERROR deep/atlas/kernels/q.parquet: no model 'q'")


def test_the_workflow_can_be_included(finished, mine):
    (mine.path / "Snakefile").write_text(
        "configfile: 'settings/mine.yaml'\n"
        f"include: {str(finished.path / 'Snakefile')!r}\n"
        "rule own:\n"
        "    input: 'results/figures/models.png'\n"
    )
    (mine.path / "settings/mine.yaml").write_text("zoo: settings/zoo.yaml\n")
    run = mine.snakemake("--dry-run", "own")
    assert run.code == 0, run.text
    assert {"kernels", "figure_models", "own"} <= set(run.jobs)

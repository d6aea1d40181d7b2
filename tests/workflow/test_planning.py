"""All jobs are known at once where kernel sizes are; else the log says how many are hidden."""

import re

import pytest
import yaml
from PIL import Image

from project import new_project, nothing_to_do, planted

TAGS = ["mobilenetv3_small_050.lamb_in1k", "convnext_atto.d2_in1k"]


def zoo(project, entries):
    (project.path / "zoo.yaml").write_text(yaml.safe_dump({"families": {"f": entries}}))


def test_networks_of_timm_are_planned_to_the_last_figure(tmp_path):
    project = new_project(tmp_path / "project")
    zoo(project, [*TAGS, {"name": "control", "init": "convnext_atto", "seed": 0}])
    run = project.snakemake("all", "evidence", "--dry-run")
    assert run.code == 0, run.text
    # 3×3 and 5×5 of the first, 7×7 of the second and its control: one seed.
    assert run.counts["kernels"] == run.counts["labels"] == run.counts["fits"] == 3
    assert run.counts["autoencoder"] == run.counts["crossfit"] == 3
    assert run.counts["figure_spectrum"] == 3
    assert run.counts["figure_family_clusters"] == 1
    assert "not among those counted" not in run.text


def test_files_of_others_hide_the_rest_until_they_are_read(fresh):
    planted(fresh.path / "nets/own.safetensors", 3)
    zoo(fresh, [TAGS[0], {"name": "own", "file": "nets/own.safetensors"}])
    run = fresh.snakemake("all", "--dry-run")
    assert run.code == 0, run.text
    assert "labels" not in run.jobs
    (line,) = [line for line in run.text.splitlines() if "not among those counted" in line]
    assert "1 of 2 networks (own)" in line
    hidden = int(re.search(r"up to ([\d,]+) files", line)[1].replace(",", ""))
    # Once the table of `own` is there, nothing is hidden.
    assert fresh.snakemake("results/kernels/own.parquet").code == 0
    run = fresh.snakemake("all", "--dry-run")
    assert "not among those counted" not in run.text
    assert run.counts["labels"] == 2
    assert sum(run.counts.values()) < hidden


def test_what_was_planned_by_the_checkpoint_is_not_made_again_by_the_tables(finished):
    """First the sizes of these networks were unknown; now their tables tell them."""
    run = finished.snakemake("all", "--dry-run")
    assert nothing_to_do(run)
    assert "not among those counted" not in run.text


@pytest.mark.parametrize(("name", "kernels"), [("paper", 160), ("timm", 721)])
def test_the_configs_of_known_networks_are_planned_whole(fresh, name, kernels):
    config = f"workflow/configs/{name}.yaml"
    run = fresh.snakemake("all", "--dry-run", "--configfile", config)
    assert run.code == 0, run.text
    assert run.counts["kernels"] == run.counts["labels"] == kernels
    assert "not among those counted" not in run.text


# All that would be submitted, instead of submitting it.
PLANNED = """onstart:
    for job in workflow.dag.get_jobs_or_groups():
        names = sorted({j.rule.name for j in job}) if job.is_group() else [job.rule.name]
        logger.info(f"PLANNED {job.groupid if job.is_group() else ''}: {' '.join(names)}")
    stop("planned")
"""
TOGETHER = {"kernels", "results", "tested"}
IN_PARTS = {"kernels", "tested", "clusters", "labels", "fits", "maps", "tables", "families"}


@pytest.mark.parametrize(("few", "expected"), [(50, TOGETHER), (2, IN_PARTS)])
def test_no_group_of_a_cluster_waits_for_itself(fresh, few, expected):
    """Snakemake itself refuses such groups when it plans."""
    (fresh.path / "images/n01440764").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(fresh.path / "images/n01440764/1.png")
    zoo(fresh, [*TAGS, "convnext_femto.d1_in1k"])
    fresh.update("config.yaml", extract_on="nodes", images="images")
    fresh.edit("workflow/rules/running/resources.smk", "FEW = 50", f"FEW = {few}")
    fresh.edit("workflow/rules/running/experiment.smk", "onstart:\n", PLANNED)
    targets = ["all", "evidence", "search", "frozen", "release", "explorer"]
    run = fresh.snakemake("--workflow-profile", "profiles/generic", *targets)
    assert run.errors == ["ERROR planned"], run.text
    planned = re.findall(r"PLANNED (\w*): (.*)", run.text)
    assert {group for group, _ in planned if group} == expected

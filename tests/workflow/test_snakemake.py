"""What the rules need of Snakemake is there, and is no more than what it documents."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import snakemake.api
import snakemake.parser
import yaml
from snakemake_interface_executor_plugins.settings import CommonSettings
from snakemake_interface_executor_plugins.workflow import WorkflowExecutorInterface

from project import planted

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").rglob("*.smk"))]
LOWER = "workflow/rules no longer work with this Snakemake: lower its bound in pyproject.toml"


def test_rules_ask_only_for_what_is_documented():
    # basedir: in the documentation. executor_plugin and scheduler: of the interface for executors.
    # The others are public, and have no substitute: where a module is, where the user's config
    # files are, whether a limit of jobs is the user's, and whether this is a job of a cluster.
    found = {
        name for path in FILES for name in re.findall(r"\bworkflow\.([a-z_]\w*)", path.read_text())
    }
    public = {"current_basedir", "overwrite_configfiles", "scheduling_settings", "remote_exec"}
    assert found == {"basedir", "executor_plugin", "scheduler"} | public
    assert all(hasattr(snakemake.api.Workflow, name) for name in public), LOWER


def test_the_interface_for_executors_tells_where_jobs_run():
    assert hasattr(WorkflowExecutorInterface, "executor_plugin"), LOWER
    assert hasattr(CommonSettings, "local_exec"), LOWER
    assert "dryrun_exec" in {field.name for field in fields(CommonSettings)}, LOWER


def test_rules_may_have_path_variables():
    assert "pathvars" in snakemake.parser.rule_property_subautomata, LOWER


@pytest.mark.parametrize("limit", [[], ["--max-jobs-per-timespan", "50/1s"]])
def test_the_scheduler_looks_for_jobs_when_one_ends_and_no_more(fresh, limit):
    """Unless a user limits jobs: then it looks again a second after each look."""
    names = [f"net{number}" for number in range(7)]
    for name in names:
        planted(fresh.path / f"nets/{name}.safetensors", 1)
    models = [{"name": name, "file": f"nets/{name}.safetensors"} for name in names]
    (fresh.path / "zoo.yaml").write_text(yaml.safe_dump({"families": {"f": models}}))
    tables = [f"results/kernels/{name}.parquet" for name in names]
    run = fresh.snakemake(*tables, "--cores", "1", "--verbose", *limit)
    assert run.code == 0, run.text
    looks, jobs = run.text.count("\nReady jobs: "), run.text.count("\nFinished jobid: ")
    assert jobs == len(names)
    assert (looks > jobs + 1) == bool(limit)


@pytest.mark.parametrize("cached", [False, True])
def test_rules_are_measured_unless_there_is_a_cache(fresh, tmp_path, cached):
    planted(fresh.path / "nets/a.safetensors", 1)
    if cached:
        (tmp_path / "cache").mkdir()
        fresh.variables = {"SNAKEMAKE_OUTPUT_CACHE": str(tmp_path / "cache")}
    run = fresh.snakemake("results/kernels/a.parquet", *["--cache"] * cached)
    assert run.code == 0, run.text
    assert (fresh.path / "results/benchmarks/kernels/a.tsv").exists() != cached

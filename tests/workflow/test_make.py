"""`make` in folders with names that shells and Snakemake read in their own way."""

import os
import shutil
import subprocess
import sys

import pytest

from project import ROOT, Project

ODD = "it's (a) & b"
KERNELS = "CORES=1 --quiet all --until kernels"


@pytest.fixture
def project(fresh, tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, fresh.path)
    fresh.path.rename(tmp_path / ODD)
    return Project(tmp_path / ODD)


def environment(folder):
    """Make an environment that `make` finds ready: that of the tests."""
    folder.mkdir()
    (folder / "bin").symlink_to(os.path.join(sys.prefix, "bin"))
    (folder / "ready").touch()
    return folder


def make(project, *arguments):
    return subprocess.run(
        ["make", *arguments],
        cwd=project.path,
        env=project.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_an_environment_under_an_odd_path_is_refused_before_it_is_made(project):
    done = make(project)
    assert done.returncode == 2
    (error,) = [line for line in done.stdout.splitlines() if line.startswith("ERROR ")]
    assert ODD in error
    assert "make VENV=" in error
    assert not (project.path / ".venv").exists()


def test_with_an_environment_elsewhere_everything_runs_under_an_odd_path(project, tmp_path):
    done = make(project, f"VENV={environment(tmp_path / 'env')}", KERNELS)
    assert done.returncode == 0, done.stdout
    assert (project.path / "results/kernels/b.parquet").exists()


def test_snakemake_refuses_a_python_under_an_odd_path(fresh, tmp_path):
    (tmp_path / ODD).symlink_to(sys.prefix)
    python = str(tmp_path / ODD / "bin" / "python")
    command = [python, *fresh.command("--dry-run", "all")[1:]]
    done = subprocess.run(
        command, cwd=fresh.path, env=fresh.environment, text=True, stdout=subprocess.PIPE
    )
    assert done.returncode == 1
    (error,) = [line for line in done.stdout.splitlines() if line.startswith("ERROR ")]
    assert error.startswith(f"ERROR {python}: Snakemake starts no Python")


@pytest.mark.parametrize("name", ["a{b}", "a:b"])
def test_braces_and_colons_in_the_path_of_the_workflow_are_refused(fresh, tmp_path, name):
    fresh.path.rename(tmp_path / name)
    run = Project(tmp_path / name).snakemake("all", "--dry-run")
    assert run.errors[0].startswith(f"ERROR {tmp_path}/{name}: Snakemake runs no scripts")

"""Projects that tests may run and damage."""

from pathlib import Path

import pytest

from project import Project, new_project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A project in which nothing has run."""
    return new_project(tmp_path / "fresh")


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    run = project.snakemake("all")
    assert run.code == 0, run.text
    return project


@pytest.fixture
def finished(_finished: Project, tmp_path: Path) -> Project:
    """A copy of a project in which everything has run."""
    return _finished.copy(tmp_path / "finished")

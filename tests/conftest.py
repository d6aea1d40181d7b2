"""Projects that tests may run and damage."""

import fcntl
import os
from pathlib import Path

import pytest
import torch

from project import Project, new_project, nothing_to_do


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A project in which nothing has run."""
    return new_project(tmp_path / "fresh")


# Made once for all sessions that `make test` starts at once: the others wait for the first.
@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = Path(os.getenv("SHARED_PROJECTS") or tmp_path_factory.mktemp("finished"))
    path = folder / "project"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            project = new_project(tmp_path_factory.mktemp("unfinished") / "project")
            run = project.snakemake("all")
            assert run.code == 0, run.text
            project.path.rename(path)
    return Project(path)


@pytest.fixture(scope="session")
def _described(_finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = _finished.copy(tmp_path_factory.mktemp("described") / "project")
    run = project.snakemake("evidence", "release")
    assert run.code == 0, run.text
    assert nothing_to_do(project.snakemake("evidence", "release"))
    return project


@pytest.fixture
def finished(_finished: Project, tmp_path: Path) -> Project:
    """A copy of a project in which everything has run."""
    return _finished.copy(tmp_path / "finished")


@pytest.fixture
def described(_described: Project, tmp_path: Path) -> Project:
    """A copy of a project in which everything has run, `evidence` and `release` too."""
    return _described.copy(tmp_path / "described")


# Tests outside tests/slurm must not wait for a Slurm of this machine: where its tools are but no
# daemon answers, Snakemake takes many seconds longer to start.
@pytest.fixture(autouse=True, scope="session")
def _no_slurm():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", os.devnull)
        yield


# Bytes are compared: how many threads share a sum must not matter. Of the session, so that
# fixtures of modules run on one thread too.
@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

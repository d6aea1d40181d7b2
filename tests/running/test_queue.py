"""What is read from Slurm's answers and from log files; a real Slurm: tests/slurm."""

import os

import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.slurm import errors_in, jobs_of, refuse_orphans


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A squeue that has lost its Slurm."""
    tool = tmp_path / "bin/squeue"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)


def test_without_slurm_there_are_no_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jobs_of(tmp_path) == []
    refuse_orphans(tmp_path, required=True)


def test_a_slurm_that_does_not_answer_stops_only_runs_that_need_it(broken, tmp_path, caplog):
    with pytest.raises(KernelAtlasError, match="squeue: slurm_load_jobs error: Unable to contact"):
        refuse_orphans(tmp_path, required=True)
    refuse_orphans(tmp_path, required=False)
    assert "it is not known whether jobs" in caplog.text


def test_only_jobs_that_snakemake_sent_from_this_folder_are_its(tmp_path, monkeypatch):
    rows = [
        f"7|ada|RUNNING|{tmp_path}|rule_corpus_wildcards_7",
        f"8_2|bob|PENDING|{tmp_path}/.|group_kernels",
        f"9|ada|RUNNING|{tmp_path}|my own job",
        f"10|ada|RUNNING|{tmp_path}|",
        f"11|ada|RUNNING|{tmp_path.parent}|rule_corpus",
        "a second line of a comment",
    ]
    tool = tmp_path / "bin/squeue"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(rows) + "\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    assert [(job.id, job.user) for job in jobs_of(tmp_path)] == [("7", "ada"), ("8_2", "bob")]
    with pytest.raises(KernelAtlasError, match=r"2 Slurm jobs .*of ada, bob,.*`scancel 7 8_2`"):
        refuse_orphans(tmp_path, required=False)


def test_errors_are_gathered_once_and_old_files_left_out(tmp_path):
    logs = {
        "a.log": "INFO x\nERROR one: mend it\nTraceback\n",
        "deep/b.log": "ERROR one: mend it\nERROR two: mend it\n",
        "slurm/7.log": "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 12:00 DUE TO TIME LIMIT ***\n",  # noqa: E501
        "slurm/8.log": "slurmstepd-n1: error: StepId=8.0 exceeded memory limit\n"
        "slurmstepd-n1: error: Exceeded job memory limit\nERRORS are no errors\n",
        "small/1.log": "ERROR x.parquet: no space left on the disk: free some and run again\n",
        "small/2.log": "ERROR y.parquet: no space left on the disk: free some and run again\n",
        "small/3.log": "ERROR z.parquet: no space left on the disk: free some and run again\n",
        "old.log": "ERROR three\n",
        "other.txt": "ERROR four\n",
    }
    for name, text in logs.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (100, 10 if name == "old.log" else 100))
    assert errors_in([tmp_path], since=50) == [
        "ERROR one: mend it",
        "ERROR two: mend it",
        f"ERROR {tmp_path}/slurm/7.log: JOB 7 ON n1 CANCELLED AT 12:00 DUE TO TIME LIMIT",
        f"ERROR {tmp_path}/slurm/8.log: StepId=8.0 exceeded memory limit",
        "ERROR x.parquet: no space left on the disk: free some and run again; "
        "2 more files could not be written",
    ]
    assert errors_in([tmp_path / "none"], since=0) == []

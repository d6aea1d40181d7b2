"""Checks of Slurm's queue and of log files that Snakemake does not make.

When Snakemake is killed, its jobs stay in Slurm's queue. A new run would submit the same jobs
again, and two jobs would write the same file; such a run is refused. The error messages of all
jobs are collected from their log files.
"""

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernelatlas.errors import KernelAtlasError

log = logging.getLogger(__name__)

FULL_DISK = "no space left on the disk"  # of what `kernelatlas.running.files.whole` says
COMPLETING = "COMPLETING"


@dataclass(frozen=True)
class Job:
    id: str
    user: str
    state: str


def jobs_of(folder: str | Path) -> list[Job]:
    """Return the jobs in Slurm's queue that Snakemake submitted from a folder, of all users.

    Without Slurm there are none. Jobs of Snakemake are recognised by the comments that its
    executor writes (`rule_…`, `group_…`).

    Raises
    ------
    KernelAtlasError
        If Slurm does not answer.
    """
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--all", "--noheader", "--format=%i|%u|%T|%Z|%k"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise KernelAtlasError("squeue: no answer within 60 s: check the state of Slurm") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        reason = said[-1].removeprefix("squeue: ") if said else f"exit status {done.returncode}"
        raise KernelAtlasError(f"squeue: {reason}: check the state of Slurm")
    here = os.path.realpath(folder)
    rows = [line.split("|", 4) for line in done.stdout.splitlines()]
    return [
        Job(*row[:3])
        for row in rows  # a comment may span several lines
        if len(row) == 5
        and row[4].startswith(("rule_", "group_"))
        and os.path.realpath(row[3]) == here
    ]


def refuse_orphans(folder: str | Path, required: bool, patience: float = 60) -> None:
    """Raise an error if jobs of an earlier run may still write into a folder.

    Parameters
    ----------
    required
        Whether it is an error if Slurm does not answer; otherwise a warning is logged.
    patience
        Seconds to wait for jobs that are completing.

    Raises
    ------
    KernelAtlasError
        Names the jobs and the command that cancels them.
    """
    deadline = time.monotonic() + patience
    while jobs := _jobs_of(folder, required):
        if any(job.state != COMPLETING for job in jobs) or time.monotonic() > deadline:
            users = ", ".join(sorted({job.user for job in jobs}))
            raise KernelAtlasError(
                f"{Path(folder).absolute()}: {len(jobs)} Slurm jobs of an earlier run, of {users}, "
                "are still in the queue and would write the same files: wait for them, or cancel "
                f"them with `scancel {' '.join(job.id for job in jobs)}`; then start again"
            )
        time.sleep(1)


def errors_in(folders: Iterable[str | Path], since: float) -> list[str]:
    """Return the distinct error messages in log files, in the order of folders and names.

    These are the lines that `kernelatlas.running.job.logged` writes, and the lines in which Slurm
    reports that it ended a job. Of files for which the disk was full the first is named, and the
    others are counted.

    Parameters
    ----------
    since
        Ignore files that were last changed before this time, in seconds since the epoch.
    """
    found: dict[str, None] = {}
    for path in (path for folder in folders for path in sorted(Path(folder).rglob("*.log"))):
        if path.stat().st_mtime >= since:
            lines = path.read_text(errors="replace").splitlines()
            found |= dict.fromkeys(line for line in lines if line.startswith("ERROR "))
            said = (re.fullmatch(r"slurmstepd\S*: error: \**\s*(.*?)\s*\**", x) for x in lines)
            if ended := next(filter(None, said), None):  # later lines are consequences
                found[f"ERROR {path}: {ended[1]}"] = None
    first, *more = [line for line in found if FULL_DISK in line] or [""]
    counted = f"{first}; {len(more)} more files could not be written" if more else first
    return [counted if line == first else line for line in found if line not in more]


def _jobs_of(folder: str | Path, required: bool) -> list[Job]:
    try:
        return jobs_of(folder)
    except KernelAtlasError as error:
        if required:
            raise
        log.warning("%s: it is not known whether jobs of an earlier run are in the queue", error)
        return []

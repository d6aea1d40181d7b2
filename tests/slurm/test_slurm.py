"""The workflow through a real Slurm, and what it survives there."""

import os
import re
import signal
import subprocess
import sys
import time
from typing import ClassVar

import pytest
import yaml
from cluster import GPUS
from localhub import Hub

from project import Project, Run, new_project, nothing_to_do

# The profile as it is, but asked sooner.
PROFILE = ["--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "4"]
SIZES = "results/tables/sizes.csv"
CORPUS = "results/corpora/k7.parquet"
TRAININGS = [f"results/autoencoders/k7_seed{seed}.safetensors" for seed in (0, 1)]
ENDLESS = 10_000_000
OPENING = "with logged(snakemake.log[0]):\n"
GENERIC = (
    "sbatch --parsable --ntasks=1 --cpus-per-task={threads} --mem={resources.mem_mb}"
    " --time={resources.runtime} --output=.snakemake/log/%j.log"
)


def command(*arguments):
    return [sys.executable, "-m", "snakemake", "--nocolor", *PROFILE, *arguments]


def snakemake(project, *arguments, timeout=300) -> Run:
    run = Background(project, *arguments)
    return run.wait(timeout)


class Background:
    """A run that goes on while the test acts; `text` is what it has said so far."""

    started: ClassVar[list[subprocess.Popen]] = []

    def __init__(self, project, *arguments, prefix=()):
        self.log = project.path / f"run-{time.monotonic_ns()}.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [*prefix, *command(*arguments)],
                cwd=project.path,
                env=project.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                # Ignored in what runs in the background of a shell.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.started.append(self.process)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, timeout=300) -> Run:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"still running after {timeout} s:\n{self.text}") from None
        return Run(code, self.text)


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return value


class Jobs:
    """Slurm's own record of the jobs of a folder."""

    def __init__(self, slurm, project):
        self.slurm, self.project = slurm, project

    def of_folder(self) -> list[dict[str, str]]:
        lines = self.slurm.command("scontrol", "show", "job", "--oneliner").splitlines()
        jobs = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
        return [job for job in jobs if job.get("WorkDir") == str(self.project.path)]

    def __call__(self, of="") -> list[dict[str, str]]:
        return [job for job in self.of_folder() if of in job.get("Comment", "")]

    def running(self):
        return [j for j in self() if j["JobState"] in ("RUNNING", "PENDING", "COMPLETING")]

    def states(self, of=""):
        return [job["JobState"] for job in self(of)]

    def overlap(self) -> bool:
        """Whether two jobs with the same comment, so for the same outputs, ran at once."""
        times = [(j["Comment"], j["StartTime"], j["EndTime"]) for j in self()]
        return any(
            a[0] == b[0] and max(a[1], b[1]) < min(a[2], b[2])
            for i, a in enumerate(times)
            for b in times[:i]
        )


@pytest.fixture
def project(tmp_path) -> Project:
    """A project of which nothing is made, whose checkpoints are read in jobs of Slurm."""
    project = new_project(tmp_path / "project")
    project.update("config.yaml", extract_on="nodes")
    return project


def shorten(project):
    """Let the training of `ready` end."""
    settings = yaml.safe_load((project.path / "config.yaml").read_text())["autoencoder"]
    project.update("config.yaml", autoencoder={**settings, "steps": 3})


@pytest.fixture
def ready(finished) -> Project:
    """A project in which all was made without Slurm, and where training would not end now."""
    settings = yaml.safe_load((finished.path / "config.yaml").read_text())["autoencoder"]
    finished.update("config.yaml", autoencoder={**settings, "steps": ENDLESS}, seeds=[0, 1])
    return finished


@pytest.fixture
def jobs(slurm, request):
    name = "ready" if "ready" in request.fixturenames else "project"
    jobs = Jobs(slurm, request.getfixturevalue(name))
    yield jobs
    for run in Background.started:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    Background.started.clear()
    slurm.command("scancel", "--user=root")
    slurm.wait_for("idle")


def requested(job):
    """What a job asked for, as Slurm has it: cpu and mem."""
    return dict(item.split("=") for item in job["TRES"].split(","))


def rules(jobs):
    return sorted(re.match(r"rule_([a-z]+)", job["Comment"])[1] for job in jobs)


def kernels_made(project):
    return sorted(path.stem for path in (project.path / "results/kernels").glob("*.parquet"))


def test_everything_through_slurm(project, finished, jobs):
    # The training says what Slurm gave it. Nothing that is said is part of a result.
    project.edit(
        "workflow/scripts/clustering/autoencoder.py",
        OPENING,
        OPENING
        + '    print("GPU", __import__("os").environ.get("CUDA_VISIBLE_DEVICES"), flush=True)\n',
    )
    project.update("config.yaml", device="auto")
    run = snakemake(project, "all", timeout=500)
    assert run.code == 0, run.text
    assert set(jobs.states()) == {"COMPLETED"}
    # One job before the corpora, one after the training.
    assert rules(jobs()) == ["autoencoder", "corpus", "kernels", "results"]

    (training,) = jobs("rule_autoencoder")
    assert requested(training)["cpu"] == "1"
    assert training["TresPerJob"] == "gres:gpu:1"
    log = project.path / "results/logs/autoencoders/k7_seed0.log"
    assert re.search("GPU (.*)", log.read_text())[1] in map(str, range(GPUS))
    for rule in ("corpus", "kernels", "results"):
        (job,) = jobs(f"rule_{rule}")
        asked = requested(job)
        assert not any(key.startswith("TresPer") for key in job)
        # Two models are ready at once, the control's network is made beside them.
        assert int(asked["cpu"]) == {"corpus": 1, "kernels": 3, "results": 4}[rule]
        assert int(asked["mem"].removesuffix("M")) >= 800 * int(asked["cpu"])
        assert job["TimeLimit"] != "UNLIMITED"
    assert finished.digests() == project.digests()
    assert nothing_to_do(snakemake(project, "all"))


def test_two_trainings_get_two_gpus_and_a_site_may_ask_by_gres(ready, jobs):
    ready.edit(
        "workflow/scripts/clustering/autoencoder.py",
        OPENING,
        OPENING
        + '    print("GPU", __import__("os").environ.get("CUDA_VISIBLE_DEVICES"), flush=True)\n',
    )
    ready.update("config.yaml", device="auto")
    gres = ["--set-resources", "autoencoder:gpu=0", "autoencoder:gres='gpu:1'"]
    run = Background(ready, *TRAININGS, *gres)
    logs = [ready.path / f"results/logs/autoencoders/k7_seed{seed}.log" for seed in (0, 1)]
    given = until(lambda: all(map(seen_gpu, logs)) and {seen_gpu(log) for log in logs})
    assert given == {"0", "1"}
    assert [job["TresPerNode"] for job in jobs("rule_autoencoder")] == ["gres:gpu:1"] * 2
    run.interrupt()
    assert run.wait().code != 0
    until(lambda: not jobs.running())


def seen_gpu(log):
    found = re.search(r"GPU (\d)\n", log.read_text()) if log.exists() else None
    return found and found[1]


def test_more_memory_at_each_attempt(project, jobs):
    # So little that torch cannot be imported in it.
    project.edit("workflow/kernelatlas/running/resources.py", "NESTED_MB = 500", "NESTED_MB = 0")
    project.edit("workflow/rules/sources.smk", "memory(1000)", "memory(400)")
    run = snakemake(project, "results/untrained/a.untrained.safetensors")
    assert run.code == 0, run.text
    tried = sorted(jobs(), key=lambda job: int(job["JobId"]))
    memory = [requested(job)["mem"] for job in tried]
    assert memory == ["400M", "800M", "1200M"][: len(memory)]
    assert len(memory) > 1
    assert tried[0]["JobState"] != "COMPLETED"
    assert tried[-1]["JobState"] == "COMPLETED"


def test_over_time_and_cancelled_jobs_are_told_and_the_next_run_goes_on(ready, jobs):
    run = Background(ready, *TRAININGS, "--set-resources", "autoencoder:runtime=1", "--retries=0")
    until(lambda: jobs.states("rule_autoencoder") == ["RUNNING"] * 2)
    cancelled = jobs("_7_1")[0]["JobId"]
    jobs.slurm.command("scancel", cancelled)
    run = run.wait()
    assert run.code == 1
    assert sorted(jobs.states("rule_autoencoder")) == ["CANCELLED", "TIMEOUT"]
    assert "status is: 'TIMEOUT'" in run.text
    assert "status is: 'CANCELLED'" in run.text
    assert sum("DUE TO TIME LIMIT" in error for error in run.errors) == 1, run.text
    # Nothing that was there is lost, and what is missing is made.
    assert kernels_made(ready) == ["a", "a.untrained", "b"]
    shorten(ready)
    run = snakemake(ready, *TRAININGS)
    assert run.code == 0, run.text
    assert run.counts == {"autoencoder": 2}


def test_an_impossible_request_is_told_at_once(project, jobs):
    huge = ["--set-resources", "corpus:mem_mb=10000000", "--retries=0"]
    run = snakemake(project, SIZES, CORPUS, *huge)
    assert run.code == 1
    assert "Memory specification can not be satisfied" in run.text
    assert kernels_made(project) == ["a", "a.untrained", "b"]
    assert (project.path / SIZES).exists()
    assert jobs.states("rule_kernels") == ["COMPLETED"]


def test_a_drained_node_is_waited_for(project, slurm, jobs):
    slurm.command("scontrol", "update", f"nodename={slurm.host}", "state=drain", "reason=test")
    try:
        run = Background(project, SIZES)
        until(lambda: jobs.states() == ["PENDING"])
        time.sleep(8)  # longer than Snakemake takes to ask
        assert jobs.states() == ["PENDING"]
        assert run.process.poll() is None
    finally:
        slurm.command("scontrol", "update", f"nodename={slurm.host}", "state=resume")
    run = run.wait()
    assert run.code == 0, run.text
    assert jobs.states() == ["COMPLETED"]


def test_a_model_that_cannot_be_read_is_named_and_the_rest_is_kept(project, jobs):
    whole = (project.path / "nets/b.safetensors").read_bytes()
    (project.path / "nets/b.safetensors").write_bytes(b"no weights")
    run = snakemake(project, SIZES, "--retries=0")
    assert run.code == 1
    assert [error for error in run.errors if "nets/b.safetensors" in error] == run.errors
    assert len(run.errors) == 1
    assert jobs.states() == ["FAILED"]
    made = {name: stamp(project, name) for name in kernels_made(project)}
    (project.path / "nets/b.safetensors").write_bytes(whole)
    run = snakemake(project, SIZES)
    assert run.code == 0, run.text
    assert kernels_made(project) == ["a", "a.untrained", "b"]
    assert made == {name: stamp(project, name) for name in made}


def stamp(project, model):
    return (project.path / f"results/kernels/{model}.parquet").stat().st_mtime_ns


def test_interrupted_once_all_jobs_end_and_the_next_run_goes_on(ready, jobs):
    run = Background(ready, *TRAININGS)
    until(lambda: jobs.states("rule_autoencoder") == ["RUNNING"] * 2)
    run.interrupt()
    assert run.wait().code != 0
    # Started at once, while Slurm may still be ending the jobs.
    shorten(ready)
    again = snakemake(ready, *TRAININGS)
    assert again.code == 0, again.text
    assert sorted(jobs.states("rule_autoencoder")) == ["CANCELLED"] * 2 + ["COMPLETED"] * 2
    assert not jobs.overlap()


def test_killed_with_jobs_in_the_queue_no_output_is_written_by_two(ready, jobs):
    run = Background(ready, *TRAININGS)
    until(lambda: jobs.states("rule_autoencoder") == ["RUNNING"] * 2)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    orphans = [job["JobId"] for job in jobs.running()]
    assert len(orphans) == 2

    locked = snakemake(ready, *TRAININGS)
    assert locked.code == 1
    assert "--unlock" in locked.text
    assert snakemake(ready, "--unlock").code == 0
    # With Slurm or without, nothing starts while they may write.
    for refused in (snakemake(ready, *TRAININGS), ready.snakemake(*TRAININGS)):
        assert refused.code == 1
        (error,) = refused.errors
        assert "2 Slurm jobs of an earlier run" in error
        cancel = re.search("`(scancel [0-9 ]+)`", error)[1].split()
        assert sorted(cancel[1:]) == sorted(orphans)
    assert len(jobs.running()) == 2
    # The remedy is what the message says.
    jobs.slurm.command(*cancel)
    shorten(ready)  # not before: a job whose Snakemake had just begun would read it
    again = snakemake(ready, *TRAININGS)
    assert again.code == 0, again.text
    assert not jobs.overlap()


def test_a_second_user_in_the_same_folder_is_refused(ready, tmp_path, jobs):
    run = Background(ready, *TRAININGS)
    until(lambda: jobs.states("rule_autoencoder") == ["RUNNING"] * 2)
    for path in (ready.path, *ready.path.rglob("*")):
        path.chmod(path.stat().st_mode | (0o007 if path.is_dir() else 0o006))
    # May read all, as where the environment belongs to all; writes as anybody.
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *reads]
    home = f"HOME={tmp_path / 'home'}"
    (tmp_path / "home").mkdir(mode=0o777)
    (tmp_path / "home").chmod(0o777)
    second = Background(ready, *TRAININGS, prefix=[*nobody, "env", home]).wait()
    assert second.code != 0
    assert "cannot be locked" in second.text, second.text
    assert len(jobs.running()) == 2
    assert len(jobs("rule_autoencoder")) == 2
    run.interrupt()
    run.wait()


def test_extraction_where_the_network_is_and_the_rest_without(project, tmp_path, jobs):
    settings = {
        "zoo": {"families": {"f": [{"name": "n", "hub": "o/n", "filename": "n.safetensors"}]}}
    }
    (project.path / "zoo.yaml").write_text(yaml.safe_dump(settings["zoo"]))
    project.update("config.yaml", extract_on="login")
    with Hub(tmp_path / "hub") as hub:
        hub.publish("o/n", {"n.safetensors": (project.path / "nets/a.safetensors").read_bytes()})
        project.variables = hub.environment(tmp_path / "home")
        run = snakemake(project, SIZES)
        assert run.code == 0, run.text
    assert kernels_made(project) == ["n"]
    assert jobs() == []
    run = snakemake(project, CORPUS)  # the hub is gone
    assert run.code == 0, run.text
    assert rules(jobs()) == ["corpus"]


def test_another_scheduler_through_cluster_generic(project, jobs):
    run = project.snakemake(
        *("--workflow-profile", "profiles/generic", SIZES),
        *("--cluster-generic-submit-cmd", GENERIC),
        *("--cluster-generic-cancel-cmd", "scancel"),
    )
    assert run.code == 0, run.text
    (job,) = jobs.of_folder()
    assert job["JobState"] == "COMPLETED"
    assert requested(job)["cpu"] == "2"  # --cores of the run
    assert job["TimeLimit"] != "UNLIMITED"

"""Jobs end with the process that leads them, whatever ends it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# As Snakemake does it: the job is the grandchild, of a shell.
LEADER = """
import shlex, subprocess, sys
from kernelatlas.running.together import lead
lead()
job = shlex.join([sys.executable, "-c", sys.argv[1]])
try:
    subprocess.run(["bash", "-c", f"set -u; {job}; true"])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
JOB = """
import os, time
from kernelatlas.running.together import follow
follow()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def led():
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", LEADER, JOB]
    started = []

    def start(*prefix):
        process = subprocess.Popen(
            [*prefix, *command],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Shells start what runs in the background with SIGINT ignored, nohup with SIGHUP.
            preexec_fn=lambda: [
                signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)
            ],
        )
        job = int(process.stdout.readline())
        started.append((process, job))
        return process, job

    yield start
    for process, job in started:
        process.kill()
        process.communicate()
        if is_running(job):
            os.kill(job, signal.SIGKILL)


def is_running(job):
    try:
        return psutil.Process(job).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends_within(seconds, job):
    deadline = time.monotonic() + seconds
    while is_running(job) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(job)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_job_and_interrupts_the_leader(led, number):
    process, job = led()
    process.send_signal(number)
    assert ends_within(5, job)
    assert process.communicate(timeout=10)[0] == "interrupted\n"
    assert process.returncode == 0


def test_a_job_ends_with_a_leader_that_is_killed_but_not_waited_for(led):
    process, job = led()
    os.kill(process.pid, signal.SIGKILL)  # it stays as a zombie
    assert ends_within(5, job)


def test_nohup_keeps_both(led):
    process, job = led("nohup")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    assert is_running(job)


def test_a_job_that_nobody_leads_runs_on(tmp_path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for led_by in ({}, {"KERNELATLAS_LOCK": str(tmp_path / "of another machine")}):
        job = JOB.replace("60", "0.2")
        done = subprocess.run([sys.executable, "-c", job], env={**env, **led_by}, timeout=30)
        assert done.returncode == 0

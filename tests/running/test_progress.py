"""How far long jobs are: lines in their logs, and a bar on a terminal."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.kernels.normalise import normalise
from kernelatlas.running import progress
from kernelatlas.running.progress import Progress, duration, tracked

LINE = re.compile(r"(.+): ([\d.,]+) of ([\d.,]+) (\w+), (\S+) \w+/s, (.+) to go(?:; (.+))?")


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.2)


@pytest.fixture
def lines(caplog):
    caplog.set_level("INFO", "kernelatlas")
    return lambda: [record.getMessage() for record in caplog.records]


def test_lines_tell_the_true_pace_and_time_left(often, lines):
    with Progress("training", 100) as done:
        done.skip(40)  # of an earlier job: no part of the pace
        for _ in range(30):
            time.sleep(0.02)
            done.advance(2, said="loss 0.5")
    *told, last = map(LINE.fullmatch, lines())
    assert len(told) >= 2  # in at least 0.6 s
    assert last is None
    for line in told:
        what, now, total, unit, pace, left, said = line.groups()
        assert (what, total, unit, said) == ("training", "100", "steps", "loss 0.5")
        assert 5 < float(pace) <= 101  # at most two steps in 0.02 s
        remaining = (100 - float(now)) / float(pace)
        assert float(left.removesuffix(" s")) == pytest.approx(remaining, abs=0.06)
    assert re.fullmatch(r"training: 100 steps in \d\.\d s, \S+ steps/s", lines()[-1])


def test_a_slow_step_is_told_in_seconds(often, lines):
    for _ in tracked(range(2), "baselines", "runs"):
        time.sleep(1.05)
    assert re.fullmatch(r"baselines: 1 of 2 runs, 1\.\d s for each, 1\.\d s to go", lines()[0])


def test_a_loop_within_another_does_not_tell_of_its_end(lines):
    for _ in tracked(range(3), "outer", "things"):
        for _ in tracked(range(3), "inner", "things"):
            pass
    assert [line.split(":")[0] for line in lines()] == ["outer"]


def test_a_loop_that_fails_tells_of_no_end(lines):
    with pytest.raises(ValueError, match="broken"), Progress("failing", 2):
        raise ValueError("broken")
    with Progress("next", 1) as done:
        done.advance()
    assert [line.split(":")[0] for line in lines()] == ["next"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.31, "0.3 s"),
        (45, "45 s"),
        (720, "12 min"),
        (12_000, "3 h 20 min"),
        (86_400, "24 h 00 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_the_training_of_an_autoencoder_says_how_far_it_is(monkeypatch, lines):
    monkeypatch.setattr(progress, "INTERVAL", 0.03)
    kernels = normalise(np.random.default_rng(0).standard_normal((500, 9), np.float32))
    settings = Settings(points=64, widths=(16,), fourier=16, decoder_steps=200, steps=200)
    fit(kernels, settings, 0, "cpu")
    told = [LINE.fullmatch(line) for line in lines()]
    stages = {line[1].split(" of ")[0] for line in told if line}
    assert {"decoder", "autoencoder"} <= stages
    assert not any("{" in line for line in lines())


LOOP = """
import time
from kernelatlas.running.progress import tracked
for _ in tracked(range(20), "{}", "steps"):
    time.sleep(0.03)
"""


def on_a_terminal(program):
    """Run a program on a terminal of 100 columns; return what it and its children wrote on it."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    running = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 4096):
            written += block
    except OSError:  # Linux: all have closed it
        pass
    os.close(ours)
    assert running.wait() == 0
    return written.decode()


def test_a_bar_is_drawn_on_a_terminal():
    shown = on_a_terminal(LOOP.format("training"))
    assert re.search(r"training:  \d\d%\|.+\| 00:0\d to go", shown)


def test_of_two_programs_on_a_terminal_one_draws():
    command = f"subprocess.run([sys.executable, '-c', {LOOP.format('second')!r}], check=True)"
    within = LOOP.format("first").replace("20", "2") + f"    import subprocess, sys; {command}\n"
    shown = on_a_terminal(within)
    assert "first: " in shown
    assert "second: " not in shown
    assert "second: " in on_a_terminal(LOOP.format("second"))


def test_a_job_draws_on_the_terminal_and_not_in_its_log(tmp_path):
    log = tmp_path / "job.log"
    loop = LOOP.format("training").replace("\n", "\n    ")
    shown = on_a_terminal(
        f"from kernelatlas.running.job import logged\nwith logged({str(log)!r}):{loop}"
    )
    assert "training: " in shown
    assert "%|" not in log.read_text()
    assert re.search(r"^INFO training: 20 steps in \d\.\d s", log.read_text(), re.M)

"""How much memory reading a checkpoint takes, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

MEMORY = 512 << 20  # bytes, as the docstring of kernelatlas.sources.checkpoints promises
SECONDS = 120  # only so that a test ends; the slowest take some seconds

# The address space is limited, so that a fault ends this process and not the machine.
BEFORE = """
import re, resource, sys
from pathlib import Path
from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.checkpoints import read_depthwise

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
before = peak()
"""
REFUSED = """
try:
    read_depthwise(sys.argv[1])
except KernelAtlasError as error:
    message = str(error)
    assert "\\n" not in message and len(message) < 1000
    print(peak() - before, message)
"""
READ = """
reading = read_depthwise(sys.argv[1])
print(peak() - before, len(reading.layers), reading.bytes_read)
"""


def peak_of(path: Path) -> tuple[int, str]:
    """Read a file that may be refused: how much memory grew, and what was said."""
    grown, _, message = _measured(REFUSED, path).partition(" ")
    return int(grown), message


def cost_of(path: Path) -> tuple[int, int, int]:
    """Read a file: how much memory grew, the number of layers, and the bytes read."""
    grown, layers, bytes_read = map(int, _measured(READ, path).split())
    return grown, layers, bytes_read


def _measured(code: str, path: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-c", BEFORE + code, str(path)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout

"""Jobs that end with Snakemake, in whatever way that ends.

Snakemake's process holds a lock on a temporary file for as long as it lives, or until a signal asks
it to end. Jobs wait for that lock: the operating system gives it to them also if Snakemake is
killed, which the number of a process, or of the parent, would not tell for sure.
"""

import contextlib
import fcntl
import logging
import os
import signal
import tempfile
import threading
from types import FrameType
from typing import IO

LOCK = "KERNELATLAS_LOCK"  # environment variable with the path of the file
log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_held: list[IO[bytes]] = []


def lead() -> None:
    """Make jobs that this process starts from now on end with it.

    Signals that ask this process to end do what Ctrl-C does; one that is ignored, as SIGHUP is
    under nohup, stays so. Without a folder for temporary files, or locks there, nothing is changed;
    outside the main thread, signals do what they did.
    """
    with contextlib.suppress(OSError, ValueError):
        file = tempfile.NamedTemporaryFile(prefix="kernelatlas-")  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        _held.append(file)
        os.environ[LOCK] = file.name
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for file in _held:
        fcntl.flock(file, fcntl.LOCK_UN)
    # A second signal has no jobs to end, and is to be as quick as ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    raise KeyboardInterrupt


def follow() -> None:
    """End this process by SIGTERM when the one that leads it has ended, or is to end."""
    try:
        file = open(os.environ[LOCK], "rb")  # noqa: SIM115
    except (KeyError, OSError):  # nobody leads, or on another machine
        return

    def wait() -> None:
        with contextlib.suppress(OSError):  # no locks there
            fcntl.flock(file, fcntl.LOCK_SH)
            log.warning("Snakemake ends, and this job with it")
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()

"""The log file of a job, and errors as one line on the terminal."""

import contextlib
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.running import progress
from kernelatlas.running.together import follow

log = logging.getLogger(__name__)


@contextlib.contextmanager
def logged(path: str) -> Iterator[None]:
    """Redirect all output of the block to a log file, that of C libraries and crashes included.

    The message of a `KernelAtlasError` is also printed on the terminal, in one line; of any
    other exception the terminal shows one line that names the log with the traceback. Both end
    the process with exit status 1. Bars of progress are drawn on what was the terminal. The process
    ends with Snakemake, if that started it.
    """
    follow()
    began = time.monotonic()
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(path, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _log_to_stderr()
    log.info("begun at %s, Kernel Atlas %s", time.strftime("%Y-%m-%d %H:%M:%S"), __version__)
    try:
        with os.fdopen(os.dup(terminal), "w") as progress.terminal:
            yield
    except KernelAtlasError as error:
        message = f"ERROR {error}"
    except Exception as error:
        message = f"ERROR {type(error).__name__}: {error} (the traceback is in {path})"
        traceback.print_exc()
    else:
        log.info("done in %s", progress.duration(time.monotonic() - began))
        return
    finally:
        progress.terminal = None
    message = " ".join(message.splitlines())
    os.write(terminal, f"{message}\n".encode())
    # Writing to the log may fail again, for example on a full disk.
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
    raise SystemExit(1)


def tell(message: str) -> None:
    """Warn in the log of a job and on the terminal."""
    log.warning(message)
    if progress.terminal is not None:
        print("WARNING", message, file=progress.terminal, flush=True)


def _log_to_stderr() -> None:
    """Log what the library says, and the warnings of others, without the paths of their files."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    logging.getLogger("kernelatlas").setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.formatwarning = _warning


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: object = None
) -> str:
    return f"{category.__name__}: {message} ({os.path.basename(filename)}, line {lineno})"

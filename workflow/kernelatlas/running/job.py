"""The log file of a job, and errors as one line on the terminal."""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from typing import TextIO

from kernelatlas.errors import KernelAtlasError


@contextlib.contextmanager
def logged(path: str) -> Iterator[TextIO]:
    """Redirect all output of the block to a log file, that of C libraries and crashes included.

    The message of a `KernelAtlasError` is also printed on the terminal, in one line; of any
    other exception the terminal shows one line that names the log with the traceback. Both end
    the process with exit status 1. The block is given what was the terminal, for a progress bar.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(path, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", force=True)
    try:
        with os.fdopen(os.dup(terminal), "w") as shown:
            yield shown
    except KernelAtlasError as error:
        message = f"ERROR {error}"
    except Exception as error:
        message = f"ERROR {type(error).__name__}: {error} (the traceback is in {path})"
        traceback.print_exc()
    else:
        return
    message = " ".join(message.splitlines())
    os.write(terminal, f"{message}\n".encode())
    # Writing to the log may fail again, for example on a full disk.
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
    raise SystemExit(1)

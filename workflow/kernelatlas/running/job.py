"""What every script of a rule shares: its log file, and errors in one line."""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator

from kernelatlas.errors import KernelAtlasError


@contextlib.contextmanager
def logged(path: str) -> Iterator[None]:
    """Send all output of the block, that of C libraries and crashes too, to a log file.

    A `KernelAtlasError` also goes to the terminal, in one line; any other exception
    is told there with the log that holds its traceback. Both end the process with 1.
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
        yield
    except KernelAtlasError as error:
        message = f"ERROR {error}"
    except Exception as error:
        message = f"ERROR {type(error).__name__}: {error} (the traceback is in {path})"
        traceback.print_exc()
    else:
        return
    message = " ".join(message.splitlines())
    os.write(terminal, f"{message}\n".encode())
    # The log may be what the disk has no space left for.
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
    raise SystemExit(1)

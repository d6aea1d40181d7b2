"""Digests of large files that are computed again only when a file may have changed.

Snakemake notices changed files by their modification time, which `mv`, `cp -p`, rsync, tar and
symbolic links set back. The rule `kernels` has the digest of its checkpoint as a parameter
instead, for which Snakemake asks at every start.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kernelatlas.running.files import remember, remembered, sha256

# Seconds: a file may change twice within one tick of the clock of its disk, which is two seconds
# at most. What has just changed is therefore not remembered.
TICK = 2


def digest_of(paths: Sequence[str | Path], one: Callable[[str | Path], str] = sha256) -> str:
    """Return the SHA-256 of a file; of several, that of what `sha256sum` prints in their folder.

    Parameters
    ----------
    one
        Returns the digest of one file.
    """
    if len(paths) == 1:
        return one(paths[0])
    printed = "".join(f"{one(path)}  {Path(path).name}\n" for path in paths)
    return hashlib.sha256(printed.encode()).hexdigest()


class Digests:
    """Digests of files, remembered in a JSON file.

    A file counts as the one that is remembered if inode, size, change time and modification time
    are the same. Users cannot set the change time, so that every other content under a path shows
    there. The device is not compared: of a shared folder it differs between machines.

    Parameters
    ----------
    path
        Of the JSON file. If it is damaged or cannot be written, more files are read, and that is
        all.
    tick
        Seconds that a file must have been unchanged for, to be remembered.
    """

    def __init__(self, path: str | Path, tick: float = TICK) -> None:
        self.path, self.tick = Path(path), tick
        self.known = remembered(path)

    def of(self, paths: Sequence[str | Path]) -> str | None:
        """Return what `digest_of` returns, or None if a file is missing or cannot be read."""
        try:
            return digest_of(paths, self._one)
        except OSError:
            return None  # Snakemake or the job says what is wrong

    def _one(self, path: str | Path) -> str:
        state = _state(path)
        if known := _remembered(self.known.get(str(path)), state):
            return known
        begin = time.time()
        digest = sha256(path)
        changed = state["ctime_ns"] / 1e9
        if _state(path) == state and begin - changed > self.tick:
            self._remember(str(path), [state, digest])
        return digest

    def _remember(self, path: str, entry: list[Any]) -> None:
        # With what other processes have written since. What two write at once one loses, and
        # computes again.
        self.known = {**remembered(self.path), **self.known, path: entry}
        remember(self.path, self.known)


def _state(path: str | Path) -> dict[str, int]:
    found = os.stat(path)
    return {
        "inode": found.st_ino,
        "size": found.st_size,
        "ctime_ns": found.st_ctime_ns,
        "mtime_ns": found.st_mtime_ns,
    }


def _remembered(entry: Any, state: dict[str, int]) -> str | None:
    """Return the digest in an entry of the JSON file, if it is valid and of this state."""
    if not isinstance(entry, list) or len(entry) != 2 or entry[0] != state:
        return None
    digest = entry[1]
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None

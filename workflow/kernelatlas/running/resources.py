"""How much memory and time a job asks for."""

import math
import os
from collections.abc import Iterable

# Of the Snakemake processes that a cluster runs around a job.
NESTED_MB = 500
# Kernels of a network from which fitting them on a GPU is worth the start of CUDA, and does not
# keep the others waiting for the GPU (`benchmarks/roofline.py`).
FEWEST_ON_GPU = 30_000


def size_mb(files: Iterable[str | os.PathLike[str]]) -> float:
    """Return the megabytes of those files that exist: in a group, some are still to be made."""
    return sum(os.path.getsize(file) for file in files if os.path.exists(file)) / 1e6


def memory_mb(
    fixed: float, per_mb: float, files: Iterable[str | os.PathLike[str]], attempt: int
) -> int:
    """Return the memory that a job asks for, in MB.

    Parameters
    ----------
    fixed, per_mb
        MB whatever the files are, and MB for each MB of them.
    attempt
        From 1; a job that was tried before asks for more.
    """
    return NESTED_MB + math.ceil(attempt * (fixed + per_mb * size_mb(files)))


def runtime_minutes(
    fixed: float, per_mb: float, files: Iterable[str | os.PathLike[str]], attempt: int
) -> int:
    """Return the time that a job asks for, in minutes; parameters as for `memory_mb`."""
    return math.ceil(attempt * (fixed + per_mb * size_mb(files)))

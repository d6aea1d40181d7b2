"""Random samples of kernels, for what would take too long with all."""

import numpy as np


def sample_of(rows: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Return n rows at random, in their order; all if there are no more."""
    if len(rows) <= n:
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), n, replace=False)
    return rows[np.sort(chosen)]

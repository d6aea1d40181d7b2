"""How often each kernel occurs, without sorting the kernels."""

import numpy as np
import pandas as pd

BLOCK = 4096  # rows
PARTS = 16  # of the rows by hash, treated one after another for the sake of memory


def count_copies(rows: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return how many rows are equal to each, itself among them.

    Rows with equal hashes are compared, so that a hash that two rows share by chance costs time
    alone.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Without NaN. 0 and −0 are equal.
    hashes : ndarray of shape (n,)
        Equal for equal rows, as `hash_rows` returns them.

    Returns
    -------
    ndarray of shape (n,), int32
    """
    found = np.empty(len(rows), np.int32)
    for part in range(PARTS):
        members = np.flatnonzero(hashes % PARTS == part)
        found[members] = _count(rows, members, hashes[members])
    return found


def _count(rows: np.ndarray, members: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return how often each of these members of the rows occurs among them."""
    order = np.argsort(hashes)
    ordered = hashes[order]
    first = np.ones(len(order), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    begins = np.flatnonzero(first)
    sizes = np.diff(begins, append=len(order))
    counts = np.empty(len(order), np.int32)
    counts[order] = np.repeat(sizes, sizes)
    places = np.flatnonzero(~first)
    unequal = places[_differ(rows, members[order[places - 1]], members[order[places]])]
    for group in np.unique(np.searchsorted(begins, unequal, "right")) - 1:
        mixed = order[begins[group] : begins[group] + sizes[group]]
        _, inverse, several = np.unique(
            rows[members[mixed]], axis=0, return_inverse=True, return_counts=True
        )
        counts[mixed] = several[inverse.ravel()]
    return counts


def _differ(rows: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell where the rows of two lists differ, (n,) bool."""
    found = np.empty(len(one), bool)
    for begin in range(0, len(one), BLOCK):
        at = slice(begin, begin + BLOCK)
        found[at] = (rows[one[at]] != rows[other[at]]).any(axis=1)
    return found


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """Return 64-bit hashes of rows of float32, (n,) uint64."""
    found = np.zeros(len(rows), np.uint64)
    for begin in range(0, len(rows), BLOCK):
        block = pd.DataFrame(rows[begin : begin + BLOCK] + np.float32(0))  # −0 becomes 0
        found[begin : begin + BLOCK] = pd.util.hash_pandas_object(block, index=False)
    return found

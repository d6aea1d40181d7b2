"""Kernels at the points of the curves: how many, and some examples of many networks."""

from typing import ClassVar

import numpy as np

NOBODY = np.uint32(0xFFFFFFFF)
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


class Examples:
    """Counts the kernels at each point, and keeps a few of them, of as many networks as there are.

    Of each network first one kernel at random is kept, then a second one, and so on.

    Attributes
    ----------
    counts : ndarray of shape (seeds, points), uint32
        Kernels whose code is that point.
    """

    EACH: ClassVar = 16  # examples of a point

    def __init__(self, seeds: int, points: int) -> None:
        self.counts = np.zeros((seeds, points), np.uint32)
        self._keys = np.full((seeds, points, self.EACH), _LAST)
        self._rows = np.full((seeds, points, self.EACH), NOBODY)

    @property
    def rows(self) -> np.ndarray:
        """Rows of the examples, sorted, then `NOBODY`, (seeds, points, EACH), uint32."""
        return np.sort(self._rows, axis=2)

    def add(self, network: int, rows: np.ndarray, codes: np.ndarray) -> None:
        """Add the kernels of a network.

        Parameters
        ----------
        network
            Its number, which decides what is random.
        rows : ndarray of shape (n,)
        codes : ndarray of shape (n, seeds)
            In [0, 1]; NaN of kernels without a code.
        """
        seeds, points = self.counts.shape
        random = np.random.default_rng([network, points])
        order = random.permutation(len(rows))
        turns = random.permutation(points).astype(np.uint64)
        known = ~np.isnan(codes[order, 0])
        order = order[known]
        for seed in range(seeds):
            point = np.minimum((codes[order, seed] * points).astype(np.int64), points - 1)
            counts = np.bincount(point, minlength=points)
            self.counts[seed] += counts.astype(np.uint32)
            by_point = np.argsort(point, kind="stable")
            sorted_points = point[by_point]
            rank = np.arange(len(point)) - (np.cumsum(counts) - counts)[sorted_points]
            first = rank < self.EACH
            here, rank = sorted_points[first], rank[first]
            # What networks have one kernel of comes first, in an order that differs by point.
            keys = np.full((points, self.EACH), _LAST)
            keys[here, rank] = (
                (rank.astype(np.uint64) << np.uint64(48))
                | (turns[here] << np.uint64(16))
                | np.uint64(network)
            )
            found = np.full((points, self.EACH), NOBODY)
            found[here, rank] = rows[order[by_point[first]]]
            touched = np.flatnonzero(counts)
            both = np.concatenate([self._keys[seed, touched], keys[touched]], axis=1)
            every = np.concatenate([self._rows[seed, touched], found[touched]], axis=1)
            best = np.argsort(both, axis=1, kind="stable")[:, : self.EACH]
            self._keys[seed, touched] = np.take_along_axis(both, best, 1)
            self._rows[seed, touched] = np.take_along_axis(every, best, 1)

"""Numbers of the explorer in a byte each, and the order in which it keeps kernels."""

from dataclasses import dataclass

import numpy as np

from kernelatlas.kernels.blocks import at_once

LARGEST, NOT_FINITE = 127, -128  # of weights as integers
WIDEST = 1.17  # from one scale of weights to the next, at most
NEAR = 64  # levels of dissimilarity below the threshold
R2_LEVELS = 250
NONE = 255  # dissimilarities above all levels, and without an R²
MOST_AGREEMENTS = 8  # levels: with 31 fits, and none, a byte
BLOCK = 64  # rows whose parameters begin at a known place


@dataclass(frozen=True)
class Scales:
    """Scales s = least·ratio^q of kernels, whose weights are integers times s.

    Attributes
    ----------
    least
        That of q = 0.
    ratio
        From one to the next; at most `WIDEST`.
    """

    least: float
    ratio: float

    @classmethod
    def between(cls, low: float, high: float) -> "Scales":
        """Return scales for kernels whose largest absolute weights are from low to high.

        Weights of kernels that are weaker by 17 powers of ten become 0.
        """
        if not high > 0:
            return cls(1.0, WIDEST)
        # The last scale is a little above what the greatest kernel needs, whatever is rounded.
        high *= 1 + 1e-9
        low = max(low, high / WIDEST ** (NONE - 1))
        ratio = min(WIDEST, max((high / low) ** (1 / (NONE - 1)), 1 + 1e-6))
        return cls(low / LARGEST, ratio)

    def integers(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights as integers, and the scale q of each kernel.

        Parameters
        ----------
        weights : ndarray of shape (n, pixels)

        Returns
        -------
        integers : ndarray of shape (n, pixels), int8
            Within half a scale of the weights; `NOT_FINITE` where these are not finite.
        q : ndarray of shape (n,), uint8
        """
        found = np.empty(weights.shape, np.int8), np.empty(len(weights), np.uint8)
        rows = at_once(weights.shape[1], 16_384)
        for begin in range(0, len(weights), rows):
            part = slice(begin, begin + rows)
            found[0][part], found[1][part] = self._integers(weights[part])
        return found

    def _integers(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(weights, np.float64)
        finite = np.isfinite(values)
        values = np.where(finite, values, 0.0)
        needed = np.abs(values).max(axis=1, initial=0.0) / LARGEST
        with np.errstate(divide="ignore"):
            exact = np.log(needed / self.least) / np.log(self.ratio)
        q = np.clip(np.ceil(exact - 1e-6), 0, NONE)
        integers = np.rint(values / (self.least * self.ratio**q)[:, None])
        integers = np.clip(integers, -LARGEST, LARGEST)
        integers[~finite] = NOT_FINITE
        return integers.astype(np.int8), q.astype(np.uint8)


def dissimilarity_levels(dissimilarity: np.ndarray, threshold: float) -> np.ndarray:
    """Return q with q·step ≤ d < (q + 1)·step, where step is the threshold / `NEAR`, uint8.

    d < threshold exactly where q < `NEAR`, as it is for the label table's numbers. `NONE` is that
    level or more, and of kernels without a dissimilarity.
    """
    distance = np.asarray(dissimilarity, np.float32)
    near = distance < threshold
    with np.errstate(invalid="ignore", divide="ignore"):  # a threshold may be 0
        level = np.floor(distance.astype(np.float64) / (threshold / NEAR))
    level = np.where(near, np.clip(level, 0, NEAR - 1), np.clip(level, NEAR, NONE))
    return np.where(np.isnan(level), NONE, level).astype(np.uint8)


def r2_levels(r2: np.ndarray) -> np.ndarray:
    """Return q with R² in [q, q + 1) / `R2_LEVELS`, the last with 1; `NONE` without one, uint8."""
    values = np.asarray(r2, np.float64)
    level = np.clip(np.floor(np.nan_to_num(values) * R2_LEVELS), 0, R2_LEVELS - 1)
    return np.where(np.isfinite(values), level, NONE).astype(np.uint8)


@dataclass(frozen=True)
class Agreements:
    """Levels of agreement: one for each number of seeds, or fewer of many seeds.

    Attributes
    ----------
    least
        The least number of seeds of each level, from 0.
    seeds
        How many there are.
    most
        The level from which more than half of the seeds agree.
    """

    least: tuple[int, ...]
    seeds: int
    most: int

    @classmethod
    def of(cls, seeds: int) -> "Agreements":
        """Return the levels for so many seeds, at most `MOST_AGREEMENTS`."""
        most = seeds // 2 + 1
        if seeds < MOST_AGREEMENTS:
            return cls(tuple(range(seeds + 1)), seeds, most)
        half = MOST_AGREEMENTS // 2
        below = [most * i // half for i in range(half)]
        above = [most + (seeds + 1 - most) * i // half for i in range(half)]
        return cls((*below, *above), seeds, half)

    @property
    def shares(self) -> list[float]:
        """The least share of the seeds of each level."""
        return [count / self.seeds for count in self.least]

    def levels(self, agreement: np.ndarray) -> np.ndarray:
        """Return the levels of shares of the seeds, 0 without one, uint8."""
        counts = np.rint(np.nan_to_num(np.asarray(agreement, np.float64)) * self.seeds)
        return (np.searchsorted(self.least, counts, side="right") - 1).astype(np.uint8)


def ranges(cells: np.ndarray, layers: np.ndarray, n_cells: int, n_layers: int) -> np.ndarray:
    """Count the kernels of a network by cell and layer, (cells, layers), int64.

    Parameters
    ----------
    cells, layers : ndarray of shape (n,)
        Numbers of each kernel's cell, and of its layer among those of its size.
    """
    pairs = np.asarray(cells, np.int64) * n_layers + layers
    return np.bincount(pairs, minlength=n_cells * n_layers).reshape(n_cells, n_layers)


def rows_of(cells: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the row of each kernel of a network, in the order of its places, (n,), int64.

    Parameters
    ----------
    cells : ndarray of shape (n,)
        The cell of each kernel.
    starts : ndarray of shape (cells,)
        The first row of each cell in this network.
    """
    order = np.argsort(cells, kind="stable")
    counts = np.bincount(cells, minlength=len(starts))
    before = np.cumsum(counts) - counts
    rows = np.empty(len(cells), np.int64)
    rows[order] = np.arange(len(cells)) - np.repeat(before, counts) + np.repeat(starts, counts)
    return rows


def largest_weights(weights: np.ndarray) -> np.ndarray:
    """Return the largest finite absolute weight of each kernel, (n,), float64."""
    values = np.abs(weights.reshape(len(weights), -1))
    values[~np.isfinite(values)] = 0
    return values.max(axis=1, initial=0).astype(np.float64)

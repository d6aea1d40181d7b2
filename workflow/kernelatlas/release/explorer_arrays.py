"""The arrays of the explorer that hold the kernels of one size."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from kernelatlas import names
from kernelatlas.clustering.clusters import name_points
from kernelatlas.clustering.labels import seed_values
from kernelatlas.release.explorer_examples import Examples
from kernelatlas.release.explorer_rows import (
    BLOCK,
    NONE,
    Agreements,
    dissimilarity_levels,
    ranges,
    rows_of,
)
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_size import Kernels
from kernelatlas.release.explorer_tables import Network, values

SCORED = ["agreement", "dissimilarity", "codes"]  # columns of label tables


class Writer:
    """Writes the arrays of one size, network by network."""

    def __init__(self, kernels: Kernels, folder: Path, agreements: Agreements) -> None:
        self.kernels, self.folder, self.agreements = kernels, folder, agreements
        folder.mkdir(parents=True)
        n = int(kernels.counts.sum())
        shape = (n, *kernels.size)
        self.weights = reserved(folder / "weights.npy", shape)
        self.scale = np.zeros(n, np.uint8)
        self.cells = np.zeros(n, np.uint8)
        self.layer_starts: list[np.ndarray] = []
        self.begin = 0  # first place of the next network
        if study := kernels.study:
            self.dissimilarity, self.r2 = np.full((2, n), NONE, np.uint8)
            self.fit = np.zeros(n, np.uint8)
            self.sizes = np.array([0, *(fit.size for fit in kernels.fits.all)], np.uint8)
            self.parameters = np.zeros((n, int(self.sizes.max())), np.uint8)
            self.examples = Examples(len(study.curves), len(study.curves[0].points))

    def add(
        self,
        number: int,
        network: Network,
        weights: np.ndarray,
        labels: pa.Table | None,
        fits: pa.Table | None,
    ) -> list[int]:
        """Write the kernels of the next network; return the place of channel 0 of its layers."""
        part = self.kernels.parts[number]
        n = len(part.cells)
        starts = self.kernels.starts[:, number]
        rows = rows_of(part.cells, starts)
        self.cells[self.begin : self.begin + n] = part.cells
        counts = ranges(part.cells, part.layer, len(starts), len(part.layers))
        ends = starts[:, None] + np.cumsum(counts, axis=1)
        self.layer_starts.append(np.concatenate([starts[:, None], ends], axis=1).ravel())
        integers, scale = self.kernels.scales.integers(weights.reshape(n, -1))
        self.weights[rows] = integers.reshape(weights.shape)
        self.scale[rows] = scale
        if labels is not None:
            self._label(part.network, network.trained, rows, labels)
            if fits is not None:
                self._fit(rows, fits)
        channels = [layer.channels for layer in part.layers]
        firsts = self.begin + np.cumsum(channels) - channels
        self.begin += n
        return firsts.tolist()

    def _label(self, network: int, trained: bool, rows: np.ndarray, labels: pa.Table) -> None:
        study = self.kernels.study
        assert study is not None
        distance = values(labels["dissimilarity"])
        self.dissimilarity[rows] = dissimilarity_levels(distance, study.threshold)
        self.fit[rows] = self.agreements.levels(values(labels["agreement"]))
        codes = seed_values(labels["codes"])
        # The curves are fitted to trained networks; controls would hide what these have.
        if trained and codes.shape[1]:
            self.examples.add(network, rows, codes)

    def _fit(self, rows: np.ndarray, fits: pa.Table) -> None:
        number, self.r2[rows], self.parameters[rows] = self.kernels.fits.encode(fits)
        self.fit[rows] += number * np.uint8(len(self.agreements.least))

    def close(self, shares: Shares, networks: Sequence[str]) -> None:
        """Write what needs all networks, of which the names are given."""
        self.weights.flush()
        del self.weights
        self._save(scale=self.scale, cells=self.cells)
        self._save(network_starts=self.kernels.starts.astype(np.uint32))
        self._save(layer_starts=np.concatenate(self.layer_starts).astype(np.uint32))
        study = self.kernels.study
        if study is None:
            return
        many = self.sizes[self.fit // len(self.agreements.least)]
        used = np.arange(self.parameters.shape[1]) < many[:, None]
        ends = np.append(0, np.add.accumulate(many, dtype=np.uint32))
        blocks = -(-len(many) // BLOCK)
        at = np.minimum(np.arange(blocks + 1) * BLOCK, len(many))
        self._save(dissimilarity=self.dissimilarity, r2=self.r2, fit=self.fit)
        self._save(parameters=self.parameters[used], parameter_starts=ends[at].astype(np.uint32))
        curves, side = study.curves, self.kernels.size
        points = np.stack([np.rint(curve.points * 32767) for curve in curves]).astype(np.int16)
        self._save(curve=points.reshape(*points.shape[:2], *side))
        labels = [
            [names.LABELS.index(label) for label in name_points(curve, study.minimum_cosine)]
            for curve in curves
        ]
        self._save(point_labels=np.array(labels, np.uint8))
        own = [networks[part.network] for part in self.kernels.parts]
        self._save(shape_shares=shares.by_shape(self.kernels.size[0], own))
        self._save(point_counts=self.examples.counts, point_rows=self.examples.rows)

    def _save(self, **arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            np.save(self.folder / f"{name}.npy", array)


def reserved(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Return an array of int8 in a new file, of which parts can be written in any order.

    Raises
    ------
    OSError
        If the disk has no space for all of it.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # On a disk that is full, writing to memory would end the process without a word.
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array

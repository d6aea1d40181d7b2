"""All kernels of one size as the explorer's arrays."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.release.explorer_examples import Examples
from kernelatlas.release.explorer_fits import Fits
from kernelatlas.release.explorer_rows import (
    BLOCK,
    NEAR,
    NONE,
    R2_LEVELS,
    Scales,
    largest_weights,
)
from kernelatlas.release.explorer_tables import (
    MAKE,
    Layer,
    Network,
    Size,
    categories,
    texts_of,
    values,
)

NOT_STUDIED = "not studied"
COUNTED = ["label", "cluster", "identified", "reason"]  # columns of the first reading
CLUSTER = len(names.LABELS)  # codes of kernels without a name begin here, then their cluster


@dataclass(frozen=True)
class Study:
    """What labels of a size were made with.

    Attributes
    ----------
    clusters
        As `kernelatlas.clustering.clusters.cluster_table` returns them.
    curves
        One for each seed.
    """

    clusters: pd.DataFrame
    curves: list[Curve]
    threshold: float
    minimum_cosine: float


@dataclass
class Part:
    """The kernels of a network: the layers of this size, and the cell of each kernel."""

    network: int
    layers: list[Layer]
    cells: np.ndarray

    @property
    def layer(self) -> np.ndarray:
        """Number, among these, of the layer of each kernel, (n,)."""
        return np.repeat(np.arange(len(self.layers)), [layer.channels for layer in self.layers])


@dataclass
class Kernels:
    """All kernels of one size: counted network by network, then written.

    Attributes
    ----------
    study
        None if kernels of this size have no labels.
    """

    size: Size
    study: Study | None
    parts: list[Part] = field(default_factory=list)
    identified: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, dict[str, int]] = field(default_factory=dict)
    weights: list[float] = field(default_factory=list)  # the least and the greatest
    fits: Fits = field(init=False)

    def __post_init__(self) -> None:
        self.fits = Fits(self.size[0])

    @property
    def name(self) -> str:
        """As in paths and links: height x width."""
        return "{}x{}".format(*self.size)

    def count(
        self,
        number: int,
        network: Network,
        weights: np.ndarray,
        labels: pa.Table | None,
        fits: pa.Table | None,
    ) -> None:
        """Count the kernels of a network.

        Raises
        ------
        KernelAtlasError
            If they have no labels though the size is studied, or labels though it is not, or a
            cluster that the cluster table lacks.
        """
        if (labels is None) != (self.study is None):
            raise KernelAtlasError(
                f"{network.labels}: has {'no ' if labels is None else ''}labels of {self.name} "
                f"kernels, of which {'there are' if self.study else 'no'} clusters: {MAKE}"
            )
        cells = np.zeros(len(weights), np.uint8)
        if labels is not None:
            cells = self._codes(network, labels)
            identified = np.bincount(cells[values(labels["identified"]).astype(bool)])
            for code in np.flatnonzero(identified).tolist():
                self.identified[code] = self.identified.get(code, 0) + int(identified[code])
            self._explain(cells, labels)
        self.parts.append(Part(number, network.of_size(self.size), cells))
        largest = largest_weights(weights)
        positive = largest[largest > 0]
        if len(positive):
            known = [*self.weights, float(positive.min()), float(positive.max())]
            self.weights = [min(known), max(known)]
        if fits is not None:
            self.fits.see(fits)

    def _explain(self, cells: np.ndarray, labels: pa.Table) -> None:
        """Count why kernels are not identified."""
        reason = texts_of(labels["reason"])
        for name in names.REASONS:
            counts = np.bincount(cells[reason == name])
            for code in np.flatnonzero(counts).tolist():
                own = self.reasons.setdefault(code, {})
                own[name] = own.get(name, 0) + int(counts[code])

    def _codes(self, network: Network, labels: pa.Table) -> np.ndarray:
        number, texts = categories(labels["label"])
        unknown = [*sorted(set(texts) - set(names.LABELS)), *([None] * int((number < 0).sum()))]
        if unknown:
            raise KernelAtlasError(f"{network.labels}: unknown label {unknown[0]!r}: {MAKE}")
        code = np.array([names.LABELS.index(text) for text in texts], np.int64)[number]
        cluster = np.nan_to_num(values(labels["cluster"]).astype(float), nan=-1).astype(int)
        unnamed = (code == names.LABELS.index(names.OTHER)) & (cluster >= 0)
        code[unnamed] = CLUSTER + cluster[unnamed]
        assert self.study is not None
        known = {*range(CLUSTER), *_codes_of(self.study.clusters)}
        if missing := set(np.unique(code).tolist()) - known:
            raise KernelAtlasError(
                f"{network.labels}: has cluster {min(missing) - CLUSTER} of {self.name} kernels, "
                f"which the table of clusters lacks: {MAKE}"
            )
        return code.astype(np.uint8)

    @cached_property
    def codes(self) -> list[int]:
        """The code of each cell: clusters, names without a cluster, degenerate."""
        if self.study is None:
            return [0]
        clusters = _codes_of(self.study.clusters)
        found = set(np.unique(np.concatenate([part.cells for part in self.parts])).tolist())
        return [*clusters, *sorted(found - set(clusters))]

    @cached_property
    def scales(self) -> Scales:
        """The scales of weights."""
        return Scales.between(*(self.weights or (0.0, 0.0)))

    @cached_property
    def counts(self) -> np.ndarray:
        """Kernels of each cell in each network, (cells, networks)."""
        self._settle()
        found = [np.bincount(part.cells, minlength=len(self.codes)) for part in self.parts]
        return np.stack(found, axis=1)

    def _settle(self) -> None:
        """Turn codes into numbers of cells."""
        cell = np.zeros(256, np.uint8)
        cell[self.codes] = np.arange(len(self.codes))
        for part in self.parts:
            part.cells = cell[part.cells]

    @cached_property
    def starts(self) -> np.ndarray:
        """First row of each cell in each network, then its end, (cells, networks + 1)."""
        ends = np.cumsum(self.counts).reshape(self.counts.shape)
        return np.concatenate([ends[:, :1] - self.counts[:, :1], ends], axis=1)

    def describe(self) -> dict[str, Any]:
        """Return what the index says of this size."""
        layers = np.cumsum([0, *(len(part.layers) for part in self.parts)]).tolist()
        found: dict[str, Any] = {
            "height": self.size[0],
            "width": self.size[1],
            "kernels": int(self.counts.sum()),
            "studied": self.study is not None,
            "scale": {"least": self.scales.least, "ratio": self.scales.ratio},
            "cells": list(self._cells()),
            "networks": [part.network for part in self.parts],
            "network_layers": layers,
        }
        if self.study is not None:
            found |= {
                "threshold": self.study.threshold,
                "dissimilarity": {"step": self.study.threshold / NEAR, "near": NEAR},
                "r2": {"levels": R2_LEVELS, "none": NONE},
                "fits": [None, *(fit.describe() for fit in self.fits.all)],
                "seeds_curves": [
                    {"seed": curve.seed, "concentration": float(curve.concentration)}
                    for curve in self.study.curves
                ],
                "points": len(self.study.curves[0].points),
                "examples": Examples.EACH,
                "parameter_block": BLOCK,
            }
        return found

    def _cells(self) -> Iterator[dict[str, Any]]:
        """Yield what the index says of each cell."""
        clusters = [] if self.study is None else self.study.clusters.to_dict("records")
        total = self.counts.sum(axis=1).tolist()
        for number, code in enumerate(self.codes):
            cluster = clusters[number] if number < len(clusters) else {}
            if self.study is None:
                label = NOT_STUDIED
            else:
                label = cluster["label"] if cluster else names.LABELS[code]
            prototype = cluster.get("prototype")
            yield {
                "label": label,
                "shape": names.shape_of(label) if self.study else label,
                "kernels": total[number],
                "identified": self.identified.get(code, 0),
                "reasons": self.reasons.get(code, {}),
                "template": cluster.get("template"),
                "template_cosine": cluster.get("template_cosine"),
                "prototype": None if prototype is None else prototype.astype(float).tolist(),
            }


def _codes_of(clusters: pd.DataFrame) -> list[int]:
    """Return the code of each cluster: that of its name, or its own without one."""
    pairs = zip(clusters["label"], clusters["cluster"], strict=True)
    return [
        CLUSTER + int(cluster) if label == names.OTHER else names.LABELS.index(label)
        for label, cluster in pairs
    ]

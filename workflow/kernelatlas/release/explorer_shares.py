"""Shares of kernels that the explorer shows beside them, as the workflow's tables have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas import names
from kernelatlas.release.explorer_tables import read

DIGITS = 4  # of shares of layers
SHAPES = ["model", "k", "shape", "share", "low", "high"]
LAYERS = [
    "family", "model", "trained", "k", "layer", "layer_index", "kernels", "identified", "low",
    "high",
]  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """Paths of tables of shares.

    Attributes
    ----------
    models
        Of each network and size.
    shapes
        Of each shape in them.
    layers
        Of each layer.
    """

    models: Path
    shapes: Path
    layers: Path

    @cached_property
    def _shapes(self) -> pd.DataFrame:
        return read(self.shapes, SHAPES).to_pandas()

    def by_shape(self, k: int, networks: Sequence[str]) -> np.ndarray:
        """Return share, low and high of kernels identified as each shape.

        Returns
        -------
        ndarray of shape (shapes, networks, 3), float32
            In [0, 1]; an interval that is not known is NaN, as where a network has none.
        """
        found = np.full((len(names.SHAPES), len(networks), 3), np.nan, np.float32)
        found[..., 0] = 0
        own = self._shapes[(self._shapes["k"] == k) & self._shapes["model"].isin(networks)]
        shape = own["shape"].astype(str).map(names.SHAPES.index).to_numpy(int)
        network = own["model"].astype(str).map(list(networks).index).to_numpy(int)
        found[shape, network] = own[["share", "low", "high"]]
        return found

    @cached_property
    def by_layer(self) -> dict[tuple[str, int], dict[str, float]]:
        """Interval of the share identified of layers, and the share of their untrained controls.

        By network and layer_index: low, high and control, each where it is known. The controls of
        a network are the untrained networks of its family that have the same layers.
        """
        table = read(self.layers, LAYERS).to_pandas()
        table = table.astype({"family": str, "model": str, "layer": str})
        same = {
            model: (own["family"].iloc[0], frozenset(zip(own["k"], own["layer"], strict=True)))
            for model, own in table.groupby("model", sort=False)
        }
        controls = table[~table["trained"].astype(bool)]
        keys = [controls["model"].map(same), controls["k"], controls["layer"]]
        sums = controls[["identified", "kernels"]].groupby(keys).sum()
        shares = dict(zip(sums.index, sums["identified"] / sums["kernels"], strict=True))
        found = {}
        for row in table.itertuples():
            known = {"low": row.low, "high": row.high}
            if row.trained:
                known["control"] = shares.get((same[row.model], row.k, row.layer), np.nan)
            found[row.model, row.layer_index] = {
                name: round(float(share), DIGITS)
                for name, share in known.items()
                if np.isfinite(share)
            }
        return found

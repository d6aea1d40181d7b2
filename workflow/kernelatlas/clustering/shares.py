"""Shares of kernels by the shape that they are identified as, or by why they are not."""

from collections.abc import Sequence

import pandas as pd

from kernelatlas.clustering.reasons import COUNTS, shares_by_reason
from kernelatlas.names import DEGENERATE, SHAPES, shape_of

NOT_IDENTIFIED = "not identified"
UNIDENTIFIED = {reason: f"{NOT_IDENTIFIED}: {reason}" for reason in COUNTS.values()}
# Of all kernels, in the order of stacked bars.
PARTS = (*SHAPES, DEGENERATE, *UNIDENTIFIED.values())


def shares_by_shape(composition: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return per group the percentage of its kernels in each of `PARTS`.

    Parameters
    ----------
    composition
        Columns `by`, label, kernels, identified, and those of
        `kernelatlas.clustering.reasons.COUNTS`.
    """
    shape = composition["label"].astype(str).map(shape_of)
    keys = [composition[name] for name in by]
    total = composition["kernels"].groupby(keys, observed=True).sum()
    counts = pd.DataFrame(
        {
            part: composition["identified"]
            .where(shape == part, 0)
            .groupby(keys, observed=True)
            .sum()
            for part in SHAPES
        }
    )
    shares = 100 * counts.div(total.where(total > 0, 1), axis=0)
    rest = shares_by_reason(composition, by).rename(columns=UNIDENTIFIED)
    return pd.concat([shares, rest], axis=1)[list(PARTS)]

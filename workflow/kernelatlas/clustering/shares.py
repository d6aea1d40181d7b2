"""Shares of kernels by the shape that they are identified as."""

from collections.abc import Sequence

import pandas as pd

from kernelatlas.names import DEGENERATE, SHAPES, shape_of

NOT_IDENTIFIED = "not identified"
PARTS = (*SHAPES, DEGENERATE, NOT_IDENTIFIED)  # of all kernels, in the order of stacked bars


def shares_by_shape(composition: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return per group the percentage of its kernels in each of `PARTS`.

    Parameters
    ----------
    composition
        Columns `by`, label, kernels, identified.
    """
    shape = composition["label"].astype(str).map(shape_of)
    counted = composition["identified"].where(shape != DEGENERATE, composition["kernels"])
    keys = [composition[name] for name in by]
    total = composition["kernels"].groupby(keys, observed=True).sum()
    parts = pd.DataFrame(
        {part: counted.where(shape == part, 0).groupby(keys, observed=True).sum() for part in PARTS}
    )
    parts[NOT_IDENTIFIED] = total - parts.sum(axis=1)
    return 100 * parts.div(total.where(total > 0, 1), axis=0)

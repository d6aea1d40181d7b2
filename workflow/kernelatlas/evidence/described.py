"""Which kernels an analytic function describes, and whether it has the shape of their label.

The one rule of all tables and figures.
"""

from typing import TypeVar

import numpy as np
import pandas as pd

from kernelatlas.names import OTHER, SHAPES, shape_of

R2 = TypeVar("R2", np.ndarray, pd.Series)
SHAPED = tuple(shape for shape in SHAPES if shape != OTHER)


def described(r2: R2, threshold: float) -> R2:
    """Tell where R² of the best fit is at least the threshold, `evidence.r2` of the config.

    Both are compared in single precision, in which tables keep R².
    """
    return r2.astype("float32") >= np.float32(threshold)


def agrees(labels: pd.Series, fit_label: pd.Series) -> pd.Series:
    """Tell where a kernel's label and its fitted function have the same shape.

    Parameters
    ----------
    labels, fit_label
        Of the same kernels.

    Returns
    -------
    Series of nullable bool
        Empty where either has no shape: other, degenerate or not fitted.
    """
    shapes = (
        values.astype(object).map(shape_of, na_action="ignore") for values in (labels, fit_label)
    )
    one, other = shapes
    known = one.isin(SHAPED) & other.isin(SHAPED)
    return (one == other).astype("boolean").mask(~known)

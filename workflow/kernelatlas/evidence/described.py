"""Which kernels an analytic function describes: the one rule of all tables and figures."""

from typing import TypeVar

import numpy as np
import pandas as pd

R2 = TypeVar("R2", np.ndarray, pd.Series)


def described(r2: R2, threshold: float) -> R2:
    """Tell where R² of the best fit is at least the threshold, `evidence.r2` of the config.

    Both are compared in single precision, in which tables keep R².
    """
    return r2.astype("float32") >= np.float32(threshold)

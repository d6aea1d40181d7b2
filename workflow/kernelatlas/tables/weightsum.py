"""Sums of a kernel's weights, by label (Fig. 12 of arXiv 2401.14469)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.kernels.table import read_square

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def weightsum_table(
    kernels: Sequence[str | Path], labels: Sequence[str | Path], k: int
) -> pd.DataFrame:
    """Summarise Σw and Σw / Σ|w| of identified k×k kernels by label.

    Parameters
    ----------
    kernels, labels
        Paths of the kernel and label tables of the same models, in the same order.

    Returns
    -------
    DataFrame
        A row for each label: kernels, sum_mean, sum_q05 … sum_q95, relative_mean,
        relative_q05 … relative_q95. The relative sum does not depend on the kernel's scale
        and is in [−1, 1].
    """
    parts = []
    for kernel_path, label_path in zip(kernels, labels, strict=True):
        _, weights = read_square(kernel_path, k)
        rows = pd.read_parquet(
            label_path, columns=["label", "identified"], filters=[("k", "==", k)]
        ).reset_index(drop=True)
        sums = weights.sum(axis=1, dtype=np.float64)
        # A kernel of zeros has no relative sum; it is never identified.
        sizes = np.abs(weights).sum(axis=1, dtype=np.float64)
        relative = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
        rows = rows.assign(label=rows["label"].astype(str), sum=sums, relative=relative)
        parts.append(rows.loc[rows["identified"], ["label", "sum", "relative"]])
    groups = pd.concat(parts).groupby("label")
    columns = {"kernels": groups.size()}
    for name in ("sum", "relative"):
        columns[f"{name}_mean"] = groups[name].mean()
        for quantile in QUANTILES:
            columns[f"{name}_q{round(100 * quantile):02d}"] = groups[name].quantile(quantile)
    return pd.DataFrame(columns).reset_index()

"""Why kernels are not identified, and how many kernels each reason accounts for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelatlas.names import DEGENERATE, NO_NAME, OTHER, REASONS, SEEDS_DISAGREE, TOO_FAR

if TYPE_CHECKING:  # jobs that label kernels do without pandas
    import pandas as pd

# Columns of tables that count kernels by reason. Degenerate kernels have a label of their own.
COUNTS = {"too_far": TOO_FAR, "no_name": NO_NAME, "seeds_disagree": SEEDS_DISAGREE}


def reasons(
    label: np.ndarray, agreement: np.ndarray, dissimilarity: np.ndarray, threshold: float
) -> np.ndarray:
    """Tell why kernels are not identified.

    Of several reasons, the first in the order of `kernelatlas.names.REASONS` is given: a kernel
    without a shape has no reconstruction, the name of a reconstruction tells nothing about a kernel
    that is far from it, and seeds can only agree on a name.

    Parameters
    ----------
    label, agreement, dissimilarity : ndarray of shape (n,)
        As in the label table; of degenerate kernels only the label counts.
    threshold
        Dissimilarities must be below it.

    Returns
    -------
    ndarray of shape (n,), object
        One of `kernelatlas.names.REASONS`, or None for identified kernels
        (`kernelatlas.clustering.labels.Votes.identified`).
    """
    found = np.full(len(label), None, dtype=object)
    # The first reason is written last.
    found[~(agreement > 0.5)] = SEEDS_DISAGREE
    found[label == OTHER] = NO_NAME
    found[~(dissimilarity < threshold)] = TOO_FAR
    found[label == DEGENERATE] = DEGENERATE
    return found


def with_reasons(labels: "pd.DataFrame") -> "pd.DataFrame":
    """Return a label table with a column of truth values for each of `COUNTS`, to be summed."""
    return labels.assign(**{name: labels["reason"] == reason for name, reason in COUNTS.items()})


def composition(labels: "pd.DataFrame", by: Sequence[str]) -> "pd.DataFrame":
    """Count kernels, those identified, and those with each reason by group and label.

    Parameters
    ----------
    labels
        Columns `by`, label, identified and reason.
    """
    sums: dict[str, Any] = {name: (name, "sum") for name in COUNTS}
    groups = with_reasons(labels).groupby([*by, "label"], observed=True, sort=True)
    counts = groups.agg(kernels=("identified", "size"), identified=("identified", "sum"), **sums)
    return counts.reset_index()


def shares_by_reason(composition: "pd.DataFrame", by: Sequence[str]) -> "pd.DataFrame":
    """Return per group the percentage of its kernels with each of `kernelatlas.names.REASONS`.

    Parameters
    ----------
    composition
        Columns `by`, label, kernels, and those of `COUNTS`.
    """
    degenerate = composition["kernels"].where(composition["label"].astype(str) == DEGENERATE, 0)
    counts = composition[list(COUNTS)].rename(columns=COUNTS)
    counts.insert(0, DEGENERATE, degenerate)
    keys = [composition[name] for name in by]
    total = composition["kernels"].groupby(keys, observed=True).sum()
    sums = counts.groupby(keys, observed=True).sum()[list(REASONS)]
    return 100 * sums.div(total.where(total > 0, 1), axis=0)

"""Summaries of the kernels of many networks, of which one is in memory at a time."""

from collections.abc import Iterable

import pandas as pd


def grouped(
    networks: Iterable[pd.DataFrame], by: list[str], **columns: tuple[str, str]
) -> pd.DataFrame:
    """Summarise groups of kernels.

    Parameters
    ----------
    networks
        The kernels of each network; no group is of two networks.
    by
        Keys of the groups.
    columns
        Of the table: of which column, and how, as `DataFrameGroupBy.agg` takes them. Means and
        medians are of float32.

    Returns
    -------
    DataFrame
        A row for each group, sorted by the keys.
    """
    floats = {name: of for name, (of, how) in columns.items() if how in ("mean", "median")}
    # Without masks, pandas sums sorted groups in another precision than others.
    masked = dict.fromkeys(floats.values(), "Float32")
    parts = [
        kernels.astype(masked).groupby(by, sort=True).agg(**columns).reset_index()
        for kernels in networks
    ]
    table = pd.concat(parts).sort_values(by, ignore_index=True)
    return table.astype(dict.fromkeys(floats, "float32"))

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
        The kernels of each network; no group is of two networks. Keys that are categories become
        texts.
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
    sources: dict[str, list[str]] = {}
    for of, how in columns.values():
        sources.setdefault(how, []).append(of)
    parts = []
    for kernels in networks:
        groups = kernels.astype(masked).groupby(by, sort=True, observed=True)
        # Each at once of all columns: a call for each column takes longer than what it sums.
        found = {how: getattr(groups[names], how)() for how, names in sources.items()}
        values = {
            name: found[how] if how == "size" else found[how][of]
            for name, (of, how) in columns.items()
        }
        part = pd.DataFrame(values).reset_index()
        names = [name for name in by if isinstance(part[name].dtype, pd.CategoricalDtype)]
        parts.append(part.astype(dict.fromkeys(names, "str")))
    table = pd.concat(parts).sort_values(by, ignore_index=True)
    return table.astype(dict.fromkeys(floats, "float32"))

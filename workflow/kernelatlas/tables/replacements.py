"""Tests of networks with replaced kernels, of all networks together."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def gathered(paths: Iterable[str | Path], models: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return the tables of several models as one, with the family of each in front.

    Parameters
    ----------
    paths
        Parquet files with a column model.
    models
        Name and family of each model, and what else there is.
    """
    table = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    family = {name: family for name, family, *_ in models}
    table.insert(0, "family", table["model"].map(family))
    return table

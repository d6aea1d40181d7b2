"""Networks of the zoo that are in no result, because their checkpoints could not be read."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kernelatlas.running.files import metadata_of

COLUMNS = {"family": "str", "model": "str", "trained": "bool", "reason": "str"}


def left_out_table(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    """List the networks whose kernel tables say that they were left out.

    Parameters
    ----------
    paths
        Kernel tables.
    models
        name, family, trained and training data of the model of each path.

    Returns
    -------
    DataFrame
        A row for each; columns as in results/README.md.
    """
    rows = [
        (family, name, trained, reason)
        for path, (name, family, trained, *_) in zip(paths, models, strict=True)
        if (reason := metadata_of(path).get("skipped"))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

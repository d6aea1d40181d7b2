"""How many kernels of which size each model has, and which sizes are studied."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.table import count_sizes

log = logging.getLogger(__name__)


def size_table(
    paths: Sequence[str | Path],
    models: Sequence[Sequence],
    kernel_sizes: Sequence[int],
    minimum: int,
) -> pd.DataFrame:
    """Count the kernels of kernel tables by model and size.

    Parameters
    ----------
    models
        name, family, trained and training data of the model of each path.
    kernel_sizes, minimum
        A square size is studied if it is listed and trained models have this many
        usable kernels of it: not degenerate, of layers that are depthwise for sure.

    Raises
    ------
    KernelAtlasError
        If no size is studied.
    """
    counts = _count(paths, models)
    usable = counts[counts["trained"] & (counts["kh"] == counts["kw"])]
    sums = usable["usable"].groupby(usable["kh"]).sum()
    enough = {k for k in kernel_sizes if sums.get(k, 0) >= minimum}
    for k in sorted(set(kernel_sizes) & set(sums.index) - enough):
        log.warning("%dx%d: %d usable kernels, %d needed: passed over", k, k, sums[k], minimum)
    if not enough:
        found = ", ".join(f"{k}x{k}: {n}" for k, n in sums.items()) or "none"
        raise KernelAtlasError(
            f"no kernel size to study: kernel_sizes is {list(kernel_sizes)}, minimum_kernels is "
            f"{minimum}, usable square kernels in the zoo's trained models: {found}; add models "
            "or change the config"
        )
    return _with_studied(counts, enough)


def size_table_of_others(
    paths: Sequence[str | Path], models: Sequence[Sequence], zoo: str | Path
) -> pd.DataFrame:
    """Count the kernels of models outside the zoo; studied is what is studied of the zoo.

    Parameters
    ----------
    models
        As in `size_table`.
    zoo
        Path of the zoo's table.
    """
    known = pd.read_parquet(zoo)
    return _with_studied(_count(paths, models), set(known.loc[known["studied"], "kh"]))


def _count(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    return pd.concat(
        [
            count_sizes(path).assign(family=family, trained=trained)
            for path, (_, family, trained, *_) in zip(paths, models, strict=True)
        ],
        ignore_index=True,
    )


def _with_studied(counts: pd.DataFrame, sizes: set[int]) -> pd.DataFrame:
    studied = (counts["kh"] == counts["kw"]) & counts["kh"].isin(sizes)
    columns = ["family", "model", "trained", "kh", "kw", "kernels", "degenerate", "studied"]
    return counts.assign(studied=studied)[columns]


def studied_sizes(path: str | Path) -> dict[str, list[int]]:
    """Return the studied kernel sizes of each model that has any, from its written table."""
    table = pd.read_parquet(path)
    groups = table[table["studied"]].groupby("model")["kh"]
    return {str(model): sizes.tolist() for model, sizes in groups}

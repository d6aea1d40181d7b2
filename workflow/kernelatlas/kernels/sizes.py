"""How many kernels of which size each model has, and which sizes are studied."""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.table import count_sizes
from kernelatlas.running.progress import tracked

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
        doubtful = int((usable["kernels"] - usable["degenerate"] - usable["usable"]).sum())
        if doubtful:
            found += (
                f"; {doubtful} more are of layers that are perhaps not depthwise "
                "(`depthwise: true` in the zoo if they are)"
            )
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


def surely_studied(
    counts: Iterable[Mapping[tuple[int, int], int]], kernel_sizes: Sequence[int], minimum: int
) -> set[int] | None:
    """Return the sizes that `size_table` will study, before the kernels are read.

    Parameters
    ----------
    counts
        Kernels by height and width of each trained model, those among them that are not usable.

    Returns
    -------
    set of int, or None
        None if it is not sure: some size has enough kernels, but fewer than twice as many.
    """
    sums: Counter[tuple[int, int]] = Counter()
    for known in counts:
        sums.update(known)
    enough = {k for k in kernel_sizes if sums[k, k] >= minimum}
    return None if any(sums[k, k] < 2 * minimum for k in enough) else enough


def _count(paths: Sequence[str | Path], models: Sequence[Sequence]) -> pd.DataFrame:
    of_models = list(zip(paths, models, strict=True))
    return pd.concat(
        [
            count_sizes(path).assign(family=family, trained=trained)
            for path, (_, family, trained, *_) in tracked(of_models, "kernel sizes", "networks")
        ],
        ignore_index=True,
    )


def _with_studied(counts: pd.DataFrame, sizes: set[int]) -> pd.DataFrame:
    studied = (counts["kh"] == counts["kw"]) & counts["kh"].isin(sizes)
    columns = ["family", "model", "trained", "kh", "kw", "kernels", "degenerate", "studied"]
    return counts.assign(studied=studied)[columns]


def sizes_of(path: str | Path, models: Iterable[str]) -> list[int]:
    """Return the sorted studied kernel sizes that any of these models has, from a written table."""
    sizes, studied = _square_sizes(str(path), os.stat(path).st_mtime_ns)
    return sorted({k for name in models for k in sizes.get(name, ())} & studied)


def models_with(path: str | Path, k: int, models: Iterable[str]) -> list[str]:
    """Return those of the models that have k×k kernels, studied or not, from a written table."""
    sizes, _ = _square_sizes(str(path), os.stat(path).st_mtime_ns)
    return [name for name in models if k in sizes.get(name, ())]


def sides_of_models(path: str | Path) -> dict[str, set[int]]:
    """Return the sides of the square kernels of each model in a written table; none without it."""
    return _square_sizes(str(path), os.stat(path).st_mtime_ns)[0] if Path(path).is_file() else {}


def counted(path: str | Path) -> tuple[set[str], set[int]]:
    """Return all models in a written table, and the sides of their square kernels.

    Without the table there are none.
    """
    if not Path(path).is_file():
        return set(), set()
    table = pd.read_parquet(path)
    return set(table["model"]), set(table.loc[table["kh"] == table["kw"], "kh"])


# Read once for as long as the file stays as it is: every job of every model asks.
@functools.cache
def _square_sizes(path: str, changed: int) -> tuple[dict[str, set[int]], set[int]]:
    table = pd.read_parquet(path)
    square = table[table["kh"] == table["kw"]]
    sizes = {str(model): set(found) for model, found in square.groupby("model")["kh"]}
    return sizes, set(square.loc[square["studied"], "kh"])

"""Which zoo the results in a folder are of."""

import os
from collections.abc import Sequence
from pathlib import Path

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import remember, remembered

SHOWN = 4  # files that a message names


def refuse_another_zoo(
    folder: str | os.PathLike[str], left_over: Sequence[str], zoo: str, memory: str | Path
) -> str | None:
    """Return a warning about results that are not of a zoo, None if there are none.

    Parameters
    ----------
    folder
        Of the results.
    left_over
        Files in it that are not of this zoo, as `Targets.left_over` returns them.
    zoo
        The path of the zoo file.
    memory
        A JSON file in which the zoo of each folder is remembered.

    Raises
    ------
    KernelAtlasError
        If the folder is that of another zoo file, whose tables and figures would be overwritten.
    """
    zoos = remembered(memory)
    if not left_over:
        if zoos.get(str(folder)) != zoo:
            remember(memory, {**zoos, str(folder): zoo})
        return None
    files = f"{len(left_over)} files" if len(left_over) > 1 else "a file"
    named = ", ".join(left_over[:SHOWN]) + (", …" if len(left_over) > SHOWN else "")
    told = (
        f"{folder}: has {files} of models, families or sizes that {zoo} does not have ({named}): "
    )
    former = zoos.get(str(folder))
    if former not in (None, zoo):
        raise KernelAtlasError(
            f"{told}it is the folder of the zoo {former}, whose tables and figures would be "
            "overwritten: name another with `results`, as in --config "
            f"results={folder}_{Path(zoo).stem}, or delete it; its folder `kernels` may stay"
        )
    return (
        f"{told}delete them, lest they are taken for results of this zoo, or name a folder for "
        "each zoo (`results` in the config)"
    )

"""The page of the explorer, which is the same for every zoo."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from kernelatlas.running.files import keep_only, whole

DATA, INDEX = "data", "index.json"  # folder beside the page, and what is written in it last
VERSION = 1  # of the data that the page reads


def write_page(files: Mapping[str, str | Path], folder: str | Path) -> None:
    """Copy the files of the page, and remove those that it no longer has.

    Parameters
    ----------
    files
        Their paths by their names in the explorer.
    folder
        Of the explorer; its data stay as they are.

    Raises
    ------
    KernelAtlasError
        If the folder cannot be written.
    """
    folder = Path(folder)
    kept = {folder / name for name in files}
    for present in folder.iterdir() if folder.is_dir() else ():
        if present.name != DATA:
            keep_only(kept, present)
    for name, path in files.items():
        with whole(folder / name) as partial:
            shutil.copyfile(path, partial)


def lost(data: str | Path) -> list[str]:
    """Return the files of the explorer's data that are missing, or not as long as written.

    None without an index, which is written last.
    """
    folder = Path(data)
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        expected = index["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    found = []
    for name, size in expected.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            found.append(name)
    return found

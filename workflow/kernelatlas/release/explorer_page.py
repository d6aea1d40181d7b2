"""The page of the explorer, which is the same for every zoo."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from kernelatlas.running.files import whole

DATA = "data"  # folder beside the page


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
    for path in sorted(folder.rglob("*"), reverse=True):  # folders after what is in them
        name = path.relative_to(folder)
        if name.parts[0] == DATA or name.as_posix() in files:
            continue
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    for name, path in files.items():
        with whole(folder / name) as partial:
            shutil.copyfile(path, partial)

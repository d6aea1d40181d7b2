"""The folder of a release, whose files are checked against its manifest."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelatlas.errors import KernelAtlasError, suggest
from kernelatlas.release.release import REMEDY, read_manifest
from kernelatlas.running.files import sha256


class Folder:
    """The files of a release, each checked when it is first used.

    Attributes
    ----------
    path
        The folder of the release.
    manifest
        The content of manifest.json: settings, models and files.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        self._checked: set[str] = set()

    def file(self, name: str) -> Path:
        """Check a file, such as masterkeys/k7.safetensors, and return its path.

        Raises
        ------
        KernelAtlasError
            If the release has no such file, or it is missing or altered.
        """
        files, path = self.manifest["files"], self.path / name
        if name not in files:
            raise KernelAtlasError(
                f"{self.path}: the release has no file {name!r}: "
                + suggest(name, files, "see files in its manifest.json")
            )
        if name not in self._checked:
            expected = files[name]
            try:
                inside = path.resolve(strict=True).is_relative_to(self.path.resolve())
                size = path.stat().st_size if inside and path.is_file() else None
                valid = size == expected["bytes"] and sha256(path) == expected["sha256"]
            except FileNotFoundError as error:
                raise KernelAtlasError(f"{path}: missing from the release: {REMEDY}") from error
            except OSError as error:
                raise KernelAtlasError(
                    f"{path}: cannot be read ({error.strerror or error}): check the file"
                ) from error
            if not valid:
                raise KernelAtlasError(
                    f"{path}: altered or damaged: {size} bytes where the manifest has "
                    f"{expected['bytes']}, or another SHA-256: {REMEDY}"
                )
            self._checked.add(name)
        return path

    def verify(self) -> None:
        """Check every file.

        Raises
        ------
        KernelAtlasError
            As `file`, for the first file that is missing or altered.
        """
        for name in sorted(self.manifest["files"]):
            self.file(name)

    def read(self, name: str, read: Callable[[Path], Any]) -> Any:
        """Return what `read` makes of a file.

        Raises
        ------
        KernelAtlasError
            As `file`, and if the file cannot be interpreted.
        """
        path = self.file(name)
        try:
            return read(path)
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            RuntimeError,
            KernelAtlasError,
        ) as error:
            found = " ".join(str(error).split())[:200]
            raise KernelAtlasError(
                f"{path}: cannot be interpreted ({found}): use the version of Kernel Atlas that "
                f"made the release, {self.manifest.get('version')}, or download it again"
            ) from error

"""Weights inside installed Python packages, found by the packages' metadata and never imported."""

import base64
import functools
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import sha256


@dataclass(frozen=True)
class Packaged:
    """A file of an installed package.

    Attributes
    ----------
    package, file
        Name of the package, and of the file as the package's metadata lists it.
    version
        Version of the package.
    sha256
        Digest of the file when it was installed; None where the package does not tell.
    """

    package: str
    file: str
    version: str
    sha256: str | None


@functools.cache
def find(package: str, file: str) -> Packaged:
    """Return a file of an installed package.

    Raises
    ------
    KernelAtlasError
        If there is no such package, or no such file in it.
    """
    installed = _installed(package)
    files = _files(installed)
    for entry in files:
        if str(entry) == file:
            digest = None
            if entry.hash is not None and entry.hash.mode == "sha256":
                padded = entry.hash.value + "=" * (-len(entry.hash.value) % 4)
                digest = base64.urlsafe_b64decode(padded).hex()
            return Packaged(package, file, installed.version, digest)
    weights = (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".tflite", ".h5", ".keras", ".npz")
    there = [str(entry) for entry in files if entry.suffix in weights]
    raise KernelAtlasError(
        f"the package {package} {installed.version} has no file '{file}'; files of weights in it: "
        f"{', '.join(there[:5]) or 'none'}: correct `file`"
    )


def path_of(package: str, file: str) -> Path:
    """Return where a file of an installed package lies.

    Raises
    ------
    KernelAtlasError
        As `find`.
    """
    find(package, file)
    return Path(str(_installed(package).locate_file(file)))


def checked_path(model: str, packaged: Packaged) -> tuple[Path, str]:
    """Return where the file of a model lies, and its SHA-256 digest.

    Raises
    ------
    KernelAtlasError
        If it is no longer the file that was installed, or as `find`.
    """
    path = path_of(packaged.package, packaged.file)
    digest = sha256(path)
    if packaged.sha256 not in (None, digest):
        raise KernelAtlasError(
            f"{model}: {path} is not the file that {packaged.package} {packaged.version} installed "
            f"(SHA-256 {digest}, not {packaged.sha256}): install the package again"
        )
    return path, digest


def license_of(package: str) -> str | None:
    """Return a package's licence as its metadata has it, else the first line of its licence file.

    Raises
    ------
    KernelAtlasError
        If there is no such package.
    """
    installed = _installed(package)
    for field in ("License-Expression", "License"):
        value = installed.metadata.get(field, "UNKNOWN")
        if value != "UNKNOWN":
            return value.splitlines()[0]
    for entry in _files(installed):
        if entry.name.upper().startswith(("LICENSE", "LICENCE")):
            lines = entry.read_text().split("\n")
            return next((line.strip() for line in lines if line.strip()), None)
    return None


def _files(installed: Distribution) -> list[PackagePath]:
    """Return the files that a package's record lists, without those that it puts elsewhere."""
    return [
        entry
        for entry in installed.files or ()
        if ".." not in entry.parts and not entry.is_absolute()
    ]


def _installed(package: str) -> Distribution:
    try:
        return distribution(package)
    except PackageNotFoundError as error:
        raise KernelAtlasError(
            f"no package '{package}' is installed: `pip install {package}`, or remove the entry"
        ) from error

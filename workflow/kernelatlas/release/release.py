"""A release: the results of the workflow on a zoo, in one folder that can be archived.

Besides the results it has a data card (README.md), checksums for `sha256sum -c` (SHA256SUMS) and
a manifest. The manifest is written last: a folder without one is not a release.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.release.card import FOLDERS, data_card
from kernelatlas.running.files import LABELS_VERSION, keep_only, metadata_of, sha256, whole
from kernelatlas.sources.registry import TAGS

MANIFEST, CARD, SUMS = "manifest.json", "README.md", "SHA256SUMS"
ORIGIN = ("source", "commit", "sha256", "etag", "skipped")  # of a kernel table's metadata
EXPLORER = "explorer/"
REMEDY = "delete its folder and make it again (`snakemake release`), or download it again"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")  # a relative path without `..`
DIGEST = re.compile(r"[0-9a-f]{64}")


def write_release(
    folder: str | Path,
    files: Iterable[str | Path],
    kernels: Sequence[str | Path],
    models: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
    dictionary: str | Path,
) -> None:
    """Write the card, the checksums and the manifest of a release. Equal files give equal bytes.

    Other files in the folders of `FOLDERS`, from an earlier release, are removed.

    Parameters
    ----------
    folder
        Of the release.
    files
        Those that are released, in `folder`; tables/models.parquet is one of them. If some are of
        the explorer, all of its files are.
    kernels
        The kernel table of each model, of which only the metadata is used: none is released.
    models
        Name, family, whether trained, and training data of the model of each kernel table.
    settings
        kernel_sizes, seeds, thresholds, clusters, r2, and any others to document.
    dictionary
        results/README.md: its sections about the released folders are copied to the card.

    Raises
    ------
    KernelAtlasError
        If `dictionary` has no section about a released folder, or a file cannot be written.
    """
    folder = Path(folder)
    sources = {Path(file).relative_to(folder).as_posix(): Path(file) for file in files}
    if any(name.startswith(EXPLORER) for name in sources):
        every = (path for path in (folder / EXPLORER).rglob("*") if path.is_file())
        sources |= {path.relative_to(folder).as_posix(): path for path in every}
    sources = dict(sorted(sources.items()))
    zoo = [
        {"name": name, "family": family, "trained": bool(trained), "trained_on": data}
        | _origin(path)
        for path, (name, family, trained, data) in zip(kernels, models, strict=True)
    ]
    card = data_card(zoo, sources, settings, Path(dictionary))

    (folder / MANIFEST).unlink(missing_ok=True)
    _remove_others(folder, sources)
    _write(folder / CARD, card)
    entries = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in (CARD, *sources)
    }
    content = {
        "version": __version__,
        "schema_version": LABELS_VERSION,
        "settings": settings,
        "models": zoo,
        "files": entries,
    }
    manifest = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    digests = {name: str(entry["sha256"]) for name, entry in entries.items()}
    digests[MANIFEST] = hashlib.sha256(manifest.encode()).hexdigest()
    _write(folder / SUMS, "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)))
    _write(folder / MANIFEST, manifest)


def _write(path: Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _remove_others(folder: Path, names: Iterable[str]) -> None:
    kept = {folder / name for name in names}
    for part in FOLDERS:
        keep_only(kept, folder / part)


def _origin(kernels: str | Path) -> dict[str, str]:
    metadata = metadata_of(kernels)
    found = {key: metadata[key] for key in ORIGIN if metadata.get(key)}
    of_hub = _licences().get(str(PurePosixPath(metadata.get("source", "")).parent))
    licence = metadata.get("license") or of_hub
    return found | ({"licence": licence} if licence else {})


def _licences() -> dict[str, str]:
    """Return the licences of timm's repositories, as the hub states them."""
    rows = pq.read_table(TAGS, columns=["hub", "license"]).to_pylist()
    return {row["hub"]: row["license"] for row in rows if row["hub"] and row["license"]}


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of a release; every file that it names is inside the folder.

    Raises
    ------
    KernelAtlasError
        If there is none, or it is damaged, of another version, or names a file elsewhere.
    """
    path = Path(folder) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        settings, files = content["settings"], content["files"]
        valid = (
            all(type(e["bytes"]) is int and DIGEST.fullmatch(e["sha256"]) for e in files.values())
            and all(type(model["name"]) is str for model in content["models"])
            and all(type(k) is int for k in [*settings["seeds"], *settings["kernel_sizes"]])
            and -1 <= settings["clusters"]["minimum_cosine"] <= 1
            and all(k.isdecimal() and v >= 0 for k, v in settings["thresholds"].items())
            and len(settings["thresholds"]) > 0
            and len(settings["seeds"]) > 0
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise KernelAtlasError(
            f"{folder}: not a release (it has no {MANIFEST}, which is written last): "
            "run `snakemake release`, or name the folder of a release"
        ) from error
    except OSError as error:
        raise KernelAtlasError(f"{path}: cannot be read ({error.strerror}): check it") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise KernelAtlasError(f"{path}: not the manifest of a release: {REMEDY}") from error
    if not valid:
        raise KernelAtlasError(f"{path}: damaged manifest of a release: {REMEDY}")
    if version != LABELS_VERSION:
        raise KernelAtlasError(
            f"{path}: has schema version {version!r}; Kernel Atlas {__version__} reads version "
            f"{LABELS_VERSION}: use the version of Kernel Atlas that made the release"
        )
    for name in files:
        if not NAME.fullmatch(name):
            raise KernelAtlasError(
                f"{path}: names the file {name[:100]!r}, which is not inside the release: "
                "do not use this release; download it again from its publisher"
            )
    return content

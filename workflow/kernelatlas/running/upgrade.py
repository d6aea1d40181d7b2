"""Configuration keys and results of earlier versions of Kernel Atlas."""

from os import PathLike
from pathlib import Path
from typing import Any

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import LABELS_VERSION, SCHEMA_VERSION, metadata_of

REPLACED = {
    "autoencoder.epochs": "the length of training is set by autoencoder.steps: remove it",
    "autoencoder.curve_points": "the curve has autoencoder.points points: remove it",
    "clusters.price": "the curve is no longer cut into segments: remove it",
}


def refuse_replaced(config: dict[str, Any], file: str) -> None:
    """Refuse configuration keys of earlier versions.

    Raises
    ------
    KernelAtlasError
        Names the file, the key and what replaced it.
    """
    for key, remedy in REPLACED.items():
        section, name = key.split(".")
        values = config.get(section)
        if isinstance(values, dict) and name in values:
            raise KernelAtlasError(f"{file}: {key}: {values[name]!r}: no longer a key: {remedy}")


def outdated(results: str | PathLike[str]) -> str | None:
    """Return a warning about results of an earlier version, None if there are none."""
    folder = Path(results)
    tables = sorted((folder / "labels").glob("[!.]*.parquet"))[:1]
    found = [metadata_of(path).get("schema_version", 1) for path in tables]
    if not found or found[0] >= LABELS_VERSION:
        return None
    told = (
        f"{folder}: results of an earlier version of Kernel Atlas, whose tables lack columns: "
        + (
            "checkpoints will be read again and all that follows made again"
            if found[0] < SCHEMA_VERSION
            else "labels will be made again, and what follows from them"
        )
    )
    if any((folder / "clusters").glob("k*_seed*.parquet")):
        told += (
            f". Clusters by seed ({folder}/clusters/k*_seed*.parquet) are no longer used: delete "
            "them"
        )
    return told

"""How many kernels of which size networks have, as far as it is known before they are read."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from kernelatlas.kernels.layer import depthwise_shape
from kernelatlas.running.files import metadata_of
from kernelatlas.sources.registry import sizes_by_architecture
from kernelatlas.sources.zoo import Model

Counts = Mapping[tuple[int, int], int]  # number of kernels by height and width


def expected_counts(
    models: Iterable[Model],
    tables: str | Path,
    read_recipe: Callable[[str], Mapping[str, Any]],
    digest: Callable[[Model], str | None],
) -> dict[str, Counts]:
    """Return the kernels of the networks of which it is known, degenerate ones among them.

    Known are, in this order: networks with an architecture of timm, which the extraction compares
    with the registry; networks that were trained here, whose files hold their recipe; untrained
    networks of the same recipe; and networks with a kernel table.

    Parameters
    ----------
    tables
        Folder of the kernel tables.
    read_recipe
        As `kernelatlas.training.recipes.read_recipe`.
    digest
        Returns the digest of the files of a network, None if it has none. A table of another digest
        tells nothing.
    """
    models = list(models)
    registered = sizes_by_architecture()
    found: dict[str, Counts] = {}
    by_recipe: dict[str, Counts] = {}
    for model in models:
        timm = model.architecture or (None if model.arguments else model.init)
        if timm in registered and not model.fused:
            found[model.name] = registered[timm]
        elif model.file and not model.fused and (own := _trained_here(model.file)):
            recipe, found[model.name] = own
            by_recipe[recipe] = found[model.name]
    for model in models:
        if model.recipe and (known := by_recipe.get(_architecture(read_recipe(model.recipe)))):
            found[model.name] = known
        elif model.name not in found:
            table = Path(tables) / f"{model.name}.parquet"
            if (counted := _of_table(table, digest(model))) is not None:
                found[model.name] = counted
    return found


def _architecture(recipe: Mapping[str, Any]) -> str:
    known = recipe["architecture"], recipe.get("arguments", {})
    return json.dumps(known, sort_keys=True)


def _trained_here(path: str) -> tuple[str, Counts] | None:
    """Return the architecture in the recipe that a file holds, and its kernels; None without."""
    try:
        with safe_open(path, "np") as file:
            recipe = json.loads(file.metadata()["kernelatlas"])["recipe"]
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        return _architecture(recipe), _sums(s for s in shapes if depthwise_shape(s))
    except (OSError, SafetensorError, ValueError, LookupError, TypeError):
        return None  # the extraction tells what is wrong, if it is


def _sums(shapes: Iterable[list[int]]) -> Counts:
    counts: Counter[tuple[int, int]] = Counter()
    for channels, _, kh, kw in shapes:
        counts[kh, kw] += channels
    return dict(counts)


def _of_table(path: Path, digest: str | None) -> Counts | None:
    """Return the kernels of a kernel table; None if there is none of this digest."""
    try:
        if digest and metadata_of(path).get("sha256") != digest:
            return None
        with pq.ParquetFile(path) as file:
            rows = file.read(["kh", "kw"])
    except (OSError, pa.ArrowException):
        return None
    pairs = zip(rows["kh"].to_pylist(), rows["kw"].to_pylist(), strict=True)
    return dict(Counter(pairs))


def other_sizes(expected: Mapping[str, Counts], found: Mapping[str, set[int]]) -> str | None:
    """Return an error about a network whose square kernels are of other sizes than expected.

    Parameters
    ----------
    found
        The sides of its square kernels by network; empty for one that was left out.
    """
    for name, sizes in found.items():
        planned = {kh for kh, kw in expected.get(name, {}) if kh == kw}
        if sizes and name in expected and sizes != planned:
            return (
                f"{name}: has square kernels of {_text(sizes)} pixels, where "
                f"{_text(planned)} were expected from its former kernel table: run again"
            )
    return None


def _text(sizes: set[int]) -> str:
    return ", ".join(map(str, sorted(sizes))) or "no"

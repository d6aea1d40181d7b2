"""The data of the explorer: every kernel of a zoo in arrays, of which a page reads parts."""

import contextlib
import errno
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas import __version__, names
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import threshold
from kernelatlas.clustering.shares import UNIDENTIFIED
from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import style
from kernelatlas.release.explorer_arrays import SCORED, Writer
from kernelatlas.release.explorer_page import INDEX, VERSION
from kernelatlas.release.explorer_rows import Agreements
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_size import COUNTED, Kernels, Study
from kernelatlas.release.explorer_tables import MAKE, Network, Size, read
from kernelatlas.running.files import SCHEMA_VERSION, whole
from kernelatlas.running.progress import tracked

SHARES = ["model", "k", "kernels", "degenerate", "share_identified", "low", "high"]
NULLS = {"family": "family", "set": "kind", "kernels": "kernels", "share": "share_identified",
         "low": "low", "high": "high"}  # fmt: skip


def write_data(
    folder: str | Path,
    networks: Sequence[Network],
    clusters: Sequence[str | Path],
    curves: Sequence[str | Path],
    shares: Shares,
    nulls: Mapping[int, str | Path],
    r2: float,
) -> None:
    """Write the data of a zoo's explorer; whatever the folder held is removed.

    The index is written last: a folder without one is not whole. Equal tables give equal bytes.

    Parameters
    ----------
    folder
        For index.json, networks/ and a folder of arrays for each size.
    networks
        In the order of the zoo.
    clusters
        Cluster tables of the sizes that are studied.
    curves
        Autoencoders of these sizes and all seeds.
    shares
        The tables models, shapes and layers.
    nulls
        The tables nulls_k{k} by k.
    r2
        From which a fit describes a kernel.

    Raises
    ------
    KernelAtlasError
        If tables do not belong together, or the disk is full.
    """
    folder = Path(folder)
    networks = _by_family(networks)
    rule = _one_rule(networks)
    sizes = _count(networks, _studies(clusters, curves, rule))
    agreements = Agreements.of(len(rule["seeds"] or [0]))
    with _told(folder):
        (folder / INDEX).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        _write_arrays(folder, networks, sizes, agreements, shares)
    index = {
        "version": VERSION,
        "tool": __version__,
        "seeds": rule["seeds"] or [],
        "minimum_cosine": rule["minimum_cosine"],
        "r2": r2,
        "agreement": {"levels": agreements.shares, "most": agreements.most},
        "labels": list(names.LABELS),
        "shapes": list(names.SHAPES),
        "colours": _colours(),
        "kernel_map": style.KERNEL_MAP(np.arange(256), bytes=True)[:, :3].tolist(),
        "families": list(dict.fromkeys(network.family for network in networks)),
        "networks": [
            {
                "name": network.name,
                "family": network.family,
                "trained": bool(network.trained),
                "trained_on": network.trained_on or None,
                "kernels": sum(layer.channels for layer in network.layers),
                "skipped": network.origin.get("skipped"),
            }
            for network in networks
        ],
        "shares": _records(read(shares.models, SHARES).to_pandas()),
        "nulls": [row for k, path in sorted(nulls.items()) for row in _null_shares(k, path)],
        "sizes": {kernels.name: kernels.describe() for kernels in sizes.values()},
        "files": {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    _write_json(folder / INDEX, index)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say in a line that the disk is full or cannot be written."""
    try:
        yield
    except OSError as error:
        told = f"{folder}: cannot be written ({error.strerror or error}): check disk and folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = f"{folder}: no space left on the disk: free some and run again"
        raise KernelAtlasError(told) from error


def _by_family(networks: Sequence[Network]) -> list[Network]:
    families = list(dict.fromkeys(network.family for network in networks))
    return sorted(networks, key=lambda network: families.index(network.family))


def _one_rule(networks: Sequence[Network]) -> dict[str, Any]:
    """Return how labels were made, the same for all networks."""
    first, *others = networks
    for network in others:
        if network.rule != first.rule:
            raise KernelAtlasError(
                f"{network.labels}: made with other seeds or thresholds than {first.labels} "
                f"({network.rule}, not {first.rule}): {MAKE}"
            )
    return first.rule


def _studies(
    clusters: Sequence[str | Path], curves: Sequence[str | Path], rule: dict[str, Any]
) -> dict[Size, Study]:
    loaded = [Curve.load(path) for path in curves]
    found = {}
    for path in clusters:
        table = read(Path(path), None, SCHEMA_VERSION).to_pandas()
        k = int(table["k"].iloc[0])
        own = {curve.seed: curve for curve in loaded if curve.k == k}
        if missing := set(rule["seeds"]) - set(own):
            raise KernelAtlasError(f"no autoencoder of {k}×{k} kernels and seed {min(missing)}")
        found[k, k] = Study(
            table,
            [own[seed] for seed in rule["seeds"]],
            threshold(k, rule["thresholds"]),
            rule["minimum_cosine"],
        )
    return found


def _count(networks: Sequence[Network], studies: Mapping[Size, Study]) -> dict[Size, Kernels]:
    """Read all tables for the first time."""
    sizes = {}
    for size in sorted({size for network in networks for size in network.sizes}):
        sizes[size] = Kernels(size, studies.get(size))
    for number, network in tracked(list(enumerate(networks)), "kernels counted", "networks"):
        for size, weights, labels, fits in _tables(network, COUNTED):
            sizes[size].count(number, network, weights, labels, fits)
    return sizes


def _tables(network: Network, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    if not network.layers:
        return
    labels, fits = network.labelled(columns), network.fitted()
    for size, weights in network.weights():
        yield size, weights, labels.get(size), fits.get(size)


def _write_arrays(
    folder: Path,
    networks: Sequence[Network],
    sizes: Mapping[Size, Kernels],
    agreements: Agreements,
    shares: Shares,
) -> None:
    """Read all tables once more."""
    writers = {
        size: Writer(kernels, folder / kernels.name, agreements) for size, kernels in sizes.items()
    }
    done = dict.fromkeys(sizes, 0)
    for network in tracked(networks, "kernels written", "networks"):
        layers: dict[str, list[dict[str, Any]]] = {}
        for size, weights, labels, fits in _tables(network, SCORED):
            firsts = writers[size].add(done[size], network, weights, labels, fits)
            done[size] += 1
            layers[sizes[size].name] = [
                {
                    "name": layer.name,
                    "index": layer.index,
                    "channels": layer.channels,
                    "stride": layer.stride,
                    "dilation": layer.dilation,
                    "first": first,
                    **(shares.by_layer.get((network.name, layer.index), {}) if labels else {}),
                }
                for layer, first in zip(network.of_size(size), firsts, strict=True)
            ]
        origin = network.origin
        content = {
            "name": network.name,
            "family": network.family,
            "source": origin.get("source"),
            "commit": origin.get("commit"),
            "layers": layers,
        }
        _write_json(folder / "networks" / f"{network.name}.json", content)
    for writer in writers.values():
        writer.close(shares, [network.name for network in networks])


def _colours() -> dict[str, str]:
    """Return the colours of shapes and of reasons, those of the figures."""
    parts = {part: part for part in (*names.SHAPES, names.DEGENERATE)} | UNIDENTIFIED
    return {name: style.part_style(part)["facecolor"].lower() for name, part in parts.items()}


def _null_shares(k: int, path: str | Path) -> list[dict[str, Any]]:
    table = read(Path(path), ["model", "rule", *NULLS]).to_pandas()
    own = table[(table["rule"] == "identified") & (table["model"] == names.ALL_NETWORKS)]
    return _records(own[list(NULLS)].rename(columns=NULLS).assign(k=k))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values, None where one is empty."""
    return json.loads(table.to_json(orient="records", double_precision=15))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    with whole(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8", newline="\n")

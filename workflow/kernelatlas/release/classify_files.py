"""The command `kernelatlas classify`: labels, fits and figures for the kernels of checkpoints."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kernelatlas.clustering.reasons import composition
from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import classified, compared, style
from kernelatlas.kernels.layer import Layer
from kernelatlas.release.classification import INSTALL, Release, can_fit, load_release
from kernelatlas.release.comparison import SETS, Reference, compare, reference
from kernelatlas.release.forms import layers_of
from kernelatlas.release.summaries import shape_table, typical
from kernelatlas.running.files import sha256, write_frame
from kernelatlas.sources.source import Options

log = logging.getLogger(__name__)

TYPICAL = 8  # kernels of each label in the figure
LISTED = 8  # networks that are named in a line
SEVERAL = Path("compared_kernels")  # the default folder for the results of several files
HEADS = {
    "share": "of size k",
    "r2": "median R²",
    "function": "most frequent fit",
    "agrees": "fits of that shape",
}


def classify_files(
    paths: Sequence[Path],
    release: Path,
    output: Path | None = None,
    device: str = "auto",
    fits: bool | None = None,
    **options: Any,
) -> None:
    """Classify checkpoints, write tables and figures, and print what they show.

    Parameters
    ----------
    paths
        Checkpoints.
    release, output
        Folders; without `output` one in the working folder is made.
    device
        For the fits.
    fits
        Whether to fit functions; None for yes if PyTorch is installed.
    options
        Fields of `kernelatlas.sources.source.Options`: how to read the checkpoints.

    Raises
    ------
    KernelAtlasError
        If a file cannot be read, or as `Release.classify`.
    """
    known = load_release(release)
    if fits is None and not can_fit():
        log.warning(
            "PyTorch is not installed: analytic fits are left out; %s to have them, or say "
            "--no-fits to do without",
            INSTALL,
        )
        fits = False
    fits = fits is not False
    # All are read first: a damaged file must not cost the work on those before it.
    layers = {
        name: layers_of(path, Options(**options))
        for name, path in zip(names_of(paths), paths, strict=True)
    }
    folder = output or (SEVERAL if len(paths) > 1 else Path(f"{next(iter(layers))}_kernels"))
    _make(folder)
    references = {k: reference(known, k) for k in known.sizes}
    tables: dict[str, pd.DataFrame] = {}
    for (name, own), path in zip(layers.items(), paths, strict=True):
        table = known.classify(own, device, fits)
        if not tables:
            print("\n".join(_origins(known, references)))
        tables[name] = table
        place = folder / name if len(paths) > 1 else folder
        _make(place)
        _write(name, table, own, known, place)
        counts = (len(table), "kernel"), (table["layer"].nunique(), "layer")
        print(f"\n{path.name if len(paths) == 1 else path}:", end=" ")
        print(" in ".join(style.count(*count) for count in counts))
        print(_shapes(table))
        if own_network := _own(path, known):
            print(
                f"This is the release's own network {own_network}: its curves have seen these "
                "kernels, so that the share identified is in sample"
            )
        rows = compare({name: table}, known, references)
        print("\n".join(_beside(row, references[row.k]) for row in style.rows_of(rows)))
        for row in style.rows_of(rows[rows["farther"]]):
            log.warning("%s: %s", path, _farther(row, references[row.k]))
    written = "labels.csv, labels.parquet, shapes.pdf and shapes.png in"
    if len(paths) == 1:
        print(f"Written: {written} {folder}/")
        return
    rows = compare(tables, known, references)
    write_frame(rows, folder / "comparison.parquet", folder / "comparison.csv")
    named = pd.concat([table.assign(network=name) for name, table in tables.items()])
    page = compared.draw(rows, composition(named, ["k", "network"]), known.path.name)
    style.save(page, folder / "comparison.pdf", folder / "comparison.png")
    print(f"\n{_side_by_side(rows)}")
    print(f"Written: comparison.csv, .parquet, .pdf and .png in {folder}/; for each file {written}")
    print("\n".join(f"  {folder / name}/" for name in tables))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its own, with folders before it where others are named alike.

    Raises
    ------
    KernelAtlasError
        If a file is named twice.
    """
    parts = [path.absolute().with_suffix("").parts[1:] for path in paths]
    names = []
    for number, own in enumerate(parts):
        others = parts[:number] + parts[number + 1 :]
        length = next(
            (n for n in range(1, len(own) + 1) if all(o[-n:] != own[-n:] for o in others)), None
        )
        if length is None:
            raise KernelAtlasError(f"{paths[number]}: named twice: name each file once")
        names.append("-".join(own[-length:]))
    return names


def _own(path: Path, release: Release) -> str | None:
    """Return the network of the release that a file is, by its content."""
    trained = {
        model["sha256"]: str(model["name"])
        for model in release.manifest["models"]
        if model["trained"] and "sha256" in model
    }
    return trained.get(sha256(path)) if trained and path.is_file() else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KernelAtlasError(
            f"{folder}: cannot create this folder ({error.strerror}): choose another --output"
        ) from error


def _write(
    name: str, table: pd.DataFrame, layers: Sequence[Layer], release: Release, folder: Path
) -> None:
    write_frame(table, folder / "labels.parquet", folder / "labels.csv")
    description = {"name": name, "settings": release.manifest["settings"]}
    pages = classified.draw(table, typical(table, layers, release, TYPICAL), description)
    style.save(pages, folder / "shapes.pdf", folder / "shapes.png")


def _origins(release: Release, references: dict[int, Reference]) -> list[str]:
    """Say which networks the curves are of, in a line for each set of them."""
    sizes: dict[tuple[str, ...], list[int]] = {}
    for k, known in references.items():
        sizes.setdefault(tuple(known.networks), []).append(k)
    lines = []
    for networks, ks in sizes.items():
        listed = ", ".join(networks[:LISTED])
        if len(networks) > LISTED:
            listed += f" and {len(networks) - LISTED} more (README.md of the release)"
        counts = [f"{references[k].kernels:,} of {k}×{k}" for k in ks if references[k].kernels]
        kernels = f" ({', '.join(counts)})" if counts else ""
        lines.append(
            f"Curves of {release.path} for {style.sizes(ks)}: fitted to the kernels of "
            f"{style.count(len(networks), 'trained network')}, {listed}{kernels}"
        )
    return lines


def _shapes(table: pd.DataFrame) -> str:
    shapes = shape_table(table)
    shapes["share"] = shapes["share"].map("{:.1%}".format)
    if "r2" in shapes:
        shapes["r2"] = shapes["r2"].map("{:.2f}".format, na_action="ignore")
        shapes["agrees"] = shapes["agrees"].map("{:.0%}".format, na_action="ignore")
    return shapes.rename(columns=HEADS).to_string(index=False, na_rep="")


def _percent(share: float, low: float, high: float) -> str:
    between = f" ({100 * low:.1f}–{100 * high:.1f})" if low == low else ""
    return f"{100 * share:.1f} %{between}"


def _beside(row: Any, known: Reference) -> str:
    """Say which share is identified, beside the release's own networks and its nulls."""
    text = f"{row.k}×{row.k}: {_percent(row.share_identified, row.low, row.high)} identified"
    held = known.shares.reindex([kind for kind in SETS if kind in known.shares.index])
    if held.empty:
        return f"{text}; the release has no nulls of this size to compare with"
    others = [
        f"{compared.WORDS[str(kind)]} {_percent(*share)}"
        for kind, share in zip(held.index, held.to_numpy(float), strict=True)
    ]
    return f"{text}. In the release, by curves that have not seen them: {', '.join(others)}"


def _farther(row: Any, known: Reference) -> str:
    unseen = "by curves that have not seen it" if known.unseen else "in sample"
    return (
        f"its {row.k}×{row.k} kernels lie farther from the curves than the release's own: "
        f"{_percent(row.beyond, row.beyond_low, row.beyond_high)} of them have a dissimilarity "
        f"above {row.release_greatest_median:.3f}, the greatest median of "
        f"{style.count(len(known.medians), 'network')} of the release, each {unseen}; their "
        f"own median is {row.dissimilarity_median:.3f}. Labels describe such kernels less well"
    )


def _side_by_side(rows: pd.DataFrame) -> str:
    shown = pd.DataFrame(
        {
            "k": rows["k"],
            "network": rows["network"],
            "kernels": rows["kernels"],
            "identified": [
                _percent(row.share_identified, row.low, row.high) for row in style.rows_of(rows)
            ],
            **{
                reason.replace("_", " "): (rows[reason] / rows["kernels"]).map("{:.1%}".format)
                for reason in ("too_far", "no_name", "seeds_disagree")
            },
            "median dissimilarity": rows["dissimilarity_median"].map("{:.3f}".format),
        }
    )
    return shown.to_string(index=False)

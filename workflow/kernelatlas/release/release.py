"""A release: what the workflow found of a zoo, as one folder ready for an archive.

Beside the files stand a data card (README.md), checksums for `sha256sum -c` (SHA256SUMS)
and a manifest, which is written last: a folder without one is no release.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.names import ALL_FAMILIES, NULLS
from kernelatlas.running.contract import SCHEMA_VERSION
from kernelatlas.running.files import metadata_of, whole
from kernelatlas.sources.registry import TAGS

FOLDERS = ("autoencoders", "clusters", "labels", "fits", "masterkeys", "tables")
MANIFEST, CARD, SUMS = "manifest.json", "README.md", "SHA256SUMS"
ORIGIN = ("source", "commit", "sha256", "etag")  # of a kernel table's metadata
REMEDY = "delete its folder and make it again (`snakemake release`), or download it again"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")  # neither absolute nor upwards
DIGEST = re.compile(r"[0-9a-f]{64}")


def sha256(path: str | Path) -> str:
    """Return a file's SHA-256 digest, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_release(
    folder: str | Path,
    files: Iterable[str | Path],
    kernels: Sequence[str | Path],
    models: Sequence[Sequence[Any]],
    settings: Mapping[str, Any],
    dictionary: str | Path,
) -> None:
    """Write the card, the checksums and the manifest of a release. Equal files give equal bytes.

    What an earlier release left in the folders of `FOLDERS` is removed.

    Parameters
    ----------
    folder
        Of the release.
    files
        Those that are released, in `folder`; tables/models.parquet among them.
    kernels
        The kernel table of each model, for its metadata: kernels are not released.
    models
        name, family, trained and training data of the model of each kernel table.
    settings
        kernel_sizes, seeds, thresholds, clusters, r2, and whatever else there is to know.
    dictionary
        results/README.md, whose sections on the released folders go into the card.

    Raises
    ------
    KernelAtlasError
        If a released folder has no section there, or a file cannot be written.
    """
    folder = Path(folder)
    sources = {Path(file).relative_to(folder).as_posix(): Path(file) for file in files}
    sources = dict(sorted(sources.items()))
    zoo = [
        {"name": name, "family": family, "trained": bool(trained), "trained_on": data}
        | _origin(path)
        for path, (name, family, trained, data) in zip(kernels, models, strict=True)
    ]
    card = _card(zoo, sources, settings, Path(dictionary))

    (folder / MANIFEST).unlink(missing_ok=True)
    _remove_others(folder, sources)
    _write(folder / CARD, card)
    entries = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in (CARD, *sources)
    }
    content = {
        "version": __version__,
        "schema_version": SCHEMA_VERSION,
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
        for path in (folder / part).rglob("*"):
            if path not in kept and (path.is_symlink() or not path.is_dir()):
                path.unlink()


def _origin(kernels: str | Path) -> dict[str, str]:
    metadata = metadata_of(kernels)
    found = {key: metadata[key] for key in ORIGIN if metadata.get(key)}
    licence = _licences().get(str(PurePosixPath(metadata.get("source", "")).parent))
    return found | ({"licence": licence} if licence else {})


def _licences() -> dict[str, str]:
    """Return the licences of timm's repositories, as its hub names them."""
    rows = pq.read_table(TAGS, columns=["hub", "license"]).to_pylist()
    return {row["hub"]: row["license"] for row in rows if row["hub"] and row["license"]}


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Return a release's manifest, every name in it inside the folder.

    Raises
    ------
    KernelAtlasError
        If there is none, or it is damaged or of another version.
    """
    path = Path(folder) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        settings, files = content["settings"], content["files"]
        sound = (
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
            f"{folder}: no release (it has no {MANIFEST}, which is written last): "
            "run `snakemake release`, or name the folder of a release"
        ) from error
    except OSError as error:
        raise KernelAtlasError(f"{path}: cannot be read ({error.strerror}): check it") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise KernelAtlasError(f"{path}: no manifest of a release: {REMEDY}") from error
    if not sound:
        raise KernelAtlasError(f"{path}: damaged manifest of a release: {REMEDY}")
    if version != SCHEMA_VERSION:
        raise KernelAtlasError(
            f"{path}: schema version {version!r}, and this is Kernel Atlas {__version__}, which "
            f"reads {SCHEMA_VERSION}: use the version that made the release"
        )
    for name in files:
        if not NAME.fullmatch(name):
            raise KernelAtlasError(
                f"{path}: names the file {name[:100]!r}, which is not inside the release: "
                "do not use it; download the release again from where it comes from"
            )
    return content


# --- the data card -----------------------------------------------------------------------

CARD_TEXT = """\
# Depthwise kernels of {models} networks: codes, labels, fits

A release of Kernel Atlas {version} (schema version {schema}). It holds, for every square
depthwise convolution kernel of {sizes} pixels of the networks listed below, its codes on
learned curves of kernels, a name, and the best analytic function with its parameters; and the
autoencoders, clusters and master keys themselves.

## What is in it

{folders}

`manifest.json` has the settings, the networks and every file's size and SHA-256;
`sha256sum -c SHA256SUMS` checks them all. Parquet is read with pandas or any Arrow library,
safetensors with the library of that name. Lists are row-major: a kernel's first row is its top.

**The kernels are not in it.** They belong to the checkpoints that the table of networks
names; the key (model, layer, channel) leads to each, and `snakemake --cores all all` extracts them.

## How it was made

1. Every depthwise kernel of each network was read from its checkpoint, centred and scaled:
   (w − mean w) / ‖w − mean w‖. Constant or non-finite kernels are degenerate: listed, never
   identified, and counted in the denominator of every share.
2. One autoencoder per kernel size and seed, with a one-dimensional code and cosine loss, was
   trained on the kernels of the trained networks only (after arXiv 2401.14469).
3. What the decoded curves of all seeds ({seeds}) draw for a kernel was averaged and named after
   the analytic template with the highest cosine, `other` below {minimum_cosine}. `agreement` is the
   share of the seeds that alone give the same shape.
4. A kernel is **identified** if it has a name, most seeds give the same shape, and 1 − cos to its
   point of each curve is, on the mean, below the threshold of its size ({thresholds}). A
   size between two takes the smaller one's threshold. The paper's rule with the first seed alone
   is the column `identified_one_seed`.
5. Eight analytic functions, each sampled from the continuous form and in the discrete
   scale-space form, were fitted to every kernel as a·f + b; one was selected by an information
   criterion. R² of at least {r2} is what the project calls a good fit.
6. Master keys are the filters that remain of points of the curve when the least missed is
   removed again and again (after arXiv 2509.11711).

{settings}

## What was found

{found}

**A share means nothing without its null.** Untrained controls are one. These are others, made of
the kernels of the trained networks: their pixels shuffled, white noise, and noise of their
covariance. Where a null comes near the trained networks' share, a label says little.

{nulls}

The same by family, with intervals, and thresholds calibrated to a rate of false positives under
each null, are in `tables/nulls_k*.csv`.

## Networks

{networks}

Kernels counted are those of the sizes above. A commit or digest tells the exact checkpoint.

## Columns

{columns}

## Use

```python
import kernelatlas

release = kernelatlas.load_release("path/to/this/folder")
release.labels("{example}")  # a row per kernel
release.classify("net.safetensors")  # your own network: labels and fits
```

or `python -m kernelatlas classify net.safetensors --release path/to/this/folder`.

## Known limits

- Labels are relative to this zoo: another corpus gives other curves. How far seeds differ is in
  `agreement`.
- Layers are depthwise if their weight is 4-D with shape[1] = 1 and shape[0] > 1; strips (1×k)
  and sizes with too few kernels are not covered.
- A label names what the curves draw for a kernel, without its noise. `dissimilarity` and the fit's
  R² tell how near the kernel itself is, `fit_label` what the fitted function looks like.
- A fit is the best of a short list of functions; a high R² does not say that the network
  computes that function. Kernels of 3×3 have nine weights: nearly anything fits.
- Thresholds are the paper's where it has them; widths, templates and seeds are choices of this
  project.

## Licence and citation

This folder is released under the MIT licence of Kernel Atlas. Labels and fits are measurements
of checkpoints that have their own licences (listed where the hub states one): see these before
using the checkpoints themselves. Please cite Kernel Atlas {version} and

> Z. Babaiee, P. M. Kiasari, D. Rus, R. Grosu: Unveiling the Unseen: Identifiable Clusters in
> Trained Depthwise Convolutional Kernels. ICLR 2024. arXiv 2401.14469

and, of the networks, those that you use.
"""

CONTENTS = {
    "autoencoders": "the trained autoencoders and their training curves, every size and seed",
    "clusters": "the shapes found, with prototypes, and what has no name",
    "labels": "a row per kernel: codes, label, agreement, dissimilarity, identified",
    "fits": "a row per kernel, in the same order: analytic function, parameters, R²",
    "masterkeys": "the filters of which nearly every kernel is a·f + b",
    "tables": "kernels and shares by network and size; shares of nulls",
}


def _card(
    zoo: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Path],
    settings: Mapping[str, Any],
    dictionary: Path,
) -> str:
    counts = pd.read_parquet(sources["tables/models.parquet"])
    folders = [part for part in FOLDERS if any(name.startswith(f"{part}/") for name in sources)]
    sizes = [f"{k}×{k}" for k in settings["kernel_sizes"]]
    thresholds = [f"{k}×{k}: {value:g}" for k, value in settings["thresholds"].items()]
    return CARD_TEXT.format(
        models=len(zoo),
        version=__version__,
        schema=SCHEMA_VERSION,
        sizes=", ".join(sizes),
        folders=_table(
            ("folder", "files", "what"),
            [
                (f"`{part}/`", sum(name.startswith(f"{part}/") for name in sources), CONTENTS[part])
                for part in folders
            ],
        ),
        seeds=", ".join(map(str, settings["seeds"])),
        minimum_cosine=f"{settings['clusters']['minimum_cosine']:g}",
        thresholds=", ".join(thresholds),
        r2=f"{settings['r2']:g}",
        settings=_table(("setting", "value"), _flat(settings)),
        found=_found(counts, sources, settings["r2"]),
        nulls=_nulls(sources, settings["r2"]),
        networks=_networks(zoo, counts),
        columns=_columns(dictionary, folders, sources),
        example=zoo[0]["name"],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    # A bar inside a cell would end it.
    cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _flat(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{key}.")
        else:
            yield f"`{within}{key}`", json.dumps(value)


def _found(counts: pd.DataFrame, sources: Mapping[str, Path], bound: float) -> str:
    """Return a table of shares by size, trained networks beside untrained controls."""
    fits = [
        pd.read_parquet(path, columns=["model", "k", "r2"]).astype({"model": "str"})
        for name, path in sources.items()
        if name.startswith("fits/")
    ]
    good = pd.concat(fits).assign(good=lambda f: f["r2"] >= bound).groupby(["model", "k"])["good"]
    rows = counts.join(good.sum(), on=["model", "k"]).assign(networks=1)
    columns = ["networks", "kernels", "degenerate", "identified", "good"]
    sums = rows.groupby(["k", "trained"])[columns].sum()
    sums = sums.sort_index(ascending=[True, False]).reset_index()
    found: list[Any] = list(sums.itertuples(index=False))
    return _table(
        ("size", "networks", "kernels", "degenerate", "identified", f"R² ≥ {bound:g}"),
        [
            (
                f"{row.k}×{row.k}",
                f"{row.networks} {'trained' if row.trained else 'untrained'}",
                f"{row.kernels:,}",
                f"{row.degenerate:,}",
                f"{100 * row.identified / row.kernels:.1f} %",
                f"{100 * row.good / row.kernels:.1f} %",
            )
            for row in found
        ],
    )


def _nulls(sources: Mapping[str, Path], bound: float) -> str:
    """Return a table of the shares of `kernelatlas.evidence.nulls`, from the tables of nulls."""
    rows = []
    for name, path in sources.items():
        match = re.fullmatch(r"tables/nulls_k(\d+)\.parquet", name)
        if match:
            shares = pd.read_parquet(path)
            shares = shares[shares["family"] == ALL_FAMILIES]
            found = shares.set_index(["set", "rule"])
            rows += [
                (
                    f"{match[1]}×{match[1]}",
                    *(null, f"{found['kernels'][null, 'identified']:,}"),
                    *(f"{100 * found['share'][null, rule]:.1f} %" for rule in ("identified", "r2")),
                )
                for null in dict.fromkeys(shares["set"])
                if null in NULLS
            ]
    rows.sort(key=lambda row: int(row[0].split("×")[0]))
    return _table(("size", "null", "kernels", "identified", f"R² ≥ {bound:g}"), rows)


def _networks(zoo: Sequence[Mapping[str, Any]], counts: pd.DataFrame) -> str:
    sums = counts.groupby("model")[["kernels", "identified"]].sum()
    rows = []
    for model in zoo:
        kernels, identified = sums.reindex([model["name"]], fill_value=0).to_numpy()[0]
        origin = model.get("commit") or model.get("sha256") or model.get("etag", "")
        rows.append(
            (
                *(model["name"], model["family"]),
                model["trained_on"] if model["trained"] else "not trained (a control)",
                *(f"{model.get('source', '')} `{origin}`", model.get("licence", "")),
                *(f"{kernels:,}", f"{identified:,}"),
            )
        )
    head = ("network", "family", "trained on", "source", "its licence", "kernels", "identified")
    return _table(head, rows)


def _columns(dictionary: Path, folders: Sequence[str], sources: Iterable[str]) -> str:
    """Return the sections on these folders, of the tables only the rows on those released."""
    opening, *sections = re.split(r"^## ", dictionary.read_text(encoding="utf-8"), flags=re.M)
    common = opening.strip().split("\n\n")[2:]  # after the title and how the tables are made
    names = (PurePosixPath(name).stem for name in sources if name.startswith("tables/"))
    tables = {re.sub(r"_k\d+$", "_k{k}", name) for name in names}
    parts = []
    for folder in folders:
        text = next((part for part in sections if part.startswith(f"{folder}/")), None)
        if text is None:
            raise KernelAtlasError(
                f"{dictionary}: no section '## {folder}/…': describe its columns there"
            )
        if folder == "tables":
            title, rest = text.strip().split("\n\n", 1)
            lines = [line for line in rest.splitlines() if line.startswith("|")]
            kept = [line for line in lines[2:] if line.split("|")[1].strip() in tables]
            text = "\n".join([title, "", *lines[:2], *kept])
        parts.append(f"### {text.strip()}")
    return "\n\n".join([*common, *parts])

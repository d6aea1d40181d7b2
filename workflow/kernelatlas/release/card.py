"""The data card of a release, README.md: its contents and how they were made."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.described import described
from kernelatlas.names import ALL_FAMILIES, NULLS
from kernelatlas.running.files import LABELS_VERSION

CONTENTS = {
    "autoencoders": "the trained autoencoders and their training curves, every size and seed",
    "clusters": "the shapes found, with prototypes, and the clusters without a name",
    "labels": "a row per kernel: codes, label, agreement, dissimilarity, identified or why not",
    "fits": "a row per kernel, in the same order: analytic function, parameters, R²",
    "masterkeys": "a few filters f, chosen so that a·f + b explains much of the kernels",
    "tables": "kernels and shares by network and size; shares of nulls",
    "explorer": "every kernel as a picture: serve this folder and open its index.html",
}
FOLDERS = tuple(CONTENTS)  # of a release

CARD_TEXT = """\
# Depthwise kernels of {models} networks: codes, labels, fits

A release of Kernel Atlas {version} (schema version {schema}). It holds, for every square
depthwise convolution kernel of {sizes} pixels in the networks listed below, its codes on
learned curves of kernels, a label, and the analytic function that fits it best with its
parameters. It also holds the autoencoders, the clusters and the master keys.

## Contents

{folders}

`manifest.json` has the settings, the networks, and the size and SHA-256 of every file;
`sha256sum -c SHA256SUMS` checks all files. Read Parquet with pandas or any Arrow library, and
safetensors with the library of that name. Lists are row-major: the first row of a kernel is its
top row.

{kernels}

## How it was made

1. Every depthwise kernel of each network was read from its checkpoint, centred and scaled:
   (w − mean w) / ‖w − mean w‖. Constant or non-finite kernels are degenerate: they are listed,
   never identified, and counted in the denominator of every share.
2. One autoencoder per kernel size and seed, with a one-dimensional code and cosine loss, was
   trained on the kernels of the trained networks only (after arXiv 2401.14469).
3. The kernels that the decoded curves of all seeds ({seeds}) give for a kernel were averaged, and
   the mean was named after the analytic template with the highest cosine, or `other` if this
   cosine is less than {minimum_cosine}. `agreement` is the share of the seeds that alone give the
   same shape.
4. A kernel is **identified** if it has a name, most seeds give the same shape, and 1 − cos to its
   point of each curve, averaged over the curves, is less than the threshold of its size
   ({thresholds}). A size between two sizes takes the threshold of the smaller one. `reason` tells
   why a kernel is not identified. The column `identified_one_seed` has the paper's rule, with the
   first seed alone.
5. Twelve analytic functions (eight for 3×3), each sampled from the continuous form and in the
   discrete scale-space form, were fitted to every kernel as a·f + b; one was selected by an
   information criterion. A fit with an R² of at least {r2} is called good. `at_limit` names the
   parameters that ended at a limit of the search: they are no estimates.
6. Master keys come from points of the decoded curve by backward elimination: the filter whose
   removal lowers the mean R² least is removed, until few remain (after arXiv 2509.11711).

{settings}

## Results

{found}

**Compare every share with its null.** Untrained networks are one null. The others are made from
the kernels of the trained networks: kernels with shuffled pixels, white noise, and noise with the
second moments of each network's kernels. Where the share of a null is close to that of the trained
networks, a label is weak evidence.

{nulls}

`tables/nulls_k*.csv` has the same by network and family, with confidence intervals, and thresholds
calibrated to a rate of false positives under each null. There trained kernels, like those of nulls,
are labelled by curves that have not seen their network, for a fair comparison.

## Networks

{networks}

Only kernels of the sizes above are counted. The commit or digest identifies the checkpoint.

## Columns

{columns}

## Use

```python
import kernelatlas

release = kernelatlas.load_release("path/to/this/folder")
release.labels("{example}")  # one row per kernel
release.classify("net.safetensors")  # labels and fits of your own network
```

or `python -m kernelatlas classify net.safetensors --release path/to/this/folder`.

## Known limits

- Labels depend on this zoo: another corpus gives other curves. `agreement` shows how much the
  seeds differ.
- A layer counts as depthwise if its weight is 4-D with shape[1] = 1 and shape[0] > 1. Strips
  (1×k) and sizes with too few kernels are not covered.
- A label names the reconstruction of a kernel by the curves, which is smoother than the kernel.
  `dissimilarity` and the R² of the fit measure how close the kernel itself is; `fit_label` is the
  label of the fitted function.
- A fit is the best of a short list of functions; a high R² does not show that the network
  computes that function. Kernels of 3×3 have nine weights: nearly any function fits.
- Thresholds are those of the paper where it states them; widths, templates and seeds are choices
  of this project.

## Licence and citation

This folder is released under the MIT licence of Kernel Atlas. Labels and fits are measurements
of checkpoints that have their own licences (listed where hub or package states one): read these
before you use the checkpoints. Please cite Kernel Atlas {version} and

> Z. Babaiee, P. M. Kiasari, D. Rus, R. Grosu: Unveiling the Unseen: Identifiable Clusters in
> Trained Depthwise Convolutional Kernels. ICLR 2024. arXiv 2401.14469

and the networks that you use.
"""


WITHOUT_KERNELS = """\
**The kernels themselves are not included.** They belong to the checkpoints in the table of
networks; the key (model, layer, channel) identifies each kernel, and `snakemake --cores all all`
extracts them."""
WITH_KERNELS = """\
**explorer/ has the kernels, rounded to eight bits.** They belong to the checkpoints in the table
of networks, whose licences hold for them. The tables have none: the key (model, layer, channel)
identifies each kernel, and `snakemake --cores all all` extracts them unrounded."""


def data_card(
    zoo: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Path],
    settings: Mapping[str, Any],
    dictionary: Path,
) -> str:
    """Return the text of README.md.

    Parameters
    ----------
    zoo
        Name, family, trained, trained_on and origin of each model.
    sources
        The released files by their names in the release; they include tables/models.parquet.
    settings, dictionary
        As `kernelatlas.release.release.write_release` takes them.

    Raises
    ------
    KernelAtlasError
        If a released folder has no section in `dictionary`.
    """
    counts = pd.read_parquet(sources["tables/models.parquet"])
    folders = [part for part in FOLDERS if any(name.startswith(f"{part}/") for name in sources)]
    sizes = [f"{k}×{k}" for k in settings["kernel_sizes"]]
    thresholds = [f"{k}×{k}: {value:g}" for k, value in settings["thresholds"].items()]
    return CARD_TEXT.format(
        models=len(zoo),
        version=__version__,
        schema=LABELS_VERSION,
        sizes=", ".join(sizes),
        folders=_table(
            ("folder", "files", "what"),
            [
                (f"`{part}/`", sum(name.startswith(f"{part}/") for name in sources), CONTENTS[part])
                for part in folders
            ],
        ),
        kernels=WITH_KERNELS if "explorer" in folders else WITHOUT_KERNELS,
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
    # An unescaped bar would end the cell.
    cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _flat(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{key}.")
        else:
            yield f"`{within}{key}`", json.dumps(value)


def _found(counts: pd.DataFrame, sources: Mapping[str, Path], threshold: float) -> str:
    """Return a table of shares by size, of trained networks and of untrained controls."""
    fits = [
        pd.read_parquet(path, columns=["model", "k", "r2"]).astype({"model": "str"})
        for name, path in sources.items()
        if name.startswith("fits/")
    ]
    good = (
        pd.concat(fits)
        .assign(good=lambda f: described(f["r2"], threshold))
        .groupby(["model", "k"])["good"]
    )
    rows = counts.join(good.sum(), on=["model", "k"]).assign(networks=1)
    columns = ["networks", "kernels", "degenerate", "identified", "good"]
    sums = rows.groupby(["k", "trained"])[columns].sum()
    sums = sums.sort_index(ascending=[True, False]).reset_index()
    found: list[Any] = list(sums.itertuples(index=False))
    return _table(
        ("size", "networks", "kernels", "degenerate", "identified", f"R² ≥ {threshold:g}"),
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


def _nulls(sources: Mapping[str, Path], threshold: float) -> str:
    """Return a table of the shares under each null, from the tables of nulls."""
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
    return _table(("size", "null", "kernels", "identified", f"R² ≥ {threshold:g}"), rows)


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
    """Return the sections about these folders; of tables/ only the rows about released tables."""
    opening, *sections = re.split(r"^## ", dictionary.read_text(encoding="utf-8"), flags=re.M)
    common = opening.strip().split("\n\n")[2:]  # without the title and the introduction
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

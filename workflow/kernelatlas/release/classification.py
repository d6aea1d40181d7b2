"""Labels and fits for the kernels of any network, with the curves and clusters of a release."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import SCHEMA, label_weights, threshold
from kernelatlas.clustering.shares import NOT_IDENTIFIED, PARTS
from kernelatlas.errors import KernelAtlasError, suggest
from kernelatlas.evidence import fits
from kernelatlas.evidence.fitted import agrees, fit_labels
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, PLACE
from kernelatlas.names import SMALLEST_FIT, shape_of
from kernelatlas.release.release import REMEDY, read_manifest
from kernelatlas.running.device import resolve
from kernelatlas.running.files import sha256
from kernelatlas.sources.checkpoints import read_depthwise
from kernelatlas.sources.source import Refused, Tensors
from kernelatlas.sources.weights import depthwise_content, is_needed

log = logging.getLogger(__name__)

DEFAULT = "results/release"
KEYS = KEY[1:]
LABELS = [name for name in SCHEMA.names if name not in ("model", *KEYS)]
FITS = [name for name in fits.SCHEMA if name != "degenerate"]
COLUMNS = [*KEYS, *LABELS, *FITS, "fit_label", "fit_agrees"]
FORMS = (
    "give an array of shape (n, k, k), (n, 1, k, k) or (k, k), a state dict, "
    "or the path of a checkpoint"
)


def load_release(path: str | os.PathLike[str] = DEFAULT) -> "Release":
    """Open a release: a folder that `snakemake release` made.

    Each file is checked against the manifest when it is first used; `Release.verify` checks
    all files. Files that are not used may be missing: autoencoders and clusters suffice to
    classify.

    Raises
    ------
    KernelAtlasError
        If there is no release, or its manifest is damaged or names files outside the release.
    """
    return Release(path)


def classify(
    weights: Any, release: "Release | str | os.PathLike[str]" = DEFAULT, device: str = "cpu"
) -> pd.DataFrame:
    """Label kernels and fit functions to them with an open release or the path of one.

    See `Release.classify`.
    """
    known = release if isinstance(release, Release) else load_release(release)
    return known.classify(weights, device)


class Release:
    """A release that was opened.

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

    @property
    def models(self) -> list[str]:
        """Names of the models of the zoo."""
        return [model["name"] for model in self.manifest["models"]]

    @property
    def sizes(self) -> list[int]:
        """Sizes k of the k×k kernels that were studied."""
        return sorted(self.manifest["settings"]["kernel_sizes"])

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

    def labels(self, model: str) -> pd.DataFrame:
        """Return the labels of a model of the zoo; the release's README.md has the columns."""
        return self._read(f"labels/{model}.parquet", pd.read_parquet)

    def fits(self, model: str) -> pd.DataFrame:
        """Return the analytic fits of a model of the zoo, one row for each row of `labels`."""
        return self._read(f"fits/{model}.parquet", pd.read_parquet)

    def clusters(self, k: int) -> pd.DataFrame:
        """Return the clusters of k×k kernels."""
        return self._known[k][1]

    @functools.cached_property
    def _known(self) -> dict[int, tuple[list[Curve], pd.DataFrame, float, float]]:
        settings = self.manifest["settings"]
        known = {}
        for k in self.sizes:
            names = [f"autoencoders/k{k}_seed{seed}.safetensors" for seed in settings["seeds"]]
            known[k] = (
                [self._read(name, Curve.load) for name in names],
                self._read(f"clusters/k{k}.parquet", pd.read_parquet),
                threshold(k, settings["thresholds"]),
                settings["clusters"]["minimum_cosine"],
            )
        return known

    def _read(self, name: str, read: Callable[[Path], Any]) -> Any:
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

    def classify(self, weights: Any, device: str = "cpu") -> pd.DataFrame:
        """Return the codes, the label and the best analytic function of every kernel.

        Kernels of sizes that the release does not cover are left out, with a warning.

        Parameters
        ----------
        weights
            Raw kernels: an array or tensor of shape (n, k, k), (n, 1, k, k) or (k, k); a state
            dict, of which the depthwise weights are used; the path of a checkpoint (.safetensors,
            .pth, .pt, .bin), from which no code is executed; or what `layers_of` returns.
        device
            Device for the fits: auto, cpu, cuda or mps.

        Returns
        -------
        DataFrame
            One row per kernel, in the order of layers and channels: layer, layer_index, channel,
            then the columns of label tables from k on, those of `kernelatlas.evidence.fits.fit`,
            fit_label (the name of the fitted function's kernel) and fit_agrees (whether it has the
            shape of the label; empty where either has none).

        Raises
        ------
        KernelAtlasError
            If there are no kernels, or none of a size that the release covers; as `layers_of`.
        """
        by_size = _by_size(layers_of(weights))
        others = [size for size in by_size if size[0] != size[1] or size[0] not in self.sizes]
        if others:
            counts = [f"{len(by_size[size][1])} of {size[0]}×{size[1]}" for size in sorted(others)]
            text = (
                f"kernels left out, as the release {self.path} has no autoencoder for their size: "
                f"{', '.join(counts)}; it has {', '.join(f'{k}×{k}' for k in self.sizes)}"
            )
            if len(others) == len(by_size):
                raise KernelAtlasError(f"{text}: nothing is left; use a release of a zoo that has")
            log.warning(text)
        target = resolve(device)
        parts = []
        for k in self.sizes:
            if (k, k) in by_size:
                keys, values = by_size[k, k]
                labels = label_weights(values, *self._known[k])[LABELS]
                columns = [keys, labels]
                if k >= SMALLEST_FIT:
                    with one_thread():
                        fitted = fits.fit(values, target).drop(columns="degenerate")
                    fitted["fit_label"] = fit_labels(fitted, k)
                    fitted["fit_agrees"] = agrees(labels["label"], fitted["fit_label"])
                    columns.append(fitted)
                parts.append(pd.concat(columns, axis=1))
        table = pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)
        return table.sort_values(PLACE, kind="stable", ignore_index=True)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: fits are many short sums, ten times slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _by_size(layers: Sequence[Layer]) -> dict[tuple[int, int], tuple[pd.DataFrame, np.ndarray]]:
    """Return the keys and weights, (n, kh·kw), of the kernels of each size."""
    found: dict[tuple[int, int], list[tuple[pd.DataFrame, np.ndarray]]] = {}
    for index, layer in enumerate(layers):
        n, kh, kw = layer.weights.shape
        keys = pd.DataFrame({"channel": np.arange(n, dtype=np.int32)}).assign(
            layer=layer.name, layer_index=np.int16(index)
        )
        found.setdefault((kh, kw), []).append((keys[KEYS], layer.weights.reshape(n, kh * kw)))
    return {
        size: (pd.concat([keys for keys, _ in parts], ignore_index=True), np.concatenate(values))
        for size, parts in found.items()
        for values in [[weights for _, weights in parts]]
    }


def layers_of(weights: Any) -> list[Layer]:
    """Return kernels as layers.

    Parameters
    ----------
    weights
        As for `Release.classify`. From a state dict or a checkpoint, depthwise layers are used, in
        the order of the dict; those that are perhaps not depthwise too, with a warning
        (`kernelatlas.sources.depthwise`).

    Raises
    ------
    KernelAtlasError
        If there are no kernels, or an array has another shape; as `read_depthwise` for a path.
    """
    if isinstance(weights, str | os.PathLike | Mapping):
        if isinstance(weights, Mapping):
            layers = _of_state_dict(weights)
        else:
            layers = read_depthwise(Path(weights)).layers
        doubtful = [layer.name for layer in layers if layer.inferred]
        if doubtful:
            log.warning(
                "%d of %d layers may not be depthwise, but first layers for images of one channel, "
                "or transposed convolutions to one: %s%s",
                len(doubtful),
                len(layers),
                ", ".join(doubtful[:3]),
                ", …" if len(doubtful) > 3 else "",
            )
        return layers
    if isinstance(weights, list) and weights and all(isinstance(w, Layer) for w in weights):
        return weights
    shape = tuple(getattr(weights, "shape", ()))
    if len(shape) == 4 and shape[1] == 1:
        shape = (shape[0], *shape[2:])
    elif len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or 0 in shape or shape[1] * shape[2] == 1:
        found = getattr(weights, "shape", None)
        what = type(weights).__name__ if found is None else f"shape {tuple(found)}"
        raise KernelAtlasError(f"weights: {what} does not hold kernels: {FORMS}")
    return [Layer("weights", _float32("weights", weights).reshape(shape))]


def _of_state_dict(state: Mapping[Any, Any]) -> list[Layer]:
    """Return the depthwise layers of a state dict in memory, judged as those of a file are."""
    found = {str(name): value for name, value in state.items() if hasattr(value, "shape")}
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    values = {
        name: _float32(name, value)
        for name, value in found.items()
        if is_needed(name, "float32", shapes[name])
    }
    try:
        layers = depthwise_content(Tensors(shapes, values, ordered=True)).layers
    except Refused as error:
        raise KernelAtlasError(f"state dict: {error}") from None
    if not layers:
        raise KernelAtlasError(
            f"no depthwise layers (4-D weights with shape[1] == 1) among {len(state)} entries: "
            "give the state dict of a network that has some, or the kernels as an array"
        )
    return layers


def _float32(name: str, weights: Any) -> np.ndarray:
    """Return an array or tensor, on any device and of any precision, as float32."""
    if hasattr(weights, "detach"):
        weights = weights.detach().float().cpu().numpy()
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            real = np.asarray(weights)
            if real.dtype.kind == "c":
                raise TypeError("complex numbers")
            return np.ascontiguousarray(real, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise KernelAtlasError(f"{name}: not real numbers ({error}): {FORMS}") from error


def shape_table(table: pd.DataFrame) -> pd.DataFrame:
    """Count the identified kernels by size and shape.

    Parameters
    ----------
    table
        The table that `Release.classify` returned.

    Returns
    -------
    DataFrame
        k, shape (or "not identified" and why), kernels, share (of all kernels of the size), r2 (the
        median), function (the most frequent) and agrees (share of the kernels whose fit has the
        shape of the label, among those where both have one).
    """
    shape = table["label"].astype(str).map(shape_of)
    failed = ~table["identified"] & ~table["degenerate"]
    shape = shape.where(~failed, f"{NOT_IDENTIFIED}: " + table["reason"].astype(str))
    groups = table.assign(shape=pd.Categorical(shape, PARTS)).groupby(["k", "shape"], observed=True)
    found = groups.agg(
        kernels=("channel", "size"),
        r2=("r2", "median"),
        function=("function", lambda values: next(iter(values.mode()), "")),
        agrees=("fit_agrees", lambda values: values.astype("Float64").mean()),
    ).reset_index()
    total = table.groupby("k").size()
    found.insert(3, "share", found["kernels"] / found["k"].map(total))
    return found.astype({"shape": "str"})


def typical(table: pd.DataFrame, layers: Sequence[Layer], release: Release, n: int) -> pd.DataFrame:
    """Return the identified kernels of each size and label that are closest to their prototype.

    Parameters
    ----------
    table
        The table that `release.classify` returned for `layers`.
    n
        Maximum number of kernels of each label.

    Returns
    -------
    DataFrame
        Rows of `table`, with cosine (to the prototype of the kernel's cluster), rank (from 0)
        and weights (raw, k·k).
    """
    parts = [table.head(0).assign(cosine=0.0, weights=None)]
    identified = table[table["identified"]]
    for k in sorted(set(identified["k"])):
        # Labels that no network of the release has belong to no cluster.
        rows = identified[(identified["k"] == k) & (identified["cluster"] >= 0)]
        if rows.empty:
            continue
        prototypes = np.stack(list(release.clusters(k)["prototype"]))
        keys = zip(rows["layer_index"], rows["channel"], strict=True)
        weights = np.stack([layers[index].weights[channel].ravel() for index, channel in keys])
        nearest = prototypes[rows["cluster"].to_numpy(int)]
        cosine = (normalise(weights) * nearest).sum(axis=1)
        parts.append(rows.assign(cosine=cosine, weights=list(weights)))
    found = pd.concat(parts[1:] or parts)
    found = found.sort_values(
        ["k", "label", "cosine"], ascending=[True, True, False], kind="stable"
    )
    found = found.assign(rank=found.groupby(["k", "label"]).cumcount())
    return found[found["rank"] < n].reset_index(drop=True)

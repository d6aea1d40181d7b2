"""Labels and fits for the kernels of any network, with the curves and clusters of a release."""

import contextlib
import functools
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import SCHEMA, as_frame, label_weights, threshold
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import KEY, PLACE
from kernelatlas.names import SMALLEST_FIT
from kernelatlas.release.folder import Folder
from kernelatlas.release.forms import layers_of

log = logging.getLogger(__name__)

DEFAULT = "results/release"
KEYS = KEY[1:]
LABELS = [name for name in SCHEMA.names if name not in ("model", *KEYS)]
COLUMNS = [*KEYS, *LABELS]  # without fits
INSTALL = "install PyTorch (`pip install torch`)"


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
    weights: Any,
    release: "Release | str | os.PathLike[str]" = DEFAULT,
    device: str = "cpu",
    fits: bool = True,
) -> pd.DataFrame:
    """Label kernels and fit functions to them with an open release or the path of one.

    See `Release.classify`.
    """
    known = release if isinstance(release, Release) else load_release(release)
    return known.classify(weights, device, fits)


def can_fit() -> bool:
    """Tell whether PyTorch, with which functions are fitted, is installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


class Release(Folder):
    """A release that was opened."""

    @property
    def models(self) -> list[str]:
        """Names of the models of the zoo."""
        return [model["name"] for model in self.manifest["models"]]

    @property
    def sizes(self) -> list[int]:
        """Sizes k of the k×k kernels that were studied."""
        return sorted(self.manifest["settings"]["kernel_sizes"])

    def labels(self, model: str) -> pd.DataFrame:
        """Return the labels of a model of the zoo; the release's README.md has the columns."""
        return self.read(f"labels/{model}.parquet", pd.read_parquet)

    def fits(self, model: str) -> pd.DataFrame:
        """Return the analytic fits of a model of the zoo, one row for each row of `labels`."""
        return self.read(f"fits/{model}.parquet", pd.read_parquet)

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table, such as nulls_k7; None if the release has none, or it was left out."""
        file = f"tables/{name}.parquet"
        if file not in self.manifest["files"] or not (self.path / file).exists():
            return None
        return self.read(file, pd.read_parquet)

    def clusters(self, k: int) -> pd.DataFrame:
        """Return the clusters of k×k kernels."""
        return self._known[k][1]

    def threshold(self, k: int) -> float:
        """Return the dissimilarity below which k×k kernels are identified."""
        return threshold(k, self.manifest["settings"]["thresholds"])

    @functools.cached_property
    def _known(self) -> dict[int, tuple[list[Curve], pd.DataFrame, float, float]]:
        settings = self.manifest["settings"]
        known = {}
        for k in self.sizes:
            names = [f"autoencoders/k{k}_seed{seed}.safetensors" for seed in settings["seeds"]]
            known[k] = (
                [self.read(name, Curve.load) for name in names],
                self.read(f"clusters/k{k}.parquet", pd.read_parquet),
                self.threshold(k),
                settings["clusters"]["minimum_cosine"],
            )
        return known

    def classify(self, weights: Any, device: str = "cpu", fits: bool = True) -> pd.DataFrame:
        """Return the codes, the label and the best analytic function of every kernel.

        Kernels of sizes that the release does not cover are left out, with a warning.

        Parameters
        ----------
        weights
            Raw kernels: an array or tensor of shape (n, k, k), (n, 1, k, k) or (k, k); a state
            dict, of which the depthwise weights are used; the path of a checkpoint (.safetensors,
            .pth, .pt, .bin), from which no code is executed; or what
            `kernelatlas.release.forms.layers_of` returns.
        device
            Device for the fits: auto, cpu, cuda or mps.
        fits
            Whether to fit functions, which needs PyTorch; labels do not.

        Returns
        -------
        DataFrame
            One row per kernel, in the order of layers and channels: layer, layer_index, channel,
            then the columns of label tables from k on; with fits those of
            `kernelatlas.evidence.fits.fit`, fit_label (the name of the fitted function's kernel)
            and fit_agrees (whether it has the shape of the label; empty where either has none).

        Raises
        ------
        KernelAtlasError
            If there are no kernels, or none of a size that the release covers; if fits are asked
            for without PyTorch; as `layers_of`.
        """
        if fits and not can_fit():
            raise KernelAtlasError(
                f"fits need PyTorch, which is not installed: {INSTALL}, or do without fits "
                "(--no-fits; in Python fits=False)"
            )
        by_size = _by_size(layers_of(weights))
        others = [size for size in by_size if size[0] != size[1] or size[0] not in self.sizes]
        if others:
            counts = [f"{len(by_size[size][1])} of {size[0]}×{size[1]}" for size in sorted(others)]
            text = (
                f"kernels left out, as the release {self.path} has no autoencoder for their size: "
                f"{', '.join(counts)}; it has {', '.join(f'{k}×{k}' for k in self.sizes)}"
            )
            if len(others) == len(by_size):
                raise KernelAtlasError(f"{text}: nothing is left; use a release that has")
            log.warning(text)
        target = _device(device) if fits else None
        parts = []
        for k in self.sizes:
            if (k, k) in by_size:
                keys, values = by_size[k, k]
                labels = as_frame(label_weights(values, *self._known[k]))[LABELS]
                columns = [keys, labels]
                if fits and k >= SMALLEST_FIT:
                    columns.append(_fitted(values, labels["label"], k, target))
                parts.append(pd.concat(columns, axis=1))
        table = pd.concat(parts, ignore_index=True)
        table = table.reindex(columns=[*COLUMNS, *(fit_columns() if fits else [])])
        return table.sort_values(PLACE, kind="stable", ignore_index=True)


def fit_columns() -> list[str]:
    """Return the columns that fits add; needs PyTorch."""
    from kernelatlas.evidence import fits

    own = [name for name in fits.SCHEMA if name != "degenerate"]
    return [*own, "fit_label", "fit_agrees"]


def _device(name: str) -> Any:
    from kernelatlas.running.device import resolve

    return resolve(name)


def _fitted(weights: np.ndarray, labels: pd.Series, k: int, device: Any) -> pd.DataFrame:
    # Imported here: labels do without PyTorch.
    from kernelatlas.evidence import fits
    from kernelatlas.evidence.described import agrees
    from kernelatlas.evidence.fitted import fit_labels

    with one_thread():
        fitted = fits.fit(weights, device).drop(columns="degenerate")
    fitted["fit_label"] = fit_labels(fitted, k)
    fitted["fit_agrees"] = agrees(labels, fitted["fit_label"])
    return fitted


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: fits are many short sums, ten times slower on several threads."""
    import torch

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

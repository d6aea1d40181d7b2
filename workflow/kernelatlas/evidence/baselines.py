"""Other methods on the same kernels: is an autoencoder needed to find the clusters?

Spherical k-means on the kernels, a Gaussian mixture and HDBSCAN on their principal
components, reconstructions from a few principal components, and autoencoders with codes
of two and three dimensions, beside the project's own with one (which of these, and all
numbers of clusters, are our choices; the reviewers of arXiv 2401.14469 asked for the first,
the third and the last). Every method gives kernels a reconstruction, or clusters, or both,
and all are scored in the same way (`kernelatlas.tables.baselines`).
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn
from torch.nn.functional import normalize

from kernelatlas import names
from kernelatlas.clustering.autoencoder import (
    Autoencoder,
    Settings,
    cosine_loss,
    one_cycle,
    perceptron,
)
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.kmeans import spherical_kmeans
from kernelatlas.clustering.templates import bank
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import side
from kernelatlas.running.progress import tracked

log = logging.getLogger(__name__)

CENTROIDS = (8, 10, 20, 50)  # of k-means on the kernels
CLUSTERS = 20  # of the mixture, and of k-means on codes: about as many as there are labels
COMPONENTS = 10  # of PCA, at most
DIMENSIONS = (2, 3)  # of codes
VARIANCE = (
    0.8  # kept in the components for mixture and HDBSCAN: in all of them there are no dense regions
)
MOST_COMPONENTS = 80  # of these, as 9×9 kernels have: covariances grow with the square
MINIMUM_SHARE = 0.01  # of the kernels, in the smallest cluster of HDBSCAN
NEIGHBOURS = 5  # by which HDBSCAN estimates densities
WIDE_FOURIER = 24  # frequencies of each of several codes
WIDE_STEPS = 2700  # of a training without a principal curve, at a higher rate
WIDE_RATE = 4  # times `autoencoder.learning_rate`, at the maximum
WIDE_SEEDS = 2  # at most: these trainings take most of the time, and their seeds hardly differ
LOGGED = 200  # steps between two checks of the loss
UNCLUSTERED = -1


@dataclass(frozen=True)
class Outcome:
    """The result of one method and one seed for n kernels.

    Attributes
    ----------
    method
        With its number of centroids, components or dimensions.
    seed
        None for a deterministic method.
    dimensions
        Numbers in the code of a kernel; None where its reconstruction is a prototype.
    dissimilarity : ndarray of shape (n,), float32
        1 − cos of each kernel and its reconstruction: the decoded code, otherwise the prototype
        of its cluster; 1 without either.
    clusters : ndarray of shape (n,), int, or None
        `UNCLUSTERED` or a row of `prototypes`; None where the method has no clusters.
    prototypes : ndarray of shape (m, k * k), float32, or None
        Unit vectors: mean direction of each cluster.
    seconds
        Wall-clock time.
    """

    method: str
    seed: int | None
    dimensions: int | None
    dissimilarity: np.ndarray
    clusters: np.ndarray | None
    prototypes: np.ndarray | None
    seconds: float = 0.0


def outcomes(
    kernels: np.ndarray,
    settings: Settings,
    autoencoders: Mapping[int, str | Path],
    minimum_cosine: float,
) -> Iterator[Outcome]:
    """Run every method, random ones once for each seed, wide codes for `WIDE_SEEDS` of them.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    settings
        Of the autoencoders.
    autoencoders
        By seed, the path of the trained one-dimensional autoencoder. These are the seeds of all
        methods.
    minimum_cosine
        Smallest cosine to the most similar template at which a kernel has a name.

    Yields
    ------
    Outcome
        Method by method, seed by seed.

    Raises
    ------
    KernelAtlasError
        If a training diverges.
    """
    pca = PCA(svd_solver="covariance_eigh").fit(kernels)
    scores = main_scores(pca, kernels)
    rank = min(len(kernels), kernels.shape[1]) - 1  # of centred kernels
    seeds = list(autoencoders)
    tasks: list[Callable[[], Outcome]] = [
        *(partial(kmeans, kernels, n, s) for n in CENTROIDS if n < len(kernels) for s in seeds),
        *(partial(mixture, kernels, scores, seed) for seed in seeds),
        partial(hdbscan, kernels, scores),
        *(partial(components, kernels, pca, n) for n in range(1, min(COMPONENTS, rank) + 1)),
        *(partial(curve, kernels, path, minimum_cosine) for path in autoencoders.values()),
        *(partial(encoded, kernels, path, minimum_cosine) for path in autoencoders.values()),
        *(
            partial(wide_codes, kernels, d, settings, seed)
            for d in DIMENSIONS
            for seed in seeds[:WIDE_SEEDS]
        ),
    ]
    k = side(kernels)
    for task in tracked(tasks, f"baselines on {k}x{k} kernels", "runs"):
        began = time.perf_counter()
        found = task()
        found = replace(found, seconds=time.perf_counter() - began)
        log.info("%s, seed %s: %.2f s", found.method, found.seed, found.seconds)
        yield found


def main_scores(pca: PCA, kernels: np.ndarray) -> np.ndarray:
    """Return the scores on the fewest components that keep `VARIANCE` of the variance.

    At most `MOST_COMPONENTS`.
    """
    kept = np.cumsum(pca.explained_variance_ratio_)
    n = min(int(np.searchsorted(kept, VARIANCE)) + 1, MOST_COMPONENTS)
    log.info("%d of %d principal components keep %.0f %%", n, len(kept), 100 * kept[n - 1])
    return pca.transform(kernels)[:, :n]


def kmeans(kernels: np.ndarray, n: int, seed: int) -> Outcome:
    """Spherical k-means on the kernels."""
    centroids = spherical_kmeans(kernels, n, seed)
    return clustering(f"k-means {n}", seed, kernels, (kernels @ centroids.T).argmax(axis=1))


def mixture(kernels: np.ndarray, scores: np.ndarray, seed: int) -> Outcome:
    """A mixture of `CLUSTERS` Gaussians with covariances of their own."""
    n = min(CLUSTERS, len(kernels))
    clusters = GaussianMixture(n, random_state=seed).fit_predict(scores)
    return clustering(f"Gaussian mixture {n}", seed, kernels, clusters)


def hdbscan(kernels: np.ndarray, scores: np.ndarray) -> Outcome:
    """Regions of high density (Campello et al., PAKDD 2013), other kernels are left unclustered."""
    smallest = max(NEIGHBOURS, int(MINIMUM_SHARE * len(kernels)))
    found = HDBSCAN(min_cluster_size=smallest, min_samples=NEIGHBOURS, copy=True)
    return clustering("HDBSCAN", None, kernels, found.fit_predict(scores))


def clustering(method: str, seed: int | None, kernels: np.ndarray, clusters: np.ndarray) -> Outcome:
    """Return the outcome of a method without a reconstruction of its own."""
    clusters, prototypes = mean_directions(kernels, clusters)
    dissimilarity = to_prototypes(kernels, clusters, prototypes)
    return Outcome(method, seed, None, dissimilarity, clusters, prototypes)


def mean_directions(kernels: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number clusters without gaps; return them and the mean direction of each, (m, k * k)."""
    names, numbers = np.unique(clusters[clusters != UNCLUSTERED], return_inverse=True)
    clusters = clusters.copy()
    clusters[clusters != UNCLUSTERED] = numbers
    sums = np.zeros((len(names), kernels.shape[1]))
    inside = clusters != UNCLUSTERED
    np.add.at(sums, clusters[inside], kernels[inside])
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return clusters, (sums / lengths).astype(np.float32)


def to_prototypes(kernels: np.ndarray, clusters: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Return 1 − the cosine of each kernel to its cluster's prototype, 1 without a cluster."""
    dissimilarity = np.ones(len(kernels), np.float32)
    inside = clusters != UNCLUSTERED
    dissimilarity[inside] -= (kernels[inside] * prototypes[clusters[inside]]).sum(axis=1)
    return dissimilarity


def components(kernels: np.ndarray, pca: PCA, n: int) -> Outcome:
    """Reconstructions from the mean and the first n principal components."""
    loadings = pca.components_[:n]
    back = pca.mean_ + (kernels - pca.mean_) @ loadings.T @ loadings
    length = np.maximum(np.linalg.norm(back, axis=1), 1e-12)
    dissimilarity = np.maximum(1 - (kernels * back).sum(axis=1) / length, 0)
    return Outcome(f"PCA {n}", None, n, dissimilarity.astype(np.float32), None, None)


def curve(kernels: np.ndarray, autoencoder: str | Path, minimum_cosine: float) -> Outcome:
    """The project's autoencoder with the best codes; a cluster is a label by this seed alone."""
    known = Curve.load(autoencoder)
    drawn = known.draw(kernels)
    labels = bank(known.k).name(drawn.mean, minimum_cosine).label
    return _by_label("autoencoder 1-D", known.seed, kernels, drawn.dissimilarity, labels)


def encoded(kernels: np.ndarray, autoencoder: str | Path, minimum_cosine: float) -> Outcome:
    """The same with the encoder's codes; a cluster is the label of the decoded kernel."""
    known, model = Curve.load(autoencoder), Autoencoder.load(autoencoder)
    codes, dissimilarity = (v.numpy() for v in model.reconstruct(torch.from_numpy(kernels)))
    points = bank(known.k).name(known.points, minimum_cosine).label
    labels = points[np.searchsorted(known.codes, codes)]
    return _by_label("autoencoder 1-D, encoder", known.seed, kernels, dissimilarity, labels)


def _by_label(
    method: str, seed: int, kernels: np.ndarray, dissimilarity: np.ndarray, labels: np.ndarray
) -> Outcome:
    numbers = np.array([names.LABELS.index(label) for label in labels])
    numbers[labels == names.OTHER] = UNCLUSTERED
    clusters, prototypes = mean_directions(kernels, numbers)
    return Outcome(method, seed, 1, dissimilarity, clusters, prototypes)


def wide_codes(kernels: np.ndarray, d: int, settings: Settings, seed: int) -> Outcome:
    """An autoencoder with d-dimensional codes, and k-means on these."""
    model = fit_wide(kernels, d, settings, seed)
    with torch.no_grad():
        data = torch.from_numpy(kernels)
        codes = model.encode(data)
        dissimilarity = cosine_loss(model.decode(codes), data).numpy()
    n = min(CLUSTERS, len(codes.unique(dim=0)))
    numbers = KMeans(n, n_init=4, random_state=seed).fit_predict(codes.numpy())
    numbers, prototypes = mean_directions(kernels, numbers)
    return Outcome(f"autoencoder {d}-D", seed, d, dissimilarity, numbers, prototypes)


class WideAutoencoder(nn.Module):
    """Normalised k×k kernels, (n, k * k), to codes in [0, 1]^d, (n, d), and back.

    The widths of `kernelatlas.clustering.autoencoder.Autoencoder`. There is no curve: a kernel's
    code is the sigmoid that the encoder answers with.
    """

    frequencies: Tensor

    def __init__(self, k: int, d: int, settings: Settings):
        super().__init__()
        self.k = k
        self.encoder = perceptron(k * k, *settings.widths, d)
        self.decoder = perceptron(2 * WIDE_FOURIER * d, *settings.widths[::-1], k * k)
        frequencies = torch.pi * torch.arange(1, WIDE_FOURIER + 1)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def encode(self, kernels: Tensor) -> Tensor:
        return torch.sigmoid(self.encoder(kernels * self.k))

    def decode(self, codes: Tensor) -> Tensor:
        phases = (codes[:, :, None] * self.frequencies).flatten(1)
        values = self.decoder(torch.cat([phases.sin(), phases.cos()], dim=1))
        return normalize(values - values.mean(dim=1, keepdim=True), dim=1)


def fit_wide(kernels: np.ndarray, d: int, settings: Settings, seed: int) -> WideAutoencoder:
    """Train on the CPU with the cosine loss of the encoder's codes alone.

    Optimiser and schedule are those of `kernelatlas.clustering.autoencoder.fit`, but for
    `WIDE_RATE` times the rate, at which several codes reconstruct better.

    Raises
    ------
    KernelAtlasError
        If training diverges.
    """
    torch.manual_seed(seed)
    k = side(kernels)
    model = WideAutoencoder(k, d, settings)
    data = torch.from_numpy(kernels)
    generator = torch.Generator().manual_seed(seed)
    # `fused` is the same step in one pass over the weights.
    optimiser = torch.optim.AdamW(
        model.parameters(), weight_decay=settings.weight_decay, fused=True
    )
    rates = one_cycle(optimiser, WIDE_RATE * settings.learning_rate, WIDE_STEPS)
    for step in tracked(range(1, WIDE_STEPS + 1), f"codes of {d} dimensions", "steps"):
        batch = data[torch.randint(len(data), (settings.batch,), generator=generator)]
        loss = cosine_loss(model.decode(model.encode(batch)), batch).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        rates.step()
        if step % LOGGED == 0 and not np.isfinite(loss.item()):
            raise KernelAtlasError(
                f"k={k}, seed {seed}: the loss of the autoencoder with {d}-dimensional codes is "
                f"not finite in step {step}: lower autoencoder.learning_rate "
                f"({settings.learning_rate:g}) in the config"
            )
    log.info("%d-D, seed %d: %.4f in the last step", d, seed, loss.item())
    return model.eval()

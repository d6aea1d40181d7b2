"""A principal curve through kernels on the unit sphere, fitted by expectation and maximisation.

A curve is a row of points, each a unit vector (Hastie & Stuetzle, J. Am. Stat. Assoc. 84, 1989, in
the form of a self-organising map fitted in batches: Mulier & Cherkassky, Neural Computation 7,
1995). In each round every kernel is assigned to its most similar point, and every point becomes the
direction of a sum of kernels, weighted by a Gaussian of the distance along the curve. The
Gaussian's width shrinks from half the distance of two centroids to one point (our choice), so that
the curve follows first the short path through the centroids of k-means, then the kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from kernelatlas.clustering.curve import BLOCK, Curve
from kernelatlas.clustering.kmeans import short_path, spherical_kmeans
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.running.progress import tracked

SAMPLE = 50_000  # kernels that a curve is fitted to, at most
TRIED = 10_000  # held-out kernels that the concentration is chosen by, at most
CONCENTRATIONS = np.geomspace(8, 128, 9)
KERNELS_PER_CENTROID = 8  # at least


@dataclass(frozen=True)
class CurveSettings:
    """Settings of a principal curve.

    Attributes
    ----------
    points, centroids
        Fewer if there are few kernels: a point for each kernel, a centroid for 8 of them.
    rounds
        Of expectation and maximisation.
    """

    points: int = 1024
    centroids: int = 64
    rounds: int = 60


def principal_curve(
    kernels: np.ndarray,
    settings: CurveSettings,
    seed: int,
    device: torch.device,
    on_round: Callable[[dict[str, float]], None] = lambda row: None,
) -> np.ndarray:
    """Fit a curve to kernels, or to `SAMPLE` of them, drawn at random, if there are more.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    on_round
        Called with width (in points) and dissimilarity (mean, before the round's change).

    Returns
    -------
    ndarray of shape (points, k * k), float32
    """
    k, kernels = side(kernels), sample_of(kernels, SAMPLE, seed)
    points = min(settings.points, len(kernels))
    centroids = max(2, min(settings.centroids, len(kernels) // KERNELS_PER_CENTROID))
    curve = torch.from_numpy(_path(kernels, points, centroids, seed)).to(device)
    seen = torch.from_numpy(kernels).to(device)
    distance = torch.arange(1 - points, points, dtype=torch.float32, device=device)
    widths = np.geomspace(max(points / (2 * centroids), 1.0), 1.0, settings.rounds)
    for width in tracked(widths.tolist(), f"curve of {k}x{k} kernels, seed {seed}", "rounds"):
        point, cosine = nearest(seen, curve)
        sums = torch.zeros_like(curve).index_add_(0, point, seen)
        bell = torch.exp(distance**2 / (-2 * width**2))
        # Row i of the weights is the bell about i: far fewer exponentials than weights.
        sums = bell.unfold(0, points, 1).flip(0) @ sums
        # A point with no kernel near it keeps its direction.
        curve = torch.where(sums.any(dim=1, keepdim=True), normalize(sums, dim=1), curve)
        on_round({"width": width, "dissimilarity": 1 - cosine.mean().item()})
    return curve.cpu().numpy()


def _path(kernels: np.ndarray, points: int, n: int, seed: int) -> np.ndarray:
    """Return equally spaced points on a short path through n centroids."""
    centroids = spherical_kmeans(kernels, n, seed, n_init=1)
    centroids = centroids[short_path(centroids)]
    position = np.clip((np.arange(points) + 0.5) / points * n - 0.5, 0, n - 1)
    before = np.minimum(position.astype(int), n - 2)
    along = (position - before)[:, None]
    path = (1 - along) * centroids[before] + along * centroids[before + 1]
    return (path / np.linalg.norm(path, axis=1, keepdims=True)).astype(np.float32)


def nearest(kernels: Tensor, curve: Tensor) -> tuple[Tensor, Tensor]:
    """Return each kernel's most similar point, (n,), and the cosine to it, (n,)."""
    rows = at_once(kernels.shape[1], BLOCK, kernels.device.type)
    best = [(block @ curve.T).max(dim=1) for block in kernels.split(rows)]
    return torch.cat([b.indices for b in best]), torch.cat([b.values for b in best])


def concentration(
    kernels: np.ndarray, settings: CurveSettings, seed: int, device: torch.device
) -> float:
    """Return the κ with which a curve best reconstructs held-out kernels.

    A curve is fitted to half of the kernels. κ minimises the mean dissimilarity of the other
    half to its reconstruction (`Curve.draw`), by a parabola in log κ through the best of
    `CONCENTRATIONS` and its neighbours.

    Parameters
    ----------
    kernels, settings, seed, device
        As `principal_curve` takes them.
    """
    kernels = sample_of(kernels, SAMPLE, seed)
    if len(kernels) < 4 * KERNELS_PER_CENTROID:  # too few to choose by
        return float(CONCENTRATIONS[len(CONCENTRATIONS) // 2])
    half = np.random.default_rng(seed).random(len(kernels)) < 0.5
    seen, held_out = kernels[half], sample_of(kernels[~half], TRIED, seed)
    drawn = principal_curve(seen, settings, seed, device)
    k = side(kernels)
    losses = np.array(
        [
            1 - np.mean((Curve(k, seed, drawn, kappa).draw(held_out).mean * held_out).sum(axis=1))
            for kappa in CONCENTRATIONS
        ]
    )
    best = int(losses[1:-1].argmin()) + 1
    left, middle, right = losses[best - 1 : best + 2]
    bend = left - 2 * middle + right
    shift = np.clip((left - right) / (2 * bend), -1, 1) if bend > 0 else 0.0
    step = np.log(CONCENTRATIONS[1] / CONCENTRATIONS[0])
    return float(round(CONCENTRATIONS[best] * np.exp(shift * step), 3))

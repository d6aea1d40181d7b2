"""Where there is a GPU: which, and what its tests need; they compare it with the processor."""

import numpy as np
import pytest
import torch

from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.templates import bank

GPU = "cuda" if torch.cuda.is_available() else "mps"
SETTINGS = Settings(points=256, centroids=16, rounds=30, decoder_steps=400, steps=200)

needs_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() or torch.backends.mps.is_available()), reason="no GPU"
)


def noisy(k: int = 7, n: int = 2000) -> np.ndarray:
    """Return templates with noise, raw, none of which is degenerate."""
    random, shapes = np.random.default_rng(0), bank(k).weights
    chosen = shapes[random.integers(len(shapes), size=n)]
    return (chosen + random.normal(0, 0.05, chosen.shape)).astype(np.float32)

"""Curves for tests: of points drawn at random, and of trainings."""

import numpy as np

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.kernels.normalise import normalise

QUICK = Settings(
    points=128, centroids=16, rounds=20, widths=(32,), fourier=64, decoder_steps=200, steps=60
)


def at_random(k: int = 3, seed: int = 0, m: int = 40, concentration: float = 20.0) -> Curve:
    points = normalise(np.random.default_rng([k, seed]).normal(size=(m, k * k)))
    return Curve(k, seed, points, concentration)


def trained(
    kernels: np.ndarray, settings: Settings = QUICK, seeds=(0,), encoder: bool = False
) -> list[Curve]:
    """Curves of trainings; they are the same with the encoder (tests/evidence/test_crossfit.py)."""
    found = []
    for seed in seeds:
        model, _ = fit(kernels, settings, seed, "cpu", encoder)
        found.append(Curve(model.k, seed, model.curve().numpy(), model.concentration))
    return found

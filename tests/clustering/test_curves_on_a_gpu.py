"""A GPU and the processor draw the same curves, and give the same labels by them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gpu import GPU, SETTINGS, needs_gpu, noisy
from kernelatlas.clustering.autoencoder import fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.principal import principal_curve
from kernelatlas.kernels.normalise import normalise

pytestmark = needs_gpu


@pytest.fixture(scope="module")
def kernels() -> np.ndarray:
    return normalise(noisy())


def test_a_principal_curve_is_as_close(kernels):
    # A kernel between two points may go to either, of which later rounds make more.
    for rounds, apart, worse in ((1, 1e-5, 1e-4), (30, 0.02, 2e-3)):
        settings = replace(SETTINGS, rounds=rounds)
        here, there = (
            principal_curve(kernels, settings, 0, torch.device(on)) for on in ("cpu", GPU)
        )
        cosines = (here * there).sum(axis=1)
        assert np.median(1 - cosines) < apart
        losses = [(1 - (kernels @ curve.T).max(axis=1)).mean() for curve in (here, there)]
        assert losses[0] == pytest.approx(losses[1], abs=worse)


def test_an_autoencoder_learns_alike(kernels):
    here, there = (pd.DataFrame(fit(kernels, SETTINGS, 0, on)[1]) for on in ("cpu", GPU))
    assert list(here["stage"]) == list(there["stage"])
    for _, one in here.groupby("stage"):
        other = there.loc[one.index]
        for column, apart in (
            ("dissimilarity", 0.005),
            ("dissimilarity_encoder", 0.01),
            ("cross_entropy", 0.05),
        ):
            if one[column].notna().any():
                assert one[column].iloc[-1] == pytest.approx(other[column].iloc[-1], abs=apart)


def test_labels_by_curves_of_a_gpu_are_those_of_another_seed_at_least(kernels):
    def voted(seeds: tuple[int, ...], device: str):
        models = [fit(kernels, SETTINGS, seed, device)[0] for seed in seeds]
        curves = [
            Curve(m.k, seed, m.curve().cpu().numpy(), m.concentration)
            for seed, m in zip(seeds, models, strict=True)
        ]
        return vote(kernels, curves, 0.75)

    here, there, other = voted((0, 1, 2), "cpu"), voted((0, 1, 2), GPU), voted((3, 4, 5), "cpu")
    same, by_chance = ((here.names.shape == v.names.shape).mean() for v in (there, other))
    assert same > by_chance - 0.02
    assert abs(here.dissimilarity.mean() - there.dissimilarity.mean()) < 0.005

"""A GPU and the processor find the same: every stage that can use one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kernelatlas.clustering.autoencoder import Settings, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import fits, jet
from kernelatlas.evidence.crossfit import cross_fit
from kernelatlas.evidence.trials import on_crops
from kernelatlas.kernels.normalise import normalise
from kernelatlas.training.network import train
from kernelatlas.training.recipes import read_recipe

ROOT = Path(__file__).parents[2]
NETWORK = "convnextv2_mini"
GPU = "cuda" if torch.cuda.is_available() else "mps"
SETTINGS = Settings(points=256, centroids=16, rounds=30, decoder_steps=400, steps=200)

pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() or torch.backends.mps.is_available()), reason="no GPU"
)


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    """Templates of 7×7 with noise, among them none that is degenerate."""
    random, shapes = np.random.default_rng(0), bank(7).weights
    chosen = shapes[random.integers(len(shapes), size=2000)]
    return (chosen + random.normal(0, 0.05, chosen.shape)).astype(np.float32)


def curve(kernels: np.ndarray, seed: int, device: str) -> Curve:
    model, _ = fit(kernels, SETTINGS, seed, device)
    return Curve(model.k, seed, model.curve().cpu().numpy(), model.concentration)


def test_curves_give_the_same_labels_as_another_seed_would(noisy):
    kernels = normalise(noisy)
    here, there, other = (
        vote(kernels, [curve(kernels, seed, on) for seed in seeds], 0.75)
        for seeds, on in (((0, 1, 2), "cpu"), ((0, 1, 2), GPU), ((3, 4, 5), "cpu"))
    )
    same, by_chance = ((here.names.shape == v.names.shape).mean() for v in (there, other))
    assert same > by_chance - 0.02
    assert abs(here.dissimilarity.mean() - there.dissimilarity.mean()) < 0.005


@pytest.mark.parametrize(("fitted", "column"), [(fits.fit, "r2"), (jet.fit, "jet_r2_3")])
def test_fits_are_as_good(noisy, fitted, column):
    here, there = fitted(noisy), fitted(noisy, GPU)
    worse = there[column] < here[column] - 1e-3
    assert worse.mean() < 0.005
    assert (here[column] < there[column] - 1e-3).mean() < 0.005


def test_curves_of_folds_are_as_good(noisy):
    kernels = normalise(noisy)
    key = pd.DataFrame({"model": np.arange(len(noisy)) % 4, "layer_index": 0}).astype(
        {"model": str}
    )
    here, there = (cross_fit(key, kernels, SETTINGS, [0], on) for on in ("cpu", GPU))
    pd.testing.assert_frame_equal(here.folds, there.folds)
    for one, other in zip(here.curves, there.curves, strict=True):
        both = [c[0].draw(kernels).dissimilarity.mean() for c in (one, other)]
        assert abs(both[0] - both[1]) < 0.005


def test_networks_answer_and_learn_alike():
    weights = ROOT / f"resources/zoo/{NETWORK}.safetensors"
    here, there = (on_crops(weights, [7], on).answers({}) for on in ("cpu", GPU))
    for question, answers in here.items():
        assert (answers == there[question]).mean() > 0.995, question
    recipe = read_recipe(ROOT / f"workflow/zoos/recipes/{NETWORK}.yaml")
    recipe["optimiser"].update(steps=8, batch=8)
    recipe["test"].update(every=8, per_subject=1)
    losses = [train({**recipe, "trajectory": 0}, on).history[-1]["loss"] for on in ("cpu", GPU)]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)

"""The autoencoder: its parts, its file, and that it finds what was planted."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from curves import QUICK, trained
from safetensors import safe_open

from kernelatlas.clustering import autoencoder as module
from kernelatlas.clustering.autoencoder import Autoencoder, Settings, fit
from kernelatlas.clustering.curve import BLOCK, Curve
from kernelatlas.clustering.kmeans import dissimilarity, spherical_kmeans
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.normalise import normalise
from kernelatlas.running.device import describe, resolve

TINY = Settings(
    points=64,
    centroids=5,
    rounds=6,
    widths=(8, 6),
    fourier=4,
    decoder_steps=120,
    steps=70,
    batch=16,
    learning_rate=1e-3,
)


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


def planted(n=600, sigma=0.05, seed=0):
    rng = np.random.default_rng(seed)
    weights = bank(7).weights
    kernels = weights[rng.integers(len(weights), size=n)]
    return normalise(kernels + rng.normal(0, sigma, kernels.shape))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Autoencoder(5, TINY).eval()
    model.concentration = 21.5
    return model


def test_codes_are_those_of_points(model):
    codes = model.encode(torch.from_numpy(noise(60, 5)))
    assert codes.shape == (60,)
    assert set(codes.tolist()) <= set(model.codes.tolist())
    assert len(codes.unique()) > 1
    torch.testing.assert_close(model.codes, (torch.arange(64) + 0.5) / 64)


def test_the_code_is_that_of_the_most_probable_point(model):
    kernels = torch.from_numpy(noise(20, 5))
    scores = model.scores(kernels)
    assert scores.shape == (20, 64)
    for code, row in zip(model.encode(kernels), scores, strict=True):
        assert code == model.codes[int(row.detach().numpy().argmax())]


def test_decoded_kernels_are_centred_and_of_unit_norm(model):
    decoded = model.decode(torch.linspace(0, 1, 30))
    assert decoded.shape == (30, 25)
    torch.testing.assert_close(decoded.sum(dim=1), torch.zeros(30), atol=1e-5, rtol=0)
    torch.testing.assert_close(decoded.norm(dim=1), torch.ones(30))


def test_the_decoder_sees_sines_and_cosines_of_the_code(model):
    model.decoder = torch.nn.Identity()
    codes = torch.tensor([0.1, 0.7])
    phases = np.pi * np.outer([0.1, 0.7], np.arange(1, 5))
    seen = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    np.testing.assert_allclose(model.decode(codes), normalise(seen), atol=1e-5)


def test_the_decoder_mirrors_the_encoder(model):
    sizes = [tuple(p.shape) for p in model.encoder.parameters() if p.ndim == 2]
    assert sizes == [(8, 25), (6, 8), (64, 6)]
    sizes = [tuple(p.shape) for p in model.decoder.parameters() if p.ndim == 2]
    assert sizes == [(6, 8), (8, 6), (25, 8)]


@pytest.mark.parametrize("n", [1, 40, BLOCK + 1])
def test_the_reconstruction_is_at_the_encoders_code(model, n):
    kernels = torch.from_numpy(noise(n, 5))
    codes, values = model.reconstruct(kernels)
    torch.testing.assert_close(codes, model.encode(kernels).detach())
    expected = 1 - torch.cosine_similarity(model.decode(codes), kernels)
    torch.testing.assert_close(values, expected.detach())


def test_what_is_saved_is_loaded(tmp_path, model):
    path = tmp_path / "a.safetensors"
    model.save(path, {"seed": 3, "kernels": 100})
    loaded = Autoencoder.load(path)
    assert (loaded.k, loaded.settings, loaded.training) == (5, TINY, False)
    assert loaded.concentration == 21.5
    kernels = torch.from_numpy(noise(20, 5))
    for before, after in zip(model.reconstruct(kernels), loaded.reconstruct(kernels), strict=True):
        assert torch.equal(before, after)
    assert torch.equal(model.curve(), loaded.curve())
    curve = Curve.load(path)
    assert (curve.k, curve.seed, curve.concentration) == (5, 3, 21.5)
    assert np.array_equal(curve.points, model.curve().numpy())
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["kernelatlas"]  # several keys come in a random order
    content = json.loads(metadata["kernelatlas"])
    assert (content["k"], content["seed"], content["kernels"]) == (5, 3, 100)
    assert content["settings"]["learning_rate"] == TINY.learning_rate


def test_curves_of_few_points_are_loaded(tmp_path):
    model, _ = fit(noise(30), TINY, 0, "cpu")
    assert model.points == 30 < TINY.points
    model.save(tmp_path / "a.safetensors", {"seed": 0})
    assert torch.equal(Autoencoder.load(tmp_path / "a.safetensors").curve(), model.curve())
    assert len(Curve.load(tmp_path / "a.safetensors").points) == 30


def test_every_process_writes_the_same_bytes(tmp_path, model):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model.save(first, {"seed": 3, "kernels": 100, "a": 1, "b": 2})
    text = (
        "import torch\n"
        "from kernelatlas.clustering.autoencoder import Autoencoder\n"
        "torch.set_num_threads(1)\n"
        f"model = Autoencoder.load({str(first)!r})\n"
        f"model.save({str(second)!r}, {{'b': 2, 'a': 1, 'kernels': 100, 'seed': 3}})"
    )
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", text], env=environment, check=True, timeout=120)
    assert first.read_bytes() == second.read_bytes()


def test_a_seed_gives_the_same_bytes(tmp_path):
    kernels = noise(60)
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)  # whatever was drawn before must not matter
        model, history = fit(kernels, TINY, seed, "cpu")
        model.save(tmp_path / name, {})
        files.append(((tmp_path / name).read_bytes(), history))
    assert files[0] == files[1]
    assert files[0][0] != files[2][0]


def test_the_number_of_threads_does_not_change_what_is_concluded():
    kernels, shares = planted(), []
    quick = replace(QUICK, points=64, rounds=8, decoder_steps=80, steps=20)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            curves = trained(kernels, quick, (0, 1, 2))
        finally:
            torch.set_num_threads(1)
        votes = vote(kernels, curves, 0.75)
        found = votes.identified(0.3)
        shares.append(np.bincount(votes.names.shape[found], minlength=9) / len(kernels))
    assert shares[0].sum() > 0.5
    np.testing.assert_allclose(*shares, atol=0.005)


def test_history():
    kernels = noise(60)
    model, history = fit(kernels, TINY, 0, "cpu")
    assert [(row["stage"], row["step"]) for row in history] == [
        *(("curve", step) for step in range(1, 7)),
        *(("decoder", step) for step in (50, 100, 120)),
        *(("training", step) for step in (50, 70)),
    ]
    columns = {
        "curve": {"width", "dissimilarity"},
        "decoder": {"learning_rate", "dissimilarity"},
        "training": {"learning_rate", "dissimilarity", "dissimilarity_encoder", "cross_entropy"},
    }
    for row in history:
        assert set(row) == {"stage", "step", *columns[row["stage"]]}
        assert 0 <= row["dissimilarity"] <= 2
        if "learning_rate" in row:
            assert 0 < row["learning_rate"] <= TINY.learning_rate
    assert history[-1]["learning_rate"] < history[-2]["learning_rate"]
    assert not model.training


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 50, 51])
def test_any_number_of_steps(steps):
    settings = replace(TINY, decoder_steps=steps, steps=steps, batch=100)
    history = fit(noise(8), settings, 0, "cpu")[1]
    for stage in ("decoder", "training"):
        assert [row["step"] for row in history if row["stage"] == stage][-1] == steps


def test_the_decoder_is_laid_on_the_curve():
    phases = np.linspace(0, 3, 128)[:, None] * np.array([1, 2, 3, 5])
    mixed = np.random.default_rng(0).normal(size=(8, 25))
    curve = normalise(np.concatenate([np.sin(phases), np.cos(phases)], axis=1) @ mixed)
    torch.manual_seed(0)
    model = Autoencoder(5, QUICK)
    rows = []
    module.fit_decoder(model, torch.from_numpy(curve), lambda step, row: rows.append(row))
    cosines = (model.curve().numpy() * curve).sum(axis=1)
    assert cosines.min() > 0.99
    assert rows[-1]["dissimilarity"] < rows[0]["dissimilarity"]


def test_planted_kernels_are_described_better_than_by_k_means():
    kernels = planted(2000)
    model, history = fit(kernels, replace(QUICK, points=512, steps=300, fourier=256), 0, "cpu")
    curve = Curve(7, 0, model.curve().numpy(), model.concentration)
    best = float(curve.draw(kernels).dissimilarity.mean())
    encoded = float(model.reconstruct(torch.from_numpy(kernels))[1].mean())
    of_20 = dissimilarity(kernels, spherical_kmeans(kernels, 20, 0)).mean()
    assert best < encoded < of_20
    rows = [row for row in history if row["stage"] == "training"]
    for name in ("dissimilarity_encoder", "cross_entropy"):
        assert rows[-1][name] < rows[0][name]
    assert rows[-1]["dissimilarity"] == pytest.approx(best, abs=0.01)
    assert rows[-1]["dissimilarity_encoder"] == pytest.approx(encoded, abs=0.02)
    fresh = planted(600, seed=1)
    assert float(curve.draw(fresh).dissimilarity.mean()) < 1.3 * best


def test_the_encoder_learns_the_distribution_of_the_curve():
    kernels = planted(600)
    model, _ = fit(kernels, replace(QUICK, steps=800), 0, "cpu")
    with torch.no_grad():
        data = torch.from_numpy(kernels)
        expected = torch.softmax(model.concentration * data @ model.curve().T, dim=1)
        found = torch.softmax(model.scores(data), dim=1)
    assert float((found - expected).abs().sum(dim=1).mean()) < 0.5  # of at most 2
    chance = expected.mean(dim=0)
    assert float((chance - expected).abs().sum(dim=1).mean()) > 1


@pytest.mark.parametrize("rate", [1e30, float("nan")])
def test_a_loss_that_is_not_finite(rate):
    told = r"k=3, seed 4.*step.*learning_rate \((1e\+30|nan)\)"
    with pytest.raises(KernelAtlasError, match=told):
        fit(noise(60), replace(TINY, learning_rate=rate), 4, "cpu")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve("auto") == resolve("cpu") == torch.device("cpu")
    assert describe(torch.device("cpu")) == "CPU"
    for name in ("cuda", "cuda:1", "mps", "abacus"):
        with pytest.raises(KernelAtlasError, match=f"device '{name}' is not on this machine.*auto"):
            resolve(name)
    with pytest.raises(KernelAtlasError, match="device 'mps'"):
        fit(noise(60), TINY, 0, "mps")


def test_auto_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve().type == "cuda"  # which one: test_device.py
    assert resolve("cuda:1") == torch.device("cuda:1")

"""The autoencoder: its parts, its file, and that it finds what was planted."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from kernelatlas import autoencoder as module
from kernelatlas.autoencoder import Autoencoder, Settings, fit, start
from kernelatlas.device import describe, resolve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kmeans import dissimilarity, spherical_kmeans
from kernelatlas.normalise import normalise
from kernelatlas.templates import bank

TINY = Settings(
    widths=(8, 6), fourier=4, centroids=5, epochs=3, batch=16, learning_rate=1e-3, curve_points=64
)


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


def planted(n=600, sigma=0.05, seed=0):
    random = np.random.default_rng(seed)
    weights = bank(7).weights
    kernels = weights[random.integers(len(weights), size=n)]
    return normalise(kernels + random.normal(0, sigma, kernels.shape))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Autoencoder(5, TINY).eval()


def test_codes_are_numbers_between_0_and_1(model):
    codes = model.encode(torch.from_numpy(noise(20, 5)))
    assert codes.shape == (20,)
    assert ((codes >= 0) & (codes <= 1)).all()
    assert len(codes.unique()) > 1


def test_decoded_kernels_are_centred_and_of_unit_norm(model):
    decoded = model.decode(torch.linspace(0, 1, 30))
    assert decoded.shape == (30, 25)
    torch.testing.assert_close(decoded.sum(dim=1), torch.zeros(30), atol=1e-5, rtol=0)
    torch.testing.assert_close(decoded.norm(dim=1), torch.ones(30))


def test_the_decoder_mirrors_the_encoder(model):
    sizes = [tuple(p.shape) for p in model.encoder.parameters() if p.ndim == 2]
    assert sizes == [(8, 25), (6, 8), (1, 6)]
    sizes = [tuple(p.shape) for p in model.decoder.parameters() if p.ndim == 2]
    assert sizes == [(6, 8), (8, 6), (25, 8)]


def test_the_projection_is_the_best_code_on_the_curve(model, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)  # several blocks, the last one shorter
    kernels = torch.from_numpy(noise(40, 5))
    codes, values = model.project(kernels)
    grid = np.linspace(0, 1, TINY.curve_points)
    curve = np.stack(
        [model.decode(torch.tensor([z], dtype=torch.float32))[0].detach().numpy() for z in grid]
    )
    for kernel, code, value in zip(kernels.numpy(), codes, values, strict=True):
        cosines = [float(kernel @ point) for point in curve]
        assert grid[int(np.argmax(cosines))] == pytest.approx(float(code), abs=1e-6)
        assert 1 - max(cosines) == pytest.approx(float(value), abs=1e-5)


def test_the_reconstruction_is_at_the_encoders_code(model, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    kernels = torch.from_numpy(noise(40, 5))
    codes, values = model.reconstruct(kernels)
    torch.testing.assert_close(codes, model.encode(kernels).detach())
    expected = 1 - torch.cosine_similarity(model.decode(codes), kernels)
    torch.testing.assert_close(values, expected.detach())


def test_no_kernels_have_no_codes(model):
    none = torch.empty(0, 25)
    assert [values.shape for values in (*model.project(none), *model.reconstruct(none))] == [
        (0,)
    ] * 4


def test_the_sample_counts_every_kernel_where_its_code_is(model):
    kernels = noise(200, 5)
    codes, curve, counts = model.sample(kernels)
    np.testing.assert_allclose(codes, np.linspace(0, 1, 64), atol=1e-6)
    assert curve.shape == (64, 25)
    expected = np.bincount((kernels @ curve.T).argmax(axis=1), minlength=64)
    assert counts.tolist() == expected.tolist()


def test_what_is_saved_is_loaded(tmp_path, model):
    path = tmp_path / "a.safetensors"
    model.save(path, {"seed": 3, "kernels": 100})
    loaded = Autoencoder.load(path)
    assert (loaded.k, loaded.settings, loaded.training) == (5, TINY, False)
    kernels = torch.from_numpy(noise(20, 5))
    for before, after in zip(
        (*model.project(kernels), *model.reconstruct(kernels)),
        (*loaded.project(kernels), *loaded.reconstruct(kernels)),
        strict=True,
    ):
        assert torch.equal(before, after)
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["kernelatlas"]  # several keys come in a random order
    content = json.loads(metadata["kernelatlas"])
    assert (content["k"], content["seed"], content["kernels"]) == (5, 3, 100)
    assert content["settings"]["learning_rate"] == TINY.learning_rate


def test_every_process_writes_the_same_bytes(tmp_path, model):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model.save(first, {"seed": 3, "kernels": 100, "a": 1, "b": 2})
    text = (
        "from kernelatlas.autoencoder import Autoencoder\n"
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


def test_history():
    seen = []
    kernels = noise(60)
    model, history = fit(kernels, TINY, 0, "cpu", seen.append)
    assert history == seen
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert {tuple(row) for row in history} == {
        ("epoch", "learning_rate", "loss_encoder", "loss_projected")
    }
    rates = [row["learning_rate"] for row in history]
    assert TINY.learning_rate >= max(rates) > min(rates) > 0
    for row in history:
        assert 0 <= row["loss_projected"] <= 2
        assert 0 <= row["loss_encoder"] <= 2
    assert not model.training


@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 11])
def test_any_number_of_steps(epochs):
    history = fit(noise(8), replace(TINY, epochs=epochs, batch=100), 0, "cpu")[1]
    assert len(history) == epochs


def test_the_curve_starts_on_centroids_along_a_short_path():
    kernels = planted(200)
    centroids = start(kernels, 8, 0)
    expected = spherical_kmeans(kernels, 8, 0)
    assert sorted(centroids.tolist()) == sorted(expected.tolist())

    def length(points):
        return (1 - (points[1:] * points[:-1]).sum(axis=1)).sum()

    assert length(centroids) < length(expected)
    settings = replace(TINY, widths=(64, 64), fourier=8)
    torch.manual_seed(0)
    model = Autoencoder(7, settings)
    module.lay_on(model, torch.from_numpy(centroids))
    decoded = model.decode((torch.arange(8) + 0.5) / 8).detach().numpy()
    assert (decoded * centroids).sum(axis=1).min() > 0.9


def test_k_means_sees_a_sample_at_most(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "SAMPLE", 30)
    monkeypatch.setattr(
        module,
        "spherical_kmeans",
        lambda kernels, n, seed: seen.append(kernels) or spherical_kmeans(kernels, n, seed),
    )
    kernels = noise(100)
    start(kernels, 4, 0)
    assert len(np.unique(seen[0], axis=0)) == 30
    assert set(map(bytes, seen[0])) <= set(map(bytes, kernels))


def test_planted_kernels_are_described_better_than_by_k_means():
    kernels = planted()
    settings = Settings(
        widths=(64, 64),
        fourier=16,
        centroids=24,
        epochs=40,
        batch=64,
        learning_rate=5e-3,
        curve_points=1024,
    )
    model, history = fit(kernels, settings, 0, "cpu")
    data = torch.from_numpy(kernels)
    projected, encoded = (
        float(model.project(data)[1].mean()),
        float(model.reconstruct(data)[1].mean()),
    )
    of_20, of_8 = (dissimilarity(kernels, spherical_kmeans(kernels, n, 0)).mean() for n in (20, 8))
    assert projected < of_20
    assert encoded < of_8
    assert projected < encoded  # nothing on the curve is better than the projection
    assert history[-1]["loss_projected"] < history[0]["loss_projected"]
    assert history[-1]["loss_encoder"] < history[0]["loss_encoder"] / 2
    assert history[-1]["loss_projected"] == pytest.approx(projected, abs=0.01)
    fresh = torch.from_numpy(planted(seed=1))
    assert float(model.project(fresh)[1].mean()) < 1.3 * projected


def test_a_loss_that_is_not_finite():
    with pytest.raises(KernelAtlasError, match=r"k=3, seed 4.*epoch.*learning_rate \(1e\+30\)"):
        fit(noise(60), replace(TINY, learning_rate=1e30), 4, "cpu")


def test_fewer_kernels_than_centroids():
    with pytest.raises(KernelAtlasError, match="4 kernels are fewer than the 5 centroids"):
        fit(noise(4), TINY, 0, "cpu")


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

"""What a curve draws for a kernel."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from curves import at_random

from kernelatlas.clustering.autoencoder import Autoencoder, Settings
from kernelatlas.clustering.curve import BLOCK, Curve, middles
from kernelatlas.kernels.normalise import normalise

ROOT = Path(__file__).parents[2]


def noise(n, k=3, seed=0):
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


# Without and with subnormal weights. Cosines are known to 6e-8, weights to κ times as much.
@pytest.mark.parametrize(("concentration", "apart"), [(13.0, 1e-6), (106.0, 1e-5)])
def test_what_is_drawn_is_what_the_definition_says(concentration, apart):
    curve, kernels = at_random(5, concentration=concentration), noise(60, 5)
    drawn = curve.draw(kernels)
    for i, kernel in enumerate(kernels.astype(float)):
        cosines = [float(kernel @ point) for point in curve.points.astype(float)]
        assert drawn.point[i] == int(np.argmax(cosines))
        assert drawn.dissimilarity[i] == pytest.approx(1 - max(cosines), abs=1e-6)
        mean = np.zeros(25)
        for cosine, point in zip(cosines, curve.points.astype(float), strict=True):
            mean += np.exp(concentration * cosine) * point
        np.testing.assert_allclose(drawn.mean[i], mean / np.linalg.norm(mean), atol=apart)
    assert (drawn.dissimilarity.dtype, drawn.mean.dtype) == (np.float32, np.float32)


def test_a_kernel_on_the_curve_has_the_code_of_its_point():
    curve = at_random(m=50)
    drawn = curve.draw(curve.points)
    assert drawn.point.tolist() == list(range(50))
    np.testing.assert_allclose(drawn.dissimilarity, 0, atol=1e-6)
    np.testing.assert_allclose(curve.codes[drawn.point], (np.arange(50) + 0.5) / 50)


def test_the_mean_comes_to_the_best_point_as_the_concentration_grows():
    kernels = noise(100)
    far = []
    for concentration in (1.0, 10.0, 100.0, 1e5):
        curve = at_random(m=8, concentration=concentration)
        drawn = curve.draw(kernels)
        np.testing.assert_allclose(np.linalg.norm(drawn.mean, axis=1), 1, atol=1e-5)
        far.append(1 - (drawn.mean * curve.points[drawn.point]).sum(axis=1).mean())
    assert far == sorted(far, reverse=True)
    assert far[0] > 0.1
    assert far[-1] < 0.001


@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_blocks_do_not_matter(n):
    curve, kernels = at_random(), noise(n)
    drawn = curve.draw(kernels)
    assert [len(v) for v in (drawn.point, drawn.dissimilarity, drawn.mean)] == [n] * 3
    for rows in (slice(0, 2), slice(n // 2, n // 2 + 2), slice(max(n - 2, 0), n)):
        alone = curve.draw(kernels[rows])
        assert drawn.point[rows].tolist() == alone.point.tolist()
        np.testing.assert_allclose(drawn.dissimilarity[rows], alone.dissimilarity, atol=1e-6)
        np.testing.assert_allclose(drawn.mean[rows], alone.mean, atol=1e-6)


def test_codes_are_the_middles_of_equal_stretches():
    np.testing.assert_allclose(middles(4), [0.125, 0.375, 0.625, 0.875])
    assert middles(1024).dtype == np.float32


def test_curves_are_read_and_labels_given_without_torch(tmp_path):
    torch.manual_seed(0)
    model = Autoencoder(3, Settings(points=20, widths=(8,), fourier=3)).eval()
    model.concentration = 17.5
    model.save(tmp_path / "a.safetensors", {"seed": 6})
    np.save(tmp_path / "kernels.npy", noise(30))
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from kernelatlas.clustering.curve import Curve\n"
        "from kernelatlas.clustering.labels import vote\n"
        "curve = Curve.load('a.safetensors')\n"
        "found = vote(np.load('kernels.npy'), [curve], 0.75)\n"
        "np.save('found.npy', found.dissimilarities)\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    curve = Curve.load(tmp_path / "a.safetensors")
    assert (curve.k, curve.seed, curve.concentration) == (3, 6, 17.5)
    np.testing.assert_array_equal(curve.points, model.curve().numpy())
    np.testing.assert_allclose(
        np.load(tmp_path / "found.npy")[:, 0], curve.draw(noise(30)).dissimilarity, atol=1e-6
    )

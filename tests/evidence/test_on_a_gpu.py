"""A GPU and the processor find the same evidence: fits, curves of folds, and replacements."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gpu import GPU, SETTINGS, needs_gpu, noisy
from kernelatlas.evidence import fits, jet
from kernelatlas.evidence.crossfit import cross_fit
from kernelatlas.evidence.replacements import evaluate
from kernelatlas.evidence.trials import on_crops
from kernelatlas.evidence.variants import Material, variants
from kernelatlas.kernels.normalise import normalise

NETWORK = Path(__file__).parents[2] / "resources/zoo/convnextv2_mini.safetensors"

pytestmark = needs_gpu


@pytest.mark.parametrize(
    ("fitted", "r2", "chosen"),
    [(fits.fit, "r2", "function"), (jet.fit, "jet_r2_3", "jet_order")],
    ids=["functions", "jets"],
)
@pytest.mark.parametrize("k", [3, 7])
def test_fits_are_as_good(k, fitted, r2, chosen):
    kernels = noisy(k)
    here, there = fitted(kernels), fitted(kernels, GPU)
    r2 = "jet_r2_1" if k == 3 and r2 != "r2" else r2  # of 3×3 pixels nothing is left
    for one, other in ((here, there), (there, here)):
        assert (other[r2] < one[r2] - 1e-3).mean() < 0.005
    assert (here[chosen] == there[chosen]).mean() > 0.98


def test_curves_of_folds_are_as_good():
    kernels = normalise(noisy())
    key = pd.DataFrame({"model": np.arange(len(kernels)) % 4, "layer_index": 0})
    key = key.astype({"model": str})
    here, there = (cross_fit(key, kernels, SETTINGS, [0], on) for on in ("cpu", GPU))
    pd.testing.assert_frame_equal(here.folds, there.folds)
    for one, other in zip(here.curves, there.curves, strict=True):
        both = [c[0].draw(kernels).dissimilarity.mean() for c in (one, other)]
        assert abs(both[0] - both[1]) < 0.005


def test_networks_answer_alike_with_their_own_and_with_replaced_kernels(tmp_path):
    own, tables = [], []
    for on in ("cpu", GPU):
        trial = on_crops(NETWORK, [7], on)
        own.append(trial.answers({}))
        found = variants(trial.kernels, Material({7: normalise(noisy(n=8))}, {}, pd.DataFrame()))
        keys = [variant for variant in found if variant.name == "master keys"]
        tables.append(evaluate(trial, keys, tmp_path / on))
    for question, answers in own[0].items():
        assert (answers == own[1][question]).mean() > 0.995, question
    shares = [name for name in tables[0] if name.startswith("accuracy")]
    np.testing.assert_allclose(*(table[shares].astype(float) for table in tables), atol=0.005)
    columns = ["variant", "numbers", "kernels", "kept", "mean_r2", "energy_explained", "pictures"]
    pd.testing.assert_frame_equal(*(table[columns] for table in tables))

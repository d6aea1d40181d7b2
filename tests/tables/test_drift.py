"""Drift between checkpoints: planted turns, scalings and moves are found; permutations are null."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.text import Text
from scipy.ndimage import center_of_mass
from scipy.spatial.transform import Rotation

from kernelatlas.clustering.labels import write_labels
from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import drift as figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.tables.drift import centres, drift, drift_table

N, K = 300, 5


def write_state(folder, name: str, weights: dict[str, np.ndarray], label: str = "on-centre"):
    """Write kernels and labels of one checkpoint; return their paths, labels first."""
    layers = [Layer(layer, w.reshape(len(w), K, K)) for layer, w in weights.items()]
    write_kernels(folder / f"{name}.kernels", name, layers, {})
    parts = []
    for index, (layer, w) in enumerate(weights.items()):
        keys = {"model": name, "layer": layer, "layer_index": index, "channel": np.arange(len(w))}
        parts.append(
            pd.DataFrame(keys).assign(
                k=K,
                **dict.fromkeys(("direction", "template_cosine", "agreement"), 0.1),
                dissimilarity=0.1,
                codes=[[0.5]] * len(w),
                by_seed=[[0.1]] * len(w),
                live=True,
                cluster=0,
                label=label,
                identified=True,
                reason=None,
                identified_one_seed=True,
                degenerate=np.ptp(w, axis=1) == 0,
            )
        )
    write_labels([pa.Table.from_pandas(part) for part in parts], folder / f"{name}.labels", [0])
    return folder / f"{name}.labels", folder / f"{name}.kernels"


def random(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, K * K)).astype(np.float32)


def names(n: int, *shapes: str) -> np.ndarray:
    return np.array([shapes[i % len(shapes)] for i in range(n)])


def test_a_turn_by_a_known_angle_is_measured() -> None:
    # Two of three orthonormal kernels without a mean span a plane, in which SciPy turns.
    axes = np.linalg.qr(np.column_stack([np.ones(K * K), random(0, 3).T]))[0][:, 1:].T
    turned = Rotation.from_euler("z", 30, degrees=True).apply(np.eye(3)) @ axes
    before, after = np.repeat(axes[:1], N, axis=0), np.repeat(turned[:1], N, axis=0)
    found = drift(before + 7, 2 * after, names(N, "other"), names(N, "other"))
    assert found["cosine"] == pytest.approx(np.cos(np.pi / 6), abs=1e-6)
    assert found["same_shape"] == found["same_shape_null"] == 1
    assert found["kernels"] == N


def test_a_scaled_network_keeps_its_kernels_and_labels() -> None:
    w, shapes = random(1), names(N, "on-centre", "other", "off-cross")
    found = drift(w, 1.5 * w, shapes, shapes)
    assert found["norm_change"] == pytest.approx(0.5, abs=1e-6)
    assert found["cosine"] == pytest.approx(1, abs=1e-6)
    assert found["same_shape"] == 1
    assert found["same_shape_null"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["moved"] == pytest.approx(0, abs=1e-5)
    assert found["moved_null"] > 0.2


def test_shuffled_channels_drift_as_far_as_the_null() -> None:
    w, shapes = random(2, 2000), names(2000, "on-centre", "other")
    order = np.random.default_rng(3).permutation(len(w))
    found = drift(w, w[order], shapes, shapes[order])
    assert found["cosine"] == pytest.approx(found["cosine_null"], abs=0.03)
    assert found["same_shape"] == pytest.approx(found["same_shape_null"], abs=0.04)
    assert found["moved"] == pytest.approx(found["moved_null"], rel=0.1)


def test_centres_of_energy_are_those_of_scipy() -> None:
    w = random(4, 10)
    expected = [center_of_mass(kernel.reshape(K, K) ** 2) for kernel in w.astype(float)]
    x, y = centres(w).T
    assert x == pytest.approx([column - 2 for _, column in expected], abs=1e-6)
    assert y == pytest.approx([2 - row for row, _ in expected], abs=1e-6)


def test_kernels_moved_by_a_pixel_have_moved_by_a_pixel() -> None:
    small = np.zeros((N, K, K), np.float32)
    small[:, 1:3, 1:3] = np.random.default_rng(5).normal(size=(N, 2, 2))
    moved = np.roll(small, 1, axis=2)
    sides = (part.reshape(N, -1) for part in (small, moved))
    start, end = (centres(side) for side in sides)
    assert end - start == pytest.approx(np.tile([1.0, 0.0], (N, 1)), abs=1e-6)


def test_checkpoints_are_compared_with_the_last_by_network_and_layer(tmp_path) -> None:
    first = {"a": random(6), "b": random(7, 50)}
    later = {"a": first["a"] + 0.5 * random(8), "b": first["b"]}
    dead = {**later, "a": later["a"].copy()}
    dead["a"][0] = 1.0
    paths = [write_state(tmp_path, f"s{i}", s) for i, s in enumerate((first, dead, later))]
    models = [[f"s{i}", "fam", i > 0, "data", "net", step] for i, step in enumerate((0, 5, 9))]
    order = [2, 0, 1]  # the order of the rows does not matter
    table = drift_table(*zip(*(paths[i] for i in order), strict=True), [models[i] for i in order])
    assert table["step"].tolist() == [0, 0, 5, 5]
    assert (table["last_step"] == 9).all()
    assert table["layer"].tolist() == ["a", "b"] * 2
    assert table["kernels"].tolist() == [N, 50, N - 1, 50]
    a = table[table["layer"] == "a"].set_index("step")
    # Noise of half the length: cos = 1/√1.25.
    assert a.loc[0, "cosine"] == pytest.approx(0.894, abs=0.02)
    assert a.loc[0, "cosine_low"] < a.loc[0, "cosine"] < a.loc[0, "cosine_high"]
    assert a.loc[5, "cosine"] == pytest.approx(1, abs=1e-6)
    assert abs(a.loc[0, "cosine_null"]) < 0.05


def test_a_network_of_other_layers_is_refused(tmp_path) -> None:
    paths = [write_state(tmp_path, name, {name: random(9, 10)}) for name in "ab"]
    models = [[name, "fam", True, "", "net", step] for step, name in enumerate("ab")]
    with pytest.raises(KernelAtlasError, match=r"a\.kernels: other layers than .*b\.kernels"):
        drift_table(*zip(*paths, strict=True), models)


def test_a_single_checkpoint_leaves_an_empty_table_and_words(tmp_path) -> None:
    path = write_state(tmp_path, "a", {"a": random(9, 10)})
    table = drift_table([path[0]], [path[1]], [["a", "fam", True, "", "net", 3]])
    assert table.empty
    shown = [t.get_text() for t in figure.draw(table).findobj(Text)]
    assert "No network has two checkpoints." in shown


def test_the_figure_is_equal_for_equal_tables(tmp_path) -> None:
    states = [{"a": random(s, 40), "b": random(s + 9, 40)} for s in range(3)]
    paths = [write_state(tmp_path, f"s{i}", state) for i, state in enumerate(states)]
    models = [[f"s{i}", "fam", True, "", "net", 10 * i] for i in range(3)]
    table = drift_table(*zip(*paths, strict=True), models)
    for name in "12":
        style.save(figure.draw(table), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()

"""The search for filters by accuracy, against brute force and planted filters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kernelatlas.clustering.curve import Curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import accuracy_search
from kernelatlas.evidence.accuracy_search import SCHEMA, Settings, around, greedy, search, skipped
from kernelatlas.evidence.trials import Progress, Trial
from kernelatlas.kernels.normalise import normalise

SETTINGS = Settings(codes=16, keys=3, pictures=8, candidates=16)


def r2_of(n: int, m: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, m))


def test_with_r2_as_measure_it_is_the_greedy_search_of_all_subsets() -> None:
    r2 = r2_of(40, 9)
    expected: list[int] = []
    while len(expected) < 7:
        left = [j for j in range(9) if j not in expected]
        means = {j: r2[:, [i for i in left if i != j]].max(axis=1).mean() for j in left}
        expected.append(max(means, key=lambda j: means[j]))
    assert greedy(r2, 2, 9, lambda left: r2[:, left].max(axis=1).mean()) == expected
    assert greedy(r2, 2, 1, lambda left: pytest.fail("one candidate needs no test")) == expected
    assert greedy(r2, 2, 4, lambda left: 0.0) == expected  # equal accuracies


def test_the_measure_decides_among_candidates_only() -> None:
    r2 = r2_of(40, 9, 1)
    worth = np.arange(9)[::-1]
    assert greedy(r2, 2, 9, lambda left: worth[left].sum()) == [8, 7, 6, 5, 4, 3, 2]
    [first] = greedy(r2, 8, 3, lambda left: worth[left].sum())
    without = [np.delete(r2, j, axis=1).max(axis=1).mean() for j in range(9)]
    assert first == max(np.argsort(without)[-3:])


def test_a_search_goes_on_where_it_was() -> None:
    r2 = r2_of(40, 9, 2)
    whole = greedy(r2, 2, 3, lambda left: float(-left.sum()))
    steps: list[list[int]] = []
    again = greedy(
        r2, 2, 3, lambda left: float(-left.sum()), whole[:4], lambda gone: steps.append(gone[:])
    )
    assert again == whole
    assert steps == [whole[:n] for n in (5, 6, 7)]


def test_places_around_others() -> None:
    assert around(np.array([0, 50]), 10.0, 60).tolist() == [0, 2, 4, 46, 48, 50, 52, 54]
    assert around(np.array([59]), 10.0, 60).tolist() == [55, 57, 59]


class Kernels(torch.nn.Module):
    """A network whose answers say how like its kernels are to those that it was made with."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        n = len(weights)
        self.conv = torch.nn.Conv2d(n, n, 5, groups=n, bias=False)
        self.conv.weight.data = torch.from_numpy(weights.reshape(n, 1, 5, 5)).clone()


@pytest.fixture
def curve() -> Curve:
    """A curve of noise."""
    return Curve(5, 0, normalise(np.random.default_rng(4).normal(size=(64, 25))), 10.0)


def trial(curve: Curve, tests: list[int]) -> Trial:
    """A network of kernels at three places of the curve; pictures ask for one kernel each."""
    rng = np.random.default_rng(5)
    places = np.linspace(0, 63, 16).round().astype(int)[[2, 7, 12]]
    weights = curve.points[np.repeat(places, 10)] * rng.uniform(1, 2, (30, 1))
    weights = (weights + rng.normal(0, 0.02, weights.shape)).astype(np.float32)
    network = Kernels(weights)

    def test(progress: Progress, groups: np.ndarray | None) -> dict[str, np.ndarray]:
        tests.append(1)
        now = network.conv.weight.detach().flatten(1).numpy()
        near = ((now - weights) ** 2).sum(axis=1) < 0.1 * (weights**2).sum(axis=1)
        asked = np.arange(30) if groups is None else groups
        return {"accuracy": near[asked, None]}

    return Trial(network, {"conv": weights}, 0, "top-1", 0.001, 30, 1, "identity", test)


def test_planted_filters_are_found(curve: Curve, tmp_path: Path) -> None:
    tests: list[int] = []
    found = search(trial(curve, tests), curve, SETTINGS, tmp_path / "resume")
    assert list(found.columns) == list(SCHEMA)
    last = found[(found["criterion"] == "accuracy") & (found["filters"] == 3)].iloc[0]
    planted = curve.codes[np.linspace(0, 63, 16).round().astype(int)[[2, 7, 12]]]
    np.testing.assert_array_equal(last["codes"], planted)
    assert last[["accuracy", "accuracy_search"]].tolist() == [1, 1]
    assert last["mean_r2"] > 0.95
    chance = found[found["criterion"] == "random choice"]
    assert chance["seed"].tolist() == [0, 1, 2]
    assert chance["accuracy"].mean() < 0.9
    assert found.loc[found["criterion"] == "untouched", "accuracy"].tolist() == [1]
    assert (found["pictures"] == 22).all()
    assert (found["pictures_search"] == 8).all()
    own = found[found["criterion"] == "accuracy"]
    stages = own.groupby("stage")["filters"].agg(["max", "min"])
    assert stages.loc[1].tolist() == [15, 10]
    assert stages.loc[2, "min"] == 3
    pd.testing.assert_frame_equal(
        search(trial(curve, []), curve, SETTINGS, tmp_path / "resume"), found
    )
    assert not list(tmp_path.iterdir())


def test_a_stopped_search_ends_alike_with_fewer_tests(
    curve: Curve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_tests: list[int] = []
    expected = search(trial(curve, all_tests), curve, SETTINGS, tmp_path / "resume")
    rows = accuracy_search._rows  # reached when all filters are removed
    monkeypatch.setattr(accuracy_search, "_rows", lambda *_: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        search(trial(curve, []), curve, SETTINGS, tmp_path / "resume")
    monkeypatch.setattr(accuracy_search, "_rows", rows)
    (tmp_path / "other").write_text((tmp_path / "resume").read_text())
    (tmp_path / "broken").write_text("{")
    for name, saves in (("resume", True), ("other", False), ("broken", False)):
        tests: list[int] = []
        code = "changed" if name == "other" else ""
        found = search(trial(curve, tests), curve, SETTINGS, tmp_path / name, code)
        pd.testing.assert_frame_equal(found, expected)
        assert (len(tests) < len(all_tests) / 2) == saves


def test_all_pictures_cannot_choose(curve: Curve, tmp_path: Path) -> None:
    settings = Settings(codes=16, keys=3, pictures=30, candidates=2)
    with pytest.raises(KernelAtlasError, match=r"search\.pictures: 30 of 30 pictures"):
        search(trial(curve, []), curve, settings, tmp_path / "resume")


def test_a_network_that_is_not_tested_has_one_row_with_the_reason() -> None:
    found = skipped("net: has 12 classes")
    assert list(found.columns) == list(SCHEMA)
    assert found["skipped"].tolist() == ["net: has 12 classes"]

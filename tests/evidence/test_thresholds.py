"""The share identified at other thresholds, beside the labels that each of them would give."""

import numpy as np
import pandas as pd
import pytest

from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import named_by_most, vote
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import nulls
from kernelatlas.evidence.crossfit import CrossFit, divide, labelled
from kernelatlas.evidence.sensitivity import Grid, sensitivity_table
from kernelatlas.figures import style
from kernelatlas.figures import thresholds as figure
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.names import NO_FOLD

K = 5
IN_USE = (0.33, 0.71)  # no values of the grid
MODELS = [
    ["one", "fam", True, ""],
    ["two", "other", True, ""],
    ["one.untrained", "fam", False, ""],
]
SAMPLE = 10_000


def weights_of(name: str) -> np.ndarray:
    """Noisy templates of four layers; of the control noise alone."""
    rng = np.random.default_rng(len(name))
    templates = bank(K).weights
    planted = templates[rng.integers(len(templates), size=160)]
    noise = rng.normal(0, 0.12, planted.shape)
    weights = (noise if "untrained" in name else planted + noise).astype(np.float32)
    weights[:3] = 0.5  # degenerate: in the denominators
    return weights


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Kernel tables, and curves through templates: of each fold, and of no fold in particular."""
    folder = tmp_path_factory.mktemp("zoo")
    keys = []
    for name, *_ in MODELS:
        parts = np.split(weights_of(name).reshape(-1, K, K), 4)
        layers = [Layer(f"dw{i}", part, None, None) for i, part in enumerate(parts)]
        write_kernels(folder / f"{name}.parquet", name, layers, {})
        keys += [{"model": name, "layer_index": i} for i in range(4) for _ in range(40)]
    key = pd.DataFrame(keys)
    folds = divide(key[~key["model"].str.contains("untrained")])
    templates = bank(K).weights
    curves = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points = normalise(templates[::3] + rng.normal(0, 0.15, templates[::3].shape))
        curves.append(Curve(K, seed % 2, points.astype(np.float32), 30.0))
    crossfit = CrossFit(K, folds, (tuple(curves[:2]), tuple(curves[2:4])))
    paths = [folder / f"{name}.parquet" for name, *_ in MODELS]
    table = sensitivity_table(paths, crossfit, curves[4:], MODELS, IN_USE, SAMPLE)
    return paths, crossfit, curves[4:], table


def test_values_are_counted_below_thresholds_and_from_cosines_on() -> None:
    rng = np.random.default_rng(0)
    grid = Grid((0.1, 0.3, 0.5), (0.2, 0.75, 0.9))
    distance, cosine = rng.uniform(0, 1, (2, 500)).astype(np.float32)
    distance[:20], cosine[10:30] = np.float32(0.3), np.float32(0.75)  # just so
    expected = [
        [int(((distance < np.float32(t)) & (cosine >= np.float32(c))).sum()) for c in grid.cosines]
        for t in grid.thresholds
    ]
    assert grid.count(distance, cosine, np.zeros(len(cosine), int), 1)[0].tolist() == expected


@pytest.mark.parametrize("pair", [IN_USE, (0.2, 0.5), (0.3, 0.85), (0.5, 0.75)])
def test_shares_are_those_of_labels_given_with_these_thresholds(zoo, pair) -> None:
    paths, crossfit, everyone, table = zoo
    threshold, minimum = pair
    rows = table[(table["threshold"] == threshold) & (table["minimum_cosine"] == minimum)]
    rows = rows.set_index(["family", "set"])
    for name, family, trained, _ in MODELS:
        raw = weights_of(name)
        kernels = normalise(raw[~degenerate(raw)])
        fold = crossfit.folds.set_index("model")["fold"].get(name)
        curves = crossfit.curves[fold.iloc[0]] if trained else everyone
        votes = vote(kernels, curves, minimum)
        share = votes.identified(threshold).sum() / len(raw)
        found = rows.loc[family, "trained" if trained else "untrained"]
        assert found["share"] == pytest.approx(share)
        assert found["kernels"] == len(raw)
        assert found["low"] <= share <= found["high"]
    key, drawn = nulls.drawn(paths[:2], K, SAMPLE)
    by_fold = {NO_FOLD: everyone, **dict(enumerate(crossfit.curves))}
    for name, noise in drawn.items():
        labels = labelled(normalise(noise), crossfit.fold_of(key), by_fold, minimum)
        named = named_by_most(labels["label"], labels["agreement"].to_numpy())
        share = (named & (labels["dissimilarity"] < np.float32(threshold))).mean()
        found = rows.loc["all families", name]
        assert found["share"] == pytest.approx(share)
        trained = rows.loc["all families", "trained"]["share"]
        assert found["excess"] == pytest.approx(trained - share)
        assert found["excess_low"] < found["excess"] < found["excess_high"]


def test_the_pair_in_use_is_marked_and_stricter_pairs_identify_no_more(zoo) -> None:
    table = zoo[3]
    here = table[table["in_use"]]
    assert set(zip(here["threshold"], here["minimum_cosine"], strict=True)) == {IN_USE}
    assert here.groupby(["family", "set"]).size().eq(1).all()
    for _, part in table.groupby(["family", "set"]):
        grid = part.pivot_table(index="threshold", columns="minimum_cosine", values="share")
        assert (grid.diff().fillna(0) >= 0).all(axis=None)
        assert (grid.diff(axis=1).fillna(0) <= 0).all(axis=None)
    whole = table[table["family"] == "all families"]
    assert whole.loc[whole["set"] == "trained", "excess"].isna().all()
    assert set(whole["set"]) == {"trained", "untrained", "shuffled", "white", "covariance"}


def test_without_curves_that_have_not_seen_the_kernels_nulls_stand_alone(zoo) -> None:
    paths, _, everyone, _ = zoo
    none = CrossFit(K, divide(pd.DataFrame({"model": [], "layer_index": []})), ())
    table = sensitivity_table(paths, none, everyone, MODELS, IN_USE, SAMPLE)
    assert "trained" not in set(table["set"])
    assert table["excess"].isna().all()
    drawn = figure.draw(table, K)
    words = " ".join(text.get_text() for text in drawn.texts)
    assert "No curves are left" in words.replace("\n", " ")


def test_the_figure_marks_what_is_in_use_and_names_every_line(zoo, tmp_path) -> None:
    table = zoo[3]
    for name in ("one.png", "two.png"):
        drawn = figure.draw(table, K)
        legend = [text.get_text() for text in drawn.legends[0].get_texts()]
        style.save(drawn, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert {"threshold in use", "pair in use", "95 % interval", "interval includes 0"} <= {*legend}
    assert len([text for text in legend if text in figure.WORDS.values()]) == 5

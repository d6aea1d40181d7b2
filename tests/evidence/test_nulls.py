"""Nulls and what is compared with them, against sets whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from curves import QUICK, trained

from kernelatlas import names
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.labels import SCHEMA, label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import nulls
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.figures import nulls as figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.names import ALL_FAMILIES, FUNCTIONS, NULLS
from kernelatlas.tables.nulls import (
    calibrated,
    gather,
    layer_share,
    null_curves,
    null_shares,
)

K = 7
MODELS = [["net", "fam", True, ""], ["net.untrained", "fam", False, ""]]


def write_model(path, weights, layers=4):
    parts = np.array_split(weights.reshape(-1, K, K).astype(np.float32), layers)
    layer = [Layer(f"dw{i}", part, None, None) for i, part in enumerate(parts)]
    write_kernels(path, path.stem, layer, {})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A network of planted templates and its control of white noise, seen by the pipeline."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    templates = bank(K).weights
    planted = templates[rng.integers(len(templates), size=600)]
    planted = planted + rng.normal(0, 0.02, planted.shape)
    write_model(folder / "net.parquet", planted)
    write_model(folder / "net.untrained.parquet", rng.normal(size=(400, K * K)))
    kernels = normalise(planted)
    curves = trained(kernels, QUICK, (0, 1))
    clusters = cluster_table(kernels, curves, 0.3, 0.75)
    labels, fitted = [], []
    for name in ("net", "net.untrained"):
        table = label_kernels(folder / f"{name}.parquet", curves, clusters, 0.3, 0.75)
        write_labels([table], folder / f"{name}.labels.parquet", [0, 1])
        write_fits(fit_model(folder / f"{name}.parquet", [K]), folder / f"{name}.fits.parquet")
        labels.append(folder / f"{name}.labels.parquet")
        fitted.append(folder / f"{name}.fits.parquet")
    table = nulls.null_table([folder / "net.parquet"], curves, 0.75, 300)
    table.to_parquet(folder / "nulls.parquet")
    return table, gather(labels, fitted, folder / "nulls.parquet", MODELS, K)


def test_shuffling_keeps_the_weights_of_each_kernel_and_moves_them():
    weights = np.random.default_rng(1).normal(size=(50, 25)).astype(np.float32)
    shuffled = nulls.generate("shuffled", weights, np.eye(25))
    assert np.array_equal(np.sort(shuffled), np.sort(weights))
    assert (shuffled != weights).any(axis=1).all()
    # Each has an order of its own.
    ranks = np.argsort(np.argsort(shuffled)) - np.argsort(np.argsort(weights))
    assert len(np.unique(ranks, axis=0)) == 50


def test_noise_has_the_second_moments_of_the_kernels():
    rng = np.random.default_rng(2)
    units = normalise(rng.normal(size=(400, 9)) @ np.diag(np.arange(1, 10)))
    moments = units.T @ units / len(units)
    drawn = nulls.generate("covariance", np.zeros((40_000, 9), np.float32), moments)
    assert np.allclose(drawn.T @ drawn / len(drawn), moments, atol=0.01)
    white = nulls.generate("white", np.zeros((40_000, 9), np.float32), moments)
    assert np.allclose(white.T @ white / len(white), np.eye(9), atol=0.03)


@pytest.mark.parametrize("name", NULLS)
def test_equal_seeds_give_equal_nulls(name):
    weights = np.random.default_rng(3).normal(size=(20, 9)).astype(np.float32)
    one, same = (nulls.generate(name, weights, np.eye(9)) for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, nulls.generate(name, weights, np.eye(9), seed=1))


def test_planted_kernels_are_told_from_every_null_but_their_own_shuffle_is_not(world):
    table, kernels = world
    assert len(table) == 3 * 300
    shares = null_shares(kernels, 0.3, 0.8, 0.01)
    rows = shares[shares["family"] == ALL_FAMILIES].set_index(["rule", "set"])
    assert rows.loc[("r2", "trained"), "share"] > 0.9
    assert rows.loc[("identified", "trained"), "share"] > 0.5
    for name in ("untrained", "white", "shuffled"):
        for rule in ("identified", "r2"):
            # Functions about a moved centre describe a few shuffled kernels.
            most = 0.1 if (rule, name) == ("r2", "shuffled") else 0.02
            assert rows.loc[(rule, name), "share"] < most, (rule, name)
            assert rows.loc[(rule, name), "distinguishable"], (rule, name)
    # The covariance of the planted kernels is not white: it is credited with something.
    assert rows.loc[("r2", "covariance"), "share"] < rows.loc[("r2", "trained"), "share"]


def test_a_null_called_trained_is_not_distinguishable(world):
    _, kernels = world
    white = kernels[kernels["set"] == "white"]
    noise = pd.concat(
        [white[white.index % 2 == 0].assign(set="trained"), white[white.index % 2 == 1]]
    )
    shares = null_shares(noise, 0.3, 0.8, 0.01)
    against = shares[shares["set"] == "white"]
    assert len(against) == 4  # two rules, the family and all
    assert not against["distinguishable"].any()
    # Nor at the calibrated threshold: about the rate passes.
    assert (against["trained_share"] < 0.06).all()


def test_calibrated_thresholds_let_the_rate_pass_and_no_more():
    values = pd.Series(np.random.default_rng(4).permutation(np.arange(1000.0)))
    low = calibrated(values, 0.01, upwards=False)
    high = calibrated(values, 0.01, upwards=True)
    assert (values < low).sum() == 10
    assert (values >= high).sum() == 10
    tied = pd.Series(np.zeros(50))
    assert (tied < calibrated(tied, 0.01, upwards=False)).sum() == 0
    assert (tied >= calibrated(tied, 0.01, upwards=True)).sum() == 0


def test_intervals_over_layers_are_wider_where_layers_differ():
    rng = np.random.default_rng(5)
    layers = np.repeat(np.arange(20), 50)
    kernels = pd.DataFrame({"model": "net", "layer_index": layers})
    alike = layer_share(kernels, pd.Series(rng.random(1000) < 0.5))
    unlike = layer_share(kernels, pd.Series(layers < 10))
    assert unlike.value == 0.5
    # Of 20 layers all or nothing: ± 2.09 standard errors of 0.5 / √19.
    assert unlike.high - unlike.low == pytest.approx(2 * 2.09 * 0.5 / 19**0.5, rel=0.15)
    assert alike.high - alike.low < (unlike.high - unlike.low) / 3


def test_curves_count_what_passes(world):
    _, kernels = world
    curves = null_curves(kernels)
    shares = null_shares(kernels, 0.3, 0.8, 0.01)
    for row in shares[shares["family"] == ALL_FAMILIES].itertuples():
        own = curves.query("family == @row.family and set == @row.set and rule == @row.rule")
        at = own.iloc[(own["threshold"] - row.threshold).abs().argmin()]
        assert at["share"] == pytest.approx(row.share)
    assert (curves[curves["rule"] == "r2"].groupby(["family", "set"])["share"].first() > 0.99).all()


def test_without_controls_and_with_one_layer(world):
    _, kernels = world
    lone = kernels[(kernels["set"] != "untrained") & (kernels["layer_index"] == 0)]
    shares = null_shares(lone, 0.3, 0.8, 0.01)
    assert set(shares["set"]) == {"trained", *NULLS}
    assert shares["low"].isna().all()
    assert not shares.loc[shares["set"] != "trained", "distinguishable"].any()


def test_the_figure_tells_every_set_and_is_the_same_each_time(world, tmp_path):
    _, kernels = world
    shares, curves = null_shares(kernels, 0.3, 0.8, 0.01), null_curves(kernels)
    for name in ("one.png", "two.png"):
        drawn = figure.draw(shares, curves, K, 0.01)
        legend = {text.get_text() for text in drawn.legends[0].get_texts()}
        assert set(figure.WORDS.values()) <= legend
        style.save(drawn, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_what_has_no_name_or_is_outvoted_is_infinitely_far(tmp_path):
    keys = {"model": "net", "layer": "dw", "layer_index": 0}
    rows = [
        ("on-centre", 0.1, 1.0, 0.1),
        ("on-centre", 0.1, 0.5, np.inf),  # half of the seeds are not most
        ("on-centre", 0.1, 0.51, 0.1),
        (names.OTHER, 0.1, 1.0, np.inf),
        (names.DEGENERATE, None, None, np.inf),
    ]
    table = pd.DataFrame(rows, columns=["label", "dissimilarity", "agreement", "expected"])
    table = table.assign(**keys, channel=range(5), k=K, r2=0.5, function="dog")
    table["layer_index"] = table["layer_index"].astype("int16")
    table["dissimilarity"] = table["dissimilarity"].astype("Float32")
    table["agreement"] = table["agreement"].astype("Float32")
    labelled = table.assign(
        **dict.fromkeys(("direction", "template_cosine"), pd.array([pd.NA] * 5, "Float32")),
        cluster=pd.array([0] * 5, "Int16"),
        identified=False,
        identified_one_seed=False,
        degenerate=table["label"] == names.DEGENERATE,
        codes=None,
    )
    write_labels([labelled[SCHEMA.names]], tmp_path / "labels.parquet", [0, 1])
    table[["model", "layer", "layer_index", "channel", "k", "r2"]].astype(
        {"channel": "int32", "k": "int16"}
    ).to_parquet(tmp_path / "fits.parquet")
    chance = table[:4].assign(null="white")
    chance.to_parquet(tmp_path / "nulls.parquet")
    found = gather(
        [tmp_path / "labels.parquet"],
        [tmp_path / "fits.parquet"],
        tmp_path / "nulls.parquet",
        MODELS,
        K,
    )
    for name, n in (("trained", 5), ("white", 4)):
        own = found.loc[found["set"] == name, "dissimilarity"]
        np.testing.assert_allclose(own, table["expected"][:n], rtol=1e-6)


def test_functions_of_nulls_are_those_that_can_be_fitted(world):
    table, _ = world
    assert (table["agreement"].isin([0, 0.5, 1])).all()
    assert set(table["function"]) <= set(FUNCTIONS)

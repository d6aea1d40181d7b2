"""Nulls and what is compared with them, against sets whose answer is known."""

import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from curves import QUICK, at_random, trained

from kernelatlas import names
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.labels import label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import nulls
from kernelatlas.evidence.crossfit import CrossFit, cross_fit, crossfit_table, divide
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.figures import nulls as figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import KEY, read_square, write_kernels
from kernelatlas.names import ALL_FAMILIES, FUNCTIONS, IN_SAMPLE, NULLS, TRAINED
from kernelatlas.tables.compared import gather
from kernelatlas.tables.nulls import Part, calibrated, null_curves, null_shares

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
    key, _ = read_square(folder / "net.parquet", K)
    unseen = cross_fit(key, kernels, QUICK, (0, 1), "cpu")
    crossfit_table(key, kernels, unseen, 0.75).to_parquet(folder / "crossfit.parquet")
    table = nulls.null_table([folder / "net.parquet"], unseen, curves, 0.75, 300)
    table.to_parquet(folder / "nulls.parquet")
    tables = folder / "crossfit.parquet", folder / "nulls.parquet"
    return table, gather(labels, fitted, *tables, MODELS, K), folder


def test_shuffling_keeps_the_weights_of_each_kernel_and_moves_them():
    weights = np.random.default_rng(1).normal(size=(50, 25)).astype(np.float32)
    shuffled = nulls.generate("shuffled", weights, np.eye(25), (0,))
    assert np.array_equal(np.sort(shuffled), np.sort(weights))
    assert (shuffled != weights).any(axis=1).all()
    # Each has an order of its own.
    ranks = np.argsort(np.argsort(shuffled)) - np.argsort(np.argsort(weights))
    assert len(np.unique(ranks, axis=0)) == 50


def test_normalised_noise_has_the_second_moments_of_the_normalised_kernels(monkeypatch):
    rng = np.random.default_rng(2)
    units = normalise(rng.normal(size=(400, 9)) @ np.diag(np.arange(1, 10)))
    moments = nulls.products(units) / 400
    assert moments == pytest.approx(units.T.astype(float) @ units / 400)
    monkeypatch.setattr(nulls, "BLOCK", 77)
    assert nulls.products(units) / 400 == pytest.approx(moments)
    blank = np.zeros((40_000, 9), np.float32)
    drawn = normalise(nulls.generate("covariance", blank, moments, (0,)))
    assert np.abs(drawn.T @ drawn / len(drawn) - moments).max() < 0.006
    white = nulls.generate("white", blank, moments, (0,))
    assert np.allclose(white.T @ white / len(white), np.eye(9), atol=0.03)


@pytest.mark.parametrize("name", NULLS)
def test_equal_seeds_give_equal_nulls(name):
    weights = np.random.default_rng(3).normal(size=(20, 9)).astype(np.float32)
    one, same = (nulls.generate(name, weights, np.eye(9), (0, 3)) for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, nulls.generate(name, weights, np.eye(9), (0, 4)))


def test_each_network_has_nulls_of_its_own_labelled_by_curves_that_have_not_seen_it(tmp_path):
    rng = np.random.default_rng(6)
    one, other = (rng.normal(size=(120, K * K)) @ np.diag(rng.random(K * K) ** 4) for _ in "ab")
    few = rng.normal(size=(20, K * K))
    for name, weights in (("one", one), ("other", other), ("few", few)):
        write_model(tmp_path / f"{name}.parquet", weights, layers=2)
    paths = [tmp_path / f"{name}.parquet" for name in ("few", "one", "other")]
    near, far = at_random(K, 1), at_random(K, 2)
    layers = pd.concat([read_square(path, K)[0] for path in paths])
    folds = divide(layers)
    assert sorted(folds.groupby("model", observed=True)["fold"].first()) == [0, 1, 2]
    crossfit = CrossFit(K, folds, ((near,), (far,), (near,)))
    table = nulls.null_table(paths, crossfit, [at_random(K, 9)], -1, 1000)
    again = nulls.null_table(paths[:2], crossfit, [at_random(K, 9)], -1, 1000)
    for name in ("white", "shuffled"):  # other networks change nothing
        mine = [own[(own["model"] == "one") & (own["null"] == name)] for own in (table, again)]
        assert mine[0]["dissimilarity"].tolist() == mine[1]["dissimilarity"].tolist()
    white = table[table["null"] == "white"]
    seed = 0, zlib.crc32(b"one")
    drawn = normalise(nulls.generate("white", one, np.eye(K * K), seed))
    for curve, model in ((far, "one"), (near, "other")):
        rows = white.loc[white["model"] == model, "dissimilarity"]
        nearest = 1 - (drawn @ curve.points.T).max(axis=1)
        assert np.allclose(rows, nearest, atol=1e-5) == (model == "one")
    # The moments of a network of few kernels are those of all.
    everything = nulls.products(np.concatenate([few, one, other]).astype(np.float32)) / 260
    noise = nulls.generate("covariance", few, everything, (0, zlib.crc32(b"few")))
    rows = table[(table["null"] == "covariance") & (table["model"] == "few")]
    nearest = 1 - (normalise(noise) @ near.points.T).max(axis=1)
    assert np.allclose(rows["dissimilarity"], nearest, atol=1e-4)


def test_a_null_is_live_where_the_kernel_that_it_replaces_is(tmp_path):
    weights = np.random.default_rng(7).normal(size=(60, K * K))
    weights[::3] *= 1e-5 / np.abs(weights[::3]).max()
    write_model(tmp_path / "net.parquet", weights)
    curve = at_random(K, 1)
    none = CrossFit(K, divide(pd.DataFrame({"model": [], "layer_index": []})), ())
    table = nulls.null_table([tmp_path / "net.parquet"], none, [curve], 0.75, 1000)
    for _, own in table.groupby("null"):
        assert own["live"].tolist() == [i % 3 > 0 for i in range(60)]


def test_planted_kernels_are_told_from_every_null_but_their_own_shuffle_is_not(world):
    table, kernels, _ = world
    assert len(table) == 3 * 300
    shares = null_shares(kernels, 0.3, 0.8, 0.01)
    rows = shares[shares["family"] == ALL_FAMILIES].set_index(["rule", "set"])
    assert rows.loc[("r2", "trained"), "share"] > 0.9
    assert rows.loc[("identified", "trained"), "share"] > 0.5
    for name in ("untrained", "white", "shuffled"):
        for rule in ("identified", "r2"):
            # Functions about a moved centre describe a few shuffled kernels.
            most = 0.1 if (rule, name) == ("r2", "shuffled") else 0.04
            assert rows.loc[(rule, name), "share"] < most, (rule, name)
            assert rows.loc[(rule, name), "distinguishable"], (rule, name)
    # The covariance of the planted kernels is not white: it is credited with something.
    assert rows.loc[("r2", "covariance"), "share"] < rows.loc[("r2", "trained"), "share"]


def test_a_null_called_trained_is_not_distinguishable(world):
    _, kernels, _ = world
    white = kernels[kernels["set"] == "white"]
    half = white.index % 2 == 0
    noise = pd.concat([white[half].assign(set="trained"), white[~half]], ignore_index=True)
    shares = null_shares(noise, 0.3, 0.8, 0.01)
    against = shares[shares["set"] == "white"]
    assert len(against) == 6  # two rules, the network, the family and all
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
    part = Part(pd.DataFrame({"model": "net", "layer_index": layers, "live": True}))
    alike = part.over_layers(rng.random(1000) < 0.5)
    unlike = part.over_layers(layers < 10)
    assert unlike.value == 0.5
    # Of 20 layers all or nothing: ± 2.09 standard errors of 0.5 / √19.
    assert unlike.high - unlike.low == pytest.approx(2 * 2.09 * 0.5 / 19**0.5, rel=0.15)
    assert alike.high - alike.low < (unlike.high - unlike.low) / 3


def test_curves_count_what_passes(world):
    _, kernels, _ = world
    curves = null_curves(kernels)
    shares = null_shares(kernels, 0.3, 0.8, 0.01)
    for row in shares[shares["family"] == ALL_FAMILIES].itertuples():
        own = curves.query("family == @row.family and set == @row.set and rule == @row.rule")
        at = own.iloc[(own["threshold"] - row.threshold).abs().argmin()]
        assert at["share"] == pytest.approx(row.share)
    assert (curves[curves["rule"] == "r2"].groupby(["family", "set"])["share"].first() > 0.99).all()


def test_without_controls_and_with_one_layer(world):
    _, kernels, _ = world
    lone = kernels[(kernels["set"] != "untrained") & (kernels["layer_index"] == 0)]
    shares = null_shares(lone, 0.3, 0.8, 0.01)
    assert set(shares["set"]) == {"trained", *NULLS}
    assert shares["low"].isna().all()
    assert not shares.loc[shares["set"] != "trained", "distinguishable"].any()


def test_the_figure_tells_every_set_and_is_the_same_each_time(world, tmp_path):
    _, kernels, _ = world
    shares, curves = null_shares(kernels, 0.3, 0.8, 0.01), null_curves(kernels)
    for name in ("one.png", "two.png"):
        (drawn,) = figure.draw(shares, curves, K, 0.01)
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
        reason="too far",
        identified_one_seed=False,
        degenerate=table["label"] == names.DEGENERATE,
        live=[True, False, True, True, False],
        codes=None,
        by_seed=[[0.1, 0.1]] * 4 + [None],
    )
    write_labels([pa.Table.from_pandas(labelled)], tmp_path / "labels.parquet", [0, 1])
    table[["model", "layer", "layer_index", "channel", "k", "r2"]].astype(
        {"channel": "int32", "k": "int16"}
    ).to_parquet(tmp_path / "fits.parquet")
    by_seed = [[0.2, np.nan], [0.1, 0.1], [0.1, 0.1], [np.nan, np.nan]]
    chance = table[:4].assign(null="white", by_seed=by_seed, live=True)
    chance.to_parquet(tmp_path / "nulls.parquet")
    # Unseen: the first and the third kernel; no curve has seen the others.
    unseen = labelled.iloc[[2, 0]].assign(
        fold=np.int8(0), agreement=[0.0, 1.0], dissimilarity=[0.1, 0.25], by_seed=[[0.3, 0.4]] * 2
    )
    unseen[[*KEY, "fold", "label", "agreement", "dissimilarity", "by_seed"]].to_parquet(
        tmp_path / "crossfit.parquet"
    )
    paths = [tmp_path / f"{name}.parquet" for name in ("labels", "fits", "crossfit", "nulls")]
    found = gather([paths[0]], [paths[1]], *paths[2:], MODELS, K)
    own = found[found["set"] == "trained"]
    np.testing.assert_allclose(own["in_sample"], table["expected"], rtol=1e-6)
    expected = table["expected"].copy()
    expected[[0, 2]] = 0.25, np.inf
    np.testing.assert_allclose(own["dissimilarity"], expected, rtol=1e-6)
    np.testing.assert_allclose(own["seed 1"], [0.4, 0.1, 0.4, 0.1, np.inf], rtol=1e-6)
    assert own["live"].tolist() == [True, False, True, True, False]
    own = found[found["set"] == "white"]
    np.testing.assert_allclose(own["dissimilarity"], table["expected"][:4], rtol=1e-6)
    np.testing.assert_allclose(own["seed 1"], [np.inf, 0.1, 0.1, np.inf], rtol=1e-6)


def test_kernels_that_every_curve_has_seen_are_not_compared(world):
    _, kernels, folder = world
    key, _ = read_square(folder / "net.parquet", K)
    none = CrossFit(K, divide(key[:0]), ())
    units = normalise(read_square(folder / "net.parquet", K)[1])
    crossfit_table(key, units, none, 0.75).to_parquet(folder / "none.parquet")
    labels, fits = (
        [folder / f"{name}.{kind}.parquet" for name in ("net", "net.untrained")]
        for kind in ("labels", "fits")
    )
    found = gather(labels, fits, folder / "none.parquet", folder / "nulls.parquet", MODELS, K)
    shares = null_shares(found, 0.3, 0.8, 0.01)
    before = null_shares(kernels, 0.3, 0.8, 0.01)
    rows = shares[shares["rule"] == "identified"]
    trained = rows[rows["set"] == TRAINED]
    assert trained[["share", "low", "share_live"]].isna().all(axis=None)
    seen = before.loc[trained.index, "share_in_sample"]
    assert trained["share_in_sample"].tolist() == seen.tolist()
    others = rows[rows["set"] != TRAINED]
    assert others["excess"].isna().all()
    assert not others["distinguishable"].any()
    assert others["share"].notna().all()
    described = [table[table["rule"] == "r2"] for table in (shares, before)]
    pd.testing.assert_frame_equal(*described)
    curves = null_curves(found)
    assert set(curves.loc[curves["rule"] == "identified", "set"]) == {
        IN_SAMPLE,
        "untrained",
        *NULLS,
    }
    caption = figure.draw(shares, curves, K, 0.01)[0].texts[-1].get_text()
    assert "no curves are left" in " ".join(caption.split())


def test_shares_of_live_kernels_stand_beside_those_of_all(world):
    _, kernels, _ = world
    dead = kernels["dissimilarity"] < 0.1
    shares = null_shares(kernels.assign(live=~dead), 0.3, 0.8, 0.01)
    for row in shares[shares["rule"] == "identified"].itertuples():
        own = kernels[kernels["set"] == row.set]
        live = own[own["dissimilarity"] >= 0.1]
        assert (row.kernels, row.live) == (len(own), len(live))
        assert row.share == pytest.approx((own["dissimilarity"] < 0.3).mean())
        assert row.share_live == pytest.approx((live["dissimilarity"] < 0.3).mean())
    none = null_shares(kernels.assign(live=False), 0.3, 0.8, 0.01)
    assert none["share_live"].isna().all()
    assert none["share"].notna().all()


def test_functions_of_nulls_are_those_that_can_be_fitted(world):
    table, _, _ = world
    assert (table["agreement"].isin([0, 0.5, 1])).all()
    assert set(table["function"]) <= set(FUNCTIONS)

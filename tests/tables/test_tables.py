"""The tables behind the figures, against values worked out by hand or by NumPy."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from kernelatlas.clustering.autoencoder import Autoencoder, Settings
from kernelatlas.clustering.labels import write_labels
from kernelatlas.clustering.reasons import shares_by_reason
from kernelatlas.clustering.shares import UNIDENTIFIED, shares_by_shape
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.corpus import build_corpus, corpus_kernels, corpus_keys, write_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.names import REASONS, SHAPES
from kernelatlas.running.files import write_frame
from kernelatlas.tables import pca
from kernelatlas.tables.family import N_MEMBERS, all_families, cluster_shares, random_members
from kernelatlas.tables.models import composition_table, model_table, read_labels
from kernelatlas.tables.spectrum import spectrum_table
from kernelatlas.tables.weightsum import QUANTILES, weightsum_table

MODELS = [
    ["b", "fam", True, "pictures"],
    ["b.untrained", "fam", False, ""],
    ["a", "fam", True, ""],
]
# layer_index, channel, k, cluster (None: degenerate), label, dissimilarity, identified
ROWS = {
    "b": [
        (0, 0, 3, 0, "on-centre", 0.1, True),
        (0, 1, 3, 0, "on-centre", 0.3, False),
        (0, 2, 3, None, "degenerate", None, False),
        (1, 0, 3, 1, "other", 0.1, False),
        (2, 0, 5, 1, "off-cross", 0.05, True),
    ],
    "b.untrained": [(0, 0, 3, 0, "on-centre", 0.9, False), (0, 1, 3, 1, "other", 0.7, False)],
    "a": [
        (0, 0, 5, 1, "off-cross", 0.1, True),
        (0, 1, 5, 1, "off-cross", 0.3, False),
        (1, 0, 3, 0, "on-centre", 0.2, True),
    ],
}


def why(label):
    """Return a reason that kernels with this label may have: only names can be far."""
    return {"degenerate": "degenerate", "other": "no name"}.get(label, "too far")


def write(path, model, rows):
    """Write a label table."""
    table = pd.DataFrame(
        [
            {
                "model": model,
                "layer": f"{model}.dw{layer}",
                "layer_index": layer,
                "channel": channel,
                "k": k,
                "label": label,
                "cluster": cluster,
                "direction": None,
                "template_cosine": None if cluster is None else 0.9,
                "agreement": None if cluster is None else 1 - channel / 100,
                "dissimilarity": dissimilarity,
                "identified": identified,
                "reason": None if identified else why(label),
                "identified_one_seed": channel % 2 == 0 and cluster is not None,
                "degenerate": cluster is None,
                "live": dissimilarity != 0.3,
                "codes": None if cluster is None else [0.25, 0.5],
                "by_seed": None if cluster is None else [dissimilarity, None],
            }
            for layer, channel, k, cluster, label, dissimilarity, identified in rows
        ]
    )
    for name in ("direction", "template_cosine", "agreement", "dissimilarity"):
        table[name] = table[name].astype("Float32")
    table["cluster"] = table["cluster"].astype("Int16")
    write_labels([pa.Table.from_pandas(table)], path, [0, 1])
    return path


@pytest.fixture
def labels(tmp_path):
    return [write(tmp_path / f"{model}.labels", model, rows) for model, rows in ROWS.items()]


@pytest.fixture
def clusters(tmp_path):
    paths = []
    for k, names in ((3, ["on-centre", "other"]), (5, ["on-square", "off-cross"])):
        paths.append(tmp_path / f"k{k}.parquet")
        table = pd.DataFrame(
            {
                "k": np.int16(k),
                "cluster": np.arange(2, dtype=np.int16),
                "label": names,
                "template_cosine": [0.9, 0.7],
            }
        )
        write_frame(table, paths[-1])
    return paths


def test_labels_know_their_family(labels):
    table = read_labels(labels, MODELS)
    assert table["model"].tolist() == ["b"] * 5 + ["b.untrained"] * 2 + ["a"] * 3
    assert table["trained"].tolist() == [True] * 5 + [False] * 2 + [True] * 3
    assert set(table["family"]) == {"fam"}


def test_shares_of_models(labels):
    table = model_table(labels, MODELS, {"3": 0.2, "5": 0.15}).set_index(["model", "k"])
    columns = ["kernels", "degenerate", "identified", "share_identified", "threshold"]
    assert table[columns].T.to_dict("list") == {
        ("a", 3): [1, 0, 1, 1.0, 0.2],
        ("a", 5): [2, 0, 1, 0.5, 0.15],
        ("b", 3): [4, 1, 1, 0.25, 0.2],  # the degenerate kernel is in the denominator
        ("b", 5): [1, 0, 1, 1.0, 0.15],
        ("b.untrained", 3): [2, 0, 0, 0.0, 0.2],
    }
    reasons = table[["too_far", "no_name", "seeds_disagree"]].T.to_dict("list")
    assert reasons["b", 3] == [1, 1, 0]
    assert reasons["b.untrained", 3] == [1, 1, 0]
    assert reasons["a", 3] == [0, 0, 0]
    assert table.loc[("b", 3), "median_dissimilarity"] == pytest.approx(0.1)
    # None of these is live whose dissimilarity is 0.3.
    assert table["live"].to_dict() == {
        ("a", 3): 1,
        ("a", 5): 1,
        ("b", 3): 3,
        ("b", 5): 1,
        ("b.untrained", 3): 2,
    }
    live = table["share_identified_live"]
    assert live.to_dict() == {
        ("a", 3): 1,
        ("a", 5): 1,
        ("b", 3): 1 / 3,
        ("b", 5): 1,
        ("b.untrained", 3): 0,
    }
    assert table.loc[("b", 3), "mean_dissimilarity"] == pytest.approx(0.5 / 3)
    # Channels 0 and 2 of the first layer, of which one is degenerate, and 0 of the second.
    assert table.loc[("b", 3), "identified_one_seed"] == 2
    assert table.loc[("b", 3), "share_identified_one_seed"] == 0.5
    assert table.loc[("b", 3), "mean_agreement"] == pytest.approx((1 + 0.99 + 1) / 3)
    assert table["trained"].to_dict()[("b.untrained", 3)] is False
    assert table["trained_on"].to_dict()[("b", 3)] == "pictures"
    assert table["kernels"].sum() == sum(map(len, ROWS.values()))


def test_tables_of_families_are_one_whose_types_an_empty_family_leaves(labels, tmp_path):
    table = composition_table(labels, MODELS)
    parts = [table.iloc[:0].astype(object), table.iloc[:3], table.iloc[3:]]
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for part, path in zip(parts, paths, strict=True):
        write_frame(part, path)
    pd.testing.assert_frame_equal(all_families(paths), table)
    assert list(all_families(paths[:1])) == list(table)


def test_composition(labels):
    table = composition_table(labels, MODELS)
    assert list(table) == [
        *("family", "model", "trained", "k", "layer_index", "layer", "label"),
        *("kernels", "identified", "live", "identified_live"),
        *("too_far", "no_name", "seeds_disagree"),
    ]
    live = table.set_index(["model", "k", "layer", "label"])[["live", "identified_live"]]
    assert live.loc[("b", 3, "b.dw0", "on-centre")].tolist() == [1, 1]
    assert live.loc[("a", 5, "a.dw0", "off-cross")].tolist() == [1, 1]
    shares = shares_by_reason(table, ["model", "k"])
    assert list(shares) == list(REASONS)
    assert shares.loc[("b", 3)].tolist() == [25, 25, 25, 0]
    assert shares.loc[("a", 5)].tolist() == [0, 50, 0, 0]
    parts = shares_by_shape(table, ["model", "k"])
    np.testing.assert_allclose(parts.sum(axis=1), 100)
    for reason, part in UNIDENTIFIED.items():
        assert parts[part].tolist() == shares[reason].tolist()
    identified = table.groupby(["model", "k"])[["identified", "kernels"]].sum()
    np.testing.assert_allclose(
        parts[[*SHAPES]].sum(axis=1), 100 * identified["identified"] / identified["kernels"]
    )
    found = {
        (row.model, row.k, row.layer, row.label): (row.kernels, row.identified)
        for row in table.itertuples()
    }
    assert found == {
        ("b", 3, "b.dw0", "on-centre"): (2, 1),
        ("b", 3, "b.dw0", "degenerate"): (1, 0),
        ("b", 3, "b.dw1", "other"): (1, 0),
        ("b", 5, "b.dw2", "off-cross"): (1, 1),
        ("b.untrained", 3, "b.untrained.dw0", "on-centre"): (1, 0),
        ("b.untrained", 3, "b.untrained.dw0", "other"): (1, 0),
        ("a", 5, "a.dw0", "off-cross"): (2, 1),
        ("a", 3, "a.dw1", "on-centre"): (1, 1),
    }


def test_cluster_shares(clusters, labels):
    table = cluster_shares(clusters, labels, MODELS)
    found = {
        (row.k, row.cluster, row.model): (row.label, row.kernels, row.identified, row.share)
        for row in table.itertuples()
    }
    assert found == {
        (3, 0, "a"): ("on-centre", 1, 1, 1.0),
        (3, 0, "b"): ("on-centre", 2, 1, 0.25),
        (3, 0, "b.untrained"): ("on-centre", 1, 0, 0.0),
        (3, 1, "a"): ("other", 0, 0, 0.0),  # a cluster without kernels has a row, too
        (3, 1, "b"): ("other", 1, 0, 0.0),
        (3, 1, "b.untrained"): ("other", 1, 0, 0.0),
        (5, 0, "a"): ("on-square", 0, 0, 0.0),
        (5, 0, "b"): ("on-square", 0, 0, 0.0),
        (5, 1, "a"): ("off-cross", 2, 1, 0.5),
        (5, 1, "b"): ("off-cross", 1, 1, 1.0),
    }
    assert list(found) == sorted(found)
    assert len(table) == len(found)
    assert table["template_cosine"].tolist() == [0.9] * 3 + [0.7] * 3 + [0.9] * 2 + [0.7] * 2


SIZES = {  # layers of several sizes in turn, so that a shifted row shows
    "b": [(20, 3, 3), (4, 5, 5), (30, 3, 3), (3, 1, 3)],
    "b.untrained": [(25, 3, 3), (4, 5, 5)],
    "a": [(6, 5, 5), (5, 3, 3), (9, 5, 5)],
}


def marked(model, layer, channel, k):
    """Return weights that tell where they stand."""
    weights = np.arange(k * k, dtype=np.float32)
    weights[:3] = list(SIZES).index(model) + 1, layer, channel
    return weights


@pytest.fixture
def tables(tmp_path):
    kernels, labels = [], []
    for model, sizes in SIZES.items():
        layers, rows = [], []
        for index, (n, kh, kw) in enumerate(sizes):
            if kh == kw:
                weights = np.stack([marked(model, index, c, kh) for c in range(n)])
                rows += [
                    (index, c, kh, c % 2, ("on-centre", "other")[c % 2], c / 100, c % 4 == 0)
                    for c in range(n)
                ]
            else:
                weights = np.ones((n, kh * kw), np.float32)
            layers.append(Layer(f"{model}.dw{index}", weights.reshape(n, kh, kw)))
        layers[0].weights[4] = 1
        rows[4] = (*rows[4][:3], None, "degenerate", None, False)
        kernels.append(tmp_path / f"{model}.kernels")
        write_kernels(kernels[-1], model, layers, {})
        labels.append(write(tmp_path / f"{model}.labels", model, rows))
    return kernels, labels


def test_members_have_their_own_weights(clusters, tables):
    kernels, labels = tables
    members = random_members(clusters, labels, kernels, MODELS)
    for row in members.itertuples():
        layer = int(row.layer.removeprefix(f"{row.model}.dw"))
        assert np.array_equal(row.weights, marked(row.model, layer, row.channel, row.k))
        assert row.cluster == row.channel % 2
        assert row.dissimilarity == pytest.approx(row.channel / 100)
        assert row.identified == (row.channel % 4 == 0)


def test_members_are_of_trained_models_each_once(clusters, tables):
    kernels, labels = tables
    members = random_members(clusters, labels, kernels, MODELS)
    sizes = members.groupby(["k", "cluster"]).size().to_dict()
    # 5×5 kernels: 4 + 6 + 9 channels, cluster 0 has the even ones but for the degenerate.
    assert sizes == {(3, 0): N_MEMBERS, (3, 1): N_MEMBERS, (5, 0): 2 + 2 + 5, (5, 1): 2 + 3 + 4}
    assert set(members["model"]) == {"a", "b"}
    assert not members.duplicated(["model", "layer", "channel"]).any()
    for _, group in members.groupby(["k", "cluster"]):
        assert group["rank"].tolist() == list(range(len(group)))
    again = random_members(clusters, labels, kernels, MODELS)
    pd.testing.assert_frame_equal(members, again)


def test_members_of_a_family_without_trained_models(tmp_path, clusters, tables):
    kernels, labels = tables
    members = random_members(clusters, labels[1:2], kernels[1:2], MODELS)
    assert len(members) == 0
    write_frame(members, tmp_path / "a.parquet", tmp_path / "a.csv")
    for read in (pd.read_parquet(tmp_path / "a.parquet"), pd.read_csv(tmp_path / "a.csv")):
        assert list(read) == list(random_members(clusters, labels, kernels, MODELS))
        assert len(read) == 0


def test_members_are_drawn_from_everywhere(clusters, tables):
    kernels, labels = tables
    drawn = random_members(clusters, labels, kernels, MODELS)
    first = drawn[(drawn["k"] == 3) & (drawn["cluster"] == 1)]
    assert len(set(first["layer"])) > 1


def test_members_of_named_clusters_are_identified_as_long_as_there_are_any(clusters, tables):
    kernels, labels = tables
    members = random_members(clusters, labels, kernels, MODELS)
    every = read_labels(labels, MODELS)
    every = every[every["trained"] & every["identified"]]
    for (k, cluster), drawn in members.groupby(["k", "cluster"]):
        there = ((every["k"] == k) & (every["cluster"] == cluster)).sum()
        assert drawn["identified"].sum() == min(there, len(drawn))
        assert drawn["identified"].tolist() == sorted(drawn["identified"], reverse=True)
    first = members[members["cluster"] == 0]
    assert first["identified"].any()
    assert not first["identified"].all()
    np.testing.assert_allclose(members["agreement"], 1 - members["channel"] / 100, rtol=1e-6)


def test_spectrum(tmp_path):
    rng = np.random.default_rng(0)
    write_kernels(
        tmp_path / "kernels", "b", [Layer("dw", rng.normal(size=(200, 3, 3)).astype("f4"))], {}
    )
    write_corpus(build_corpus([tmp_path / "kernels"], 3, 1), tmp_path / "k3.parquet", 3)
    torch.manual_seed(0)
    model = Autoencoder(3, Settings(points=32, widths=(8,), fourier=3)).eval()
    model.concentration = 20.0
    model.save(tmp_path / "k3.safetensors", {"seed": 4})
    curve = model.curve().numpy()
    table = spectrum_table(tmp_path / "k3.parquet", tmp_path / "k3.safetensors", 0.9)
    np.testing.assert_allclose(table["code"], (np.arange(32) + 0.5) / 32)
    assert table["density"].mean() == pytest.approx(1)
    kernels = corpus_kernels(tmp_path / "k3.parquet")
    counts = np.bincount((kernels @ curve.T).argmax(axis=1), minlength=32)
    np.testing.assert_allclose(table["density"], counts / 200 * 32)
    np.testing.assert_array_equal(np.stack(table["prototype"]), curve)
    best = (curve @ bank(3).weights.T).max(axis=1)
    np.testing.assert_allclose(table["template_cosine"], best, atol=1e-6)
    # The name is that of what the curve draws at the point, which is smoother than the point.
    drawn = np.exp(20.0 * (curve @ curve.T - 1)) @ curve
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    cosines = drawn @ bank(3).weights.T
    assert ((table["label"] == "other") == (cosines.max(axis=1) < 0.9)).all()
    shapes = bank(3).shapes[cosines.argmax(axis=1)]
    for label, shape in zip(table["label"], shapes, strict=True):
        assert label == "other" or label.startswith(SHAPES[shape])


@pytest.fixture
def corpus(tmp_path, tables):
    """A corpus of 3×3 kernels of distinct spread, and labels for it."""
    rng = np.random.default_rng(0)
    kernels, labels = [], []
    for model, n in (("b", 70), ("a", 50)):
        weights = rng.normal(size=(n, 9)) * np.arange(1, 10)
        rows = [
            (i, c, 3, 0, f"{'on' if model == 'a' else 'off'}-centre", 0.1, c % 3 == 0)
            for i in (0, 1)
            for c in range(n // 2)
        ]
        layers = [
            Layer(f"{model}.dw{i}", part.astype(np.float32).reshape(-1, 3, 3))
            for i, part in enumerate(np.split(weights, 2))
        ]
        kernels.append(tmp_path / f"{model}.of_corpus")
        write_kernels(kernels[-1], model, layers, {})
        labels.append(write(tmp_path / f"{model}.labels_of_corpus", model, rows))
    write_corpus(build_corpus(kernels, 3, 1), tmp_path / "k3.parquet", 3)
    return tmp_path / "k3.parquet", labels


def test_principal_components_are_those_of_the_singular_values(corpus):
    path, labels = corpus
    scores, components = pca.pca_tables(path, labels)
    keys, kernels = corpus_keys(path), corpus_kernels(path)
    centred = kernels.astype(np.float64) - kernels.mean(axis=0, dtype=np.float64)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    ratio = values**2 / (values**2).sum()
    assert components["component"].tolist() == list(range(1, 10))
    np.testing.assert_allclose(components["explained_variance_ratio"], ratio, atol=1e-5)
    loadings = np.stack(components["loading"])
    # The last one is the constant that normalising took away.
    np.testing.assert_allclose(abs((loadings * vectors).sum(axis=1))[:8], 1, atol=1e-3)
    assert len(scores) == 120
    expected = centred @ loadings[:2].T
    np.testing.assert_allclose(scores[["pc1", "pc2"]], expected, atol=1e-4)
    assert scores["channel"].tolist() == keys["channel"].tolist()


def test_scores_stand_beside_the_labels_of_their_kernels(corpus, monkeypatch):
    path, labels = corpus
    every, _ = pca.pca_tables(path, labels)
    assert (every["label"] == every["model"].map({"a": "on-centre", "b": "off-centre"})).all()
    assert (every["identified"] == (every["channel"] % 3 == 0)).all()
    monkeypatch.setattr(pca, "SHOWN", 30)
    some, components = pca.pca_tables(path, labels[::-1])
    assert len(some) == 30
    key = ["model", "layer", "channel"]
    assert not some.duplicated(key).any()
    both = some.merge(every, on=key)
    assert len(both) == 30
    assert (both["label_x"] == both["label_y"]).all()
    # A product of fewer rows may differ in the last bits, on some processors.
    np.testing.assert_allclose(both[["pc1_x", "pc2_x"]], both[["pc1_y", "pc2_y"]], atol=1e-5)
    assert len(components) == 9


def test_sums_of_weights(tmp_path):
    rng = np.random.default_rng(0)
    kernels, labels, expected = [], [], {}
    for model, n in (("b", 40), ("a", 25)):
        weights = rng.normal(0.3, 1, size=(n, 9)).astype(np.float32)
        other = Layer("first", np.ones((7, 5, 5), np.float32))  # of another size, before
        kernels.append(tmp_path / f"{model}.kernels")
        write_kernels(kernels[-1], model, [other, Layer("dw", weights.reshape(n, 3, 3))], {})
        rows = [(0, c, 5, 0, "on-centre", 0.1, True) for c in range(7)]
        for channel, w in enumerate(weights.astype(float)):
            label = ("on-centre", "off-cross", "other")[channel % 3]
            identified = channel % 4 != 0 and label != "other"
            rows.append((1, channel, 3, 0, label, 0.1, identified))
            if identified:
                expected.setdefault(label, []).append((w.sum(), w.sum() / abs(w).sum()))
        labels.append(write(tmp_path / f"{model}.labels", model, rows))
    table = weightsum_table(kernels, labels, 3).set_index("label")
    assert set(table.index) == {"on-centre", "off-cross"}
    for label, pairs in expected.items():
        assert table.loc[label, "kernels"] == len(pairs)
        for name, values in zip(("sum", "relative"), np.array(pairs).T, strict=True):
            assert table.loc[label, f"{name}_mean"] == pytest.approx(values.mean(), abs=1e-6)
            for quantile in QUANTILES:
                found = table.loc[label, f"{name}_q{round(100 * quantile):02d}"]
                assert found == pytest.approx(np.quantile(values, quantile), abs=1e-6)
            assert list(table.filter(like=f"{name}_q")) == [
                f"{name}_{q}" for q in ("q05", "q25", "q50", "q75", "q95")
            ]
    fives = weightsum_table(kernels, labels, 5).set_index("label")
    assert fives.loc["on-centre", "kernels"] == 14
    assert fives.loc["on-centre", "sum_mean"] == 25
    assert fives.loc["on-centre", "relative_mean"] == 1


def test_sums_where_nothing_is_identified(tmp_path):
    layer = Layer("dw", np.zeros((3, 3, 3), np.float32))
    write_kernels(tmp_path / "kernels", "b", [layer], {})
    rows = [(0, c, 3, None, "degenerate", None, False) for c in range(3)]
    path = write(tmp_path / "labels", "b", rows)
    table = weightsum_table([tmp_path / "kernels"], [path], 3)
    assert len(table) == 0
    assert {"label", "kernels", "sum_mean", "sum_q05", "relative_q95"} <= set(table)

"""Other methods, against planted clusters, a planted surface and white noise."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from independent import gaussian
from matplotlib.text import Text
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from test_figures import assert_texts_apart

from kernelatlas.clustering.autoencoder import Settings, cosine_loss, fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.kmeans import dissimilarity, spherical_kmeans
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence import baselines
from kernelatlas.evidence.baselines import Outcome, outcomes
from kernelatlas.figures import baselines as figure
from kernelatlas.figures import style
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.sampling import sample_of
from kernelatlas.running.files import write_frame
from kernelatlas.tables.baselines import (
    agreement_table,
    baseline_table,
    davies_bouldin,
    prototype_table,
    silhouette,
)

SETTINGS = Settings(
    points=128,
    centroids=12,
    rounds=20,
    widths=(48,),
    fourier=64,
    decoder_steps=200,
    steps=60,
    batch=64,
    learning_rate=5e-3,
)
BELOW, MINIMUM = 0.3, 0.75
SEEDS = (0, 1)


def planted_rows(k: int, n: int = 8) -> list[int]:
    """Return templates, each the farthest from those before it."""
    templates, chosen = bank(k), [0]
    while len(chosen) < n:
        nearest = (templates.weights @ templates.weights[chosen].T).max(axis=1)
        chosen.append(int(nearest.argmin()))
    return chosen


def planted(k: int, n: int = 8, each: int = 40, noise: float = 0.02, seed: int = 0):
    """Return kernels near n templates, and which of them each is near."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(n), each))
    kernels = bank(k).weights[planted_rows(k, n)][labels]
    return normalise(kernels + rng.normal(0, noise, kernels.shape)), labels


def noise(k: int, n: int, seed: int = 0) -> np.ndarray:
    return normalise(np.random.default_rng(seed).normal(size=(n, k * k)))


def curves_of(kernels, folder, seeds=SEEDS):
    """Train the one-dimensional autoencoder, as the workflow does."""
    folder.mkdir()
    paths = {}
    for seed in seeds:
        model, _ = fit(kernels, SETTINGS, seed, "cpu")
        paths[seed] = folder / f"{seed}.safetensors"
        model.save(paths[seed], {"seed": seed})
    return paths


@pytest.fixture(autouse=True, scope="module")
def _short():
    """Trainings that do not start from a curve need thousands of steps: here they may be poor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "WIDE_STEPS", 400)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All methods on planted clusters: the kernels, their clusters and the outcomes."""
    kernels, labels = planted(5)
    curves = curves_of(kernels, tmp_path_factory.mktemp("planted") / "curves")
    return kernels, labels, curves, list(outcomes(kernels, SETTINGS, curves, MINIMUM))


def tables_of(kernels, found):
    k = int(kernels.shape[1] ** 0.5)
    return (
        baseline_table(kernels, found, BELOW, MINIMUM),
        agreement_table(found),
        prototype_table(found, k, MINIMUM),
    )


def of(found, method):
    chosen = [outcome for outcome in found if outcome.method == method]
    assert chosen
    return chosen


def test_planted_clusters_are_found_by_every_clustering(monkeypatch):
    kernels, labels = planted(7)
    monkeypatch.setattr(baselines, "CLUSTERS", 8)
    scores = baselines.main_scores(PCA(svd_solver="covariance_eigh").fit(kernels), kernels)
    found = [
        baselines.kmeans(kernels, 8, 0),
        baselines.mixture(kernels, scores, 0),
        baselines.hdbscan(kernels, scores),
        *(baselines.wide_codes(kernels, d, SETTINGS, 0) for d in (2, 3)),
    ]
    for outcome in found:
        assert adjusted_rand_score(labels, outcome.clusters) > 0.95, outcome.method
    table = baseline_table(kernels, found, BELOW, MINIMUM).set_index("method")
    assert (table.loc[["k-means 8", "HDBSCAN"], "silhouette"] > 0.9).all()
    assert (table["share_identified_prototype"] > 0.95).all()
    assert (table["named"] == table["clusters"]).all()
    assert agreement_table(found)["adjusted_rand_index"].dropna().min() > 0.95


def test_components_of_noise_on_many_pixels_are_not_all_kept():
    kernels = normalise(np.random.default_rng(0).normal(size=(400, 31 * 31)))
    pca = PCA(svd_solver="covariance_eigh").fit(kernels)
    assert baselines.main_scores(pca, kernels).shape == (400, baselines.MOST_COMPONENTS)
    assert (np.cumsum(pca.explained_variance_ratio_) < baselines.VARIANCE).sum() > 100


def test_every_method_and_seed_has_a_row(run):
    kernels, _, _, found = run
    table, agreement, prototypes = tables_of(kernels, found)
    seeds = table.groupby("method")["seed"].apply(lambda values: list(values.dropna()))
    without = seeds.index.str.startswith(("PCA", "HDBSCAN"))
    assert all(seeds[~without].map(lambda values: values == list(SEEDS)))
    assert all(seeds[without].map(len) == 0)
    assert len(table) == len(found) == without.sum() + 2 * (~without).sum()
    with_clusters = table.dropna(subset=["clusters"])["method"].unique()
    assert len(agreement) == len(with_clusters) ** 2
    # Equal prototypes of two methods stand once.
    assert set(prototypes["method"]) <= set(with_clusters)
    assert {"autoencoder 1-D", "k-means 20", "HDBSCAN"} <= set(prototypes["method"])
    assert not [column for column in table if "second" in column]  # equal bytes, whatever they took
    members = prototypes.groupby("method")["members"].sum()
    assert (members.drop("HDBSCAN") == len(kernels)).all()


def test_scores_by_hand():
    kernels = normalise(np.array([[1.0, 0, 0, 0], [1, 0.1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    clusters, prototypes = baselines.mean_directions(kernels, np.array([7, 7, 3, -1]))
    assert clusters.tolist() == [1, 1, 0, -1]
    both = kernels[:2].sum(axis=0)
    np.testing.assert_allclose(prototypes[1], both / np.linalg.norm(both), rtol=1e-6)
    to_prototype = baselines.to_prototypes(kernels, clusters, prototypes)
    np.testing.assert_allclose(to_prototype[2:], [0, 1], atol=1e-6)
    np.testing.assert_allclose(to_prototype[:2], 1 - kernels[:2] @ prototypes[1], atol=1e-6)
    # No cosine reaches 1.1, so that no prototype has a name.
    outcome = Outcome("by hand", 0, None, to_prototype, clusters, prototypes)
    row = baseline_table(kernels, [outcome], 0.5, 1.1).iloc[0]
    assert row["clusters"] == 2
    assert row["named"] == 0
    assert row["share_unclustered"] == 0.25
    assert row["share_below"] == 0.75
    assert row["share_identified"] == 0
    np.testing.assert_allclose(row["mean_dissimilarity"], to_prototype.mean(), rtol=1e-6)


def test_agreement_of_equal_and_of_random_clusters():
    rng = np.random.default_rng(0)
    one, two, three = (rng.integers(0, 8, 4000) for _ in range(3))

    def outcome(method, seed, clusters):
        return Outcome(method, seed, None, np.ones(4000), clusters, np.ones((8, 25)))

    table = agreement_table(
        [
            outcome("same", 0, one),
            outcome("same", 1, (one + 3) % 8),  # numbers mean nothing
            outcome("random", 0, two),
            outcome("random", 1, three),
            outcome("once", None, one),
            Outcome("PCA 1", None, 1, np.ones(4000), None, None),
        ]
    )
    index = table.set_index(["method", "other"])["adjusted_rand_index"]
    assert index["same", "same"] == 1
    assert index["same", "once"] == 1
    assert abs(index["random", "random"]) < 0.01
    assert abs(index["same", "random"]) < 0.01
    assert np.isnan(index["once", "once"])
    assert len(table) == 9


def test_components_explain_more_and_more_and_have_no_names(run):
    kernels, _, _, found = run
    table = baseline_table(kernels, found, BELOW, MINIMUM)
    rows = table[table["method"].str.startswith("PCA")]
    assert rows["dimensions"].tolist() == list(range(1, 11))
    assert all(b < a for a, b in pairwise(rows["mean_dissimilarity"]))
    assert rows[["clusters", "share_identified", "silhouette"]].isna().all(axis=None)


def test_all_components_give_the_kernel_back():
    kernels = noise(3, 200)
    pca = PCA(svd_solver="covariance_eigh").fit(kernels)
    assert baselines.components(kernels, pca, 8).dissimilarity.max() < 1e-5


def test_white_noise_has_neither_clusters_nor_names():
    kernels = noise(7, 2000)
    found = [baselines.kmeans(kernels, n, 0) for n in (8, 20)]
    table = baseline_table(kernels, found, BELOW, MINIMUM)
    assert (table["silhouette"].abs() < 0.05).all()
    assert (table["share_identified"] < 0.01).all()
    scores = baselines.main_scores(PCA(svd_solver="covariance_eigh").fit(kernels), kernels)
    nothing = baselines.hdbscan(kernels, scores)
    row = baseline_table(kernels, [nothing], BELOW, MINIMUM).iloc[0]
    assert row["share_unclustered"] > 0.95
    assert row["mean_dissimilarity"] > 0.95


def test_two_codes_learn_a_surface_that_a_component_does_not():
    axis = np.arange(7) - 3
    x, y = np.meshgrid(axis, -axis)
    rng = np.random.default_rng(0)
    places = rng.uniform(-1.5, 1.5, (600, 2))
    kernels = normalise(np.stack([gaussian(x - a, y - b, 1.2).ravel() for a, b in places]))
    settings = Settings(widths=(64,), batch=64, learning_rate=5e-3)
    model = baselines.fit_wide(kernels, 2, settings, 0)
    with torch.no_grad():
        data = torch.from_numpy(kernels)
        codes = model.encode(data)
        loss = cosine_loss(model.decode(codes), data).mean().item()
    assert codes.shape == (600, 2)
    assert 0 <= codes.min() <= codes.max() <= 1
    pca = PCA(svd_solver="covariance_eigh").fit(kernels)
    one, two = (baselines.components(kernels, pca, n).dissimilarity.mean() for n in (1, 2))
    assert loss < 0.5 * two < 0.5 * one


def test_the_curve_is_that_of_the_project(run):
    kernels, labels, curves, found = run
    known = Curve.load(curves[0])
    drawn = known.draw(kernels)
    outcome = of(found, "autoencoder 1-D")[0]
    assert outcome.seed == 0
    np.testing.assert_array_equal(outcome.dissimilarity, drawn.dissimilarity)
    label = bank(5).name(drawn.mean, MINIMUM).label
    assert adjusted_rand_score(label, outcome.clusters) == 1
    assert len(np.unique(label)) == len(outcome.prototypes)
    # Kernels of one label are one cluster, of whichever template.
    of_templates = np.array(bank(5).labels)[planted_rows(5)][labels]
    assert adjusted_rand_score(of_templates, outcome.clusters) > 0.95
    for number, prototype in enumerate(outcome.prototypes):
        mean = kernels[outcome.clusters == number].sum(axis=0)
        np.testing.assert_allclose(prototype, mean / np.linalg.norm(mean), atol=1e-5)
    encoder = of(found, "autoencoder 1-D, encoder")[0]
    assert outcome.dissimilarity.mean() <= encoder.dissimilarity.mean()


def test_kmeans_is_scored_by_its_centroids(run):
    kernels, _, _, found = run
    outcome = of(found, "k-means 10")[1]
    expected = dissimilarity(kernels, spherical_kmeans(kernels, 10, 1))
    np.testing.assert_allclose(outcome.dissimilarity, expected, atol=1e-4)


def test_equal_bytes_twice(run, tmp_path):
    kernels, _, curves, found = run
    again = list(outcomes(kernels, SETTINGS, curves, MINIMUM))
    for turn, outcome in (("a", found), ("b", again)):
        tables = tables_of(kernels, outcome)
        for number, table in enumerate(tables):
            write_frame(
                table, tmp_path / f"{turn}{number}.csv", tmp_path / f"{turn}{number}.parquet"
            )
        style.save(figure.draw(*tables), tmp_path / f"{turn}.pdf", tmp_path / f"{turn}.png")
    for path in tmp_path.glob("a*"):
        assert path.read_bytes() == (tmp_path / f"b{path.name[1:]}").read_bytes()


def test_undefined_scores_are_blank():
    kernels = noise(3, 6)
    distances = 1 - kernels @ kernels.T
    for clusters in (np.full(6, -1), np.zeros(6, int), np.arange(6)):
        assert np.isnan(silhouette(distances, clusters))
        inside = clusters >= 0
        assert np.isnan(davies_bouldin(kernels[inside], clusters[inside]))


def test_a_sample_keeps_the_order():
    rows = np.arange(100)
    assert sample_of(rows, 100, 0) is rows
    some = sample_of(rows, 30, 0)
    assert len(some) == 30
    assert (np.diff(some) > 0).all()
    assert (some != sample_of(rows, 30, 1)).any()


def test_few_kernels_of_an_even_size_and_one_seed(tmp_path):
    kernels = np.concatenate([planted(4, n=4, each=3)[0], noise(4, 12)])
    found = list(
        outcomes(kernels, SETTINGS, curves_of(kernels, tmp_path / "curves", (3,)), MINIMUM)
    )
    table, agreement, prototypes = tables_of(kernels, found)
    assert not table["method"].isin(["k-means 50"]).any()
    assert agreement.query("method == other")["adjusted_rand_index"].isna().all()
    assert_texts_apart(figure.draw(table, agreement, prototypes))


def test_the_figure_shows_every_method_and_prototype(run, tmp_path):
    kernels, _, _, found = run
    tables = tables_of(kernels, found)
    for number, table in enumerate(tables):
        write_frame(table, tmp_path / f"{number}.parquet")
    _, _, prototypes = read = [pd.read_parquet(tmp_path / f"{n}.parquet") for n in range(3)]
    drawn = figure.draw(*read)
    assert_texts_apart(drawn)
    found = [text for page in drawn for text in page.findobj(Text)]
    texts = " ".join(text.get_text() for text in found)
    assert all(method in texts for method in prototypes["method"])
    assert f"{len(kernels)} kernels of 5×5" in texts
    assert "(seed 0)" in texts.replace("\n", " ")
    assert sum(len(ax.images) for page in drawn for ax in page.axes) == len(prototypes)

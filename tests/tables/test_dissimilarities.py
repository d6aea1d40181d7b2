"""Distributions of dissimilarities: counts of planted values, beside their nulls."""

import numpy as np
import pandas as pd
import pytest

from kernelatlas.figures import dissimilarities as figure
from kernelatlas.figures import style
from kernelatlas.tables.dissimilarities import BINS, WIDTH, dissimilarity_tables

K, N, LAYERS = 5, 400, 4
MODELS = [["one", "fam", True, ""], ["two", "fam", True, ""], ["one.untrained", "fam", False, ""]]
MEANS = {"one": 0.1, "two": 0.2, "one.untrained": 0.6}
NULLS = {"shuffled": 0.5, "white": 0.6, "covariance": 0.25}


def rows_of(model: str, mean: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "model": model,
            "layer_index": np.arange(N, dtype=np.int16) // (N // LAYERS),
            "k": np.int16(K),
            "label": np.where(np.arange(N) % 4 > 0, "on-centre", "other"),
            "agreement": np.where(np.arange(N) % 8 > 1, np.float32(1), np.float32(0.4)),
            "dissimilarity": rng.normal(mean, 0.05, N).clip(0.0).astype(np.float32),
        }
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Labels in sample, of half the dissimilarity that curves give which have not seen them."""
    folder = tmp_path_factory.mktemp("tables")
    labels = []
    for seed, (model, mean) in enumerate(MEANS.items()):
        table = rows_of(model, mean / 2 if model in ("one", "two") else mean, seed)
        table.loc[0, ["label", "agreement", "dissimilarity"]] = ["degenerate", np.nan, np.nan]
        labels.append(folder / f"{model}.parquet")
        table.to_parquet(labels[-1])
    unseen = pd.concat([rows_of(model, MEANS[model], 7) for model in ("one", "two")])
    unseen.to_parquet(folder / "crossfit.parquet")
    chance = [
        rows_of(model, mean, 9).assign(null=name)
        for name, mean in NULLS.items()
        for model in ("one", "two")
    ]
    pd.concat(chance).to_parquet(folder / "nulls.parquet")
    return labels, folder / "crossfit.parquet", folder / "nulls.parquet", unseen


@pytest.fixture(scope="module")
def tables(paths):
    return dissimilarity_tables(*paths[:3], MODELS, K, 0.2)


def test_trained_kernels_are_those_that_curves_have_not_seen(paths, tables):
    summary, _ = tables
    rows = summary.set_index(["model", "set"])
    unseen = paths[3]
    for model in ("one", "two"):
        values = unseen.loc[unseen["model"] == model, "dissimilarity"]
        found = rows.loc[model, "trained"]
        assert found["median"] == pytest.approx(np.median(values))
        assert found["q95"] == pytest.approx(np.percentile(values, 95))
        assert found["share_below"] == pytest.approx((values < 0.2).mean())
        assert found["low"] < found["share_below"] < found["high"]
        assert rows.loc[(model, "trained, in sample"), "median"] < 0.7 * found["median"]
    # A degenerate kernel has none; three of four have a name, of which most seeds give the shape.
    assert rows.loc[("one", "trained, in sample"), "kernels"] == N - 1
    assert rows.loc[("one", "trained"), "share_named"] == pytest.approx(0.75 * 5 / 6, abs=0.13)


def test_nulls_and_controls_stand_beside_the_family(tables):
    rows = tables[0].set_index(["family", "model", "set"])
    for name, mean in NULLS.items():
        assert rows.loc[("fam", "all networks", name), "median"] == pytest.approx(mean, abs=0.01)
    assert rows.loc[("fam", "all networks", "untrained"), "kernels"] == N - 1
    assert ("fam", "one", "untrained") not in rows.index


def test_bins_hold_each_kernel_once(paths, tables):
    _, bins = tables
    unseen = paths[3]
    own = bins[(bins["model"] == "one") & (bins["set"] == "trained")]
    assert len(own) == BINS
    assert own["kernels"].sum() == N
    values = unseen.loc[unseen["model"] == "one", "dissimilarity"].to_numpy()
    for row in own.itertuples():
        inside = (values >= np.float32(row.dissimilarity)) & (
            values < np.float32(round(row.dissimilarity + WIDTH, 2))
        )
        assert row.kernels == inside.sum()
    assert (own["named"] <= own["kernels"]).all()


def test_a_kernel_at_the_threshold_is_in_the_bin_above(paths, tmp_path):
    labels, _, nulls, _ = paths
    exact = rows_of("one", 0.3, 1).assign(dissimilarity=np.float32(0.2))
    exact.to_parquet(tmp_path / "crossfit.parquet")
    summary, bins = dissimilarity_tables(
        labels, tmp_path / "crossfit.parquet", nulls, MODELS, K, 0.2
    )
    own = bins[(bins["model"] == "one") & (bins["set"] == "trained") & (bins["kernels"] > 0)]
    assert own[["dissimilarity", "kernels"]].to_numpy().tolist() == [[0.2, N]]
    found = summary[(summary["model"] == "one") & (summary["set"] == "trained")]
    assert found["share_below"].tolist() == [0.0]


def test_the_figure_has_a_panel_for_each_network_and_marks_the_threshold(tables, tmp_path):
    for name in ("one.png", "two.png"):
        drawn = figure.draw(*tables, K)
        titles = [ax.get_title(loc="left") for ax in drawn.axes if ax.axison]
        legend = [text.get_text() for text in drawn.legends[0].get_texts()]
        lines = [ax.lines[0].get_xdata() for ax in drawn.axes if ax.lines]
        style.save(drawn, tmp_path / name)
    assert titles == ["all families", "one", "two"]
    assert "threshold in use" in legend
    assert len(legend) == 7
    assert all(list(x) == [0.2, 0.2] for x in lines)
    assert len(lines) == 3
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()

"""Intervals of the shares of layers, networks and shapes, against formulas written out here."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from kernelatlas.clustering.labels import write_labels
from kernelatlas.tables.layers import layer_table, network_table, shape_table
from kernelatlas.tables.models import model_table

MODELS = [["net", "fam", True, "pictures"], ["net.untrained", "fam", False, ""]]
SIZES, HITS = (40, 100, 60), (30, 45, 50)
ALONE = [(28, 44, 50), (31, 47, 49), (30, 46, 51)]  # a seed each
LIMIT = {"7": 0.3}


def write(path, model, hits, alone, seeds):
    rows = []
    for layer, size in enumerate(SIZES):
        for channel in range(size):
            found = channel < hits[layer]
            rows.append(
                {
                    **{"model": model, "layer": f"dw{layer}", "layer_index": layer},
                    **{"channel": channel, "k": 7, "cluster": 0, "agreement": 1.0},
                    "label": "on-centre" if channel % 2 else "first-derivative 45°",
                    "direction": None,
                    "template_cosine": 0.9,
                    "dissimilarity": 0.1 if found else 0.5,
                    **{"identified": found, "identified_one_seed": found},
                    "reason": None if found else "too far",
                    **{"degenerate": False, "live": True, "codes": [0.5] * seeds},
                    "by_seed": [
                        0.1 if channel < alone[seed][layer] else (0.5 if seed else np.nan)
                        for seed in range(seeds)
                    ],
                }
            )
    table = pd.DataFrame(rows)
    for name in ("direction", "template_cosine", "agreement", "dissimilarity"):
        table[name] = table[name].astype("Float32")
    table["cluster"] = table["cluster"].astype("Int16")
    write_labels([pa.Table.from_pandas(table)], path, list(range(seeds)))
    return path


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    none = (0, 0, 0)
    return [
        write(folder / "net", "net", HITS, ALONE, 3),
        write(folder / "net.untrained", "net.untrained", none, [none] * 3, 3),
    ]


def test_layers_have_wilsons_interval_and_that_of_seeds_in_quadrature(labels):
    table = layer_table(labels, MODELS, LIMIT)
    trained = table[table["trained"]]
    assert trained["identified"].tolist() == list(HITS)
    assert trained["kernels"].tolist() == list(SIZES)
    for row, seeds in zip(trained.itertuples(), zip(*ALONE, strict=True), strict=True):
        wilson = stats.binomtest(row.identified, row.kernels).proportion_ci(method="wilson")
        shares = np.array(seeds) / row.kernels
        reach = stats.t.ppf(0.975, 2) * stats.sem(shares)
        share = row.identified / row.kernels
        assert row.low == pytest.approx(share - np.hypot(share - wilson.low, reach), abs=1e-6)
        assert row.high == pytest.approx(share + np.hypot(wilson.high - share, reach), abs=1e-6)
    untrained = table[~table["trained"]]
    assert (untrained["low"] == 0).all()
    rule_of_three = stats.binomtest(0, 100).proportion_ci(method="wilson").high
    assert untrained["high"].iloc[1] == pytest.approx(rule_of_three, abs=1e-6)


def test_layers_of_one_seed_have_wilsons_interval_alone(tmp_path):
    path = write(tmp_path / "net", "net", HITS, ALONE, 1)
    row = layer_table([path], MODELS, LIMIT).iloc[1]
    wilson = stats.binomtest(45, 100).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((wilson.low, wilson.high), abs=1e-6)


def test_networks_have_intervals_wider_than_independent_kernels_but_not_than_layers(labels):
    found = network_table(labels, MODELS, LIMIT).set_index("model")
    share = sum(HITS) / sum(SIZES)
    wilson = stats.binomtest(sum(HITS), sum(SIZES)).proportion_ci(method="wilson")
    low, high = found.loc["net", ["low", "high"]]
    assert low < wilson.low < share < wilson.high < high
    shares = np.array(HITS) / SIZES  # a t-interval over three layers, however few
    assert high - low < 2 * stats.t.ppf(0.975, 2) * stats.sem(shares)
    models = model_table(labels, MODELS, LIMIT).set_index("model")
    assert models.loc["net", ["low", "high"]].tolist() == [low, high]
    assert models.loc["net", "share_identified"] == share


def test_shapes_count_what_is_identified_and_lie_in_their_intervals(labels):
    table = shape_table(labels, MODELS)
    assert table["model"].unique().tolist() == ["net"]  # nothing of the control is identified
    assert table["shape"].tolist() == ["on-centre", "first-derivative"]
    odd = sum(hits // 2 for hits in HITS)
    assert table["identified"].tolist() == [odd, sum(HITS) - odd]
    assert table["kernels"].unique().tolist() == [sum(SIZES)]
    assert table["share"].tolist() == pytest.approx(
        [odd / sum(SIZES), (sum(HITS) - odd) / sum(SIZES)]
    )
    assert (table["low"] < table["share"]).all()
    assert (table["share"] < table["high"]).all()

"""The tables in README.md and docs/ are made of results/tables."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from kernelatlas.running.files import LABELS_VERSION, write_frame

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("numbers_of_docs", ROOT / "docs" / "numbers.py")
numbers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(numbers)

DOCUMENT = "before\n<!-- numbers: {} -->\nold\n<!-- end -->\nafter\n"
GROUPS = [
    *(("fam", model) for model in ("one", "two", "all networks")),
    *(("other", model) for model in ("three", "all networks")),
    ("all families", "all networks"),
]
NULLS = {"trained": 0.75, "untrained": 0.0, "shuffled": 0.01, "covariance": 0.5}


def nulls_table(trained: float = NULLS["trained"]) -> pd.DataFrame:
    rows = [
        {
            "family": family,
            "model": model,
            "set": name,
            "rule": rule,
            "kernels": 1200,
            "live": 1100,
            "share_live": 0.8,
            "share_in_sample": 0.875,
            "threshold": {"identified": 0.3, "r2": 0.8}[rule],
            "share": trained if name == "trained" else share,
            "low": share - 0.05,
            "high": share + 0.05,
            "calibrated_threshold": np.inf if share == 0 else 0.125,
            "trained_share": 0.6,
            "distinguishable": family == "all families",
            "excess": trained - share,
            "excess_low": trained - share - 0.0625,
            "excess_high": trained - share + 0.0625,
            "excess_live": 0.28,
        }
        for family, model in GROUPS
        for rule in ("identified", "r2")
        for name, share in NULLS.items()
    ]
    return pd.DataFrame(rows)


def stability_table() -> pd.DataFrame:
    rows = [
        {"kind": "pair", "seed": 0, "other": 1, "agreement": 0.9, "adjusted_rand_index": 0.7},
        {"kind": "pair", "seed": 0, "other": 2, "agreement": 0.95, "adjusted_rand_index": 0.7},
        {"kind": "seed", "seed": 0, "share_identified": 0.74},
        {"kind": "vote", "share_identified": 0.75, "agreement": 0.98, "kernels": 1200},
    ]
    rows += [
        {
            "kind": "network",
            "model": model,
            "kernels": kernels,
            "share_identified": 0.75,
            "share_identified_crossfit": crossfit,
            "agreement": 0.97,
            "mean_dissimilarity": 0.1,
            "mean_dissimilarity_crossfit": 0.2,
        }
        for model, kernels, crossfit in (("one", 300, 0.6), ("two", 900, 0.8), ("three", 10, 0.5))
    ]
    return pd.DataFrame(rows)


def write_models(folder, *trained_on: str) -> None:
    """Write the table of models of the families `fam` and `other`, with their training data."""
    rows = {"model": ["one", "two", "three"], "family": ["fam", "fam", "other"], "k": 7}
    rows |= {"trained": True, "trained_on": [trained_on[0], *trained_on]}
    write_frame(pd.DataFrame(rows), folder / "tables/models.parquet", schema_version=LABELS_VERSION)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    write_models(folder, "photographs", "photographs")
    write_frame(nulls_table(), folder / "tables/nulls_k7.parquet")
    write_frame(stability_table(), folder / "tables/stability_k7.parquet")
    return folder


@pytest.fixture
def fill(tmp_path, results, capsys):
    """Run the program on one document with this marker; return status, text and what it said."""

    def run(name, *options, text=None):
        path = tmp_path / "page.md"
        path.write_text(DOCUMENT.format(name) if text is None else text)
        status = numbers.main([str(path), "--results", str(results), *options])
        return status, path.read_text(), capsys.readouterr().err

    return run


def test_shares_stand_between_the_markers_and_nothing_else_is_touched(fill):
    status, text, _ = fill("identified")
    assert status == 0
    lines = text.splitlines()
    assert lines[:3] == ["before", "<!-- numbers: identified -->", ""]
    assert lines[-3:] == ["", "<!-- end -->", "after"]
    assert "old" not in lines
    row = "| 7×7 | fam | 1,200 | 1,100 | 75.0 % (70.0–80.0) | 80.0 % | 87.5 % | "
    assert f"{row}0.0 % | 1.0 % | – | 50.0 % |" in lines
    # A family of one network is that network.
    names = ["one", "two", "fam", "three", "all families"]
    assert [line.split(" | ")[1] for line in lines[5:10]] == names
    described = fill("described")[1]
    assert "| 7×7 | fam | 1,200 | 1,100 | 75.0 % (70.0–80.0) | 80.0 % | 0.0 % |" in described


def test_a_changed_table_changes_the_text_and_the_same_one_does_not(fill, results):
    _, before, _ = fill("identified")
    assert fill("identified", text=before)[1] == before
    assert fill("identified", "--check", text=before)[0] == 0
    write_frame(nulls_table(trained=0.5), results / "tables/nulls_k7.parquet")
    status, unchanged, said = fill("identified", "--check", text=before)
    assert status == 1
    assert unchanged == before
    assert "make docs" in said
    _, after, _ = fill("identified", text=before)
    assert "50.0 % (70.0–80.0)" in after
    assert "75.0 % (70.0–80.0)" not in after


def test_stability_gives_ranges_over_pairs_and_networks(fill):
    _, text, _ = fill("stability")
    assert "| 7×7 | 1,200 | 74.0 % | 75.0 % | 98.0 % | 0.900–0.950 | 0.700 | 0.970 |" in text


def test_scales_and_frequencies_are_of_trained_networks_beside_controls(fill, results):
    sets = [f"idealised {name}" for name in ("A", "B", "C1", "C2", "D1", "D2")]
    models = [
        {"model": model, "trained": model != "none", "filters": name, "kernels": n, "mean_r2": r2}
        for name in (*sets, "master keys")
        for model, n, r2 in (("one", 100, 0.2 + 0.1 * (name == sets[3])), ("none", 100, 0.9))
    ]
    models.append({**models[0], "model": "two", "kernels": 300, "mean_r2": 0.6})
    write_frame(pd.DataFrame(models), results / "tables/masterkeys_models_k7.parquet")
    # (100 · 0.2 + 300 · 0.6) / 400 of the first set.
    assert "| 7×7 | 0.500 | 0.200 | 0.200 | 0.300 | 0.200 | 0.200 |" in fill("scales")[1]
    frequencies = [
        {
            **{"family": "fam", "model": model, "trained": trained, "filters": name},
            **{"number": number, "name": f"f{number}", "share": share, "share_noise": 0.5},
            **{"low": share - 0.1 if trained else np.nan, "high": share + 0.1},
        }
        for name in (sets[5], "master keys")
        for model, trained, shares in (
            ("one", True, (0.25, 0.75)),
            ("x", False, (0.4, 0.6)),
            ("y", False, (0.45, 0.55)),
        )
        for number, share in enumerate(shares, 1)
    ]
    write_frame(pd.DataFrame(frequencies), results / "tables/masterkeys_frequencies_k7.parquet")
    rows = fill("frequencies_k7")[1].splitlines()[3:-3]
    assert rows == [
        "| network | 1 f1 | 2 f2 |",
        "| --- | --- | --- |",
        "| one | 25.0 % (15.0–35.0) | 75.0 % (65.0–85.0) |",
        "| untrained | 40.0–45.0 % | 55.0–60.0 % |",
        "| white noise | 50.0 % | 50.0 % |",
    ]


def test_a_null_without_names_needs_no_threshold(fill):
    _, text, _ = fill("calibrated")
    assert "| 7×7 | 0.30 | any: 60.0 % | 0.12: 60.0 % | – | 0.12: 60.0 % |" in text


def test_a_zoo_of_one_family_has_one_row(fill, results):
    table = nulls_table()
    write_frame(table[table["family"] != "other"], results / "tables/nulls_k7.parquet")
    assert "all families" not in fill("identified")[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("identifed", "did you mean 'identified'?"),
        ("baselines", "did you mean 'baselines_k7'"),
        ("", "no such table"),
        ("identified_k7", "no such table"),
    ],
)
def test_unknown_markers_are_errors_that_name_the_place(fill, name, said):
    status, text, error = fill(name)
    assert status == 1
    assert text == DOCUMENT.format(name)
    assert error.startswith("ERROR ")
    assert error.count("\n") == 1
    assert "page.md:2" in error
    assert said in error


@pytest.mark.parametrize(
    "text",
    [
        "<!-- numbers: identified -->\nnot closed\n",
        "<!-- end -->\n",
        "<!-- numbers identified -->\n<!-- end -->\n",
        "<!-- numbers: identified -->\n<!-- numbers: stability -->\n<!-- end -->\n",
        "<!-- recorded: a run -->\nnot closed\n",
        "<!-- recorded -->\nof what?\n<!-- end -->\n",
        "<!-- recorded: a run -->\n<!-- numbers: stability -->\n<!-- end -->\n",
    ],
)
def test_damaged_markers_are_errors(fill, text):
    status, left, error = fill("", text=text)
    assert status == 1
    assert left == text
    assert error.startswith("ERROR ")
    assert error.count("\n") == 1


def test_recorded_results_are_left_as_they_are(fill):
    text = "before\n<!-- recorded: a run -->\n\n| 1 % |\n\n<!-- end -->\nafter\n"
    assert fill("", text=text) == (0, text, "")


def test_the_excess_over_the_covariance_has_its_interval_and_both_rules(fill, results):
    table = nulls_table().assign(excess=0.25, excess_low=-0.01, excess_high=0.5)
    table["excess_live"] = 0.26
    table["distinguishable"] = table["rule"] == "r2"
    write_frame(table, results / "tables/nulls_k7.parquet")
    _, text, _ = fill("excess")
    row = "| 7×7 | three | 25.0 (−1.0 to 50.0) | 26.0 | no | 25.0 (−1.0 to 50.0) | yes |"
    assert row in text
    write_frame(table.assign(excess_low=np.nan), results / "tables/nulls_k7.parquet")
    assert "| 7×7 | three | 25.0 | 26.0 | no | 25.0 | yes |" in fill("excess")[1]


def test_kernels_with_a_name_are_those_below_the_largest_threshold(fill, results):
    curves = [
        {"family": "all families", "set": name, "rule": "identified", "threshold": t, "share": s}
        for name, top in (("trained", 0.9), ("white", 0.5))
        for t, s in ((1.0, top), (0.5, 0.25))
    ]
    write_frame(pd.DataFrame(curves), results / "tables/null_curves_k7.parquet")
    assert "| 7×7 | 90.0 % | – | – | 50.0 % | – |" in fill("named")[1]


FINDINGS = {
    "prototype_fits_k7": {
        "label": ["on-centre", "off-centre", "other", "other"],
        "r2": [0.9, 0.7, 0.8, 0.1],
    },
    "functions_k7": {
        "trained": [True, True, True, False],
        "function": ["dog", "first", "degenerate", "shifted"],
        "kernels": [30, 10, 1000, 5],
        "mean_r2": [0.6, 1.0, np.nan, 0.1],
    },
    "baselines_k7": {
        "method": ["autoencoder 1-D", "autoencoder 1-D", "k-means 20"],
        "silhouette": [0.1, 0.2, 0.4],
    },
    "agreement_k7": {
        "method": ["k-means 20", "k-means 20"],
        "other": ["k-means 20", "autoencoder 1-D"],
        "adjusted_rand_index": [0.48, 0.1],
    },
    "masterkeys_models_k7": {
        "trained": [True, True, True, False],
        "filters": ["master keys", "master keys", "random", "master keys"],
        "number": 8,
        "kernels": [100, 300, 400, 400],
        "mean_r2": [0.2, 0.6, 0.05, 0.9],
        "share_r2_80": [0.0, 0.2, 0.01, 0.9],
    },
    "limits_k7": {
        "family": "all families",
        "model": "all networks",
        "set": ["trained", "trained", "white", "trained", "covariance"],
        "function": ["selected", "described", "described", "first", "first"],
        "limit": ["any", "any", "any", "greatest sigma", "greatest sigma"],
        "value": [np.nan, np.nan, np.nan, 3.5, 3.5],
        "kernels": [200, 90, 29, 200, 200],
        "at_limit": [100, 30, 20, 50, 10],
        "share": [0.5, 0.25, 0.7, 0.25, 0.05],
        "low": [0.4, 0.2, 0.6, np.nan, 0.02],
        "high": [0.6, 0.3, 0.8, np.nan, 0.08],
        "mean_r2": 0.625,
    },
    "masterkeys_k7": {
        "source": ["k-means", "k-means", "curve"],
        "filters": [9, 8, 8],
        "mean_r2": [0.9, 0.55, 0.5],
        "share_r2_80": [0.9, 0.1, 0.1],
    },
    "replacements": {
        "model": ["one"] * 3 + ["two"] * 3,
        "measure": ["subject"] * 6,
        "variant": ["untouched", "fits", "mean"] * 2,
        "accuracy": [0.8, 0.4, 0.2, 0.5, 0.5, 0.1],
    },
    "emergence": {
        "family": "fam",
        "network": ["a", "a", "b", "c", "d"],
        "trained_on": ["photographs"] * 3 + ["photographs with shuffled pixels", "photographs"],
        "step": [100, 0, 100, 100, 100],
        "k": [7, 7, 7, 7, 9],
        "share_identified": [0.7, 0.0, 0.6, 0.75, 0.99],
    },
    "offsets_layers": {
        "k": [5, 5, 5, 5, 3, 5],
        "model": "net",
        "layer_index": [0, 1, 2, 3, 4, 5],
        "layer": list("abcdef"),
        "stride": pd.array([2, 2, 1, 1, 2, None], "Int16"),
        "width": pd.array([56, 15, 15, 15, 28, None], "Int16"),
        "expected_x": [-0.5, 0.0, 0.0, 0.0, -0.5, np.nan],
        "expected_y": [0.5, 0.0, 0.0, 0.0, 0.5, np.nan],
        "median_x": [-0.5, 0.1, 0.0, np.nan, -0.2, 0.0],
        "median_y": [0.45, -0.1, 0.0, np.nan, 0.2, 0.0],
        "share_squares": [0.7, 0.05, 0.01, 0.04, 0.1, 0.9],
        "low": 0.0,
        "high": 1.0,
        "centred": [20, 30, 4000, 0, 40, 5],
    },
    "accuracy_correlations": {
        "k": [7.0, np.nan],
        "networks": [4, 6],
        "rho": [0.1, -0.5],
        "low": [np.nan, -1.0],
        "high": [np.nan, 0.5],
    },
}


def test_findings_stand_beside_their_nulls(fill, results):
    for name, table in FINDINGS.items():
        write_frame(
            pd.DataFrame(table), results / f"tables/{name}.parquet", schema_version=LABELS_VERSION
        )
    status, text, error = fill("findings")
    assert (status, error) == (0, "")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert [row[:2] for row in rows[:1]] == [["question", "trained networks"]]
    assert rows[2][3] == "far more than chance; much more than the same covariance"
    found = [row[1:3] for row in rows[2:]]
    assert found == [
        [
            "75.0 % (70.0–80.0); in sample 87.5 %",
            "chance 0.0–1.0 %; same covariance 50.0 %, excess in points: 25.0 (18.8 to 31.2)",
        ],
        [
            "75.0 % (70.0–80.0); of these at a limit of the search: 25.0 % (20.0–30.0)",
            "chance 0.0–1.0 %; same covariance 50.0 %",
        ],
        [
            "DoG 75.0 %, derivatives 25.0 %, Gaussian off the centre 0.0 %; mean R² 0.70",
            "untrained: DoG 0.0 %, derivatives 0.0 %, Gaussian off the centre 100.0 %; "
            "mean R² 0.10",
        ],
        ["0.70", "k-means, 20 centroids: 0.48"],
        ["0.15", "k-means, 20 centroids: 0.40"],
        ["0.50 (15.0 %)", "random filters 0.05 (1.0 %); k-means centroids 0.55 (10.0 %)"],
        ["1 of 2", "prototypes without a name: 1 of 2"],
        ["50.0–100.0 %", "by its mean alone: 20.0–25.0 %"],
        ["60.0–70.0 %", "on photographs with shuffled pixels: 75.0 %"],
        [
            "70.0 % where centres are moved, 5.0 % where they are not",
            "layers of stride 1: 1.0–4.0 %",
        ],
        ["−0.50 (−1.00 to 0.50)", "6 networks"],
    ]


def cells(text: str) -> list[list[str]]:
    """Return the rows of a table without its head."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def test_fits_at_limits_stand_beside_nulls_of_enough_kernels(fill, results):
    write_frame(pd.DataFrame(FINDINGS["limits_k7"]), results / "tables/limits_k7.parquet")
    status, text, error = fill("limits")
    assert (status, error) == (0, "")
    assert cells(text) == [
        ["7×7", "selected function", "all families", "50.0 % (40.0–60.0)", "–", "–", "–", "–"],
        # Of 29 kernels of white noise no share is given.
        ["7×7", "selected function, R² ≥ 0.8", "all families", "25.0 % (20.0–30.0)", *"––––"],
    ]
    _, text, _ = fill("limits_k7")
    assert cells(text) == [
        ["first", "greatest sigma", "3.50", "25.0 %", "–", "5.0 % (2.0–8.0)", "0.62"]
    ]


def test_dissimilarities_stand_beside_nulls(fill, results):
    rows = [
        {"family": "fam", "model": "one", "set": name, "k": 7, "median": median, "threshold": 0.3,
         "share_below": 0.75, "low": 0.7, "high": 0.8}
        for name, median in (("trained", 0.2), ("trained, in sample", 0.1), ("covariance", 0.25))
    ]  # fmt: skip
    write_frame(pd.DataFrame(rows), results / "tables/dissimilarities_k7.parquet")
    _, text, _ = fill("dissimilarities")
    below = "75.0 % (70.0–80.0)"
    expected = ["7×7", "one", "0.20", "0.10", "–", "–", "–", "0.25", "0.30", below, below]
    assert cells(text) == [expected]


def test_thresholds_with_an_excess_are_ranges_of_the_grid(fill, results):
    low = {0.1: 0.02, 0.2: 0.01, 0.3: -0.05, 0.4: 0.01}  # of the excess, with the cosine in use
    rows = [
        {"family": "all families", "set": "covariance", "threshold": threshold,
         "minimum_cosine": cosine, "in_use": (threshold, cosine) == (0.3, 0.75),
         "excess": start + 0.1 * (cosine == 0.5), "excess_low": start if cosine == 0.75 else 0.1,
         "excess_high": 0.3}
        for threshold, start in low.items()
        for cosine in (0.5, 0.75)
    ]  # fmt: skip
    write_frame(pd.DataFrame(rows), results / "tables/thresholds_k7.parquet")
    status, text, error = fill("thresholds")
    assert (status, error) == (0, "")
    assert cells(text) == [
        ["7×7", "covariance", "−5.0 (−5.0 to 30.0)", "0.10–0.20, 0.40 (0.30)", "0.50 (0.75)",
         "12.0 (10.0 to 30.0) at 0.10, 0.50", "87.5 %"]
    ]  # fmt: skip


def test_moves_stand_beside_what_padding_makes_one_expect(fill, results):
    write_frame(pd.DataFrame(FINDINGS["offsets_layers"]), results / "tables/offsets_layers.parquet")
    pooled = {"k": [5, 5, 7], "stride": [1, 2, 1], "expected_x": 0.0, "expected_y": 0.0}
    pooled |= {"layers": 2, "centred": 4000, "median_x": -0.01, "median_y": 0.0}
    pooled |= {"share_squares": 0.02, "low": 0.01, "high": 0.03}
    write_frame(pd.DataFrame(pooled), results / "tables/offsets_strides.parquet")
    status, text, error = fill("strides")
    assert (status, error) == (0, "")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert [row[:6] for row in rows[2:]] == [
        ["3×3", "net", "4: e", "28", "−0.50, +0.50", "−0.20, +0.20 of 40"],
        ["5×5", "net", "0: a", "56", "−0.50, +0.50", "−0.50, +0.45 of 20"],
        ["5×5", "net", "1: b", "15", "0, 0", "+0.10, −0.10 of 30"],
        ["5×5", "–", "all 2 layers of stride 1", "–", "0, 0", "−0.01, 0 of 4,000"],
    ]


def test_drift_stands_beside_random_pairs(fill, results):
    steps = {"step": [0, 10, 20, 30, 0], "last_step": [40, 40, 40, 40, 9]}
    table = {"k": 7, "network": ["a"] * 4 + ["b"], **steps, "kernels": [10, 10, 10, 10, 0]}
    table |= {"cosine": [0.1, 0.2, 0.5, 0.9, np.nan], "cosine_null": -0.004, "norm_change": -0.3}
    table |= {"same_shape": 0.5, "same_shape_null": 0.25, "moved": 0.5, "moved_null": 0.75}
    write_frame(pd.DataFrame(table), results / "tables/drift.parquet")
    _, text, _ = fill("drift")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert [row[2:4] for row in rows[2:]] == [
        ["0 to 40", "0.10 (0.00)"],
        ["20 to 40", "0.50 (0.00)"],
        ["30 to 40", "0.90 (0.00)"],
    ]
    assert rows[2][4:] == ["−0.30", "50.0 % (25.0 %)", "0.50 (0.75)"]


def test_the_page_on_the_paper_has_the_rows_that_are_written_for_it():
    parts = yaml.safe_load((ROOT / "docs/paper.yaml").read_text())
    text = (ROOT / "docs/paper.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| ")][2:]
    rows = [row for part in parts for row in part["rows"]]
    assert len(table) == len(rows) + len(parts)
    cells = {line.strip("| ").split(" | ")[0]: line for line in table}
    for row in rows:
        line = cells[row["statement"]]
        for key in ("published", "make", "differs", "needs"):
            assert row[key] in line, (row["statement"], key)
        # What stands between the numbers.
        for words in re.split(r"\{\w+\}", row["ours"]):
            assert words in line, row["statement"]


def test_families_trained_on_other_data_are_findings_of_their_own(fill, results):
    for name, table in FINDINGS.items():
        write_frame(
            pd.DataFrame(table), results / f"tables/{name}.parquet", schema_version=LABELS_VERSION
        )
    write_models(results, "photographs", "ImageNet-1k")
    _, text, _ = fill("findings")
    found = [
        line.split(" | ")[0] for line in text.splitlines() if line.startswith("| Identified, 7")
    ]
    assert [question.split(";")[0] for question in found] == [
        "| Identified, 7×7, fam",
        "| Identified, 7×7, other",
    ]


def test_missing_and_outdated_tables_are_errors_that_name_the_file_and_the_remedy(fill, results):
    path = results / "tables/stability_k7.parquet"
    write_frame(stability_table(), path, schema_version=1)
    assert (
        fill("stability")[2] == f"ERROR {path}: of an earlier version: run `make evidence` again\n"
    )
    models = results / "tables/models.parquet"
    write_frame(pd.read_parquet(models), models, schema_version=3)
    assert fill("stability")[2] == f"ERROR {models}: of an earlier version: run `make` again\n"
    write_frame(pd.read_parquet(models), models, schema_version=LABELS_VERSION)
    path.unlink()
    status, _, error = fill("stability")
    assert status == 1
    assert error == f"ERROR {path}: missing: run `make evidence` first\n"
    (results / "tables/models.parquet").unlink()
    assert "models.parquet: missing: run `make` first" in fill("stability")[2]


def test_every_marker_in_the_project_is_known():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line in path.read_text().splitlines():
            match = numbers.BEGIN.match(line)
            if match:
                table, _, size = match[1].partition("_k")
                assert table in numbers.BY_SIZE if size else table in numbers.TABLES

"""The explorer's arrays against the tables that they are made of, read another way."""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from explored import HOSTILE, MODELS, ORDERED, POINTS, STUDIED, Data, explore, make_tables

from kernelatlas import names
from kernelatlas.clustering.curve import Curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import formulas
from kernelatlas.evidence.fits import render
from kernelatlas.figures import style
from kernelatlas.release.explorer_fits import FORMS, Fits, delicate
from kernelatlas.release.explorer_rows import (
    MOST_AGREEMENTS,
    NEAR,
    Scales,
    dissimilarity_levels,
)
from kernelatlas.release.explorer_shares import Shares
from kernelatlas.release.explorer_tables import LOGARITHMIC, PARAMETERS
from kernelatlas.running.files import metadata_of

ROOT = Path(__file__).parents[2]
SIZES = ("1x7", "2x2", "3x3", "7x7")
ARRAYS = {
    "weights": "|i1", "scale": "|u1", "cells": "|u1", "network_starts": "<u4",
    "layer_starts": "<u4",
}  # fmt: skip
OF_STUDIED = {
    "dissimilarity": "|u1", "r2": "|u1", "fit": "|u1", "parameters": "|u1",
    "parameter_starts": "<u4", "curve": "<i2", "point_labels": "|u1", "point_counts": "<u4",
    "point_rows": "<u4", "shape_shares": "<f4",
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return make_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def folder(tables, tmp_path_factory):
    return explore(tables, tmp_path_factory.mktemp("explorer") / "data")


@pytest.fixture(scope="module", params=SIZES)
def data(request, tables, folder):
    return Data(tables, folder, request.param)


@pytest.fixture(scope="module", params=[f"{k}x{k}" for k in STUDIED])
def studied(request, tables, folder):
    return Data(tables, folder, request.param)


def order_of(data):
    """Place of each row: cells sorted, and in each the order of places."""
    return np.argsort(data.arrays["cells"], kind="stable")


def test_every_array_has_the_type_and_the_shape_of_the_contract(data):
    n, size = len(data.kernels), data.size
    cells, networks = len(size["cells"]), len(size["networks"])
    assert size["kernels"] == n == sum(cell["kernels"] for cell in size["cells"])
    expected = ARRAYS | (OF_STUDIED if size["studied"] else {})
    assert {name: array.dtype.str for name, array in data.arrays.items()} == expected
    shapes = {name: array.shape for name, array in data.arrays.items()}
    assert shapes["weights"] == (n, size["height"], size["width"])
    assert shapes["scale"] == shapes["cells"] == (n,)
    assert shapes["network_starts"] == (cells, networks + 1)
    layers = size["network_layers"]
    assert np.diff(layers).tolist() == [len(own) for own in data.layers]
    assert shapes["layer_starts"] == (cells * (layers[-1] + networks),)
    if size["studied"]:
        assert shapes["dissimilarity"] == shapes["r2"] == shapes["fit"] == (n,)
        assert shapes["parameter_starts"] == (-(-n // 64) + 1,)
        assert shapes["curve"] == (3, POINTS, size["height"], size["width"])
        assert shapes["point_labels"] == shapes["point_counts"] == (3, POINTS)
        assert shapes["point_rows"] == (3, POINTS, 16)
        assert shapes["shape_shares"] == (len(names.SHAPES), networks, 3)


def test_the_readme_of_the_results_describes_every_array_and_key(folder):
    text = (ROOT / "results/README.md").read_text()
    section = text.split("## explorer/", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ")]
    arrays = {row[0].strip() for row in rows if len(row) == 3} - {"array"}
    assert arrays == {path.stem for path in folder.glob("*/*.npy")}
    keys = {key for row in rows if len(row) == 2 for key in row[0].strip().split(", ")}
    index = json.loads((folder / "index.json").read_text())
    assert keys - {"key of data/index.json"} == set(index)
    size = index["sizes"]["7x7"]
    layers = json.loads((folder / "networks/one.json").read_text())["layers"]["7x7"]
    inside = [size, size["cells"][0], index["networks"][0], size["seeds_curves"][0], *layers]
    for key in {key for part in inside for key in part}:
        assert re.search(rf"\b{key}\b", section), key


def test_networks_are_by_family_in_the_order_of_the_zoo(folder):
    index = json.loads((folder / "index.json").read_text())
    assert [network["name"] for network in index["networks"]] == ORDERED
    assert index["families"] == ["late", "early"]
    known = {network["name"]: network for network in index["networks"]}
    assert known["gone"]["skipped"] == "gone: no such file"
    assert known["gone"]["kernels"] == 0
    assert known["one"]["kernels"] == 143
    assert known["one.untrained"]["trained_on"] is None
    assert not known["one.untrained"]["trained"]
    assert sorted(index["sizes"]) == list(SIZES)
    gone = json.loads((folder / "networks/gone.json").read_text())
    assert gone["layers"] == {}


def test_layers_are_told_with_their_place_stride_and_names_of_any_kind(tables, folder):
    one, two = (json.loads((folder / f"networks/{n}.json").read_text()) for n in ("one", "two"))
    assert one["source"] == "one.safetensors"
    assert [layer["name"] for layer in one["layers"]["7x7"]] == ["stem.dw", "b.dw"]
    assert [layer["stride"] for layer in one["layers"]["7x7"]] == [2, 1]
    assert [layer["dilation"] for layer in one["layers"]["7x7"]] == [1, 3]
    assert [layer["first"] for layer in one["layers"]["7x7"]] == [0, 40]
    (hostile,) = two["layers"]["7x7"]
    assert hostile["name"] == HOSTILE
    assert (hostile["stride"], hostile["index"], hostile["channels"]) == (None, 1, 20)
    # After those of one, one.untrained and odd.
    assert hostile["first"] == 73 + 50 + 12


def test_places_lead_to_rows_and_back_for_every_kernel(data):
    rows = [data.row_of(place) for place in range(len(data.kernels))]
    assert sorted(rows) == list(range(len(rows)))
    assert [data.place_of(row) for row in rows] == list(range(len(rows)))
    assert np.argsort(rows).tolist() == order_of(data).tolist()


def test_every_kernel_is_in_the_cell_of_its_label(data, tables):
    if not data.size["studied"]:
        assert [cell["label"] for cell in data.size["cells"]] == ["not studied"]
        assert not data.arrays["cells"].any()
        return
    clusters = pd.read_parquet(tables / f"clusters/k{data.size['height']}.parquet")
    expected = [data.cell_of(kernel, clusters) for _, kernel in data.kernels.iterrows()]
    assert data.arrays["cells"].tolist() == expected
    cells = data.size["cells"]
    for number, cluster in clusters.iterrows():
        assert cells[number]["label"] == cluster["label"]
        assert cells[number]["template"] == cluster["template"]
        assert cells[number]["prototype"] == pytest.approx(cluster["prototype"], abs=1e-7)
    # Labels that no cluster has, as noise brings them, and degenerate kernels last.
    rest = [cell["label"] for cell in cells[len(clusters) :]]
    assert not set(rest) & set(clusters["label"])
    assert [cell["prototype"] for cell in cells[len(clusters) :]] == [None] * len(rest)
    assert rest == sorted(rest, key=names.LABELS.index)
    if data.size["height"] == 7:
        assert rest[-1] == "degenerate"
        assert cells[-1]["kernels"] == data.kernels["degenerate"].sum() >= 4
    identified = data.kernels.groupby(data.arrays["cells"])["identified"].sum()
    assert [cell["identified"] for cell in cells] == identified.reindex(
        range(len(cells)), fill_value=0
    ).tolist()


def test_reasons_and_shares_of_shapes_are_those_of_the_label_tables(studied, tables):
    cells = pd.Series(studied.arrays["cells"], name="cell")
    counts = studied.kernels.astype({"reason": str}).groupby([cells, "reason"]).size()
    for number, cell in enumerate(studied.size["cells"]):
        reasons = {name: int(counts.get((number, name), 0)) for name in names.REASONS}
        assert cell["reasons"] == {name: n for name, n in reasons.items() if n}
        assert cell["kernels"] == cell["identified"] + sum(cell["reasons"].values())
    own = studied.kernels
    shape = own["label"].astype(str).str.split(" ").str[0].where(own["identified"])
    shares = studied.arrays["shape_shares"]
    assert (shares[..., 0] > 0).any()
    for number, name in enumerate(names.SHAPES):
        expected = (shape == name).groupby(own["network"]).mean()
        assert shares[number, :, 0] == pytest.approx(expected.to_numpy(), abs=1e-6)
    table = pd.read_parquet(tables / "tables/shapes.parquet")
    order = [network["name"] for network in studied.networks]
    for row in table[table["k"] == studied.size["height"]].itertuples():
        found = shares[names.SHAPES.index(row.shape), order.index(row.model), 1:]
        assert found == pytest.approx([row.low, row.high], nan_ok=True, abs=1e-6)


def test_layers_have_the_interval_of_their_share_and_the_share_of_their_controls(tmp_path):
    rows = [
        ("f", "net", True, 7, 0, "a", 40, 30, 0.61, 0.87),
        ("f", "net", True, 7, 1, "b", 40, 10, 0.13, 0.41),
        ("f", "net.untrained", False, 7, 0, "a", 40, 4, 0.03, 0.24),
        ("f", "net.untrained", False, 7, 1, "b", 40, 0, 0.0, 0.09),
        ("f", "net.again", False, 7, 0, "a", 60, 1, 0.0, 0.1),
        ("f", "net.again", False, 7, 1, "b", 60, 3, 0.01, 0.14),
        ("f", "wider.untrained", False, 7, 0, "a", 90, 90, 0.9, 1.0),  # has not the same layers
        ("g", "alone", True, 7, 3, "a", 40, 30, np.nan, np.nan),
    ]
    columns = [
        "family", "model", "trained", "k", "layer_index", "layer", "kernels", "identified", "low",
        "high",
    ]  # fmt: skip
    path = tmp_path / "layers.parquet"
    pd.DataFrame(rows, columns=columns).to_parquet(path)
    found = Shares(path, path, path).by_layer
    assert found["net", 0] == {"low": 0.61, "high": 0.87, "control": 0.05}
    assert found["net", 1] == {"low": 0.13, "high": 0.41, "control": 0.03}
    assert found["net.untrained", 0] == {"low": 0.03, "high": 0.24}
    assert found["alone", 3] == {}


def test_the_index_of_a_network_has_the_intervals_of_its_layers(tables, folder):
    table = pd.read_parquet(tables / "tables/layers.parquet").astype({"model": str})
    one = json.loads((folder / "networks/one.json").read_text())
    for layer in one["layers"]["7x7"]:
        row = table[(table["model"] == "one") & (table["layer_index"] == layer["index"])].iloc[0]
        assert [layer["low"], layer["high"]] == pytest.approx([row["low"], row["high"]], abs=1e-4)
    odd = json.loads((folder / "networks/odd.json").read_text())
    assert "low" not in odd["layers"]["1x7"][0]


def test_weights_are_within_half_a_step_of_those_stored(data):
    raw = np.stack(data.kernels["weights"].to_list())[order_of(data)].astype(float)
    found = data.weights
    finite = np.isfinite(raw)
    assert (np.isnan(found) == ~finite).all()
    scale = data.size["scale"]
    step = scale["least"] * scale["ratio"] ** data.arrays["scale"].astype(float)
    error = np.abs(np.where(finite, found - np.where(finite, raw, 0), 0))
    assert (error <= 0.5000001 * step[:, None]).all()


def test_quantised_kernels_have_the_shape_of_those_stored(data):
    raw = np.stack(data.kernels["weights"].to_list())[order_of(data)].astype(float)
    flat = data.kernels["degenerate"].to_numpy()[order_of(data)]
    strongest = np.abs(np.where(np.isfinite(raw), raw, 0)).max(axis=1)
    seen = ~flat & (strongest > strongest.max() * 1e-16)
    centred, found = (w[seen] - w[seen].mean(axis=1, keepdims=True) for w in (raw, data.weights))
    lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(found, axis=1)
    cosine = (centred * found).sum(axis=1) / lengths
    # Where the weights hardly differ from their mean, eight bits tell less of the shape.
    varied = np.linalg.norm(centred, axis=1) > 0.2 * np.linalg.norm(raw[seen], axis=1)
    assert cosine[varied].min() > 0.995
    assert np.median(cosine) > 0.9999


def test_huge_and_dead_kernels_keep_what_a_byte_can_tell(tables, folder):
    data = Data(tables, folder, "7x7")
    odd = [place for place, name in enumerate(data.kernels["model"]) if name == "odd"]
    huge, dead, least = (data.weights[data.row_of(odd[number])] for number in (4, 5, 6))
    stored = data.kernels["weights"].iloc[odd[4]]
    assert np.abs(huge).max() == pytest.approx(np.abs(stored).max(), rel=0.01)
    assert not dead.any()
    assert not least.any()


def test_kernels_are_identified_exactly_where_the_table_says_so(studied):
    arrays, index, size = studied.arrays, studied.index, studied.size
    level = arrays["fit"] % len(index["agreement"]["levels"])
    kernels = studied.kernels.iloc[order_of(studied)]
    shape = np.array([cell["shape"] for cell in size["cells"]])[np.sort(arrays["cells"])]
    reason = np.full(len(level), None, object)
    reason[level < index["agreement"]["most"]] = names.SEEDS_DISAGREE
    reason[shape == "other"] = names.NO_NAME
    reason[arrays["dissimilarity"] >= size["dissimilarity"]["near"]] = names.TOO_FAR
    reason[shape == "degenerate"] = names.DEGENERATE
    expected = kernels["reason"].astype(object).where(kernels["reason"].notna(), None)
    assert reason.tolist() == expected.tolist()
    assert pd.isna(reason).tolist() == kernels["identified"].astype(bool).tolist()
    assert {None, names.TOO_FAR} < set(reason)
    agreement = np.array(index["agreement"]["levels"])[level]
    assert agreement == pytest.approx(kernels["agreement"].fillna(0).astype(float), abs=1e-6)


def test_dissimilarities_and_r2_are_within_their_level(studied):
    kernels = studied.kernels.iloc[order_of(studied)]
    step = studied.size["dissimilarity"]["step"]
    assert step * 64 == pytest.approx(studied.size["threshold"])
    q, d = studied.arrays["dissimilarity"].astype(float), kernels["dissimilarity"].to_numpy(float)
    below, known = q < 255, ~np.isnan(d)
    assert (d[below] >= q[below] * step - 1e-7).all()
    assert (d[below] < (q[below] + 1) * step + 1e-7).all()
    assert (d[known & ~below] >= 255 * step).all()
    assert (q[~known] == 255).all()
    r2, level = kernels["r2"].to_numpy(float), studied.arrays["r2"]
    assert ((level == 255) == np.isnan(r2)).all()
    for least in (0.5, 0.8, 0.92):
        assert ((level >= least * 250) & (level != 255)).tolist() == (
            r2 >= np.float32(least)
        ).tolist()
    assert (np.abs(level / 250 + 0.002 - r2)[level != 255] <= 0.0020001).all()


def decoded(numbers, parameters, fits):
    """Read fits, of which the numbers are given, as the page does; amplitude 1, offset 0."""
    rows, at = [], 0
    for number in numbers:
        if number == 0:
            rows.append({"function": None, "at": at})
            continue
        fit = fits[number]
        values = {"function": fit["function"], "form": fit["form"], "amplitude": 1, "offset": 0}
        values["at"] = at
        for parameter in fit["parameters"]:
            low, high = parameter["low"], parameter["high"]
            digits = parameters[at : at + fit["bytes"]]
            at += fit["bytes"]
            q = sum(int(digit) * 256**i for i, digit in enumerate(digits))
            steps = 256 ** fit["bytes"]
            if parameter["scale"] == "log":
                value = low * (high / low) ** (q / (steps - 1))
            elif parameter["scale"] == "linear":
                value = low + (high - low) * q / (steps - 1)
            else:
                value = q / steps * high
            values[parameter["name"]] = value
        rows.append(values)
    assert at == len(parameters)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("threshold", [0.12, 0.2, 0.3, 0.1, 0.7, 1e-3, 2.0, 0])
def test_a_dissimilarity_is_near_exactly_below_the_threshold(threshold):
    at = np.float32(threshold)
    distance = np.array([np.nextafter(at, np.float32(end)) for end in (0, 9)] + [at, 0, 9, np.nan])
    distance = distance.astype(np.float32)
    levels = dissimilarity_levels(distance, threshold)
    assert ((levels < NEAR) == (distance < threshold)).all()
    assert levels.tolist()[-2:] == [255, 255]


@pytest.mark.parametrize(
    "largest", [[1.0], [0.02, 0.02], [1e-3, 1.0, 50.0], [1e-44, 3.4e38], [1e-20, 1e-4, 1.0]]
)
def test_scales_reach_from_the_weakest_to_the_strongest_kernel(largest):
    weights = np.array([[x, -x / 3, 0] for x in largest], np.float32)
    scales = Scales.between(min(largest), max(largest))
    integers, q = scales.integers(weights)
    step = scales.least * scales.ratio ** q.astype(float)
    error = np.abs(integers * step[:, None] - weights)
    assert (error <= 0.500001 * step[:, None]).all()
    # Of all but dead kernels seven bits are used.
    seen = np.array(largest) > max(largest) * 1e-16
    assert (np.abs(integers).max(axis=1)[seen] >= 107).all()
    if max(largest) / min(largest) < 1e6:
        assert (np.abs(integers).max(axis=1) >= 120).all()


def fits_of(data):
    """Read the fits of all rows."""
    arrays, levels = data.arrays, len(data.index["agreement"]["levels"])
    found = decoded(arrays["fit"] // levels, arrays["parameters"], data.size["fits"])
    starts = arrays["parameter_starts"]
    assert starts[:-1].tolist() == found["at"][::64].tolist()
    assert starts[-1] == len(arrays["parameters"])
    return found


def test_decoded_fits_describe_the_kernels_as_well_as_those_of_the_table(studied):
    kernels = studied.kernels.iloc[order_of(studied)].reset_index(drop=True)
    found = fits_of(studied)
    assert found["function"].isna().tolist() == kernels["function"].isna().tolist()
    known = found["function"].notna()
    found, kernels = found[known], kernels[known]
    for column in ("function", "form"):
        assert found[column].tolist() == kernels[column].astype(str).tolist()
    drawn = render(found, studied.size["height"])
    raw = np.stack(kernels["weights"].to_list()).astype(float)
    raw -= raw.mean(axis=1, keepdims=True)
    r2 = ((raw * drawn).sum(axis=1) / np.linalg.norm(raw, axis=1)) ** 2
    r2 /= (drawn**2).sum(axis=1)
    loss = np.abs(r2 - kernels["r2"].to_numpy(float))
    assert np.median(loss) < 0.001
    assert np.quantile(loss, 0.99) < 0.005
    # Angles go round: the byte after the last is that of 0.
    for name, whole in (("first", 2 * np.pi), ("second", np.pi)):
        own = found["function"].str.endswith(name)
        angle = kernels["angle"].to_numpy(float)[own]
        apart = np.abs(found["angle"].to_numpy(float)[own] - angle) % whole
        assert (np.minimum(apart, whole - apart) <= whole / 512 + 1e-6).all()


def test_the_parameters_are_those_of_the_fits():
    assert sorted(PARAMETERS) == sorted(formulas.PARAMETERS)
    assert sorted(LOGARITHMIC) == sorted(formulas.SCALES)
    # With each function in both forms, the delicate ones twice, a byte has room for 8 levels.
    kinds = [(function, form) for function in names.FUNCTIONS for form in FORMS]
    known = pd.DataFrame(kinds, columns=["function", "form"])
    known = known.assign(**dict.fromkeys(PARAMETERS, 0.1))
    often = delicate(known["function"], known["form"], pa.Table.from_pandas(known), 7)
    assert often.sum() == 7
    assert (1 + len(known) + often.sum()) * MOST_AGREEMENTS <= 256


DELICATE = [  # as the tables have them: functions that nearly vanish, or are differences of equals
    {"function": "gabor", "sigma": 3.5, "frequency": 3.1, "phase": 1.52, "angle": 1.57},
    {"function": "gabor", "sigma": 2.5, "frequency": 0.3, "phase": 4.7, "angle": 0.7},
    {"function": "gabor", "sigma": 1.97, "frequency": 1.0, "phase": 2.2, "angle": 3.1415},
    {"function": "gabor", "sigma": 0.3, "frequency": 1.0, "phase": 1.5, "angle": 0.01},
    {"function": "dog", "sigma": 3.5, "ratio": 1.11, "surround": 1.43},
    {"function": "dog", "sigma": 0.25, "ratio": 1.12, "surround": 1.25},
    {"function": "shifted dog", "sigma": 0.31, "surround": 0.5, "x": 0.49, "y": -1.49},
    {"function": "shifted first", "sigma": 0.3, "angle": 3.14, "x": -0.02, "y": 0.06},
    {"function": "shifted second", "sigma": 0.45, "angle": 1.56, "x": -0.5, "y": 0.49},
]
RANGES = {
    "sigma": (0.2, 3.5), "ratio": (1.1, 4.0), "surround": (0.0, 1.5), "frequency": (0.3, np.pi),
    "phase": (0.0, 6.28), "angle": (0.0, 3.14159), "x": (-1.5, 1.5), "y": (-1.5, 1.5),
}  # fmt: skip


def test_delicate_fits_are_drawn_as_they_are_in_the_table():
    rows = []
    for fit in DELICATE:  # each with fits at the ends of all ranges, as in a zoo
        for end in (0, 1):
            ends = {name: RANGES[name][end] for name in fit if name in RANGES}
            rows.append({**fit, **ends})
        rows.append(fit)
    table = pd.DataFrame(rows, columns=["function", *PARAMETERS]).assign(form="continuous", r2=0.9)
    arrow = pa.Table.from_pandas(table)
    fits = Fits(7)
    fits.see(arrow)
    number, _, parameters = fits.encode(arrow)
    index = [None, *(fit.describe() for fit in fits.all)]
    sizes = [0, *(fit.size for fit in fits.all)]
    written = np.concatenate([p[: sizes[n]] for n, p in zip(number, parameters, strict=True)])
    found = decoded(number, written, index).iloc[2::3]
    exact = table.iloc[2::3].assign(amplitude=1, offset=0)
    assert found["function"].tolist() == exact["function"].tolist()
    drawn, expected = render(found, 7).astype(float), render(exact, 7).astype(float)
    cosine = (drawn * expected).sum(axis=1)
    cosine /= np.linalg.norm(drawn, axis=1) * np.linalg.norm(expected, axis=1)
    assert (cosine**2 > 0.995).all(), cosine**2


def test_points_of_the_curves_have_their_kernels_and_names(studied, tables):
    k = studied.size["height"]
    kernels, arrays = studied.kernels, studied.arrays
    rows = np.empty(len(kernels), int)
    rows[order_of(studied)] = np.arange(len(kernels))
    number = np.array(studied.size["networks"])[kernels["network"]]
    control = number == ORDERED.index("one.untrained")
    known = kernels["codes"].notna().to_numpy() & ~control
    codes = np.stack(kernels["codes"][known].to_list())
    network = kernels["network"].to_numpy()[known]
    for seed in range(3):
        curve = Curve.load(tables / f"autoencoders/k{k}_seed{seed}.safetensors")
        own = arrays["curve"][seed].reshape(POINTS, -1) / 32767
        assert own == pytest.approx(curve.points, abs=2e-5)
        assert studied.size["seeds_curves"][seed] == {
            "seed": seed,
            "concentration": curve.concentration,
        }
        for point in range(POINTS):
            here = codes[:, seed] == curve.codes[point]
            assert arrays["point_counts"][seed, point] == here.sum()
            shown = arrays["point_rows"][seed, point]
            shown = shown[shown != 0xFFFFFFFF]
            assert len(set(shown)) == len(shown) == min(16, here.sum())
            of_point = dict(zip(rows[known][here], network[here], strict=True))
            # As many networks as have kernels there.
            assert set(shown) <= set(of_point)
            assert {of_point[row] for row in shown} == set(of_point.values())
    assert arrays["point_counts"].sum() == 3 * known.sum()
    own = pd.read_parquet(tables / f"clusters/k{k}.parquet")
    for _, cluster in own.iterrows():
        for interval in cluster["places"]:
            first, last = (round(interval[f"code_{end}"] * POINTS) for end in ("low", "high"))
            labels = arrays["point_labels"][interval["seed"], first:last]
            assert {names.LABELS[label] for label in labels} == {cluster["label"]}


def test_shares_nulls_and_colours_are_those_of_tables_and_figures(tables, folder):
    index = json.loads((folder / "index.json").read_text())
    shares = pd.DataFrame(index["shares"])
    expected = pd.read_parquet(tables / "tables/models.parquet")[list(shares)]
    pd.testing.assert_frame_equal(shares, expected, check_dtype=False)
    nulls = [tuple(row.values()) for row in index["nulls"]]
    assert list(index["nulls"][0]) == [
        *("family", "kind", "kernels", "share_identified", "low", "high", "k"),
    ]
    assert nulls == [
        ("late", "trained", 73, 0.8, 0.7, 0.9, 7),
        ("all families", "trained", 93, 0.8, 0.7, 0.9, 7),
        ("all families", "white", 93, 0.0125, 0.0, None, 7),
    ]
    for label, colour in style.palette(names.LABELS).items():
        assert index["colours"][names.shape_of(label)] == colour.lower()
    assert set(names.REASONS) <= set(index["colours"])
    assert len(index["kernel_map"]) == 256
    low, middle, high = (index["kernel_map"][i] for i in (20, 127, 235))
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert min(middle) > 240


def test_the_same_tables_give_the_same_bytes_and_other_files_go(tables, folder, tmp_path):
    again = tmp_path / "data"
    shutil.copytree(folder, again)
    (again / "31x31").mkdir()
    (again / "31x31/weights.npy").write_bytes(b"of another zoo")
    (again / "networks/other.json").write_text("{}")
    (again / "7x7/weights.npy").write_bytes(b"altered")
    explore(tables, again)

    def files(folder):
        return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())

    assert files(again) == files(folder)
    assert filecmp.cmpfiles(folder, again, files(folder), shallow=False)[1:] == ([], [])
    texts = [path.read_text() for path in again.rglob("*.json")]
    assert not any(str(tables) in text or str(again) in text for text in texts)


def test_a_folder_is_whole_only_with_its_index(tables, tmp_path):
    explore(tables, tmp_path / "data")
    damaged = shutil.copytree(tables, tmp_path / "damaged")
    (damaged / "tables/nulls_k7.parquet").write_bytes(b"")
    with pytest.raises(KernelAtlasError, match="nulls_k7"):
        explore(damaged, tmp_path / "data")
    assert not (tmp_path / "data/index.json").exists()


SMALL_DISK = """
import sys
from pathlib import Path
from explored import explore
from kernelatlas.release.explorer_arrays import reserved
try:
    reserved(Path(sys.argv[2]) / "large.npy", (100_000,))[:] = 1
except OSError as error:
    print(error.strerror)
(Path(sys.argv[2]) / "large.npy").unlink()
explore(Path(sys.argv[1]), Path(sys.argv[2]) / "data")
"""
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*UNSHARE, "mount -t tmpfs none /mnt"], capture_output=True).returncode != 0,
    reason="mounting needs user namespaces",
)
def test_a_full_disk_is_told_and_leaves_no_index(tables, tmp_path):
    mounted = 'mount -t tmpfs -o size=16k none "$1" && shift && "$@"; ls -R "$4"'
    command = [sys.executable, "-c", SMALL_DISK, tables, tmp_path]
    done = subprocess.run(
        [*UNSHARE, mounted, "sh", tmp_path, *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("kernelatlas.errors.KernelAtlasError:"), done.stderr
    assert last.endswith("data: no space left on the disk: free some and run again")
    assert done.stdout.startswith("No space left")
    assert "index.json" not in done.stdout


WITHOUT_TORCH = """
import sys
sys.path.insert(0, sys.argv[1])
import kernelatlas.release.explorer_folder
print("torch" in sys.modules)
"""


def test_the_data_are_written_without_torch():
    import kernelatlas

    library = str(Path(kernelatlas.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, library], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False", done.stderr


@pytest.fixture
def copied(tables, tmp_path):
    return Path(shutil.copytree(tables, tmp_path / "tables"))


def rewrite(path: Path, change) -> None:
    """Write a table again, as `change` returns it, or its metadata."""
    pq.write_table(change(pq.read_table(path)), path)


def without(table: pa.Table, row: int) -> pa.Table:
    return pa.concat_tables([table.slice(0, row), table.slice(row + 1)])


def with_version(table: pa.Table) -> pa.Table:
    old = json.loads(table.schema.metadata[b"kernelatlas"])
    return table.replace_schema_metadata({"kernelatlas": json.dumps({**old, "schema_version": 2})})


def with_seeds(table: pa.Table) -> pa.Table:
    old = json.loads(table.schema.metadata[b"kernelatlas"])
    return table.replace_schema_metadata({"kernelatlas": json.dumps({**old, "seeds": [0, 1]})})


def another_cluster(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("cluster")
    other = np.array([str(label) == "other" for label in table["label"].to_pylist()])
    values = np.where(other, 77, 0).astype(np.int16)
    return table.set_column(at, table.schema.field(at), pa.array(values))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("kernels/one", lambda t: without(t, 5), "kernels/one.*not a whole kernel table"),
        ("kernels/one", lambda t: t.take(list(range(t.num_rows))[::-1]), "not a whole kernel"),
        ("kernels/one", with_version, "kernels/one.*version 2"),
        ("labels/two", with_version, "labels/two.*version 2"),
        ("fits/two", with_version, "fits/two.*version 2"),
        ("labels/two", with_seeds, "labels/two.*other seeds.*labels/one"),
        ("labels/one", lambda t: without(t, 5), "labels/one.*not those of .*kernels/one"),
        ("fits/one", lambda t: without(t, 5), "fits/one.*not those of .*kernels/one"),
        ("labels/two", lambda t: t.slice(0, 65), "labels/two.*no labels of 7x7"),
        ("labels/one.untrained", another_cluster, "cluster 77 of 7x7"),
        ("labels/one", lambda t: t.drop_columns("codes"), "labels/one.*no column 'codes'"),
        ("clusters/k7", with_version, "clusters/k7.*version 2"),
    ],
)
def test_tables_that_do_not_belong_together_are_told_in_a_line(
    copied, tmp_path, file, change, message
):
    rewrite(copied / f"{file}.parquet", change)
    with pytest.raises(KernelAtlasError, match=message) as raised:
        explore(copied, tmp_path / "data")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "data/index.json").exists()


@pytest.mark.parametrize("file", ["kernels/one", "labels/two", "fits/odd", "tables/models"])
def test_damaged_and_missing_files_are_named(copied, tmp_path, file):
    path = copied / f"{file}.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(KernelAtlasError, match=f"{file}.*delete it"):
        explore(copied, tmp_path / "data")
    path.unlink()
    with pytest.raises(KernelAtlasError, match=file):
        explore(copied, tmp_path / "data")


def test_many_seeds_share_levels_and_a_zoo_may_be_without_nulls(tmp_path):
    models = [MODELS[0], MODELS[3]]
    seeds = tuple(range(12))
    tables = make_tables(tmp_path / "tables", seeds, models)
    folder = explore(tables, tmp_path / "data", models, seeds, nulls=())
    index = json.loads((folder / "index.json").read_text())
    assert index["nulls"] == []
    shares = np.array(index["agreement"]["levels"])
    assert len(shares) == 8
    assert shares[index["agreement"]["most"]] == 7 / 12
    data = Data(tables, folder, "7x7")
    level = data.arrays["fit"] % 8
    agreement = data.kernels["agreement"].to_numpy(float)[order_of(data)]
    assert ((level >= index["agreement"]["most"]) == (agreement > 0.5)).all()
    bounds = np.append(shares, 1.1)
    assert (bounds[level] <= agreement + 1e-6).all()
    assert (bounds[level + 1] > agreement + 1e-6).all()
    assert fits_of(data)["function"].notna().all()


def test_a_zoo_that_is_all_left_out_has_an_index(tmp_path):
    models = [MODELS[2]]
    tables = make_tables(tmp_path / "tables", models=models)
    folder = explore(tables, tmp_path / "data", models, nulls=())
    index = json.loads((folder / "index.json").read_text())
    assert index["sizes"] == {}
    assert index["networks"][0]["skipped"]
    assert metadata_of(tables / "kernels/gone.parquet")["skipped"]

"""A kernel whose R² is exactly the threshold is described, whichever table counts it.

`evidence.r2` in config.yaml is "at least this". R² is kept in single precision, in which a
threshold like 0.7 is a little less, and 0.8 a little more, than in double.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kernelatlas.names import ALL_FAMILIES, TRAINED
from kernelatlas.release import card
from kernelatlas.running.files import LABELS_VERSION, write_frame
from kernelatlas.tables.fits import function_table
from kernelatlas.tables.nulls import null_curves, null_shares
from kernelatlas.tables.offsets import offset_tables

K = 3
THRESHOLDS = (0.7, 0.8)
DESCRIBED, NOT = 3, 2  # kernels at and above the threshold, and below it
NAMES = pd.DataFrame({"model": "net", "layer_index": 0, "channel": range(5), "k": K}).astype(
    {"layer_index": "int16", "channel": "int32", "k": "int16"}
)
MODELS = [["net", "fam", True, ""]]


def r2(threshold: float) -> np.ndarray:
    """Return twice the threshold, one R² above and two below it, one of these just so."""
    at = np.float32(threshold)
    return np.array([at, at, 0.95, np.nextafter(at, np.float32(0)), 0.1], np.float32)


@pytest.fixture(params=THRESHOLDS)
def threshold(request) -> float:
    return request.param


@pytest.fixture
def paths(tmp_path, threshold):
    """Fits, labels and kernels of five identified centres."""
    found = r2(threshold)
    fits = NAMES.assign(
        function="gaussian", form="discrete", r2=found, other_form_r2=found, fit_label="on-centre"
    ).assign(at_limit=None)
    fits = fits.assign(shifted_x=0.0, shifted_y=0.0, shifted_r2=found, shifted_at_limit=None)
    labels = NAMES.assign(layer="dw", label="on-centre", identified=True)
    fits.to_parquet(tmp_path / "fits.parquet")
    labels.to_parquet(tmp_path / "labels.parquet")
    NAMES.assign(stride=1).to_parquet(tmp_path / "kernels.parquet")
    return [tmp_path / f"{name}.parquet" for name in ("fits", "labels", "kernels")]


def of_nulls(threshold: float) -> pd.DataFrame:
    rows = NAMES.assign(family="fam", dissimilarity=0.1, r2=r2(threshold), live=True)
    rows = rows.assign(in_sample=0.1, seed0=0.1)
    return pd.concat([rows.assign(set=name) for name in (TRAINED, "white")], ignore_index=True)


def test_in_the_table_of_functions(paths, threshold):
    table = function_table([paths[1]], [paths[0]], MODELS, K, threshold)
    assert table["described"].sum() == DESCRIBED
    assert table["kernels"].sum() == DESCRIBED + NOT


def test_in_the_table_of_offsets(paths, threshold):
    tables = ([path] for path in paths)
    offsets, *_, histogram = offset_tables(*tables, {}, MODELS, threshold)
    assert offsets["kernels"].unique().tolist() == [DESCRIBED]
    assert histogram["kernels"].sum() == DESCRIBED


def test_in_the_table_of_nulls(threshold):
    shares = null_shares(of_nulls(threshold), 0.3, threshold, 0.2)
    found = shares[shares["rule"] == "r2"]
    assert (found["share"] == DESCRIBED / (DESCRIBED + NOT)).all()


def test_of_a_null_as_many_pass_the_calibrated_threshold_as_may(threshold):
    """One of five: not both of two that are equal, but the one above them."""
    shares = null_shares(of_nulls(threshold), 0.3, threshold, 0.2)
    row = shares[(shares["rule"] == "r2") & (shares["set"] == "white")].iloc[0]
    assert row["trained_share"] == 1 / 5
    assert threshold < row["calibrated_threshold"] < 0.95


def test_in_the_curves_over_thresholds(threshold):
    curves = null_curves(of_nulls(threshold))
    at = curves[np.isclose(curves["threshold"], threshold) & (curves["rule"] == "r2")]
    assert len(at) == 3
    assert (at["share"] == DESCRIBED / (DESCRIBED + NOT)).all()
    # R² of 0 is at least 0: so is that of kernels without a fit.
    assert (curves.loc[(curves["rule"] == "r2") & (curves["threshold"] == 0), "share"] == 1).all()


def test_in_the_data_card(paths, threshold):
    counts = pd.DataFrame([{"model": "net", "trained": True, "k": K}])
    counts = counts.assign(kernels=DESCRIBED + NOT, degenerate=0, identified=0)
    text = card._found(counts, {"fits/net.parquet": paths[0]}, threshold)
    assert "60.0 %" in text


def test_in_the_documents(tmp_path, threshold):
    path = Path(__file__).parents[2] / "docs/numbers.py"
    spec = importlib.util.spec_from_file_location("numbers_of_docs", path)
    numbers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(numbers)
    folder = tmp_path / "tables"
    models = pd.DataFrame({"model": ["net"], "k": [K]})
    write_frame(models, folder / "models.parquet", schema_version=LABELS_VERSION)
    shares = pd.DataFrame([{"rule": "r2", "threshold": threshold, "family": ALL_FAMILIES}])
    write_frame(shares, folder / f"nulls_k{K}.parquet")
    prototypes = pd.DataFrame({"label": "on-centre", "r2": r2(threshold)})
    write_frame(prototypes, folder / f"prototype_fits_k{K}.parquet")
    functions = {
        "trained": True,
        "function": "gaussian",
        "form": "discrete",
        "kernels": 5,
        "mean_r2": 0.5,
    }
    functions |= {"mean_gain": 0.0, "label": "on-centre", "identified": True, "agreeing": 5}
    write_frame(pd.DataFrame([functions]), folder / f"functions_k{K}.parquet")
    assert f"| {DESCRIBED} of {DESCRIBED + NOT} |" in numbers.prototypes(numbers.Results(tmp_path))

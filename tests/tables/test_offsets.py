"""Offsets of centres: planted ones are found, random ones come to chance."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from independent import gaussian
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_figures import assert_texts_apart

from kernelatlas.clustering.labels import write_labels
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.fits import fit
from kernelatlas.figures import offsets as figure
from kernelatlas.figures import strides as strides_figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.files import write_frame
from kernelatlas.tables.offsets import (
    CENTRED,
    REACH,
    SHARES,
    TOGETHER,
    chance,
    lattice,
    median_intervals,
    offset_tables,
)
from kernelatlas.training.maps import SCHEMA as MAPS_SCHEMA
from kernelatlas.training.maps import write_maps

N = 400


def texts(pages: list[Figure]) -> list[str]:
    return [text.get_text() for page in pages for text in page.findobj(Text)]


def write_model(
    folder, name: str, k: int, x, y, label: str, r2=0.95, stride: int | None = 2, at_limit=None
):
    """Write fits, labels and kernels of one layer with these offsets; return their paths."""
    n = len(x)
    weights = np.zeros((n, k, k), np.float32)
    write_kernels(folder / f"{name}.kernels", name, [Layer("dw", weights, stride, 1)], {})
    keys = {"model": name, "layer": "dw", "layer_index": 0, "channel": np.arange(n), "k": k}
    labels = pd.DataFrame(keys).assign(
        **dict.fromkeys(("direction", "template_cosine", "agreement", "dissimilarity"), 0.1),
        codes=[[0.5]] * n,
        cluster=0,
        label=label,
        identified=True,
        reason=None,
        identified_one_seed=True,
        degenerate=False,
        live=True,
        by_seed=[[0.1]] * n,
    )
    write_labels([pa.Table.from_pandas(labels)], folder / f"{name}.labels", [0])
    fits = pd.DataFrame(keys).assign(shifted_x=x, shifted_y=y, shifted_r2=r2)
    fits["shifted_at_limit"] = at_limit
    kinds = {"layer_index": "int16", "channel": "int32", "k": "int16"}
    fits.astype(kinds).to_parquet(folder / f"{name}.fits")
    return [folder / f"{name}.{what}" for what in ("fits", "labels", "kernels")]


def tables(*written, r2: float = 0.8, maps: dict | None = None):
    models = [[path[0].stem, "fam", True, ""] for path in written]
    return offset_tables(*zip(*written, strict=True), maps or {}, models, r2)


def write_map(folder, name: str, width: int, expected: tuple[float, float], stride: int = 2):
    """Write the table of maps of a network of one layer; return its path by its name."""
    row = {"layer": "dw", "kh": 5, "kw": 5, "stride": stride, "dilation": 1}
    row |= {"height": width, "width": width, "left": 1, "top": 1, "right": 2, "bottom": 2}
    row |= dict(zip(("expected_x", "expected_y"), expected, strict=True))
    table = pa.Table.from_pylist([row], schema=MAPS_SCHEMA)
    write_maps(folder / f"{name}.maps.parquet", name, table)
    return {name: folder / f"{name}.maps.parquet"}


def test_points_of_the_lattice() -> None:
    x = np.array([0.05, -0.5, 0.55, 0.0, 0.3, -0.45])
    y = np.array([-0.1, 0.02, -0.41, 0.5, 0.5, 0.39])
    found = lattice(x, y)
    assert found["centred"].tolist() == [True, False, False, False, False, False]
    assert found["half_one"].tolist() == [False, True, False, True, False, False]
    assert found["half_both"].tolist() == [False, False, True, False, False, False]


def test_planted_half_pixels_are_found(tmp_path) -> None:
    rng = np.random.default_rng(0)
    x, y = 0.5 * rng.choice([-1, 1], (2, N)) + rng.normal(0, 0.02, (2, N))
    squares = write_model(tmp_path, "squares", 7, x, y, "on-square")
    centres = write_model(
        tmp_path, "centres", 7, x - np.sign(x) / 2, y - np.sign(y) / 2, "on-centre"
    )
    offsets, layers, _, histogram = tables(squares, centres)
    rows = offsets.set_index("label")
    assert rows.index.tolist() == ["on-centre", "on-square", TOGETHER]
    assert rows.loc["on-square", "share_half_both"] > 0.99
    assert rows.loc["on-square", "share_half_both"] > 2 * rows.loc["on-square", "chance_half_both"]
    assert rows.loc["on-centre", "share_centred"] > 0.99
    assert rows.loc[TOGETHER, "share_half_both"] == pytest.approx(0.5, abs=0.01)
    assert rows.loc["on-square", "median_x"] == pytest.approx(0.5, abs=0.01)
    assert (layers["stride"] == 2).all()
    assert layers.set_index("model")["squares"].to_dict() == {"squares": N, "centres": 0}
    corner = histogram[(histogram["label"] == "on-square") & (histogram["x"].abs() == 0.5)]
    assert corner["kernels"].sum() > 0.95 * N


def test_random_offsets_come_to_chance(tmp_path) -> None:
    x, y = np.random.default_rng(1).uniform(-REACH, REACH, (2, 20 * N))
    offsets, *_ = tables(write_model(tmp_path, "net", 7, x, y, "on-square"))
    together = offsets[offsets["label"] == TOGETHER].iloc[0]
    for share, expected in zip(SHARES, (1 / 36, 1 / 9, 1 / 9), strict=True):
        assert together[f"share_{share}"] == pytest.approx(expected, abs=0.01)
        assert together[f"chance_{share}"] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("k", [3, 4, 7])
def test_a_label_alone_says_something_of_the_offset(k: int) -> None:
    table = chance(k)
    assert table.index.tolist() == [*CENTRED, TOGETHER]
    corner = table["chance_half_both"]
    assert corner["on-square"] > corner[TOGETHER] > corner["on-centre"]
    assert corner["on-square"] == pytest.approx(corner["off-square"], abs=0.05)


def test_poor_fits_and_far_offsets_are_not_counted(tmp_path) -> None:
    x, y, r2 = np.array([[0.0, 0, 0.9], [0.5, 0, 0.9], [0, 0, 0.7], [1.5, 0, 0.9]]).T
    limits = [None, "least sigma", "greatest sigma", "greatest x"]  # the third fits badly
    written = write_model(tmp_path, "net", 5, x, y, "off-cross", r2, None, limits)
    offsets, layers, _, histogram = tables(written)
    row = offsets.iloc[0]
    assert row["at_limit"] == layers.loc[0, "at_limit"] == 2
    assert row[["identified", "kernels", "near"]].tolist() == [4, 3, 2]
    assert row["share_centred"] == row["share_half_one"] == 0.5
    assert row["median_x"] == 0.5
    assert pd.isna(layers.loc[0, "stride"])
    assert pd.isna(layers.loc[0, "expected_x"])
    assert histogram["kernels"].sum() == 2


def test_labels_without_a_centre_leave_empty_tables_and_words(tmp_path) -> None:
    written = write_model(tmp_path, "net", 7, np.zeros(5), np.zeros(5), "other")
    offsets, layers, strides, histogram = tables(written)
    assert offsets.empty
    assert histogram.empty
    assert layers[["kernels", "squares", "centred"]].to_numpy().tolist() == [[5, 0, 0]]
    assert strides["median_x"].isna().all()
    write_frame(offsets, tmp_path / "offsets.parquet", tmp_path / "offsets.csv")
    shown = texts(figure.draw(offsets, histogram, 0.8))
    assert any("No identified kernel with a centre" in text for text in shown)


def test_networks_are_counted_together_in_any_order(tmp_path) -> None:
    """One of them has no centres, one an unknown stride."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(-0.9, 0.9, (2, 3, N))
    square = write_model(tmp_path, "b", 5, x[0], y[0], "on-square", stride=None, at_limit="least x")
    centre = write_model(tmp_path, "c", 5, x[1], y[1], "on-centre")
    others = write_model(tmp_path, "a", 5, x[2], y[2], "other")
    offsets, layers, strides, histogram = tables(square, others, centre)
    assert layers["model"].tolist() == ["a", "b", "c"]
    assert layers["centred"].tolist() == [0, N, N]
    assert offsets["label"].tolist() == ["on-centre", "on-square", TOGETHER]
    assert offsets["kernels"].tolist() == [N, N, 2 * N]
    assert offsets["at_limit"].tolist() == [0, N, N]
    for rows, wanted in zip(offsets.itertuples(), ([1], [0], [0, 1]), strict=True):
        assert rows.median_x == pytest.approx(np.median(np.abs(x[wanted])), rel=1e-5)
    assert histogram["kernels"].sum() == 2 * N
    by_stride = strides.set_index(strides["stride"].fillna(0))
    assert by_stride["kernels"].to_dict() == {2: 2 * N, 0: N}
    assert by_stride["median_y"].to_dict() == pytest.approx(
        {2: np.median(y[1]), 0: np.median(y[0])}, rel=1e-5
    )
    again = tables(centre, others, square)
    for one, other in zip((offsets, layers, strides, histogram), again, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_numbers_of_millions_of_kernels_are_apart(tmp_path) -> None:
    rng = np.random.default_rng(3)
    written = [
        write_model(tmp_path, f"net{n}", 3, *rng.uniform(-0.4, 0.4, (2, 40)), label, at_limit="x")
        for n, label in enumerate(CENTRED)
    ]
    offsets, _, _, histogram = tables(*written)
    assert len(offsets) == len(CENTRED) + 1
    counts = ["kernels", "near", "at_limit"]
    offsets[counts] *= 250_000
    assert_texts_apart(figure.draw(offsets, histogram, 0.8))


def test_sizes_without_fits_are_passed_over(tmp_path) -> None:
    fits, labels, kernels = write_model(tmp_path, "net", 3, np.zeros(5), np.zeros(5), "on-centre")
    table = pd.read_parquet(labels)
    table["k"] = np.array([2, 2, 3, 3, 3], np.int16)
    write_labels([pa.Table.from_pandas(table)], labels, [0])
    pd.read_parquet(fits).iloc[2:].to_parquet(fits)
    offsets, *_ = tables((fits, labels, kernels))
    assert offsets.loc[offsets["label"] == TOGETHER, "kernels"].tolist() == [3]


def test_moves_are_counted_beside_what_the_padding_makes_one_expect(tmp_path) -> None:
    rng = np.random.default_rng(2)
    at, noise = np.full(N, 0.5), rng.normal(0, 0.05, (2, N))
    lopsided = write_model(tmp_path, "even", 5, noise[0] - at, noise[1] + at, "on-square")
    symmetric = write_model(tmp_path, "odd", 5, noise[0], noise[1], "on-centre", stride=None)
    maps = write_map(tmp_path, "even", 56, (-0.5, 0.5)) | write_map(tmp_path, "odd", 15, (0, 0))
    _, layers, strides, _ = tables(lopsided, symmetric, maps=maps)
    rows = layers.set_index("model")
    assert rows["stride"].tolist() == [2, 2]  # of the map where the kernels do not tell it
    assert rows["width"].tolist() == [56, 15]
    even, odd = rows.loc["even"], rows.loc["odd"]
    assert (even["median_x"], even["median_y"]) == pytest.approx((-0.5, 0.5), abs=0.01)
    assert even["x_low"] < even["median_x"] < even["x_high"]
    assert (even["squares_x"], even["share_squares"]) == (even["median_x"], 1)
    assert (odd["median_x"], odd["share_squares"]) == (pytest.approx(0, abs=0.01), 0)
    by = strides.set_index("expected_x")
    assert by.loc[-0.5, "share_quadrant"] == 1
    assert np.isnan(by.loc[0.0, "share_quadrant"])
    assert by["layers"].tolist() == [1, 1]
    assert by["kernels"].tolist() == [N, N]


def test_offsets_without_a_direction_are_in_the_expected_quadrant_by_chance(tmp_path) -> None:
    x, y = np.random.default_rng(3).uniform(-0.6, 0.6, (2, 4000))
    written = write_model(tmp_path, "net", 5, x, y, "on-centre")
    *_, strides, _ = tables(written, maps=write_map(tmp_path, "net", 56, (-0.5, 0.5)))
    assert strides["share_quadrant"].iloc[0] == pytest.approx(0.25, abs=0.03)


def test_intervals_of_medians_cover_the_true_one() -> None:
    rng = np.random.default_rng(4)
    group = rng.permutation(np.repeat(np.arange(2000), 25))
    low, high = median_intervals(rng.exponential(size=len(group)), group, 2001)
    covered = (low <= np.log(2)) & (np.log(2) <= high)
    assert 0.95 <= covered[:-1].mean() < 0.98
    assert np.isnan([low[-1], high[-1]]).all()  # of nothing
    assert np.isnan(median_intervals(np.arange(5.0), np.zeros(5, int), 1)).all()
    # Of 25 values the order statistics 8 and 18 (David & Nagaraja 2003, table 7.1).
    assert np.ravel(median_intervals(np.arange(25.0), np.zeros(25, int), 1)).tolist() == [7, 17]


def test_fits_of_other_kernels_are_refused(tmp_path) -> None:
    written = write_model(tmp_path, "net", 7, np.zeros(5), np.zeros(5), "on-square")
    other = write_model(tmp_path, "other", 7, np.zeros(4), np.zeros(4), "on-square")
    with pytest.raises(KernelAtlasError, match=r"other\.fits"):
        tables([other[0], *written[1:]])


def test_offsets_of_drawn_gaussians_are_recovered_by_the_fits() -> None:
    rng, axis = np.random.default_rng(0), np.arange(7) - 3
    x, y = rng.uniform(-0.5, 0.5, (2, 40))
    columns, rows = np.meshgrid(axis, -axis)
    weights = np.stack(
        [gaussian(columns - dx, rows - dy, 0.8).ravel() for dx, dy in zip(x, y, strict=True)]
    )
    weights += rng.normal(0, 0.002, weights.shape)
    found = fit(weights.astype(np.float32))
    assert found["shifted_x"].to_numpy() == pytest.approx(x, abs=0.05)
    assert found["shifted_y"].to_numpy() == pytest.approx(y, abs=0.05)


def test_figure_shows_shares_beside_chance(tmp_path) -> None:
    rng = np.random.default_rng(0)
    x, y = 0.5 * rng.choice([-1, 1], (2, N))
    squares = write_model(tmp_path, "squares", 7, x, y, "on-square")
    crosses = write_model(tmp_path, "crosses", 3, 0 * x, 0 * y, "off-cross", stride=None)
    offsets, *_, histogram = tables(squares, crosses)
    shown = texts(figure.draw(offsets, histogram, 0.8))
    by_chance = 100 * chance(7).loc["on-square", "chance_half_both"]
    assert f"½ in both axes: 100 % ({by_chance:.0f} %)" in shown
    assert {"7×7: all", "3×3: all", "on-square", "off-cross"} <= set(shown)
    style.save(figure.draw(offsets, histogram, 0.8), tmp_path / "1.pdf", tmp_path / "1.png")
    style.save(figure.draw(offsets, histogram, 0.8), tmp_path / "2.pdf", tmp_path / "2.png")
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_figure_of_strides_names_layers_and_is_equal_for_equal_tables(tmp_path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.1, (2, N))
    even = write_model(tmp_path, "even", 5, x - 0.5, y + 0.5, "on-square")
    one = write_model(tmp_path, "one", 5, x, y, "on-centre", stride=1)
    few = write_model(tmp_path, "few", 3, x[:3], y[:3], "on-centre")
    maps = write_map(tmp_path, "even", 56, (-0.5, 0.5))
    layers = tables(even, one, few, maps=maps)[1]
    shown = texts(strides_figure.draw(layers, 0.8))
    names = {"even, layer 0: 5×5, map 56", "few, layer 0: 3×3", "5×5, stride 1 (1 layer)"}
    assert names <= set(shown)
    for name in "12":
        paths = [tmp_path / f"{name}.{suffix}" for suffix in ("pdf", "png")]
        style.save(strides_figure.draw(layers, 0.8), *paths)
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()
    shown = texts(strides_figure.draw(layers[layers["stride"] == 1], 0.8))
    assert "No layer of a trained network is known to have stride 2." in shown

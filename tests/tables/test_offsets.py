"""Offsets of centres: planted ones are found, random ones come to chance."""

import numpy as np
import pandas as pd
import pytest
from independent import gaussian
from matplotlib.text import Text

from kernelatlas.clustering.labels import SCHEMA, write_labels
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.fits import fit
from kernelatlas.figures import offsets as figure
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
    offset_tables,
)

N = 400


def write_model(folder, name: str, k: int, x, y, label: str, r2=0.95, stride: int | None = 2):
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
        identified_one_seed=True,
        degenerate=False,
        live=True,
        by_seed=[[0.1]] * n,
    )
    write_labels([labels[SCHEMA.names]], folder / f"{name}.labels", [0])
    fits = pd.DataFrame(keys).assign(shifted_x=x, shifted_y=y, shifted_r2=r2)
    kinds = {"layer_index": "int16", "channel": "int32", "k": "int16"}
    fits.astype(kinds).to_parquet(folder / f"{name}.fits")
    return [folder / f"{name}.{what}" for what in ("fits", "labels", "kernels")]


def tables(*written, r2: float = 0.8):
    models = [[path[0].stem, "fam", True, ""] for path in written]
    return offset_tables(*zip(*written, strict=True), models, r2)


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
    offsets, layers, histogram = tables(squares, centres)
    rows = offsets.set_index("label")
    assert rows.index.tolist() == ["on-centre", "on-square", TOGETHER]
    assert rows.loc["on-square", "share_half_both"] > 0.99
    assert rows.loc["on-square", "share_half_both"] > 2 * rows.loc["on-square", "chance_half_both"]
    assert rows.loc["on-centre", "share_centred"] > 0.99
    assert rows.loc[TOGETHER, "share_half_both"] == pytest.approx(0.5, abs=0.01)
    assert rows.loc["on-square", "median_x"] == pytest.approx(0.5, abs=0.01)
    assert (offsets["stride"] == 2).all()
    assert layers["kernels"].tolist() == [N, N]
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
    written = write_model(tmp_path, "net", 5, x, y, "off-cross", r2, stride=None)
    offsets, _, histogram = tables(written)
    row = offsets.iloc[0]
    assert row[["identified", "kernels", "near"]].tolist() == [4, 3, 2]
    assert row["share_centred"] == row["share_half_one"] == 0.5
    assert row["median_x"] == 0.5
    assert pd.isna(row["stride"])
    assert histogram["kernels"].sum() == 2


def test_labels_without_a_centre_leave_empty_tables_and_words(tmp_path) -> None:
    written = write_model(tmp_path, "net", 7, np.zeros(5), np.zeros(5), "other")
    offsets, layers, histogram = tables(written)
    assert all(table.empty for table in (offsets, layers, histogram))
    write_frame(offsets, tmp_path / "offsets.parquet", tmp_path / "offsets.csv")
    shown = [t.get_text() for t in figure.draw(offsets, histogram, 0.8).findobj(Text)]
    assert any("No identified kernel with a centre" in text for text in shown)


def test_sizes_without_fits_are_passed_over(tmp_path) -> None:
    fits, labels, kernels = write_model(tmp_path, "net", 3, np.zeros(5), np.zeros(5), "on-centre")
    table = pd.read_parquet(labels)
    table["k"] = np.array([2, 2, 3, 3, 3], np.int16)
    write_labels([table[SCHEMA.names]], labels, [0])
    pd.read_parquet(fits).iloc[2:].to_parquet(fits)
    offsets, *_ = tables((fits, labels, kernels))
    assert offsets.loc[offsets["label"] == TOGETHER, "kernels"].tolist() == [3]


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
    offsets, _, histogram = tables(squares, crosses)
    shown = [t.get_text() for t in figure.draw(offsets, histogram, 0.8).findobj(Text)]
    by_chance = 100 * chance(7).loc["on-square", "chance_half_both"]
    assert f"½ in both axes: 100 % ({by_chance:.0f} %)" in shown
    assert {"7×7: all", "3×3: all", "on-square", "off-cross"} <= set(shown)
    style.save(figure.draw(offsets, histogram, 0.8), tmp_path / "1.pdf", tmp_path / "1.png")
    style.save(figure.draw(offsets, histogram, 0.8), tmp_path / "2.pdf", tmp_path / "2.png")
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()

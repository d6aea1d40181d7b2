"""Share identified against accuracy: planted correlations, and accuracies from their files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from safetensors.numpy import save_file
from scipy.stats import binomtest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import accuracy as figure
from kernelatlas.figures import style
from kernelatlas.running.files import write_frame
from kernelatlas.sources import registry
from kernelatlas.tables.accuracy import (
    COLUMNS,
    HELD_OUT,
    IMAGENET,
    accuracy_table,
    correlate,
    correlation_table,
)

TOP1 = Path(__file__).parents[2] / "workflow/zoos/imagenet_top1.csv"
TAGS = ("convnext_atto.d2_in1k", "convnext_tiny.fb_in1k", "mixnet_s.ft_in1k")


def models(rows) -> pd.DataFrame:
    columns = ["family", "model", "trained", "k", "kernels", "share_identified"]
    table = pd.DataFrame(rows, columns=columns)
    share = table["share_identified"].astype(float)
    return table.assign(low=0.9 * share, high=0.9 * share + 0.1)


def test_monotone_data_correlate_fully() -> None:
    found = correlate(np.arange(12), np.arange(12) ** 3, 500)
    assert [found[name] for name in ("rho", "low", "high")] == pytest.approx([1, 1, 1])
    assert found["p"] < 1e-3
    assert correlate(np.arange(12), -np.arange(12), 500)["rho"] == pytest.approx(-1)


def test_rho_and_exact_p_of_five() -> None:
    # Ranks differ by a swap of neighbours: ρ = 1 − 6·2/(5·24). At least as far from 0 are
    # 1 + 4 of 120 orders on either side.
    found = correlate([1, 2, 3, 4, 5], [2, 1, 3, 4, 5], 200)
    assert found["rho"] == pytest.approx(0.9)
    assert found["p"] == pytest.approx(10 / 120)


def test_interval_covers_the_truth() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(40):
        found = correlate(*rng.normal(size=(2, 30)), 200)
        covered += found["low"] <= 0 <= found["high"]
        assert -1 <= found["low"] <= found["high"] <= 1
    assert covered >= 34


def test_too_few_or_constant_data_have_no_correlation() -> None:
    assert np.isnan(correlate([1, 2, 3], [1, 2, 3], 100)["rho"])
    assert np.isnan(correlate([1, 2, 3, 4], [5, 5, 5, 5], 100)["p"])


def test_networks_count_once_over_all_sizes_with_all_their_kernels() -> None:
    # The few 3×3 kernels go against accuracy, the many 7×7 ones with it.
    rows = [("m", f"n{i}", True, 3, 10, 0.9 - 0.2 * i) for i in range(5)]
    rows += [("m", f"n{i}", True, 7, 1000, 0.1 + 0.1 * i) for i in range(5)]
    table = models(rows).assign(measure=IMAGENET)
    table["accuracy"] = table["model"].str[1:].astype(float) / 10
    found = correlation_table(table, 100)
    assert found["k"].tolist() == [3, 7, pd.NA]
    assert found["networks"].tolist() == [5, 5, 5]
    assert found["rho"].tolist() == pytest.approx([-1, 1, 1])


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    told = json.dumps(
        {"held_out": {"accuracy": 0.2, "accuracy_subject": 0.75}, "held_out_crops": 800}
    )
    save_file({"w": np.zeros(1, np.float32)}, path, {"kernelatlas": told})
    return path


def test_accuracies_come_from_weights_and_from_the_table(weights) -> None:
    known = registry.tags()
    assert all(tag in known for tag in TAGS)
    rows = [
        ("mini", "net", True, 7, 50, 0.5),
        ("mini", "net.untrained", False, 7, 50, 0.0),
        ("convnext", TAGS[1], True, 7, 100, 0.9),
        ("convnext", "nobody", True, 7, 100, 0.9),
    ]
    table = accuracy_table(models(rows), ["net"], [weights], TOP1)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["model"].tolist() == [TAGS[1], "net"]
    assert table["measure"].tolist() == [IMAGENET, HELD_OUT]
    assert table["accuracy"].tolist() == pytest.approx([0.82066, 0.75], abs=2e-3)
    # 200 places, each in four rotations, which are alike; and 50,000 pictures.
    limits = table[["accuracy_low", "accuracy_high"]].to_numpy()
    expected = binomtest(150, 200).proportion_ci(method="wilson")
    assert limits[1] == pytest.approx([expected.low, expected.high])
    assert np.diff(limits[0])[0] == pytest.approx(
        2 * 1.96 * np.sqrt(0.82 * 0.18 / 50_000), rel=0.02
    )
    assert table["low"].tolist() == pytest.approx([0.81, 0.45])


def test_the_table_of_imagenet_is_of_networks_of_the_registry() -> None:
    table = pd.read_csv(TOP1, comment="#")
    assert table["name"].is_unique
    assert table["name"].is_monotonic_increasing
    assert all(registry.tags()[name].kernels for name in table["name"])
    assert table["top1"].between(20, 95).all()
    assert TOP1.read_text().startswith("# ")
    assert TOP1.stat().st_size < 40_000


def test_files_without_accuracy_are_refused(tmp_path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"w": np.zeros(1, np.float32)}, path)
    with pytest.raises(KernelAtlasError, match=r"net\.safetensors.*held-out accuracy"):
        accuracy_table(models([]), ["net"], [path], TOP1)
    (tmp_path / "top1.csv").write_text("model,acc\na,1\n")
    with pytest.raises(KernelAtlasError, match=r"top1\.csv.*name and top1"):
        accuracy_table(models([]), [], [], tmp_path / "top1.csv")


def test_no_known_accuracy_gives_empty_tables_and_words(tmp_path) -> None:
    table = accuracy_table(models([("a", "nobody", True, 7, 9, 0.5)]), [], [], TOP1)
    correlations = correlation_table(table, 50)
    assert table.empty
    assert correlations.empty
    write_frame(correlations, tmp_path / "c.parquet", tmp_path / "c.csv")
    assert str(pd.read_parquet(tmp_path / "c.parquet")["rho"].dtype) == "float64"
    drawn = figure.draw(table, correlations)
    assert any("no network" in text.get_text() for text in drawn[0].findobj(Text))


@pytest.mark.parametrize("networks", [1, 5, 200])
def test_figure_names_points_and_tells_correlations(tmp_path, networks: int) -> None:
    rng = np.random.default_rng(0)
    rows = [
        ("m", f"network_of_the_zoo_{i}", True, k, 100, rng.uniform())
        for i in range(networks)
        for k in (3, 5)
    ]
    table = models(rows)
    measured = [
        table.assign(measure=measure, accuracy=0.8 + 0.1 * (np.arange(len(table)) // 2) / networks)
        for measure in (HELD_OUT, IMAGENET)
    ]
    measured = [
        part.assign(accuracy_low=part["accuracy"] - 0.05, accuracy_high=part["accuracy"] + 0.05)
        for part in measured
    ]
    table = pd.concat(measured, ignore_index=True)
    write_frame(correlation_table(table, 50), tmp_path / "correlations.parquet")
    correlations = pd.read_parquet(tmp_path / "correlations.parquet")
    drawn = figure.draw(table, correlations)
    assert len(drawn) == 2  # a page for each measure
    shown = [text.get_text() for page in drawn for text in page.findobj(Text)]
    assert any("ρ = " in text for text in shown) == (networks >= 4)
    assert ("network_of_the_zoo_0, 3×3" in shown) == (networks <= 5)
    assert any(text.startswith("3×3: ") for text in shown)
    for ax in (ax for page in drawn for ax in page.axes):
        canvas = FigureCanvasAgg(ax.figure)
        canvas.draw()
        boxes = [text.get_window_extent(canvas.get_renderer()).padded(-1) for text in ax.texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert all(box.x1 <= ax.figure.bbox.x1 for box in boxes)
    style.save(figure.draw(table, correlations), tmp_path / "1.png")
    style.save(figure.draw(table, correlations), tmp_path / "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()

"""The table and the figure of local jets, from fits of planted kernels."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.polynomial.hermite_e import hermeval

from kernelatlas.evidence import jet
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.evidence.replacements import explained
from kernelatlas.figures import jet as figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.names import ALL_FAMILIES, NULLS, TRAINED, UNTRAINED
from kernelatlas.tables.jet import jet_table

MODELS = [["edges", "one", True, ""], ["ridges", "two", True, ""], ["edges.un", "one", False, ""]]
AXIS = np.arange(7) - 3
EACH = 30


def derivative(order: int, angle: float) -> np.ndarray:
    """The derivative of a Gaussian of σ = 1 along an angle."""
    x, y = np.meshgrid(AXIS, -AXIS)
    u = x * np.cos(angle) + y * np.sin(angle)
    return hermeval(u, [0] * order + [1]) * np.exp(-(x**2 + y**2) / 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Paths of fits and of a table of nulls, and the kernels of the first model."""
    folder = tmp_path_factory.mktemp("jets")
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, EACH)
    planted = {
        "edges": np.stack([derivative(1, angle) for angle in angles]),
        "ridges": np.stack([derivative(2, angle) for angle in angles]),
        "edges.un": rng.normal(size=(EACH, 7, 7)),
    }
    paths = []
    for model, kernels in planted.items():
        weights = kernels + rng.normal(0, 0.01, kernels.shape)
        flat = np.ones((2, 7, 7), np.float32)
        layers = [
            Layer("dw", weights.astype(np.float32), None, None),
            Layer("flat", flat, None, None),
        ]
        write_kernels(folder / f"{model}.parquet", model, layers, {})
        paths.append(folder / f"{model}.fits.parquet")
        write_fits(fit_model(folder / f"{model}.parquet", [7]), paths[-1])
    noise = jet.fit(rng.normal(size=(3 * EACH, 49)))[[*jet.SUMMARY]]
    noise = noise.assign(model="edges", null=np.repeat(NULLS, EACH))
    noise.to_parquet(folder / "nulls.parquet")
    return paths, folder / "nulls.parquet", planted["edges"].reshape(EACH, -1)


@pytest.fixture(scope="module")
def table(made) -> pd.DataFrame:
    paths, nulls, _ = made
    return jet_table(paths, nulls, MODELS, 7)


def test_trained_families_networks_and_nulls_have_rows(table) -> None:
    found = set(table[["family", "model", "set"]].itertuples(index=False, name=None))
    assert {(ALL_FAMILIES, "", name) for name in (TRAINED, UNTRAINED, *NULLS)} <= found
    assert {("one", "edges", TRAINED), ("two", "ridges", TRAINED), ("two", "", TRAINED)} <= found
    assert ("two", "", "white") not in found


def test_degenerate_kernels_are_not_counted(table) -> None:
    rows = table.set_index(["family", "model", "set"])["kernels"]
    assert rows[ALL_FAMILIES, "", TRAINED] == 2 * EACH
    assert rows["one", "edges", TRAINED] == EACH


def test_planted_derivatives_show_in_orders_and_parts(table) -> None:
    rows = table[table["model"] != ""].set_index("model")
    assert rows.loc["edges", "mean_r2_1"] > 0.97
    assert rows.loc["ridges", "mean_r2_2"] > 0.97
    assert rows.loc["ridges", "mean_r2_1"] < 0.9
    assert rows.loc["ridges", "mean_seven_r2"] > 0.97
    assert rows.loc["edges.un", "mean_r2_2"] < 0.5
    parts = [f"share_{name}" for name in ("gaussian", "laplacian", "first", "oriented")]
    np.testing.assert_allclose(table[parts].sum(axis=1), 1, atol=5e-3)
    orders = [f"share_order_{order}" for order in jet.ORDERS]
    np.testing.assert_allclose(table[orders].sum(axis=1), 1, atol=1e-9)


def test_written_fits_give_the_kernels_back(made) -> None:
    """From the file alone, as far as its R² says."""
    paths, _, kernels = made
    stored = pq.read_table(paths[0]).to_pandas()
    own = stored[stored["layer"] == "dw"].reset_index(drop=True)
    for name, rendered in (
        ("jet_r2_1", jet.render_jet(own, 7, 1)),
        ("seven_r2", jet.render_best(own, 7, "seven")),
        ("ten_r2", jet.render_best(own, 7, "ten")),
    ):
        r2, _ = explained(kernels.astype(np.float32), rendered)
        np.testing.assert_allclose(r2, own[name], atol=0.02)  # noise was added to the kernels


def test_the_figure_says_which_orders_are_selected(table) -> None:
    drawn = figure.draw(table, 7)
    titles = {ax.get_title(loc="left") for ax in drawn.axes}
    assert {"Described by a jet", "What it consists of"} <= titles
    text = " ".join(item.get_text() for item in drawn.findobj(lambda a: hasattr(a, "get_text")))
    assert "60 trained kernels" in text.replace("\n", " ")
    assert len(drawn.axes[0].lines) == 5 + 2  # sets, and families of trained networks


def test_the_figure_is_drawn_without_untrained_networks(table, tmp_path) -> None:
    drawn = figure.draw(table[table["set"] != UNTRAINED], 7)
    style.save(drawn, tmp_path / "jet.png")
    assert (tmp_path / "jet.png").stat().st_size > 10_000

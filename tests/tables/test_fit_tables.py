"""The tables and the figure of analytic fits."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from independent import first_derivative, gaussian
from matplotlib.text import Text

from kernelatlas.clustering.labels import write_labels
from kernelatlas.clustering.templates import bank, cross
from kernelatlas.evidence.fits import render
from kernelatlas.evidence.fitted import fit_model, prototype_table, write_fits
from kernelatlas.evidence.jet import render_best, render_jet
from kernelatlas.figures import fits as figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import read_square, write_kernels
from kernelatlas.names import ALL_FAMILIES
from kernelatlas.running.files import write_parquet
from kernelatlas.tables.fits import function_table
from kernelatlas.tables.limits import limit_table

AXIS = np.arange(5) - 2
X, Y = np.meshgrid(AXIS, -AXIS)
SHAPES = {
    "gaussian": (gaussian(X, Y, 1.0), "on-centre"),
    "first": (first_derivative(X, Y, 0.9, np.pi / 2), "first-derivative 90°"),
    "cross": (-cross(X, Y, 0.4, 1.5), "off-cross"),
}
EACH = 100  # kernels of each shape
MODELS = [["net", "fam", True, ""], ["net.untrained", "fam", False, ""]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    rng = np.random.default_rng(0)
    labels, fits = [], []
    for model, scale in (("net", 0.01), ("net.untrained", 100.0)):
        planted = [weights for weights, _ in SHAPES.values() for _ in range(EACH)]
        noisy = np.stack(planted) + rng.normal(0, scale, (3 * EACH, 5, 5)) * 0.1
        layers = [
            Layer("dw0", noisy.astype(np.float32), None, None),
            Layer("small", rng.normal(size=(4, 3, 3)).astype(np.float32), None, None),
            Layer("flat", np.ones((2, 5, 5), np.float32), None, None),
        ]
        write_kernels(folder / f"{model}.parquet", model, layers, {})
        frame = fit_model(folder / f"{model}.parquet", [3, 5])
        write_fits(frame, folder / f"{model}.fits.parquet")
        rows = frame[["model", "layer", "layer_index", "channel", "k", "degenerate"]]
        names = [label for _, label in SHAPES.values() for _ in range(EACH)] + ["other"] * 6
        nothing = pd.array([pd.NA] * (3 * EACH + 6), "Float32")
        rows = rows.assign(
            label=np.where(rows["degenerate"], "degenerate", names),
            cluster=pd.array([pd.NA] * (3 * EACH + 6), "Int16"),
            direction=nothing,
            template_cosine=nothing,
            agreement=nothing,
            dissimilarity=nothing,
            identified=(rows["layer"] == "dw0") & (model == "net"),
            reason=None,
            identified_one_seed=False,
            live=True,
            codes=None,
            by_seed=None,
        )
        write_labels([pa.Table.from_pandas(rows)], folder / f"{model}.labels.parquet", [0, 1])
        labels.append(folder / f"{model}.labels.parquet")
        fits.append(folder / f"{model}.fits.parquet")
    return labels, fits


def test_a_row_a_kernel_in_the_order_of_the_labels(tables):
    for label_path, fit_path in zip(*tables, strict=True):
        keys = ["model", "layer", "layer_index", "channel", "k"]
        labels, fits = pq.read_table(label_path), pq.read_table(fit_path)
        assert labels.select(keys).to_pylist() == fits.select(keys).to_pylist()
        frame = fits.to_pandas()
        assert frame.loc[frame["degenerate"], "r2"].isna().all()
        assert frame["degenerate"].sum() == 2
        assert fits.schema.field("function").type == fits.schema.field("model").type


def test_what_is_stored_gives_the_kernels_back(tables):
    """By NumPy's correlation with the kernels: rounding costs nothing of R²."""
    path = tables[1][0]
    fitted = pd.read_parquet(path)
    for k in (3, 5):
        rows, weights = read_square(path.with_name("net.parquet"), k)
        valid = ~rows["degenerate"].to_numpy()
        stored = fitted[fitted["k"] == k].reset_index(drop=True)[valid].reset_index(drop=True)
        for rendered, r2 in (
            (render(stored, k), stored["r2"]),
            (render_jet(stored, k, 2), stored["jet_r2_2"]),
            (render_best(stored, k, "ten"), stored["ten_r2"]),
        ):
            pairs = zip(weights[valid], rendered, strict=True)
            found = [np.corrcoef(*pair)[0, 1] ** 2 for pair in pairs]
            np.testing.assert_allclose(found, r2, atol=1e-5)
            np.testing.assert_allclose(rendered.mean(1), weights[valid].mean(1), atol=1e-4)


def test_functions_are_counted_by_label(tables):
    table = function_table(*tables, MODELS, 5, 0.8)
    assert table["kernels"].sum() == 2 * (3 * EACH + 2)
    trained = table[table["trained"]].set_index("label")
    for function, (_, label) in SHAPES.items():
        own = table[table["trained"] & (table["label"] == label)]
        counts = own.groupby("function")["kernels"].sum()
        # Functions with more parameters that contain it are selected for a few.
        assert counts[function] >= 0.75 * EACH, counts
        assert own["described"].sum() == EACH
    assert trained.loc["degenerate", "function"] == "degenerate"
    assert trained.loc["degenerate", "described"] == 0
    # A hundredfold noise leaves nothing to describe.
    control = table[~table["trained"] & (table["label"] != "degenerate")]
    assert control["described"].sum() <= 0.03 * 3 * EACH
    assert set(function_table(*tables, MODELS, 3, 0.8)["k"]) == {3}


def prototypes(tmp_path):
    chosen = [0, 10, 24, 40]
    frame = pd.DataFrame(
        {
            "k": np.int16(5),
            "cluster": np.arange(4, dtype=np.int16),
            "label": [bank(5).labels[i] for i in chosen],
            "template_cosine": np.ones(4, np.float32),
            "members": 10,
            "prototype": list(bank(5).weights[chosen]),
        }
    )
    frame.to_parquet(tmp_path / "clusters.parquet")
    return prototype_table(tmp_path / "clusters.parquet")


def test_prototypes_that_are_templates_are_described(tmp_path):
    table = prototypes(tmp_path)
    assert table["cluster"].tolist() == [0, 1, 2, 3]
    assert (table["r2"] > 0.9).all()
    for row in table.itertuples():
        cosine = np.dot(row.fitted, row.prototype) / np.linalg.norm(row.fitted)
        assert cosine**2 == pytest.approx(row.r2, abs=1e-3)


@pytest.fixture(scope="module")
def limits(tables, tmp_path_factory):
    """Fits at limits: those of the networks, and as nulls the same kernels once more."""
    nulls = tmp_path_factory.mktemp("nulls") / "nulls.parquet"
    own = pq.read_table(tables[1][0]).to_pandas().astype({"model": "str"})
    own[own["k"] == 5].assign(null="white").to_parquet(nulls)
    return limit_table(tables[1], nulls, MODELS, 5, 0.8)


def test_fits_at_limits_are_counted_by_network_and_by_limit(tables, limits):
    fits = pq.read_table(tables[1][0]).to_pandas()
    fits = fits[(fits["k"] == 5) & ~fits["degenerate"]]
    rows = limits[limits["model"] == "net"].set_index(["set", "function"])
    reached = fits["at_limit"].notna()
    assert 0 < reached.sum() < len(fits)
    found = rows.loc[("trained", "selected")]
    assert found["at_limit"] == reached.sum()
    assert found["share"] == pytest.approx(reached.mean())
    assert np.isnan(found["low"])  # of one layer there is no interval
    described = fits["r2"] >= 0.8
    assert rows.loc[("trained", "described"), "share"] == pytest.approx(reached[described].mean())
    jets = fits["jet_at_limit_2"].notna().mean()
    assert rows.loc[("trained", "jet 2"), "share"] == pytest.approx(jets)
    # The nulls are the kernels of the network.
    assert rows.loc[("white", "selected"), "share"] == found["share"]
    each = limits[(limits["set"] == "trained") & (limits["limit"] != "any")]
    for row in each.itertuples():
        named = fits["at_limit"].map(lambda text, limit=row.limit: limit in str(text).split(", "))
        of_function = fits["function"] == row.function
        assert row.at_limit == (named & of_function).sum()
        parameter = row.limit.split(" ")[1]
        values = fits.loc[named & of_function, parameter]
        np.testing.assert_allclose(values, row.value, rtol=2e-3, atol=2e-3)


def test_fits_take_less_room_than_other_tables_of_the_same_numbers(tables, tmp_path):
    path = tables[1][0]
    write_parquet(pq.read_table(path), tmp_path / "other.parquet")
    assert path.stat().st_size < (tmp_path / "other.parquet").stat().st_size
    assert pq.read_table(tmp_path / "other.parquet").equals(pq.read_table(path))


@pytest.mark.parametrize("without", ["net", "net.untrained"])
def test_a_network_without_any_jet_at_a_limit(tables, tmp_path, without):
    """The column of texts of its table is empty, and has no type of its own."""
    paths, trained = [], pd.read_parquet(tables[1][0])
    for path in tables[1]:
        frame = pd.read_parquet(path)
        if path.name.startswith(f"{without}.fits"):
            frame["jet_at_limit_2"] = None
        write_fits(frame, tmp_path / path.name)
        paths.append(tmp_path / path.name)
    own = trained[trained["k"] == 5].assign(null="white", jet_at_limit_2=None)
    own.to_parquet(tmp_path / "nulls.parquet")
    rows = limit_table(paths, tmp_path / "nulls.parquet", MODELS, 5, 0.8)
    rows = rows[(rows["function"] == "jet 2") & rows["family"].eq(ALL_FAMILIES)]
    rows = rows.set_index("set")["at_limit"]
    sets = {"net": "trained", "net.untrained": "untrained"}
    for name, path in zip(sets, tables[1], strict=True):
        fits = pd.read_parquet(path)
        reached = fits.loc[(fits["k"] == 5) & ~fits["degenerate"], "jet_at_limit_2"].notna().sum()
        assert reached > 0
        assert rows[sets[name]] == (0 if name == without else reached)
    assert rows["white"] == 0


def test_functions_are_counted_with_those_at_a_limit(tables):
    table = function_table(*tables, MODELS, 5, 0.8)
    fits = pd.concat([pq.read_table(path).to_pandas() for path in tables[1]])
    fits = fits[fits["k"] == 5]
    assert table["at_limit"].sum() == fits["at_limit"].notna().sum()
    both = fits["at_limit"].notna() & (fits["r2"] >= 0.8)
    assert table["described_at_limit"].sum() == both.sum()
    assert (table["described_at_limit"] <= table[["described", "at_limit"]].min(axis=1)).all()


def words_of(pages) -> list[str]:
    return [text.get_text() for page in pages for text in page.findobj(Text)]


def test_the_figure_shows_each_prototype_with_its_fit(tables, limits, tmp_path):
    functions = function_table(*tables, MODELS, 5, 0.8)
    for name in ("one.png", "two.png"):
        drawn = figure.draw(functions, prototypes(tmp_path), limits, 0.8)
        words = " ".join(ax.get_xlabel() for page in drawn for ax in page.axes)
        assert words.count("R²") == 4
        style.save(drawn, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_figure_names_its_marks_and_marks_fits_at_a_limit(tables, limits, tmp_path):
    table = prototypes(tmp_path)
    table["form"] = ["discrete", "discrete", "continuous", "continuous"]
    table["at_limit"] = ["least sigma", None, "greatest x", None]
    functions = function_table(*tables, MODELS, 5, 0.8)
    words = words_of(figure.draw(functions, table, limits, 0.8))
    below = [word.split("\n")[1] for word in words if word.split("\n")[-1].startswith("R² ")]
    marks = [word.lstrip("abcdefghijklmnopqrstuvwxyz ") for word in below]
    assert marks == ["*†", "*", "†", ""]
    assert any("* the discrete form" in word and "† a parameter" in word for word in words)
    assert "a parameter at a limit" in words  # the hatch of described kernels
    assert {"trained networks", "untrained networks", "white noise"} <= set(words)


def test_the_figure_of_networks_of_which_nothing_is_identified(tables, limits, tmp_path):
    functions = function_table(*tables, MODELS, 5, 0.8).assign(identified=False)
    words = words_of(figure.draw(functions, prototypes(tmp_path), limits, 0.8))
    assert any("no kernel is identified" in word for word in words)

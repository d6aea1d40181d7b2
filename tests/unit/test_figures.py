"""Figures: drawn from tables alone, the same bytes each time, no text over another."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from kernelatlas import names
from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import (
    data,
    emergence,
    family_clusters,
    family_layers,
    models,
    pca,
    seeds,
    spectrum,
    style,
    training,
    weightsum,
)
from kernelatlas.shares import shares_by_shape
from kernelatlas.tables.dynamics import shape_shares

WITH_SHAPE = names.LABELS[:-1]
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
LONG = "convnextv2_nano.fcmae_ft_in22k_384_"


def kernel(label: str, k: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return a kernel that looks like its label, with noise if a generator is given."""
    x, y = np.meshgrid(np.arange(k) - k // 2, k // 2 - np.arange(k))
    shape = names.shape_of(label)
    gauss = np.exp(-(x**2 + y**2) / 2)
    angle = np.deg2rad(int(label.split()[1][:-1])) if " " in label else 0.0
    along = x * np.cos(angle) + y * np.sin(angle)
    if shape == "first-derivative":
        weights = along * gauss
    elif shape == "second-derivative":
        weights = (along**2 - 1) * gauss * (1 if label.endswith("+") else -1)
    else:
        weights = (gauss - 0.3 * np.exp(-(x**2 + y**2) / 8)) * (-1 if shape[1] == "f" else 1)
    if rng is not None:
        weights = weights + 0.1 * rng.normal(size=(k, k))
    return (weights - weights.mean()).ravel()


def family_tables(
    networks: int = 1, clusters: int = 6, ks: tuple[int, ...] = (7,), layers: int = 4, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Return the tables of a family: `networks` trained ones and as many controls."""
    rng = np.random.default_rng(seed)
    tables: dict[str, list[dict]] = {
        name: [] for name in ("clusters", "shares", "members", "models", "composition")
    }
    zoo = [(f"{LONG}{n}", True) for n in range(networks)]
    zoo += [(f"{LONG}{n}.untrained", False) for n in range(networks)]
    for k in ks:
        labels = [WITH_SHAPE[n * len(WITH_SHAPE) // clusters] for n in range(clusters - 1)]
        labels.append("other")
        cuts = np.linspace(0, 1, clusters + 1)
        for cluster, label in enumerate(labels):
            tables["clusters"].append(
                {
                    "k": k,
                    "cluster": cluster,
                    "code_low": cuts[cluster],
                    "code_high": cuts[cluster + 1],
                    "label": label,
                    "template": "difference of Gaussians σ=1.0 ratio 1.6 shifted (0.5, 0.5)",
                    "template_cosine": 0.95,
                    "prototype": kernel(label, k, rng),
                    "template_weights": kernel(label, k),
                    "members": 1000 + cluster,
                }
            )
            for rank in range((0, 12, 5)[cluster % 3]):
                tables["members"].append(
                    {
                        "k": k,
                        "cluster": cluster,
                        "rank": rank,
                        "model": zoo[0][0],
                        "layer": "a",
                        "channel": rank,
                        "dissimilarity": 0.1,
                        "identified": rank % 4 > 0,
                        "weights": kernel(label, k, rng),
                    }
                )
        for model, trained in zoo:
            same = {"family": "convnextv2", "model": model, "trained": trained, "k": k}
            parts = rng.dirichlet(np.ones(clusters)) * (0.9 if trained else 0.05)
            parts[-1] = 0
            for cluster, label in enumerate(labels):
                found = int(2000 * parts[cluster])
                row = {"cluster": cluster, "label": label, "kernels": found + 3}
                tables["shares"].append({**same, **row, "identified": found, "share": found / 2000})
            tables["models"].append(
                {
                    **same,
                    "kernels": 2000,
                    "degenerate": 2,
                    "identified": int(2000 * parts.sum()),
                    "share_identified": parts.sum(),
                    "threshold": 0.3,
                    "trained_on": "ImageNet-1k after masked pretraining" if trained else "",
                }
            )
            for layer in range(layers):
                place = {"layer": f"stages.0.blocks.{layer}.conv_dw", "layer_index": layer + 99 * k}
                for cluster, label in enumerate([*labels, names.DEGENERATE]):
                    found = 0 if cluster >= clusters - 1 else int(90 * parts[cluster])
                    row = {"label": label, "kernels": found + 1, "identified": found}
                    tables["composition"].append({**same, **place, **row})
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def clusters_figure(**sizes: int) -> Figure:
    tables = family_tables(**sizes)  # type: ignore[arg-type]
    return family_clusters.draw(
        *(tables[name] for name in ("clusters", "shares", "members", "models")),
        {"family": "convnextv2", "seed": 0},
    )


def layers_figure(ks: tuple[int, ...] = (7,), **sizes: int) -> Figure:
    composition = family_tables(ks=ks, **sizes)["composition"]
    return family_layers.draw(composition, {"family": "convnextv2", "seed": 0})


def spectrum_figure(clusters: int = 6, crowded: bool = False) -> Figure:
    rng = np.random.default_rng(1)
    table = family_tables(clusters=clusters)["clusters"]
    if crowded:  # all but the last cluster in the first tenth of the code
        table["code_low"] *= 0.1
        table["code_high"] = [*table["code_low"].iloc[1:], 1.0]
    codes = (np.arange(128) + 0.5) / 128
    cluster = np.searchsorted(table["code_high"].to_numpy(), codes)
    grid = pd.DataFrame(
        {
            "code": codes,
            "density": 1.0 + 0.5 * np.sin(2 * np.pi * codes),
            "cluster": cluster,
            "label": table["label"].to_numpy()[cluster],
            "template_cosine": 0.9,
            "prototype": [kernel(table["label"].iloc[n], 7, rng) for n in cluster],
        }
    )
    return spectrum.draw(grid, table, seed=0)


def models_figure(networks: int = 1, ks: tuple[int, ...] = (7,)) -> Figure:
    tables = family_tables(networks=networks, ks=ks)
    return models.draw(tables["models"], tables["composition"])


def pca_figure() -> Figure:
    rng = np.random.default_rng(2)
    labels = rng.choice(WITH_SHAPE, 200)
    scores = pd.DataFrame(
        {
            "model": "net",
            "label": labels,
            "identified": rng.uniform(size=200) < 0.7,
            "pc1": rng.normal(size=200),
            "pc2": rng.normal(size=200),
        }
    )
    components = pd.DataFrame(
        {
            "component": range(1, 13),
            "explained_variance_ratio": 0.5 ** np.arange(1, 13),
            "loading": [kernel(WITH_SHAPE[n], 7) for n in range(12)],
        }
    )
    return pca.draw(scores, components, kernels=1000)


def weightsum_figure(labels: tuple[str, ...] = WITH_SHAPE) -> Figure:
    quantiles = {
        f"{column}_{q}": (i - 2) / 5
        for column in ("relative", "sum")
        for i, q in enumerate(QUANTILES)
    }
    rows = [
        {"label": label, "kernels": 10 + n, "relative_mean": 0.1, **quantiles}
        for n, label in enumerate(reversed(labels))
    ]
    return weightsum.draw(pd.DataFrame(rows), k=7)


def training_figure(seeds: int = 3, epochs: int = 10) -> Figure:
    epoch = np.arange(epochs)
    runs = [
        pd.DataFrame(
            {
                "seed": seed,
                "epoch": epoch,
                "loss_encoder": 0.3 + 0.01 * seed + 0.5 / (epoch + 1),
                "loss_projected": np.where(epoch % 3, np.nan, 0.25),
                "learning_rate": 1e-3 / (epoch + 1),
            }
        )
        for seed in range(seeds)
    ]
    return training.draw(pd.concat(runs), k=7)


def dynamics_tables(
    runs: dict[str, int], steps: int = 12, ks: tuple[int, ...] = (7,)
) -> dict[str, pd.DataFrame]:
    """Return the tables of trainings: so many networks of each family, each of so many states."""
    rng = np.random.default_rng(0)
    states = [0, *np.unique(np.geomspace(10, 2200, steps - 1).round().astype(int))]
    tables: dict[str, list[dict]] = {name: [] for name in ("emergence", "composition", "learning")}
    for family, networks in runs.items():
        for number in range(networks):
            network = f"{family}_mini_seed{number}"
            known = {"family": family, "network": network, "trained_on": f"{family} pictures"}
            for step, k in itertools.product(states, ks):
                found = rng.dirichlet(np.ones(len(WITH_SHAPE))) * 1500 * step / 2200
                rows = [
                    {**known, "step": step, "k": k, "label": label, "kernels": 60, "identified": n}
                    for label, n in zip(WITH_SHAPE, np.minimum(found.astype(int), 60), strict=True)
                ]
                tables["composition"] += rows
                kernels = 60 * len(WITH_SHAPE)
                tables["emergence"].append(
                    {
                        **known,
                        "step": step,
                        "k": k,
                        "kernels": kernels,
                        "share_identified": sum(row["identified"] for row in rows) / kernels,
                        "initial_energy": float(np.exp(-step / 300)) + 0.001,
                        "initial_energy_chance": 1 / (k * k - 1),
                    }
                )
            for step in range(220, 2201, 220):
                tables["learning"].append({**known, "step": step, "accuracy": step / 4000})
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def emergence_figure(learned: bool = True, **sizes: Any) -> Figure:
    tables = dynamics_tables(**{"runs": {"photographs": 3, "leaves": 1}, **sizes})
    learning = tables["learning"] if learned else None
    return emergence.draw(tables["emergence"], tables["composition"], learning, 0)


def seeds_figure(**sizes: Any) -> Figure:
    tables = dynamics_tables(**{"runs": {"photographs": 3, "leaves": 1}, **sizes})
    return seeds.draw(shape_shares(tables["composition"]), 0)


def data_figure(pictures: bool = True, **sizes: Any) -> Figure:
    tables = dynamics_tables(**{"runs": {"photographs": 3, "leaves": 1}, **sizes})
    kinds = list(dict.fromkeys(tables["emergence"]["trained_on"]))
    frequency = np.arange(1, 48) / 96
    spectra = pd.concat(
        pd.DataFrame({"trained_on": kind, "frequency": frequency, "exponent": 2.0}).assign(
            power=frequency ** -(1.5 + i)
        )
        for i, kind in enumerate(kinds)
    )
    pixels = [np.full(8 * 8 * 3, 30 * i, np.uint8) for i in range(6)]
    samples = pd.concat(
        pd.DataFrame({"trained_on": kind, "sample": range(6), "side": 8, "pixels": pixels})
        for kind in kinds
    )
    drawn = (spectra, samples) if pictures else (None, None)
    return data.draw(shape_shares(tables["composition"]), tables["emergence"], *drawn, 0)


FIGURES: dict[str, Callable[[], Figure]] = {
    "family_clusters": clusters_figure,
    "family_layers": layers_figure,
    "spectrum": spectrum_figure,
    "models": models_figure,
    "pca": pca_figure,
    "weightsum": weightsum_figure,
    "training": training_figure,
    "emergence": emergence_figure,
    "seeds": seeds_figure,
    "data": data_figure,
}


def shown_texts(figure: Figure) -> list[Text]:
    """Return the texts that are seen; ticks beyond an axis's limits are not."""
    hidden: set[Text] = set()
    for ax in figure.axes:
        axes: tuple[Axis, Axis] = (ax.xaxis, ax.yaxis)
        for axis in axes:
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                seen = ax.axison and low - 1e-9 <= tick.get_loc() <= high + 1e-9
                hidden |= set() if seen else {tick.label1, tick.label2}
            if not ax.axison:
                hidden |= {axis.label, axis.offsetText}
    texts = figure.findobj(Text)
    return [
        text
        for text in texts
        if isinstance(text, Text)
        and text.get_visible()
        and text.get_text().strip()
        and text not in hidden
    ]


def assert_texts_apart(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()).padded(-1))
        for text in shown_texts(figure)
    ]
    assert len(boxes) > 5
    for text, box in boxes:
        inside = page.x0 <= box.x0 <= box.x1 <= page.x1 and page.y0 <= box.y0 <= box.y1 <= page.y1
        assert inside, f"{text!r} leaves the page"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert not one.overlaps(other), f"{first!r} and {second!r} overlap"


@pytest.mark.parametrize("name", FIGURES)
def test_same_bytes_each_time_and_no_dates(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{turn}.{suffix}" for turn in "ab" for suffix in ("pdf", "png")]
    style.save(FIGURES[name](), *paths[:2])
    style.save(FIGURES[name](), *paths[2:])
    first_pdf, first_png, second_pdf, second_png = (path.read_bytes() for path in paths)
    assert first_pdf == second_pdf
    assert first_png == second_png
    assert b"CreationDate" not in first_pdf
    assert b"Producer" not in first_pdf
    assert b"Software" not in first_png
    assert b"/FontFile2" in first_pdf  # TrueType, embedded
    assert b"/Type3" not in first_pdf
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    program = "import sys; import test_figures as t; t.style.save(t.training_figure(), sys.argv[1])"
    paths = [tmp_path / "one.pdf", tmp_path / "two.pdf"]
    for seed, path in zip("12", paths, strict=True):
        folders = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": folders},
        )
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(
    "figure",
    [
        pytest.param(lambda: clusters_figure(networks=1), id="clusters"),
        pytest.param(lambda: clusters_figure(networks=6, ks=(5, 7)), id="clusters, many networks"),
        pytest.param(lambda: layers_figure(), id="layers"),
        pytest.param(lambda: layers_figure(ks=(5, 7), layers=30), id="layers, 60 of two sizes"),
        pytest.param(lambda: spectrum_figure(5), id="spectrum"),
        pytest.param(lambda: spectrum_figure(24, crowded=True), id="spectrum, 24 clusters"),
        pytest.param(lambda: models_figure(), id="models"),
        pytest.param(lambda: models_figure(networks=6, ks=(3, 5, 7)), id="models, many"),
        pytest.param(pca_figure, id="pca"),
        pytest.param(weightsum_figure, id="weightsum"),
        pytest.param(lambda: weightsum_figure(("other",)), id="weightsum, one label"),
        pytest.param(training_figure, id="training"),
        pytest.param(emergence_figure, id="emergence"),
        pytest.param(lambda: emergence_figure(runs={"one": 1}, learned=False), id="one training"),
        pytest.param(
            lambda: emergence_figure(runs={"a": 2, "b": 3}, ks=(3, 5)), id="ten trainings"
        ),
        pytest.param(lambda: emergence_figure(runs={"short": 2}, steps=2), id="ends only"),
        pytest.param(seeds_figure, id="seeds"),
        pytest.param(
            lambda: seeds_figure(runs={"a": 5, "b": 2}, ks=(3, 9)), id="seeds, four panels"
        ),
        pytest.param(lambda: seeds_figure(runs={"a": 1, "b": 1}), id="one seed"),
        pytest.param(data_figure, id="data"),
        pytest.param(lambda: data_figure(pictures=False), id="data without pictures"),
        pytest.param(
            lambda: data_figure(runs=dict.fromkeys("abcdef", 2), ks=(3, 5)), id="six data"
        ),
    ],
)
def test_no_text_overlaps_or_leaves_the_page(figure: Callable[[], Figure]) -> None:
    assert_texts_apart(figure())


def test_clusters_without_members_or_controls() -> None:
    tables = family_tables()
    networks = tables["models"].loc[tables["models"]["trained"]]
    figure = family_clusters.draw(
        tables["clusters"],
        tables["shares"],
        tables["members"].iloc[:0],
        networks,
        {"family": "f", "seed": 0},
    )
    texts = [text.get_text() for text in figure.findobj(Text)]  # type: ignore[attr-defined]
    assert texts.count("no kernel of the trained networks") == len(tables["clusters"])
    assert not any("control" in text for text in texts)
    assert_texts_apart(figure)


def test_clusters_of_a_family_with_controls_only() -> None:
    tables = family_tables()
    networks = tables["models"].loc[~tables["models"]["trained"]]
    arguments = (tables["clusters"], tables["shares"], tables["members"].iloc[:0], networks)
    assert_texts_apart(family_clusters.draw(*arguments, {"family": "f", "seed": 0}))


def test_one_model_in_models_and_layers() -> None:
    tables = family_tables()
    one = tables["composition"].loc[tables["composition"]["trained"]]
    assert_texts_apart(models.draw(tables["models"].iloc[:1], one))
    assert_texts_apart(family_layers.draw(one, {"family": "f", "seed": 0}))


def test_training_of_one_epoch_and_many_seeds() -> None:
    assert_texts_apart(training_figure(seeds=12, epochs=1))


def test_shares_by_shape_counts_identified_degenerate_and_the_rest() -> None:
    composition = pd.DataFrame(
        {
            "model": "net",
            "label": ["first-derivative 0°", "first-derivative 45°", "other", "degenerate"],
            "kernels": [40, 30, 20, 10],
            "identified": [35, 25, 0, 0],
        }
    )
    shares = shares_by_shape(composition, ["model"]).loc["net"]
    assert shares["first-derivative"] == pytest.approx(60)
    assert shares[names.DEGENERATE] == pytest.approx(10)
    assert shares[style.NOT_IDENTIFIED] == pytest.approx(30)
    assert shares.sum() == pytest.approx(100)


def test_every_shape_has_a_colour_of_its_own() -> None:
    colours = style.palette(names.LABELS)
    by_shape = {names.shape_of(label): colour for label, colour in colours.items()}
    assert set(by_shape) == {*names.SHAPES, names.DEGENERATE}
    assert len(set(by_shape.values())) == len(by_shape)
    assert style.palette(["other"])["other"] == colours["other"]


def test_kernel_colours_are_symmetrical_about_zero() -> None:
    figure = Figure()
    ax = figure.add_subplot()
    style.show_kernel(ax, np.arange(-1, 8.0), 3)
    assert ax.images[0].get_clim() == (-7, 7)


def test_spread_keeps_order_and_distance() -> None:
    wanted = np.array([0.0, 0.001, 0.002, 0.5, 0.98, 0.99])
    places = spectrum.spread(wanted, 0.05)
    assert (np.diff(places) > 0.05 - 1e-9).all()
    assert places[3] == pytest.approx(0.5)
    assert places[0] >= 0
    assert places[-1] <= 1


def test_other_file_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelAtlasError, match=r"figure\.svg"):
        style.save(training_figure(), tmp_path / "figure.svg")
    assert not list(tmp_path.iterdir())


def test_shape_of_every_label() -> None:
    assert len(set(names.LABELS)) == len(names.LABELS) == 7 + 8 + 8 + 1
    shapes = [names.shape_of(label) for label in names.LABELS]
    assert list(dict.fromkeys(shapes)) == [*names.SHAPES, names.DEGENERATE]
    assert names.shape_of(names.first_derivative(315)) == "first-derivative"
    assert names.second_derivative(135, -1) == "second-derivative 135° -"
    assert names.shape_of(names.second_derivative(0, 1)) == "second-derivative"


def test_unknown_labels_and_directions_are_refused() -> None:
    with pytest.raises(KernelAtlasError, match="on-circle"):
        names.shape_of("on-circle")
    with pytest.raises(KernelAtlasError, match="30"):
        names.first_derivative(30)
    with pytest.raises(KernelAtlasError, match="180"):
        names.second_derivative(180, 1)

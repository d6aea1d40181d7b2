"""Figures: drawn from tables alone, the same bytes each time, no text over another."""

import itertools
import os
import re
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
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from kernelatlas import names
from kernelatlas.clustering.reasons import COUNTS
from kernelatlas.clustering.shares import shares_by_shape
from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import (
    _family_rows,
    classified,
    data,
    emergence,
    family_clusters,
    family_layers,
    models,
    pca,
    seeds,
    spectrum,
    stability,
    style,
    training,
    weightsum,
)
from kernelatlas.tables.dynamics import shape_shares

WITH_SHAPE = names.LABELS[:-1]
NAMED = WITH_SHAPE[:-1]
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
Drawn = Figure | list[Figure]
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
    networks: int = 1,
    clusters: int | None = 6,
    ks: tuple[int, ...] = (7,),
    layers: int = 4,
    unnamed: int = 3,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Return the tables of a family: `networks` trained ones and as many controls.

    `clusters` labels, or all, and `unnamed` prototypes of kernels without a name.
    """
    rng = np.random.default_rng(seed)
    tables: dict[str, list[dict]] = {
        name: []
        for name in ("clusters", "shares", "members", "models", "composition", "layers", "shapes")
    }
    zoo = [(f"{LONG}{n}", True) for n in range(networks)]
    zoo += [(f"{LONG}{n}.untrained", False) for n in range(networks)]
    for k in ks:
        chosen = NAMED if clusters is None else NAMED[:: len(NAMED) // clusters]
        labels = [*chosen, *["other"] * unnamed]
        named = len(chosen)
        for cluster, label in enumerate(labels):
            nearest = label if cluster < named else names.FIRST + " 0°"
            tables["clusters"].append(
                {
                    "k": k,
                    "cluster": cluster,
                    "label": label,
                    "template": "difference of Gaussians σ=1.0 ratio 1.6 shifted (0.5, 0.5)",
                    "template_label": nearest,
                    "template_cosine": 0.95 if cluster < named else 0.6,
                    "prototype": kernel(nearest, k, rng),
                    "template_weights": kernel(nearest, k),
                    "members": 1000 + cluster,
                }
            )
            turn = {names.FIRST: 360, names.SECOND: 180}.get(names.shape_of(label))
            for rank in range((12, 12, 5, 1)[cluster % 4]):
                direction = np.nan
                if turn:
                    direction = (int(label.split()[1][:-1]) + rng.uniform(-20, 20)) % turn
                tables["members"].append(
                    {
                        "k": k,
                        "cluster": cluster,
                        "label": label,
                        "rank": rank,
                        "model": zoo[0][0],
                        "layer": "a",
                        "channel": rank,
                        "direction": direction,
                        "agreement": 1.0,
                        "dissimilarity": 0.1,
                        "identified": cluster < named and rank % 4 > 0,
                        "weights": kernel(nearest, k, rng),
                    }
                )
        for model, trained in zoo:
            same = {"family": "convnextv2", "model": model, "trained": trained, "k": k}
            parts = rng.dirichlet(np.ones(len(labels))) * (0.9 if trained else 0.05)
            parts[named:] = 0
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
                    "low": 0.9 * parts.sum(),
                    "high": 0.9 * parts.sum() + 0.1,
                    "threshold": 0.3,
                    "trained_on": "ImageNet-1k after masked pretraining" if trained else "",
                }
            )
            shapes = pd.Series(parts[:named]).groupby([names.shape_of(n) for n in chosen]).sum()
            tables["shapes"] += [
                {**same, "shape": shape, "share": share, "low": 0.9 * share, "high": 1.1 * share}
                for shape, share in shapes.items()
            ]
            for layer in range(layers):
                place = {"layer": f"stages.0.blocks.{layer}.conv_dw", "layer_index": layer + 99 * k}
                for cluster, label in enumerate([*labels, names.DEGENERATE]):
                    found = 0 if cluster >= named else int(90 * parts[cluster])
                    row = {"label": label, "kernels": found + 1, "identified": found}
                    why = "no_name" if cluster >= named else "too_far"
                    row |= {name: int(name == why and label in labels) for name in COUNTS}
                    tables["composition"].append({**same, **place, **row})
                rows = tables["composition"][-len(labels) - 1 :]
                found, every = (sum(r[name] for r in rows) for name in ("identified", "kernels"))
                share = found / every
                numbers = {"kernels": every, "identified": found, "share_identified": share}
                limits = {"low": 0.9 * share, "high": 0.9 * share + 0.1}
                tables["layers"].append({**same, **place, **numbers, **limits})
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def clusters_figure(**sizes: Any) -> Drawn:
    return drawn_clusters(family_tables(**sizes))


def drawn_clusters(tables: dict[str, pd.DataFrame]) -> Drawn:
    return family_clusters.draw(
        *(tables[name] for name in ("clusters", "shares", "members", "models", "shapes")),
        family="convnextv2",
        seeds=[0, 1, 2],
    )


def layers_figure(ks: tuple[int, ...] = (7,), **sizes: int) -> Drawn:
    tables = family_tables(ks=ks, **sizes)
    return family_layers.draw(tables["composition"], tables["layers"], "convnextv2")


def spectrum_table(points: int = 1024, stretch: int = 5, k: int = 7) -> pd.DataFrame:
    """Return a spectrum whose name changes every `stretch` points, over all labels."""
    rng = np.random.default_rng(1)
    codes = (np.arange(points) + 0.5) / points
    labels = [WITH_SHAPE[n // stretch * 7 % len(WITH_SHAPE)] for n in range(points)]
    return pd.DataFrame(
        {
            "code": codes,
            "density": 1.0 + 0.5 * np.sin(2 * np.pi * codes),
            "label": labels,
            "template_cosine": rng.uniform(0.75, 1, points),
            "prototype": [kernel(label, k, rng) for label in labels],
        }
    )


def spectrum_figure(**sizes: int) -> Drawn:
    return spectrum.draw(spectrum_table(**sizes), seed=0)


def stability_table(seeds: int = 3, networks: int = 2) -> pd.DataFrame:
    """Return the table of a zoo; a single network has nothing to be cross-fitted with."""
    rng = np.random.default_rng(3)
    pairs = itertools.combinations(range(seeds), 2)
    rows = [
        {"kind": "pair", "seed": a, "other": b, "agreement": 0.96, "adjusted_rand_index": 0.8}
        for a, b in pairs
    ]
    shares = [float(share) for share in rng.uniform(0.6, 0.8, seeds)]
    rows += [
        {"kind": "seed", "seed": n, "share_identified": share} for n, share in enumerate(shares)
    ]
    rows.append({"kind": "vote", "kernels": 5000, "share_identified": 0.743, "agreement": 0.9})
    for n in range(networks):
        known = {"share_identified_crossfit": 0.65, "agreement": 0.9} if networks > 1 else {}
        row = {"kind": "network", "model": f"{LONG}{n}", "share_identified": 0.7, **known}
        rows.append({"kernels": 2500, **row})
    columns = ["model", "kernels", "share_identified_crossfit", "seed", "other"]
    return pd.DataFrame(
        rows, columns=list(dict.fromkeys([*columns, *(c for r in rows for c in r)]))
    )


def stability_figure(**sizes: int) -> Drawn:
    return stability.draw(stability_table(**sizes), k=7)


def classified_figure(labels: tuple[str, ...] = NAMED, fitted: bool = True) -> Drawn:
    rng = np.random.default_rng(4)
    rows = [
        {
            "layer": f"stages.{n % 3}.conv_dw",
            "layer_index": n % 3,
            "channel": n,
            "k": 7,
            "label": label,
            "identified": label != "other",
            "reason": names.NO_NAME if label == "other" else None,
            "degenerate": False,
            "rank": n // len(labels),
            "weights": kernel(label, 7, rng),
        }
        for n, label in enumerate([*labels] * 8)
    ]
    table = pd.DataFrame(rows)
    if fitted:
        # Of the functions the one with the longest name.
        agrees = np.arange(len(table)) % 4 > 0
        table = table.assign(r2=0.9, function="shifted second", fit_agrees=agrees)
    settings = {"thresholds": {"7": 0.3}, "seeds": [0, 1]}
    shown = table[table["identified"]]
    return classified.draw(table, shown, {"name": "network", "settings": settings})


def models_figure(networks: int = 1, ks: tuple[int, ...] = (7,)) -> Drawn:
    tables = family_tables(networks=networks, ks=ks)
    return models.draw(tables["models"], tables["composition"])


def pca_figure() -> Drawn:
    rng = np.random.default_rng(2)
    labels = rng.choice(WITH_SHAPE, 200)
    identified = rng.uniform(size=200) < 0.7
    scores = pd.DataFrame(
        {
            "model": "net",
            "label": labels,
            "identified": identified,
            "reason": np.where(identified, None, rng.choice(names.REASONS[1:], 200)),
            "pc1": rng.normal(size=200),
            "pc2": rng.normal(size=200),
            "pc3": rng.normal(size=200),
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


def weightsum_figure(labels: tuple[str, ...] = WITH_SHAPE, least: float = -0.4) -> Drawn:
    quantiles = {
        f"{column}_{q}": least + i / 5
        for column in ("relative", "sum")
        for i, q in enumerate(QUANTILES)
    }
    rows = [
        {"label": label, "kernels": 28 + n, "relative_mean": 0.1, **quantiles}
        for n, label in enumerate(reversed(labels))
    ]
    columns = ["label", "kernels", "relative_mean", *quantiles]
    return weightsum.draw(pd.DataFrame(rows, columns=columns), k=7)


def training_figure(seeds: int = 3, steps: int = 10) -> Drawn:
    step = np.arange(1, steps + 1)
    runs = [
        pd.DataFrame(
            {
                "seed": seed,
                "stage": stage,
                "step": step,
                "width": 8 / step if stage == "curve" else np.nan,
                "learning_rate": np.nan if stage == "curve" else 1e-3 / step,
                "dissimilarity": 0.25 + 0.01 * seed + 0.5 / step,
                "dissimilarity_encoder": 0.3 + 0.5 / step if stage == "training" else np.nan,
                "cross_entropy": 6.0 / step if stage == "training" else np.nan,
            }
        )
        for seed, stage in itertools.product(range(seeds), training.STAGES)
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
                    {
                        **known,
                        "step": step,
                        "k": k,
                        "label": label,
                        "kernels": 60,
                        "identified": n,
                        "too_far": 60 - n,
                        "no_name": 0,
                        "seeds_disagree": 0,
                    }
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
                        "share_identified": (mean := sum(r["identified"] for r in rows) / kernels),
                        "low": 0.9 * mean,
                        "high": 1.1 * mean,
                        "initial_energy": float(np.exp(-step / 300)) + 0.001,
                        "initial_energy_chance": 1 / (k * k - 1),
                    }
                )
            for step in range(220, 2201, 220):
                tables["learning"].append({**known, "step": step, "accuracy": step / 4000})
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def emergence_figure(learned: bool = True, **sizes: Any) -> Drawn:
    tables = dynamics_tables(**{"runs": {"photographs": 3, "leaves": 1}, **sizes})
    learning = tables["learning"] if learned else None
    return emergence.draw(tables["emergence"], tables["composition"], learning, 0)


def seeds_figure(**sizes: Any) -> Drawn:
    tables = dynamics_tables(**{"runs": {"photographs": 3, "leaves": 1}, **sizes})
    return seeds.draw(shape_shares(tables["composition"]), 0)


def data_figure(pictures: bool = True, **sizes: Any) -> Drawn:
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


FIGURES: dict[str, Callable[[], Drawn]] = {
    "family_clusters": clusters_figure,
    "family_layers": layers_figure,
    "spectrum": spectrum_figure,
    "stability": stability_figure,
    "classified": classified_figure,
    "models": models_figure,
    "pca": pca_figure,
    "weightsum": weightsum_figure,
    "training": training_figure,
    "emergence": emergence_figure,
    "seeds": seeds_figure,
    "data": data_figure,
}


def pages(drawn: Drawn) -> list[Figure]:
    return [drawn] if isinstance(drawn, Figure) else drawn


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


def assert_texts_apart(drawn: Drawn) -> None:
    for page in pages(drawn):
        across, high = page.get_size_inches()
        assert max(across, high) <= style.LONG + 1e-6
        assert min(across, high) <= style.SHORT + 1e-6
        assert_apart(page)


def assert_apart(figure: Figure) -> None:
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
        pytest.param(lambda: clusters_figure(clusters=None), id="clusters, all labels"),
        pytest.param(
            lambda: clusters_figure(networks=20, clusters=None, ks=(3, 5, 7), unnamed=8),
            id="clusters, a full page",
        ),
        pytest.param(lambda: layers_figure(), id="layers"),
        pytest.param(lambda: layers_figure(ks=(5, 7), layers=30), id="layers, 60 of two sizes"),
        pytest.param(spectrum_figure, id="spectrum"),
        pytest.param(lambda: spectrum_figure(stretch=1), id="spectrum, a name at each point"),
        pytest.param(lambda: spectrum_figure(points=100, stretch=30, k=3), id="spectrum, short"),
        pytest.param(stability_figure, id="stability"),
        pytest.param(lambda: stability_figure(seeds=1, networks=1), id="stability, one of each"),
        pytest.param(lambda: stability_figure(seeds=6, networks=40), id="stability, many"),
        pytest.param(classified_figure, id="classified"),
        pytest.param(lambda: classified_figure(("other",)), id="classified, nothing identified"),
        pytest.param(lambda: models_figure(), id="models"),
        pytest.param(lambda: models_figure(networks=6, ks=(3, 5, 7)), id="models, many"),
        pytest.param(lambda: models_figure(networks=40, ks=(3, 5)), id="models, very many"),
        pytest.param(lambda: layers_figure(networks=9), id="layers of nine networks"),
        pytest.param(pca_figure, id="pca"),
        pytest.param(weightsum_figure, id="weightsum"),
        pytest.param(lambda: weightsum_figure(("other",) * 3), id="weightsum, one label"),
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
def test_no_text_overlaps_or_leaves_the_page(
    figure: Callable[[], Drawn], request: pytest.FixtureRequest
) -> None:
    assert_texts_apart(figure())


def texts(drawn: Drawn) -> list[str]:
    return [text.get_text() for page in pages(drawn) for text in shown_texts(page)]


def test_sums_of_no_kernels_are_a_page_that_says_so() -> None:
    assert any("No kernel of 7×7 is identified" in text for text in texts(weightsum_figure(())))


def test_labels_are_not_broken_in_the_caption_of_sums() -> None:
    drawn = texts(weightsum_figure(least=0.1))
    caption = next(text for text in drawn if text.startswith("Sum of the raw weights"))
    for width in np.arange(2, 12, 0.25):
        lines = style.wrap(caption, width, 8)
        assert not any(re.match(r"\d+°|[-+]", line) for line in lines)


def test_clusters_have_a_row_per_shape_and_four_without_a_name_at_most() -> None:
    ks = (3, 5, 7)
    tables = family_tables(networks=20, clusters=None, ks=ks, unnamed=8)
    figure = drawn_clusters(tables)
    found = texts(figure)
    shapes = [shape for shape in names.SHAPES if shape != names.OTHER]
    for name in [*shapes, "no name 1", "no name 4"]:
        assert found.count(name) == len(ks), name
    assert "no name 5" not in found
    assert sum(text.startswith("4 more groups of kernels without a name: ") for text in found) == 3
    for direction in ("0°", "315°", "135°+", "135°−"):
        assert found.count(direction) == len(ks), direction
    trained = tables["models"]["trained"]
    here = tables["shares"][tables["shares"]["trained"] & (tables["shares"]["k"] == 7)]
    first = int(here.loc[here["label"].str.startswith(names.FIRST), "identified"].sum())
    total = int(tables["models"].loc[trained & (tables["models"]["k"] == 7), "kernels"].sum())
    assert f"{first:,} identified, {100 * first / total:.1f} %" in found
    assert len(figure) == len(ks)  # a page each
    assert all(len(page.findobj(AxesImage)) <= 2 * 12 for page in figure)  # few artists


def test_clusters_number_what_has_no_name_as_in_the_corpus() -> None:
    tables = family_tables(unnamed=6)
    shares = tables["shares"]
    unnamed = sorted(shares.loc[shares["label"] == "other", "cluster"].unique())
    rare = shares["cluster"].isin([unnamed[1], unnamed[3]])
    shares.loc[rare, "kernels"] = 0
    found = texts(drawn_clusters(tables))
    numbers = [text for text in found if text.startswith("no name ")]
    assert numbers == [f"no name {n}" for n in (1, 3, 5, 6)]


def test_clusters_whose_mean_looks_like_another_shape_say_so() -> None:
    tables = family_tables(clusters=None)
    squares = tables["clusters"]["label"] == "on-square"
    tables["clusters"].loc[squares, "template_label"] = "on-centre"
    figure = drawn_clusters(tables)
    assert "nearest: on-centre" in texts(figure)
    assert any("A mean can look like another shape" in text for text in texts(figure))
    assert not any("A mean can look" in text for text in texts(clusters_figure(clusters=None)))


def test_members_of_derivatives_come_from_every_direction_in_order() -> None:
    members = family_tables(clusters=None)["members"]
    first = members[members["label"].str.startswith(names.FIRST)]
    shown = _family_rows.chosen(first, directed=True)
    assert len(shown) == 12
    assert set(shown["label"]) == set(first.loc[first["identified"], "label"])
    angles = [int(label.split()[1][:-1]) for label in shown["label"]]
    assert angles == sorted(angles)
    centre = members[members["label"] == "on-centre"]
    shown = _family_rows.chosen(centre, directed=False)
    assert shown["identified"].tolist() == sorted(centre["identified"], reverse=True)


def test_clusters_without_members_or_controls() -> None:
    tables = family_tables()
    tables["members"] = tables["members"].iloc[:0]
    tables["models"] = tables["models"].loc[tables["models"]["trained"]]
    figure = drawn_clusters(tables)
    found = texts(figure)
    rows = [text for text in found if text in names.SHAPES or text.startswith("no name ")]
    assert found.count("no kernel of the trained networks") == len(rows) > 3
    assert not any("control" in text for text in found)
    assert_texts_apart(figure)


def test_clusters_of_a_family_with_controls_only() -> None:
    tables = family_tables()
    tables["members"] = tables["members"].iloc[:0]
    tables["models"] = tables["models"].loc[~tables["models"]["trained"]]
    assert_texts_apart(drawn_clusters(tables))


def test_spectrum_writes_lines_of_the_whole_code_and_shares_of_shapes() -> None:
    table = spectrum_table(points=1020)
    found = texts(spectrum.draw(table, seed=0))
    for code in range(7):
        assert found.count(f"{code / 6:.3f}") == (1 if code in (0, 6) else 2)
    shapes = table["label"].map(names.shape_of)
    share = 100 * table.loc[shapes == "on-centre", "density"].sum() / table["density"].sum()
    assert any(text.startswith(f"{share:.1f} %") for text in found)
    narrow = texts(spectrum_figure(stretch=2))
    assert {"●", "→", "│"} <= set(narrow)  # where the name is too wide
    wide = texts(spectrum_figure(stretch=40))
    assert {"on-centre", "first 0°", "second 0° +"} <= set(wide)


def test_spectrum_shows_the_commonest_name_under_a_square() -> None:
    labels = np.array(["other", "on-centre", "on-centre", "other", "on-cross", "on-cross"])
    places = np.arange(6) + 0.5
    assert spectrum._typical(labels, places, middle=2.0, tile=4.0) in (1, 2)
    assert spectrum._typical(labels, places, middle=4.5, tile=3.0) == 4


def test_stability_says_when_networks_cannot_be_left_out() -> None:
    alone = texts(stability_figure(networks=1))
    assert any(text.startswith("Not available") for text in alone)
    assert not any("have not seen it" in text for text in alone)
    several = texts(stability_figure(networks=2))
    assert not any(text.startswith("Not available") for text in several)
    assert several.count("−5.0") == 2  # what cross-fit costs
    assert "74.3 %" in several
    assert {"0 and 1", "0 and 2", "1 and 2"} <= set(several)


def test_classified_kernels_are_grouped_by_shape() -> None:
    found = texts(classified_figure())
    assert {shape for shape in names.SHAPES if shape != names.OTHER} <= set(found)
    assert {"315°: 8", "135° −: 8"} <= set(found)
    assert any(text.startswith("fits agree: ") for text in found)
    bare = texts(classified_figure(fitted=False))
    assert not any("fit" in text or "R²" in text for text in bare)


def test_one_model_in_models_and_layers() -> None:
    tables = family_tables()
    one = tables["composition"].loc[tables["composition"]["trained"]]
    assert_texts_apart(models.draw(tables["models"].iloc[:1], one))
    layers = tables["layers"].loc[tables["layers"]["trained"]]
    assert_texts_apart(family_layers.draw(one, layers, "convnextv2"))


def test_a_family_of_which_nothing_could_be_read_says_so() -> None:
    tables = family_tables()
    empty = {name: table.iloc[:0] for name, table in tables.items()}
    layers = family_layers.draw(empty["composition"], empty["layers"], "dead")
    clusters = drawn_clusters(empty)
    for figure in (layers, clusters):
        assert any("No kernels" in text for text in texts(figure))
    left_out = pd.DataFrame({"model": ["gone", "gated"]})
    of_all = models.draw(tables["models"], tables["composition"], left_out)
    told = " ".join(" ".join(texts(of_all)).split())
    assert "could not be read: gone, gated." in told


def test_training_of_one_step_and_many_seeds() -> None:
    assert_texts_apart(training_figure(seeds=12, steps=1))


def test_shares_by_shape_counts_identified_degenerate_and_the_rest() -> None:
    composition = pd.DataFrame(
        {
            "model": "net",
            "label": ["first-derivative 0°", "first-derivative 45°", "other", "degenerate"],
            "kernels": [40, 30, 20, 10],
            "identified": [35, 25, 0, 0],
            "too_far": [5, 2, 4, 0],
            "no_name": [0, 0, 16, 0],
            "seeds_disagree": [0, 3, 0, 0],
        }
    )
    shares = shares_by_shape(composition, ["model"]).loc["net"]
    assert shares["first-derivative"] == pytest.approx(60)
    assert shares[names.DEGENERATE] == pytest.approx(10)
    assert shares[[*style.UNIDENTIFIED.values()]].tolist() == pytest.approx([11, 16, 3])
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
    places = style.spread(wanted, 0.05)
    assert (np.diff(places) > 0.05 - 1e-9).all()
    assert places[3] == pytest.approx(0.5)
    assert places[0] >= 0
    assert places[-1] <= 1


def test_kernels_in_one_image_keep_their_places_and_colours() -> None:
    figure = Figure()
    page = style.axes_at(figure, 0, 0, 1, 1)
    page.set(xlim=(0, 1), ylim=(1, 0))
    bright = np.array([9.0, 1, 1, 1, 1, 1, 1, 1, 1])
    style.show_kernels(page, [bright, -bright], 3, [0.0, 0.4], 0.1, 0.3, [False, True])
    (image,) = page.images
    pixels = np.asarray(image.get_array())
    assert pixels.shape == (90, 210, 3)
    assert (pixels[:, 90:120] == 255).all()  # white between them
    assert pixels[10, 10, 0] > pixels[10, 10, 2]  # red
    assert pixels[10, 130, 2] > pixels[10, 130, 0]  # blue
    assert len(page.collections) == 2  # whole and dashed frames


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


def test_directions_are_rounded() -> None:
    assert names.first_derivative(30) == "first-derivative 45°"
    assert names.first_derivative(-10) == names.first_derivative(350) == "first-derivative 0°"
    assert names.second_derivative(170, 1) == "second-derivative 0° +"


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(KernelAtlasError, match="on-circle"):
        names.shape_of("on-circle")


class Shaken(ConstrainedLayoutEngine):
    """Places axes with an error in the last digits, as one process does beside another."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def execute(self, fig: Any) -> Any:
        found = super().execute(fig)
        for ax in fig.axes:
            ax._set_position(ax.get_position(original=True).translated(self.error, self.error))
        return found


def test_last_digits_of_a_layout_do_not_move_axes(tmp_path: Path) -> None:
    places, pages = [], []
    for number, error in enumerate((0.0, 1e-12)):
        figure = style.new_figure(4, 3, "a page")
        axes = figure.subplots(2, 2).ravel()
        for ax in axes:
            ax.plot(np.geomspace(1, 8, 60))
            ax.set_yscale("log")
        figure.set_layout_engine(Shaken(error))
        path = tmp_path / f"{number}.png"
        style.save(figure, path)
        places.append([ax.get_position().bounds for ax in axes])
        pages.append(path.read_bytes())
    assert places[0] == places[1]
    assert pages[0] == pages[1]
    assert len(set(places[0])) == 4

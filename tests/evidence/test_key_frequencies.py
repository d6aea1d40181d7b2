"""How often filters explain kernels best: planted kernels of known filters, layers and signs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kernelatlas.evidence.idealised import OPERATORS, idealised
from kernelatlas.evidence.masterkeys import random_filters
from kernelatlas.figures import frequencies as figure
from kernelatlas.figures import style
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.tables.key_frequencies import frequency_table
from kernelatlas.tables.masterkeys import (
    IDEALISED,
    KEYS,
    PROTOTYPES,
    PUBLISHED,
    RANDOM,
    filter_sets,
    filter_table,
)

K = 7
OWN = random_filters(8, K, 11)
COUNTS = {"first": (40, 20, 10, 10, 10, 5, 5, 0), "second": (30, 30, 0, 0, 10, 10, 10, 10)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of two networks; a third has no kernels of this size.

    The first has two layers, of kernels a·f + b with a > 0 but for the third filter; and 50
    constant kernels. The second has one layer, and a of random signs.
    """
    folder = tmp_path_factory.mktemp("frequencies")
    rng = np.random.default_rng(0)
    for name, counts in COUNTS.items():
        number = np.repeat(np.arange(8), counts)
        sign = np.where(number == 2, -1.0, 1.0)
        if name == "second":
            sign = rng.choice((-1.0, 1.0), len(number))
        raw = (rng.uniform(1, 2, len(number)) * sign)[:, None] * OWN[number]
        raw = (raw + rng.normal(size=(len(raw), 1))).astype(np.float32).reshape(-1, K, K)
        halves = [raw[::2], raw[1::2]] if name == "first" else [raw]
        layers = [Layer(f"dw{i}", half) for i, half in enumerate(halves)]
        if name == "first":
            layers[0] = Layer("dw0", np.concatenate([halves[0], np.ones((50, K, K), np.float32)]))
        write_kernels(folder / name, name, layers, {})
    write_kernels(folder / "third", "third", [Layer("dw", np.ones((4, 3, 3), np.float32))], {})
    kernels = random_filters(30, K, 5)
    published = idealised(K, "B")[1]
    sets, scales = filter_sets(OWN, OWN[:2], kernels, 30, published)
    filters = filter_table(sets, np.linspace(0, 1, 8), scales, kernels, np.ones(30))
    models = [["first", "f", True, ""], ["second", "f", False, ""], ["third", "g", True, ""]]
    paths = [folder / name for name, *_ in models]
    return frequency_table(paths, models, K, sets, filters), filters


def test_shares_and_signs_are_those_that_were_planted(
    found: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table, _ = found
    assert set(table["model"]) == {"first", "second"}
    assert not {PROTOTYPES, RANDOM} & set(table["filters"])
    for name, counts in COUNTS.items():
        own = table[(table["model"] == name) & (table["filters"] == KEYS)]
        assert own["number"].tolist() == list(range(1, 9))
        assert own["kernels"].unique().tolist() == [100]  # constant ones are left out
        assert own["share"].tolist() == pytest.approx([n / 100 for n in counts])
        assert own["mean_r2"].dropna().tolist() == pytest.approx([1] * np.count_nonzero(counts))
    first = table[(table["model"] == "first") & (table["filters"] == KEYS)].set_index("number")
    assert first["share_positive"].dropna().to_dict() == {1: 1, 2: 1, 3: 0, 4: 1, 5: 1, 6: 1, 7: 1}
    assert (first["low"] <= first["share"]).all()
    assert (first["share"] <= first["high"]).all()
    assert (first["high"] > first["low"]).all()
    second = table[(table["model"] == "second") & (table["filters"] == KEYS)]
    assert second["low"].isna().all()  # of one layer there is no interval


def test_the_shares_of_noise_follow_from_symmetry(
    found: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """Unrelated directions share white noise evenly; the sixteen signs of one are one filter."""
    table, _ = found
    noise = table.drop_duplicates(["filters", "number"]).set_index("filters")["share_noise"]
    assert noise.groupby(level=0).sum().tolist() == pytest.approx([1.0] * noise.index.nunique())
    assert noise[KEYS].tolist() == pytest.approx([1 / 8] * 8, abs=0.03)


def test_published_filters_are_matched_with_all_others(
    found: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """What is called published here are the idealised filters of scales B."""
    table, filters = found
    same = filters[filters["filters"] == f"{IDEALISED} B"]
    assert same["published"].tolist() == list(range(1, 9))
    assert same["published_r2"].tolist() == pytest.approx([1] * 8, abs=1e-5)
    others = filters[filters["filters"] == f"{IDEALISED} D2"]
    assert sorted(others["published"]) == list(range(1, 9))
    assert others["published_r2"].between(0.5, 1.001).all()
    keys = filters[filters["filters"] == KEYS]
    assert sorted(keys["published"]) == list(range(1, 9))
    published = filters[filters["filters"] == PUBLISHED]
    assert published["name"].tolist() == list(OPERATORS)
    cosine = OWN @ np.stack(published["weights"].tolist()).T
    number = keys["published"].to_numpy(int) - 1
    assert keys["published_r2"].tolist() == pytest.approx(cosine[range(8), number] ** 2)
    assert set(table.loc[table["filters"] == PUBLISHED, "name"]) == set(OPERATORS)


@pytest.mark.parametrize("published", [True, False])
def test_figure(published: bool, found: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    table = found[0] if published else found[0].query("filters != 'published'")
    (page,) = figure.draw(table, k=K)
    assert [ax.get_title(loc="left") or ax.get_title() for ax in page.axes] == [
        "master keys",
        *(["published"] if published else []),
        "idealised (scales D2)",
    ]
    assert page.axes[0].images[0].get_array().shape == (3, 8)  # two networks, and noise
    for name in "ab":
        style.save(figure.draw(table, k=K), tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()

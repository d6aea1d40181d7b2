"""Selections of kernels: filters, order, pages and download, against pandas on the tables."""

import re
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys
from truth import TILE, shares_of_colours

SIZE = "7x7"
STEP = 0.3 / 64  # levels of the dissimilarity


# What may stand in an address, and which kernels that leaves.
FILTERS = {
    ("family", "convnextv2"): lambda t: t["family"] == "convnextv2",
    ("family", "planted"): lambda t: t["family"] == "planted",
    ("network", "convnextv2_mini"): lambda t: t["model"] == "convnextv2_mini",
    ("trained", "yes"): lambda t: t["trained"],
    ("trained", "no"): lambda t: ~t["trained"],
    ("shape", "on-centre"): lambda t: t["shape"] == "on-centre",
    ("shape", "first-derivative"): lambda t: t["shape"] == "first-derivative",
    ("shape", "other"): lambda t: t["shape"] == "other",
    ("shape", "degenerate"): lambda t: t["degenerate"],
    ("label", "first-derivative 45°"): lambda t: t["label"] == "first-derivative 45°",
    ("identified", "yes"): lambda t: t["identified"],
    ("identified", "no"): lambda t: ~t["identified"],
    ("reason", "too far"): lambda t: t["reason"] == "too far",
    ("reason", "no name"): lambda t: t["reason"] == "no name",
    ("reason", "seeds disagree"): lambda t: t["reason"] == "seeds disagree",
    ("reason", "degenerate"): lambda t: t["reason"] == "degenerate",
    ("agreement", 3): lambda t: np.isclose(t["agreement"].astype(float), 1),
    ("agreement", 1): lambda t: np.isclose(t["agreement"].astype(float), 1 / 3),
    ("r2", 0.8): lambda t: t["r2"].astype(float) >= 0.8,
    ("r2_to", 0.6): lambda t: t["r2"].astype(float) < 0.6,
    ("dissimilarity", 0.15): lambda t: t["dissimilarity"].astype(float) >= 0.15,
    ("dissimilarity_to", 0.3): lambda t: t["dissimilarity"].astype(float) < 0.3,
}


def expected(kernels, query):
    chosen = pd.Series(True, kernels.index)
    for item in query.items():
        chosen &= pd.Series(FILTERS[item](kernels), kernels.index).fillna(False).astype(bool)
    return kernels[chosen]


def count(page):
    return int(re.match(r"([\d,]+) kernels?", page.text("#kernels-count"))[1].replace(",", ""))


def some_queries():
    """Each filter alone, and some two, three and four of different names together."""
    random = np.random.default_rng(0)
    items = list(FILTERS)
    yield from ([item] for item in items)
    for number in [2] * 10 + [3] * 8 + [4] * 4:
        chosen = [items[i] for i in random.permutation(len(items))[:number]]
        yield [item for i, item in enumerate(chosen) if item[0] not in dict(chosen[:i])]


def test_any_filters_leave_the_kernels_that_pandas_finds(page, of_7x7):
    page.show("kernels", size=SIZE)
    found = 0
    for items in some_queries():
        query = dict(items)
        wanted = expected(of_7x7, query)
        page.go("kernels", size=SIZE, **query)
        if page.alerts:  # such as agreement among degenerate kernels
            raise AssertionError((query, page.alerts))
        assert count(page) == len(wanted), query
        rows = page.rows("#kernels-results")
        assert len(rows) == len(set(rows))
        assert len(rows) == len(wanted) if len(wanted) <= 400 else 200 < len(rows) <= 400, query
        assert set(rows) <= set(wanted["row"]), query
        found += 0 < len(wanted) < len(of_7x7)
    assert found > 30  # the sample is no empty one


def test_the_pages_of_a_selection_are_all_of_it(page, of_7x7):
    page.show("kernels", size=SIZE)
    rows = page.rows("#kernels-results")
    pages = -(-len(of_7x7) // 400)
    for number in range(2, pages + 1):
        page.one("#page-next").click()
        page.until(lambda n=number: f"page={n}" in page.place, "no next page")
        page.wait()
        rows += page.rows("#kernels-results")
    assert sorted(rows) == sorted(of_7x7["row"])
    assert page.all("a#page-next") == []


@pytest.mark.parametrize("sort", ["r2", "dissimilarity", "agreement"])
def test_kernels_are_sorted_as_pandas_sorts_them(page, of_7x7, sort):
    step = {"r2": 1 / 250, "dissimilarity": STEP, "agreement": 0.3}[sort]
    page.show("kernels", size=SIZE)
    for order in ("down", "up"):
        for query in ({}, {"identified": "yes"}):
            page.go("kernels", size=SIZE, sort=sort, order=order, **query)
            wanted = expected(of_7x7, query)
            values = wanted.loc[page.rows("#kernels-results"), sort].astype(float)
            best = wanted[sort].astype(float).sort_values(ascending=order == "up")[: len(values)]
            assert len(values) == min(400, len(wanted))
            assert np.abs(values.to_numpy() - best.to_numpy()).max() <= step


def test_in_the_order_of_the_tables_layers_and_channels_follow_one_another(page, of_7x7):
    page.show("kernels", size=SIZE, network="convnextv2_mini", sort="table")
    own = of_7x7[of_7x7["model"] == "convnextv2_mini"]
    assert page.rows("#kernels-results") == own["row"].tolist()[:400]


def test_the_fields_choose_what_the_address_then_says(page, of_7x7):
    page.show("kernels", size=SIZE)
    page.choose("#filter-family", "convnextv2")
    page.choose("#filter-network", "convnextv2_mini")
    layers = of_7x7.loc[of_7x7["model"] == "convnextv2_mini", "layer"].unique()
    assert page.attributes("#filter-layer option", "value") == ["", *layers]
    page.choose("#filter-layer", layers[2])
    page.choose("#filter-identified", "yes")
    field = page.one("#filter-r2")
    field.send_keys("0.8", Keys.TAB)
    page.until(lambda: "r2=0.8" in page.place, "the address does not follow")
    page.wait()
    query = {name: values[0] for name, values in parse_qs(page.place.partition("?")[2]).items()}
    assert query == {
        "size": SIZE, "family": "convnextv2", "network": "convnextv2_mini", "layer": layers[2],
        "identified": "yes", "r2": "0.8",
    }  # fmt: skip
    wanted = expected(of_7x7, {"identified": "yes", "r2": 0.8, "network": "convnextv2_mini"})
    wanted = wanted[wanted["layer"] == layers[2]]
    assert count(page) == len(wanted)
    assert set(page.rows("#kernels-results")) == set(wanted["row"])
    page.one("#clear").click()
    page.until(lambda: page.place == f"#/kernels?size={SIZE}", "the filters are not cleared")
    page.wait()
    assert count(page) == len(of_7x7)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"r2": "much"}, "much” is no number"),
        ({"family": "none"}, "no family none"),
        ({"network": "none"}, "network none has no kernels"),
        ({"network": "convmixer_mini"}, "convmixer_mini has no kernels of 7x7"),
        ({"network": "convnextv2_mini", "layer": "x"}, "no layer x"),
        ({"layer": "x"}, "without its network"),
        ({"shape": "round"}, "have the shape round"),
        ({"size": "8x8"}, "no kernels of size 8x8"),
        ({"size": "3x11", "identified": "yes"}, "not studied"),
    ],
)
def test_an_address_that_cannot_be_is_said_in_words(page, query, words):
    page.show("kernels", **({"size": SIZE} | query))
    (alert,) = page.alerts
    assert words in alert


def test_tiles_are_the_kernels_named_by_what_is_known_of_them(page, of_7x7, index):
    page.show("kernels", size=SIZE, network="hostile-1.0_x")
    tiles = page.all("#kernels-results a.kernel")
    own = of_7x7[of_7x7["model"] == "hostile-1.0_x"]
    assert len(tiles) == len(own)
    for tile in tiles[:: len(tiles) // 6]:
        kernel = own.loc[int(tile.get_attribute("data-row"))]
        name = tile.accessible_name
        assert "hostile-1.0_x" in name
        weights = kernel["weights"].reshape(7, 7).astype(float)
        if not np.isfinite(weights).all() or np.ptp(weights) == 0:
            continue
        assert f"dissimilarity {kernel['dissimilarity']:.1f}"[:-1] in name
        found = shares_of_colours(page, TILE, tile, (7, 7), index["kernel_map"])
        centred = weights - weights.mean()
        assert np.abs(found - centred / np.abs(centred).max()).max() < 0.03


def saved(page, downloads, name):
    """Download the selection that is shown and read it."""
    path = downloads / name
    path.unlink(missing_ok=True)
    page.one("#csv").click()
    page.until(lambda: "written" in page.text("#csv-told"), "nothing is written")
    page.until(path.exists, "there is no file")
    page.until(lambda: not list(downloads.glob("*.crdownload")), "the file is not whole")
    told = int(page.text("#csv-told").split()[0].replace(",", ""))
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert len(table) == told
    return table


@pytest.mark.parametrize("query", [{}, {"identified": "yes", "r2": 0.8}, {"family": "planted"}])
def test_a_download_has_the_keys_and_values_of_the_tables(page, of_7x7, downloads, query):
    page.show("kernels", size=SIZE, **query)
    table = saved(page, downloads, f"kernels_{SIZE}.csv")
    wanted = expected(of_7x7, query).sort_values(["order", "layer_index", "channel"])
    keys = ["model", "layer", "layer_index", "channel"]
    assert table[keys].to_numpy().tolist() == wanted[keys].to_numpy().tolist()
    for name in ("k", "label", "identified", "reason", "function", "form"):
        own = table[name].astype(object).where(table[name].notna(), None).tolist()
        theirs = wanted[name].astype(object).where(wanted[name].notna(), None).tolist()
        assert own == theirs, name
    for name, step in {"agreement": 0.001, "dissimilarity": STEP, "r2": 1 / 250}.items():
        own, theirs = table[name].to_numpy(float), wanted[name].to_numpy(float)
        live = ~wanted["degenerate"].to_numpy()
        far = theirs > 254 * STEP  # has the last level alone
        near = (np.abs(own - theirs) <= step) | (far if name == "dissimilarity" else False)
        assert near[live].all(), name
        assert np.isnan(own[~live]).all() or name == "r2"


def test_a_download_of_a_size_that_is_not_studied_has_its_kernels(page, kernels, downloads):
    page.show("kernels", size="3x11")
    table = saved(page, downloads, "kernels_3x11.csv")
    own = kernels[kernels["size"] == "3x11"]
    columns = ["model", "layer", "layer_index", "channel", "kh", "kw"]
    assert table[columns].to_numpy().tolist() == own[columns].to_numpy().tolist()

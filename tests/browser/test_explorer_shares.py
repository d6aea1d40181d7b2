"""Overview, shapes and networks: their numbers and pictures against the tables."""

import re
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from pages import NO_BREAK
from truth import CANVAS, of_size, shares_of_colours
from zoo import SIZES, SKIPPED

NULLS = ["covariance", "shuffled", "white", "untrained"]
PART = re.compile(r"(.+): ([\d.]+) %, ([\d,]+) kernels?$")


def share(text):
    """Read `12.3 % (10–15)`: a share and, if there is one, its interval."""
    found = re.match(r"([\d.]+) %(?: \(([\d.]+)–([\d.]+)\))?$", text)
    return [None if part is None else float(part) for part in found.groups()]


def is_share(text, row):
    """Whether a text says share_identified, low and high of a row, to the digits it has."""
    value, low, high = share(text)
    near = abs(value - 100 * row["share_identified"]) <= 0.051
    if low is not None:
        near &= abs(low - 100 * row["low"]) <= 0.51
        near &= abs(high - 100 * row["high"]) <= 0.51
    return near and (low is not None) == np.isfinite(row["low"])


def columns(page, table):
    """Return a table as a frame, its columns by their headings without the mark of sorting."""
    head, *rows = page.table(table)
    return pd.DataFrame(rows, columns=[re.sub(r"\s*[▲▼↕]$", "", text).strip() for text in head])


def test_the_overview_counts_what_the_tables_have(page, kernels, zoo):
    page.show()
    networks = sum(len(pd.read_parquet(n.kernels)) > 0 for n in zoo.networks)
    families = len({n.family for n in zoo.networks})
    told = page.text("#counts")
    assert f"{len(kernels):,} kernels of {networks} networks in {families} families" in told
    table = columns(page, "#sizes-table")
    sizes = kernels.groupby("size")
    assert sorted(table["Size"].str.replace("×", "x")) == sorted(sizes.groups)
    for row in table.itertuples():
        own = sizes.get_group(row.Size.replace("×", "x"))
        layers = own[["model", "layer_index"]].drop_duplicates()
        numbers = [len(own), own["model"].nunique(), len(layers)]
        assert [row.Kernels, row.Networks, row.Layers] == [f"{n:,}" for n in numbers]


def test_shares_stand_beside_their_nulls_as_the_tables_have_them(page, zoo):
    page.show()
    table = columns(page, "#sizes-table").set_index("Size")
    headings = ["same covariance", "shuffled pixels", "white noise", "untrained controls"]
    for k in SIZES:
        nulls = pd.read_parquet(zoo.nulls[k]).rename(columns={"share": "share_identified"})
        chosen = (nulls["family"] == "all families") & (nulls["rule"] == "identified")
        nulls = nulls[chosen].set_index("set")
        row = table.loc[f"{k}×{k}"]
        assert is_share(row["Identified, trained"], nulls.loc["trained"])
        for heading, name in zip(headings, NULLS, strict=True):
            assert is_share(row[heading], nulls.loc[name]), (k, name)
    assert table.loc["3×11", "Identified, trained"] == "not studied"
    assert set(table.loc["3×11", headings]) == {""}


def test_each_network_has_the_share_of_its_table(page, zoo):
    models = pd.read_parquet(zoo.shares.models)
    page.show(size="7x7")
    table = columns(page, "#networks-table").set_index("Network")
    own = models[models["k"] == 7].set_index("model")
    assert set(table.index) == set(own.index)
    for name, row in own.iterrows():
        assert table.loc[name, "Kernels"] == f"{row['kernels']:,}"
        assert is_share(table.loc[name, "Identified"], row)
    assert table.loc["convnextv2_mini", "Trained on"] == "<i>pictures</i>"  # a text, no markup


def test_a_network_that_was_left_out_is_named_with_the_reason(page):
    page.show()
    (row,) = page.table("#left-out-table")[1:]
    assert row == ["gone", "planted", SKIPPED]


@pytest.mark.parametrize("column", ["kernels", "identified", "network"])
def test_a_click_on_a_heading_sorts_a_table_and_stays_in_the_address(page, zoo, column):
    own = pd.read_parquet(zoo.shares.models).query("k == 7")
    key = {"kernels": "kernels", "identified": "share_identified", "network": "model"}[column]
    page.show(size="7x7")
    for _ in range(2):
        page.one(f"#networks-table-{column}").click()
        page.until(lambda: f"sort={column}" in page.place, "the address does not follow")
        page.wait()
        names = columns(page, "#networks-table")["Network"].tolist()
        down = parse_qs(page.place.partition("?")[2])["order"] == ["down"]
        values = own.set_index("model", drop=False).loc[names, key].tolist()
        assert values == sorted(values, reverse=down)
        shown = page.attributes(f"#networks-table th:has(#networks-table-{column})", "ariaSort")
        assert shown == ["descending" if down else "ascending"]


def test_prototypes_are_the_means_of_their_members(page, kernels, index, zoo):
    page.show("shapes", size="7x7")
    clusters = pd.read_parquet(zoo.folder / "clusters/k7.parquet")
    own = of_size(kernels, "7x7", index, zoo)
    links = page.all(".prototypes a.kernel")
    assert len(links) == len(clusters)
    for link in links:
        query = parse_qs(link.get_attribute("hash").partition("?")[2])
        if "label" in query:
            row = clusters[clusters["label"] == query["label"][0]].iloc[0]
            members = (own["label"] == row["label"]).sum()
        else:
            cell = int(query["cell"][0])
            row = clusters.iloc[cell]
            members = (own["cell"] == cell).sum()
        name = link.accessible_name
        assert f"prototype of {members:,} kernel" in name
        assert f"nearest template {row['template']}, cosine {row['template_cosine']:.2f}" in name
        canvas = link.find_element("css selector", "canvas")
        found = shares_of_colours(page, CANVAS, canvas, (7, 7), index["kernel_map"]).ravel()
        prototype = np.asarray(row["prototype"], float)
        centred = prototype - prototype.mean()
        assert np.abs(found - centred / np.abs(centred).max()).max() < 0.02


def test_a_shape_has_its_share_in_each_trained_network_and_real_members(page, kernels, index, zoo):
    shapes = pd.read_parquet(zoo.shares.shapes).query("k == 7 and shape == 'first-derivative'")
    shares = shapes.rename(columns={"share": "share_identified"}).set_index("model")
    own = of_size(kernels, "7x7", index, zoo)
    page.show("shapes/first-derivative", size="7x7")
    table = columns(page, "#shape-table").set_index("Network")
    trained = own[own["trained"]]
    assert set(table.index) == set(trained["model"])
    for name, row in table.iterrows():
        members = own[(own["model"] == name) & (own["shape"] == "first-derivative")]
        assert row["Kernels of the shape"] == f"{len(members):,}"
        assert is_share(row["Identified as it"], shares.loc[name])
    rows = page.rows("#members")
    assert len(rows) > 100
    members = own.loc[rows]
    assert (members["shape"] == "first-derivative").all()
    assert members["trained"].all()


def test_what_has_no_name_is_shown_in_its_clusters(page, kernels, index, zoo):
    own = of_size(kernels, "7x7", index, zoo)
    page.show("shapes", size="7x7")
    counts = dict(
        zip(
            page.texts("#not-identified li a"),
            (int(re.search(r"([\d,]+) kernel", t)[1].replace(",", "")) for t in
             page.texts("#not-identified li")),
            strict=True,
        )
    )  # fmt: skip
    assert counts == own.loc[~own["identified"], "reason"].value_counts().to_dict()
    page.go("shapes/other", size="7x7")
    rows = page.rows("#members")
    assert rows
    assert (own.loc[rows, "shape"] == "other").all()


def parts_by_pandas(layer):
    part = layer["shape"].where(layer["identified"], layer["reason"])
    return part.value_counts().to_dict()


@pytest.mark.parametrize("name", ["convnextv2_mini", "mobilenetv3_mini.untrained"])
def test_bars_of_layers_are_the_counts_of_pandas_and_a_click_shows_these_kernels(
    page, kernels, name, zoo, index
):
    size = "7x7" if "next" in name else "5x5"
    own = of_size(kernels, size, index, zoo)
    own = own[own["model"] == name]
    page.show(f"networks/{name}", size=size)
    layers = own.groupby("layer_index")
    items = page.all("#layers > li")
    assert [item.get_attribute("data-layer") for item in items] == [
        layer["layer"].iloc[0] for _, layer in layers
    ]
    clicked = None
    for item, (_, layer) in zip(items, layers, strict=True):
        segments = item.find_elements("css selector", "a.segment")
        found = {}
        for segment in segments:
            part, percent, count = PART.match(
                segment.accessible_name.replace(NO_BREAK, " ")
            ).groups()
            part = part.removeprefix("not identified: ")
            found[part] = int(count.replace(",", ""))
            assert abs(float(percent) - 100 * found[part] / len(layer)) <= 0.051
        if len(layer) >= 30:
            assert found == parts_by_pandas(layer)
            widths = [segment.rect["width"] for segment in segments]
            assert np.allclose(
                np.array(widths) / sum(widths),
                np.array(list(found.values())) / len(layer),
                atol=0.05,
            )
            clicked = clicked or (segments[0], next(iter(found)), layer)
        else:
            assert found == {}
    segment, part, layer = clicked
    segment.click()
    page.until(lambda: page.place.startswith("#/kernels?"), "the click goes nowhere")
    page.wait()
    rows = page.rows()
    wanted = layer[(layer["shape"] == part) & layer["identified"] | (layer["reason"] == part)]
    assert sorted(rows) == sorted(wanted["row"])


def test_networks_are_found_by_family_and_by_a_part_of_their_names(page, kernels):
    page.show("networks", size="7x7")
    names = set(kernels.loc[kernels["size"] == "7x7", "model"])
    assert set(columns(page, "#networks-list")["Network"]) == names
    page.one("#networks-name").send_keys("untr")
    page.until(lambda: "name=untr" in page.place, "the address does not follow")
    page.wait()
    assert set(columns(page, "#networks-list")["Network"]) == {n for n in names if "untr" in n}
    assert page.js("return document.activeElement.id") == "networks-name"
    page.show("networks", size="7x7", family="planted")
    assert columns(page, "#networks-list")["Network"].tolist() == ["hostile-1.0_x"]

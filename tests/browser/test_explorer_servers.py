"""Other servers, and explorers that are damaged: what the page then shows and says."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import serve, watched

VIEWS = {
    "kernels": {"size": "7x7"},
    "curve": {"size": "7x7"},
    "kernel/convnextv2_mini/stages.0.blocks.0.conv_dw/0": {},
    "shapes/on-centre": {"size": "7x7"},
    "find": {"size": "3x3", "kernel": "0,0,0,0,1,0,0,0,0"},
}
STATIC = str(Path(__file__).parent / "static.py")


def test_a_server_of_single_ranges_shows_the_same_without_whole_files(page, driver, explorer):
    queries = [{"network": "hostile-1.0_x"}, {"identified": "yes", "r2": 0.8, "sort": "r2"}]
    wanted = []
    for query in queries:
        page.show("kernels", size="7x7", **query)
        wanted.append((page.text("#kernels-count"), page.rows()))
    with serve(explorer, STATIC, "ranges", str(explorer.parent)) as address:
        for other in watched(driver, f"{address}{explorer.name}/"):  # below another address
            for query, (count, rows) in zip(queries, wanted, strict=True):
                other.show("kernels", size="7x7", **query)
                assert (other.text("#kernels-count"), other.rows()) == (count, rows)
            assert other.alerts == []


def test_a_server_without_ranges_is_said_in_words(driver, explorer):
    with serve(explorer, STATIC, "none", str(explorer)) as address:
        for page in watched(driver, address):
            for place, query in VIEWS.items():
                page.show(place, **query)
                (alert,) = page.alerts
                assert "This web server sends whole files only" in alert
                assert "kernelatlas explore" in alert


def test_a_server_that_went_away_is_said_in_words(driver, explorer):
    with serve(explorer) as address:
        page = next(watched(driver, address)).show()
    page.go("kernels", size="7x7")
    assert "The server does not answer" in page.alerts[0]


def test_a_page_opened_as_a_file_says_how_to_show_it(driver, explorer, page):
    driver.get((explorer / "index.html").as_uri())
    page.until(lambda: page.text("main"), "the page is blank")
    assert "kernelatlas explore" in page.text("main [role=alert]")
    page.collect().console.clear()  # modules are not loaded from files
    page.requested.clear()


@pytest.fixture
def damaged(explorer, tmp_path):
    return shutil.copytree(explorer, tmp_path / "explorer")


def damage(path, how):
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(content[:-100])
    elif how == "header":
        path.write_bytes(b"\x00" * 16 + content[16:])
    elif how == "type":
        path.write_bytes(content.replace(b"'|i1'", b"'|u1'", 1).replace(b"'<u4'", b"'<i2'", 1))
    elif how == "text":
        path.write_bytes(content[: len(content) // 2])
    elif how == "version":
        path.write_text(json.dumps(json.loads(content) | {"version": 99}))


@pytest.mark.parametrize(
    ("file", "how", "place", "words"),
    [
        ("7x7/weights.npy", "missing", "kernels?size=7x7", "weights.npy is missing"),
        ("7x7/weights.npy", "short", "kernels?size=7x7", "weights.npy has "),
        ("7x7/weights.npy", "header", "kernels?size=7x7", "weights.npy is no NumPy array"),
        ("7x7/weights.npy", "type", "kernels?size=7x7", "weights.npy has type |u1"),
        ("7x7/network_starts.npy", "header", "kernels?size=7x7", "is no NumPy array"),
        ("7x7/curve.npy", "missing", "curve?size=7x7", "curve.npy is missing"),
        ("networks/convnextv2_mini.json", "text", "networks/convnextv2_mini", "is no JSON"),
        ("networks/convnextv2_mini.json", "missing", "networks/convnextv2_mini", "is missing"),
        ("index.json", "missing", "", "index.json is missing"),
        ("index.json", "text", "", "index.json is no JSON"),
        ("index.json", "version", "", "The data have version 99"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(driver, damaged, file, how, place, words):
    damage(damaged / "data" / file, how)
    # Any server: `kernelatlas explore` does not begin with some of these.
    with serve(damaged, STATIC, "ranges", str(damaged)) as address:
        for page in watched(driver, address):
            page.show(place)
            assert page.text("h1")
            (alert,) = page.alerts
            assert words in alert
            assert "snakemake explorer" in alert
            assert page.all("nav a")  # other pages are still there
            page.collect().console.clear()  # which names files that are not there

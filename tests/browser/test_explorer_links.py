"""Every state of the page is an address; names are texts, whatever they are."""

import json
from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys
from zoo import HOSTILE

KERNEL = ",".join(["1", "0.5", "0"] * 3)
PLACES = [
    "",
    "?size=5x5&sort=identified&order=up",
    "shapes?size=7x7",
    "shapes/first-derivative?size=5x5&sort=network&order=up",
    "networks?size=7x7&family=convnextv2",
    "networks/convnextv2_mini?size=7x7",
    "curve?size=9x9&seed=2&point=17",
    "kernels?size=7x7&trained=yes&identified=no&sort=dissimilarity&order=down",
    "kernels?size=7x7&page=2",
    f"kernel/hostile-1.0_x/{quote(HOSTILE[1], safe='')}/3",
    f"find?size=3x3&kernel={quote(KERNEL)}&sign=any",
]


def state(page):
    """Return all that a reader sees: texts, values of fields, kernels of mosaics."""
    fields = "return [...document.querySelectorAll('main select, main input')].map((f) =>"
    values = page.js(fields + " f.type === 'checkbox' || f.type === 'radio' ? f.checked : f.value)")
    text = page.text("main").split("searched in")[0]  # so many seconds
    return page.js("return document.title"), text, values, page.rows()


@pytest.fixture
def fresh_tab(page):
    """A tab of its own: a history has 50 entries at most."""
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.resize(1280)
    yield page
    page.collect()
    page.driver.close()
    page.driver.switch_to.window(first)


def test_every_state_is_the_same_when_it_is_loaded_again_and_when_one_comes_back(fresh_tab):
    page = fresh_tab.show()
    seen = []
    for place in PLACES:
        page.go(place)
        assert page.alerts == [], place
        seen.append((page.place, state(page)))
        assert seen[-1][0].lstrip("#/") == place or "kernel=" in place or place == ""
    for place, before in seen:
        page.driver.get("about:blank")
        page.driver.get(page.address + place)
        assert state(page.wait()) == before, place
    page.show()
    for place, _ in seen[1:]:
        page.go(place.removeprefix("#/"))
    for place, before in reversed(seen[:-1]):
        page.driver.back()
        page.until(lambda p=place: page.place == p, "the way back leads elsewhere")
        page.until(lambda s=before: state(page.wait()) == s, f"{place} is another")
    for place, before in seen[1:4]:
        page.driver.forward()
        page.until(lambda p=place: page.place == p, "the way forward leads elsewhere")
        page.until(lambda s=before: state(page.wait()) == s, f"{place} is another")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nothing", "There is no page nothing"),
        ("__proto__", "There is no page __proto__"),
        ("networks/none", "There is no network none"),
        ("networks/gone", "gone was left out: owner/<b>gone</b>: no such file"),
        ("shapes/round?size=7x7", "There is no shape round"),
        ("kernel/convnextv2_mini/none/0", "has no layer none"),
        ("kernel/convnextv2_mini/stages.0.blocks.0.conv_dw/9999", "has no channel 9999"),
        ("kernel/convnextv2_mini/stages.0.blocks.0.conv_dw/x", "has no channel"),
        ("kernel?size=7x7&row=99999999", "has no kernel 99999999"),
        ("%E0%A4%A", "There is no page"),
    ],
)
def test_addresses_that_lead_nowhere_are_said_in_words(page, place, words):
    page.show(place)
    assert words in page.alerts[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_layers_are_texts_wherever_they_stand(page, name):
    page.show("networks/hostile-1.0_x", size="7x7" if name != HOSTILE[1] else "3x3")
    (link,) = [a for a in page.all("#layers a.layer") if name in a.text]
    link.click()
    page.until(lambda: page.place.startswith("#/kernels?"), "the link leads nowhere")
    page.wait()
    assert page.alerts == []
    assert page.one("#filter-layer").get_attribute("value") == name
    tiles = page.all("a.kernel")
    assert len(tiles) == 40 or len(tiles) > 20
    page.until(lambda: page.all("a.kernel[data-placed]"), "the kernels have no names")
    assert name in page.one("a.kernel[data-placed]").get_attribute("aria-label")
    page.one("a.kernel[data-placed]").click()
    page.until(lambda: page.place.startswith("#/kernel/"), "the link leads nowhere")
    page.wait()
    assert name in page.text("h1")
    assert name in page.js("return document.title")
    assert page.all("main img, main script, main iframe") == []


def test_the_network_and_source_are_texts(page):
    page.show("networks/convnextv2_mini")
    assert "<i>pictures</i>" in page.text("dl.facts")
    assert page.all("main i") == []


def test_neighbours_lead_from_kernel_to_kernel(page, explorer):
    network = json.loads((explorer / "data/networks/convnextv2_mini.json").read_text())
    layer, after = network["layers"]["7x7"][:2]
    page.show(f"kernel/convnextv2_mini/{layer['name']}/0")
    page.one("nav.neighbours a[rel=next]").click()
    page.until(lambda: page.place.endswith(f"{layer['name']}/1"), "no next channel")
    page.wait()
    link = next(a for a in page.all("nav.neighbours a") if "Layer after" in a.text)
    link.send_keys(Keys.ENTER)
    page.until(lambda: page.place.endswith(f"{after['name']}/1"), "no next layer")
    page.wait()
    assert after["name"] in page.text("h1")

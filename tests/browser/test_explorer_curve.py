"""The curve: what its slider draws, names and counts, and the kernels that it shows there."""

import re

import numpy as np
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from truth import CANVAS, shares_of_colours

from kernelatlas.clustering.clusters import name_points
from kernelatlas.clustering.curve import Curve

SIZE, SEED = "7x7", 1


@pytest.fixture(scope="module")
def curve(zoo):
    return Curve.load(zoo.folder / f"autoencoders/k7_seed{SEED}.safetensors")


@pytest.fixture(scope="module")
def codes(of_7x7, curve):
    """The point of each kernel of trained networks with a code, by its row."""
    live = of_7x7[~of_7x7["degenerate"] & of_7x7["trained"]]
    codes = np.stack(live["codes"].to_numpy())[:, SEED]
    return dict(zip(live["row"], np.floor(codes * len(curve.points)).astype(int), strict=True))


def here(page):
    """Return the point that the slider tells: its code, name and number of kernels."""
    text = page.one("#code").get_attribute("aria-valuetext")
    code, name, count = re.match(r"code ([\d.]+), (.+), ([\d,]+) kernels?", text).groups()
    return float(code), name.replace("−", "-"), int(count.replace(",", ""))


def there(page, point):
    """Wait until the kernels of a point are shown; return their rows and what is said of them."""
    page.until(lambda: page.place.endswith(f"point={point}"), "the address does not follow")
    here = (point + 0.5) / 128

    def said():
        found = re.search(r"from ([\d.]+) to ([\d.]+)", page.text("section [role=status]"))
        return found and float(found[1]) <= here <= float(found[2])

    page.until(said, "the kernels do not follow")
    page.wait()
    return page.rows(), page.text("section [role=status]")


def is_point(page, point, curve, codes, index):
    names = name_points(curve, index["minimum_cosine"])
    code, name, count = here(page)
    assert abs(code - (point + 0.5) / len(curve.points)) < 1e-4
    assert name == names[point]
    assert count == sum(own == point for own in codes.values())
    canvas = page.one(".decoded canvas")
    found = shares_of_colours(page, CANVAS, canvas, (7, 7), index["kernel_map"]).ravel()
    drawn = curve.points[point] - curve.points[point].mean()
    assert np.abs(found - drawn / np.abs(drawn).max()).max() < 0.02


def are_there(rows, said, curve, codes):
    """Whether kernels lie where the page says, and are as many as it says."""
    points = len(curve.points)
    assert rows
    low, high = (float(text) for text in re.findall(r"from ([\d.]+) to ([\d.]+)", said)[0])
    within = [
        n for n in codes.values() if low - 1e-3 < n / points and (n + 1) / points < high + 1e-3
    ]
    among = int(re.search(r"of the ([\d,]+) kernels", said)[1].replace(",", ""))
    assert among == len(within)
    assert all(low - 1e-3 < codes[row] / points < high + 1e-3 for row in rows)


def test_keys_move_along_the_curve_and_kernels_follow(page, curve, codes, index):
    page.show("curve", size=SIZE, seed=SEED, point=40)
    is_point(page, 40, curve, codes, index)
    page.js("document.querySelector('#code').focus()")
    point = 40
    for key, step in [(Keys.ARROW_RIGHT, 1)] * 3 + [(Keys.ARROW_LEFT, -1)]:
        page.press(key)
        point += step
        is_point(page, point, curve, codes, index)
    rows, said = there(page, point)
    are_there(rows, said, curve, codes)
    page.press(Keys.HOME)
    is_point(page, 0, curve, codes, index)
    page.press(Keys.END)
    is_point(page, len(curve.points) - 1, curve, codes, index)
    there(page, len(curve.points) - 1)


def test_a_click_shows_the_kernels_whose_codes_lie_there(page, curve, codes, index):
    page.show("curve", size=SIZE, seed=SEED)
    bars = page.one(".bars")
    width = bars.rect["width"]
    for share in (0.21, 0.77):
        point = int(share * len(curve.points))
        offset = round((point + 0.5) / len(curve.points) * width - width / 2)
        ActionChains(page.driver, 0).move_to_element_with_offset(bars, offset, 0).click().perform()
        rows, said = there(page, point)
        is_point(page, point, curve, codes, index)
        are_there(rows, said, curve, codes)


def test_names_below_the_curve_lead_to_where_they_are(page, curve, codes, index):
    names = name_points(curve, index["minimum_cosine"])
    shapes = list(dict.fromkeys(index["shapes"]))
    page.show("curve", size=SIZE, seed=SEED, point=0)
    present = [shape for shape in shapes if any(name.split(" ")[0] == shape for name in names)]
    assert page.texts(".legend button") == present
    for button, shape in zip(page.all(".legend button"), present, strict=True):
        button.click()
        assert here(page)[1].split(" ")[0] == shape
    page.until(lambda: "point=" in page.place, "the address does not follow")
    page.wait()


def test_each_seed_has_its_curve(page, zoo, index):
    page.show("curve", size=SIZE, seed=0, point=64)
    for seed in (2, 0):
        page.one(f"input[name=seed][value='{seed}']").click()
        page.until(lambda s=seed: f"seed={s}" in page.place, "the address does not follow")
        page.wait()
        curve = Curve.load(zoo.folder / f"autoencoders/k7_seed{seed}.safetensors")
        assert here(page)[1] == name_points(curve, index["minimum_cosine"])[64]


def test_a_size_without_a_curve_says_so(page):
    page.show("curve", size="3x11")
    assert "not studied" in page.alerts[0]

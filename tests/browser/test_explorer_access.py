"""For all readers: keyboard, screen reader, narrow and wide, dark and light."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

PLACES = [
    "",
    "shapes?size=7x7",
    "shapes/on-centre?size=7x7",
    "networks?size=7x7",
    "networks/convnextv2_mini?size=7x7",
    "curve?size=7x7",
    "kernels?size=7x7",
    "kernel/convnextv2_mini/stages.0.blocks.0.conv_dw/0",
    "find?size=7x7&kernel=" + ",".join(["1", "0", "0", "0", "0.5", "0", "0"] * 7),
    "nothing",
]
GROUND = "return getComputedStyle(document.documentElement).backgroundColor"
# Ratios of texts to what is behind them, by the formulas of WCAG 2.2; those that are too small.
CONTRAST = """
const colour = (text) => {
  const context = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = ([r, g, b, a], [R, G, B]) =>
  [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
const luminance = (c) => {
  const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) =>
    v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  const layers = [];
  for (let own = element; own; own = own.parentElement) {
    layers.push(colour(getComputedStyle(own).backgroundColor));
    if (layers.at(-1)[3] === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
};
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  const text = walk.currentNode.textContent.trim();
  const shown = element.checkVisibility({visibilityProperty: true, opacityProperty: true});
  if (!text || !shown) continue;
  if (element.closest('.unseen, .skip, option, [aria-disabled=true], :disabled, .off')) continue;
  const style = getComputedStyle(element);
  const ground = behind(element);
  const [one, other] = [luminance(over(colour(style.color), ground)), luminance(ground)];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
}
return found;
"""
# What a browser tells a screen reader: roles that need a name.
NAMED = {
    *("button", "link", "checkbox", "radio", "combobox", "textbox", "searchbox", "slider"),
    *("spinbutton", "img", "image", "navigation", "region", "grid", "gridcell", "table"),
    *("progressbar", "progressIndicator", "form", "ListBox", "listbox"),
}
STRUCTURE = """
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
const referred = [...document.querySelectorAll('[aria-labelledby], [aria-describedby], label[for]')]
  .flatMap((e) => ['aria-labelledby', 'aria-describedby', 'for'].map((n) => e.getAttribute(n)))
  .filter(Boolean).flatMap((text) => text.split(/ +/));
const levels = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((h) => +h.tagName[1]);
return {
  language: document.documentElement.lang,
  titled: document.title !== '',
  doubled: ids.filter((id, i) => ids.indexOf(id) !== i),
  dangling: referred.filter((id) => !document.getElementById(id)),
  h1: levels.filter((level) => level === 1).length,
  jumps: levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1),
  landmarks: ['header', 'nav', 'main'].filter((tag) => !document.querySelector(`body ${tag}`)),
  tables: [...document.querySelectorAll('table.data, table[id]')].filter((t) =>
    !t.querySelector('th[scope]') || !t.caption).length,
  images: [...document.images].filter((i) => !i.hasAttribute('alt')).length,
  live: document.querySelectorAll('[aria-live], [role=status]').length > 0,
};
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(page, theme):
    page.media(prefers_color_scheme=theme)
    page.show()
    ground = [int(part) for part in re.findall(r"\d+", page.js(GROUND))[:3]]
    assert (sum(ground) > 384) == (theme == "light")
    weak = {}
    for place in PLACES:
        page.go(place)
        weak[place] = page.js(CONTRAST)
    assert {place: found for place, found in weak.items() if found} == {}


def test_what_a_screen_reader_is_told_has_names_and_an_order(page):
    page.show()
    for place in PLACES:
        page.go(place)
        assert page.js(STRUCTURE) == {
            "language": "en", "titled": True, "doubled": [], "dangling": [], "h1": 1, "jumps": [],
            "landmarks": [], "tables": 0, "images": 0, "live": True,
        }, place  # fmt: skip
        nodes = page.cdp("Accessibility.getFullAXTree")["nodes"]
        nameless = [
            (node["role"]["value"], node.get("description", {}).get("value"))
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in NAMED
            and not node.get("name", {}).get("value", "").strip()
        ]
        assert nameless == [], place


@pytest.mark.parametrize("width", [400, 3840])
def test_pages_are_as_wide_as_the_window_and_no_wider(page, width):
    page.resize(width, 900)
    page.show()
    for place in PLACES:
        page.go(place)
        assert page.js("return document.documentElement.scrollWidth") <= width, place
        reach = page.js(
            """return [...document.querySelectorAll('main *')].filter((e) =>
                !e.closest('.scroll, .unseen') && e.getBoundingClientRect().right > innerWidth + 1
            ).map((e) => e.className || e.tagName)"""
        )
        assert reach == [], place


def test_everything_is_reached_by_the_tab_key_and_seen(page):
    page.show("kernels", size="7x7", network="convnextv2_mini")
    page.press(Keys.TAB)
    assert page.js("return document.activeElement.id") == "skip"
    visited = []
    for _ in range(80):
        page.press(Keys.TAB)
        told = page.js(
            """const own = document.activeElement;
            if (own === document.body) return null;
            const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(own);
            const ring = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1;
            const name = own.id || own.className || own.textContent.trim();
            return [name, ring || boxShadow !== 'none'];"""
        )
        if told is None:
            break
        assert told[1], f"the focus on {told[0]} is not seen"
        visited.append(told[0])
    needed = ["theme", "filter-size", "filter-shape", "filter-family", "filter-network",
              "filter-layer", "filter-identified", "filter-agreement", "filter-r2", "clear",
              "filter-sort", "csv"]  # fmt: skip
    assert [name for name in needed if name not in visited] == []
    assert sum("kernel" in name.split() for name in visited) == 1  # one stop for all tiles


def test_arrow_keys_move_among_tiles_and_enter_opens_one(page):
    page.show("kernels", size="7x7", network="convnextv2_mini", sort="table")
    page.js("document.querySelector('a.kernel').focus()")
    rows = page.rows()
    focused = "return Number(document.activeElement.dataset.row)"
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.js(focused) == rows[2]
    page.press(Keys.ARROW_DOWN)
    below = rows.index(page.js(focused))
    tops = page.js("return [...document.querySelectorAll('a.kernel')].map((a) => a.offsetTop)")
    assert tops[below] == sorted(set(tops))[1]
    page.press(Keys.ARROW_UP, Keys.HOME)
    assert page.js(focused) == rows[0]
    page.press(Keys.END)
    assert page.js(focused) == rows[-1]
    assert page.text(".caption").strip() != ""
    page.press(Keys.ENTER)
    page.until(lambda: page.place.startswith("#/kernel"), "the tile leads nowhere")
    page.wait()
    assert page.js("return document.activeElement.tagName") == "H1"


def test_the_skip_link_leads_to_the_content(page):
    page.show()
    page.press(Keys.TAB, Keys.ENTER)
    assert page.js("return document.activeElement.id") == "main"


def test_a_theme_that_was_chosen_stays(page):
    page.media(prefers_color_scheme="light")
    page.show()
    light = page.js(GROUND)
    page.choose("#theme", "dark")
    dark = page.js(GROUND)
    assert dark != light
    page.show("networks")
    assert page.js(GROUND) == dark
    page.choose("#theme", "system")
    assert page.js(GROUND) == light


def test_counts_are_told_to_screen_readers(page):
    page.show("kernels", size="7x7")
    page.choose("#filter-identified", "yes")
    told = page.text("#status") or page.js("return document.querySelector('#status').textContent")
    assert page.text("#kernels-count") in told


def test_nothing_moves_where_motion_is_not_wanted(page):
    page.media(prefers_reduced_motion="reduce")
    page.show("curve", size="7x7", point=0)
    before = page.one("#code").get_attribute("value")
    page.one("button.play").click()
    after = page.one("#code").get_attribute("value")
    assert after != before
    assert page.js("return document.getAnimations().length") == 0
    page.until(lambda: "point=" in page.place, "the address does not follow")
    page.wait()
    assert page.one("#code").get_attribute("value") == after

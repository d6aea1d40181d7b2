"""Find by drawing: painted and pasted kernels against brute force by NumPy."""

import json
import re

import numpy as np
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from truth import eight_bits, normalised, number

SIZE = "7x7"
DIGITS = 6e-4  # of a cosine that is written with three digits


@pytest.fixture(scope="module")
def live(of_7x7, explorer):
    return eight_bits(of_7x7[~of_7x7["degenerate"]], explorer)


def painted(page):
    """Return the kernel on the grid, as its cells tell it."""
    labels = page.js(
        "return [...document.querySelectorAll('[role=gridcell]')].map((c) => c.ariaLabel)"
    )
    side = max(int(re.match(r"row (\d+)", label)[1]) for label in labels)
    values = [float(label.rpartition(": ")[2].replace("−", "-")) for label in labels]
    return np.array(values).reshape(side, -1)


def addressed(page):
    """Return the kernel in the address, (n,), which has three decimals."""
    found = re.search(r"kernel=([^&]*)", page.place)
    text = found[1].replace("%2C", ",") if found else ""
    return np.array([float(part) for part in text.split(",") if part])


def searched(page, kernel):
    """Wait until the address has a kernel, and all of the zoo was searched for it."""

    def in_address():
        values = addressed(page)
        return len(values) == kernel.size and np.allclose(values, kernel.ravel(), atol=0.006)

    page.until(in_address, "the address does not follow")
    page.wait()
    page.until(lambda: "searched in" in page.text(".found [role=status]"), "nothing is found")


def is_nearest(page, live, either=False):
    """Whether the kernels shown are the nearest of all to that of the address, by cosine."""
    kernel = addressed(page)
    unit = kernel - kernel.mean()
    cosines = normalised(live) @ (unit / np.linalg.norm(unit))
    of = dict(zip(live["row"], cosines, strict=True))
    rows = page.rows(".found")
    shown = np.array([number(text) for text in page.texts(".found .mosaic .below")])
    assert len(rows) == len(set(rows)) == 60
    assert np.abs(shown - [of[row] for row in rows]).max() < DIGITS
    rank = np.abs if either else np.asarray
    assert np.all(np.diff(rank(shown)) <= 0)
    assert np.sort(rank(cosines))[-60] <= rank(shown)[-1] + DIGITS


def test_a_kernel_painted_with_the_mouse_finds_its_like(page, live):
    page.show("find", size=SIZE)
    cells = page.all("[role=gridcell]")
    assert len(cells) == 49
    actions = ActionChains(page.driver, 20).move_to_element(cells[22]).click_and_hold()
    for cell in (23, 24, 25, 26):  # a stroke
        actions.move_to_element(cells[cell])
    actions.release().perform()
    ActionChains(page.driver, 0).key_down(Keys.SHIFT).click(cells[30]).key_up(Keys.SHIFT).perform()
    kernel = np.zeros(49)
    kernel[22:27], kernel[30] = 1, -1
    assert np.array_equal(painted(page).ravel(), kernel)
    searched(page, kernel)
    is_nearest(page, live)


def test_a_kernel_painted_by_keys_finds_its_like(page, live):
    page.show("find", size=SIZE)
    page.js("document.querySelector('[role=gridcell][tabindex=\"0\"]').focus()")
    page.press(*[Keys.ARROW_DOWN, Keys.ARROW_RIGHT] * 3, " ")
    page.press(Keys.ARROW_RIGHT, "+", "+", Keys.ARROW_LEFT, Keys.ARROW_DOWN, "-", Keys.HOME, "-")
    kernel = np.zeros((7, 7))
    kernel[3, 3], kernel[3, 4], kernel[4, 3], kernel[4, 0] = 1, 0.5, -0.25, -0.25
    assert np.array_equal(painted(page), kernel)
    searched(page, kernel)
    is_nearest(page, live)
    page.press("0")
    kernel[4, 0] = 0
    searched(page, kernel)
    is_nearest(page, live)


def test_what_is_shown_is_marked_as_long_as_it_is_of_another_kernel(page):
    page.show("find", size=SIZE, kernel=",".join(["1", "-1", *["0"] * 47]))
    assert len(page.rows(".found")) == 60
    page.js("""const replace = history.replaceState.bind(history);
        history.replaceState = (...given) => {
          replace(...given);
          queueMicrotask(() => {
            window.busy = document.querySelector('.found [data-part=mosaic]').ariaBusy;
          });
        };""")
    page.js("document.querySelector('[role=gridcell][tabindex=\"0\"]').focus()")
    page.press("0")
    page.until(lambda: page.js("return window.busy"), "nothing was searched")
    assert page.js("return window.busy") == "true"


def test_the_opposite_sign_is_as_near_if_it_is_chosen(page, live):
    kernel = np.where(np.add.outer(range(7), range(7)) % 3 == 0, 1.0, 0.0)
    text = ",".join(str(int(value)) for value in kernel.ravel())
    page.show("find", size=SIZE, kernel=text)
    searched(page, kernel)
    is_nearest(page, live)
    page.one("#sign").click()
    page.until(lambda: "sign=any" in page.place, "the address does not follow")
    searched(page, kernel)
    is_nearest(page, live, either=True)


def paste(page, text):
    page.js("document.querySelector('details.paste').open = true")
    field = page.one("textarea#numbers")
    field.clear()
    field.send_keys(text)
    page.one("details.paste button").click()


@pytest.mark.parametrize("form", ["lines", "json", "commas", "numpy"])
def test_pasted_numbers_of_a_kernel_find_that_kernel(page, live, of_7x7, form):
    own = live[live["identified"] & live["trained"]].iloc[5]
    weights = of_7x7.loc[own["row"], "weights"].reshape(7, 7).astype(float)
    text = {
        "lines": "\n".join(" ".join(f"{value:.5g}" for value in row) for row in weights),
        "json": json.dumps(weights.round(6).tolist()),
        "commas": ", ".join(f"{value:+.4e}" for value in weights.ravel()),
        "numpy": repr(weights.astype(np.float32)),
    }[form]
    page.show("find", size=SIZE)
    paste(page, text)
    centred = weights - weights.mean()
    searched(page, centred / np.abs(centred).max())
    is_nearest(page, live)
    assert page.rows(".found")[0] == own["row"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one two", "“one” is no number"),
        ("1 2 3", "3 numbers: no kernel of these results has as many"),
        (" ", "There are no numbers"),
        ("1e999 " * 49, "too large"),
    ],
)
def test_numbers_that_are_no_kernel_are_said_in_words(page, text, words):
    page.show("find", size=SIZE)
    paste(page, text)
    assert words in page.alerts[0]
    assert page.one("textarea#numbers").get_attribute("aria-invalid") == "true"


def test_an_address_with_a_wrong_kernel_is_said_in_words(page):
    page.show("find", size=SIZE, kernel="1,2,x")
    assert "“x” is no number" in page.alerts[0]


def test_the_kernel_can_be_turned_mirrored_inverted_and_cleared(page):
    kernel = np.round(np.linspace(-1, 1, 49), 2).reshape(7, 7)
    page.show("find", size=SIZE, kernel=",".join(map(str, kernel.ravel())))
    buttons = {button.text: button for button in page.all(".paint .actions button")}
    for name, turn in {
        "Rotate": np.rot90,
        "Mirror": np.fliplr,
        "Invert": np.negative,
        "Clear": np.zeros_like,
    }.items():
        buttons[name].click()
        kernel = turn(kernel)
        assert np.allclose(painted(page), kernel, atol=0.006), name
    page.until(lambda: "kernel=" not in page.place, "the address keeps what was cleared")
    page.wait()


def test_a_prototype_is_a_beginning_and_is_called_by_its_name(page, live):
    page.show("find", size=SIZE)
    button = page.one("[aria-label='Begin with the prototype of on-centre']")
    button.click()
    page.until(lambda: "kernel=" in page.place, "the address does not follow")
    kernel = painted(page)
    searched(page, kernel)
    is_nearest(page, live)
    assert "that of on-centre" in page.text("section[aria-labelledby=names]")

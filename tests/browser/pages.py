"""The explorer's page in a browser, as tests use it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

NO_BREAK = "\u00a0"  # a space
WAIT = 60  # seconds; the machine may be busy
WHOLE = """
const busy = [...document.querySelectorAll('[aria-busy=true]')];
return document.querySelector('main h1, main [role=alert]') !== null
  && !busy.some((element) => !element.closest('[hidden]'))
  && ![...document.querySelectorAll('[role=status]')].some((e) => e.textContent === 'Searching…');
"""


class Page:
    """One tab.

    Attributes
    ----------
    address
        Of the server, `http://127.0.0.1:8765/`.
    """

    def __init__(self, driver: WebDriver, address: str) -> None:
        self.driver, self.address = driver, address
        self.forget_logs()

    def show(self, path: str = "", **query: Any) -> "Page":
        """Load the page anew at a place such as `kernels`, size="7x7", and wait for it."""
        # Else another place of the page that is shown would be a step within it.
        self.driver.get("about:blank")
        self.driver.get(self.link(path, **query))
        return self.wait()

    def go(self, path: str = "", **query: Any) -> "Page":
        """Go to a place of the page that is shown, as by a link, and wait for it."""
        # The page's own listener comes before this one, and tells that it is busy.
        self.driver.execute_async_script(
            """const [hash, done] = arguments;
            addEventListener('hashchange', () => done(), {once: true});
            if (location.hash === hash) done(); else location.hash = hash;""",
            self.link(path, **query).removeprefix(self.address),
        )
        return self.wait()

    def link(self, path: str = "", **query: Any) -> str:
        return f"{self.address}#/{path}" + (f"?{urlencode(query)}" if query else "")

    def wait(self) -> "Page":
        """Wait until the view is whole: nothing that is shown is busy, or still searched for."""
        self.until(lambda: self.js(WHOLE), "the view is not whole")
        return self

    def until(self, holds: Callable[[], Any], otherwise: str, seconds: float = WAIT) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < deadline, f"{otherwise}: {self.text('body')[:500]}"
            time.sleep(0.02)
        return found

    def rows(self, within: str = "main") -> list[int]:
        """Return the rows of the kernels of a mosaic, in its order."""
        selector = f"{within} a.kernel[data-row]"
        return [int(row) for row in self.js(
            "return [...document.querySelectorAll(arguments[0])].map((a) => a.dataset.row)",
            selector,
        )]  # fmt: skip

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        found = self.js("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return found.replace(NO_BREAK, " ")

    def texts(self, selector: str) -> list[str]:
        return [text.replace(NO_BREAK, " ") for text in self.attributes(selector, "innerText")]

    def attributes(self, selector: str, name: str) -> list[str]:
        """Return a property of all elements, as the address of links."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e[arguments[1]])"
        return self.js(script, selector, name)

    def table(self, selector: str) -> list[list[str]]:
        """Return the texts of all cells of a table."""
        script = """return [...document.querySelector(arguments[0]).rows].map(
            (row) => [...row.cells].map((cell) => cell.innerText.trim()))"""
        rows = self.js(script, selector)
        return [[text.replace(NO_BREAK, " ") for text in row] for row in rows]

    def choose(self, selector: str, value: str) -> "Page":
        """Choose an option of a select, as a user does, and wait."""
        from selenium.webdriver.support.select import Select

        Select(self.one(selector)).select_by_value(value)
        return self.wait()

    def press(self, *keys: str) -> "Page":
        """Press keys where the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=0).send_keys(*keys).perform()
        return self

    @property
    def place(self) -> str:
        """What stands behind the # of the address."""
        return self.js("return location.hash")

    @property
    def alerts(self) -> list[str]:
        return self.texts("[role=alert]")

    def resize(self, width: int, height: int = 900) -> None:
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def media(self, **features: str) -> None:
        """Emulate what a system prefers: prefers_color_scheme="dark"."""
        given = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.cdp("Emulation.setEmulatedMedia", features=given)

    def cdp(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)

    def forget(self) -> None:
        """Forget what was logged, and what was cached."""
        self.forget_logs()
        self.cdp("Network.clearBrowserCache")

    def forget_logs(self) -> None:
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.console: list[str] = []
        self.requested: list[str] = []
        self.moved = 0

    def collect(self) -> "Page":
        """Collect what was logged since the last time: messages, addresses and bytes."""
        for entry in self.driver.get_log("browser"):
            self.console.append(f"{entry['level']} {entry['message']}")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            parameters = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])
            elif message["method"] == "Network.loadingFinished":
                self.moved += int(parameters["encodedDataLength"])
        return self

    @contextmanager
    def bytes_moved(self) -> Iterator[Callable[[], int]]:
        self.collect()
        before = self.moved
        yield lambda: self.collect().moved - before

    def foreign(self) -> list[str]:
        """Return the requests that went elsewhere."""
        home = urlsplit(self.address).netloc
        urls = [urlsplit(url) for url in self.collect().requested]
        return [
            url.geturl()
            for url in urls
            if url.scheme not in ("data", "blob", "about") and url.netloc != home
        ]

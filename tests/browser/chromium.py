"""A real Chromium without a window, for tests: Debian's chromium and chromium-driver.

`python tests/browser/chromium.py install` installs them, where apt can.
"""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import debian

PACKAGES = ["chromium", "chromium-driver"]
PROGRAMS = ["chromium", "chromedriver"]
# Nothing is asked of any other host, and root may start it.
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars"),
    *("--force-device-scale-factor=1", "--force-color-profile=srgb", "--lang=en"),
]


def install() -> None:
    """Install the packages, unless they are there."""
    if all(map(shutil.which, PROGRAMS)):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit("no Chromium, and it is installed by root with Debian's packages only")
    debian.install(PACKAGES)


def start(downloads: Path):
    """Return a driver of a new Chromium, which keeps its console and its requests."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with_driver = webdriver.Chrome(options, service)  # a path: nothing is looked for or fetched
    with_driver.set_script_timeout(60)
    return with_driver


if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        install()
    else:
        raise SystemExit(__doc__)

"""A real browser, real servers, and explorers that the library wrote."""

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import kernelatlas

if importlib.util.find_spec("selenium") is None:
    raise pytest.UsageError("tests/browser needs selenium: run `make test-browser`")

import chromium
from pages import Page
from truth import kernels_of, of_size
from zoo import make_large_zoo, make_zoo, write_explorer

LIBRARY = Path(kernelatlas.__file__).parents[1]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    return make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def explorer(zoo, tmp_path_factory):
    return write_explorer(zoo, tmp_path_factory.mktemp("small") / "explorer")


@pytest.fixture(scope="session")
def large_zoo(zoo, tmp_path_factory):
    return make_large_zoo(tmp_path_factory.mktemp("large"), zoo)


@pytest.fixture(scope="session")
def large_explorer(large_zoo, tmp_path_factory):
    return write_explorer(large_zoo, tmp_path_factory.mktemp("large") / "explorer")


@pytest.fixture(scope="session")
def index(explorer):
    """What the page reads first."""
    return json.loads((explorer / "data/index.json").read_text())


@pytest.fixture(scope="session")
def kernels(zoo):
    """All kernels of the zoo with what its tables say of them."""
    return kernels_of(zoo)


@pytest.fixture(scope="session")
def of_7x7(kernels, index, zoo):
    """Those of 7×7 with their rows."""
    return of_size(kernels, "7x7", index, zoo)


@contextmanager
def serve(folder, *command):
    """Serve a folder by a command that prints its address first, `kernelatlas explore` if none."""
    command = command or ("-m", "kernelatlas", "explore", str(folder), "--port=0", "--no-browser")
    process = subprocess.Popen(
        [sys.executable, "-u", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        line = process.stdout.readline()
        assert "http://" in line, line
        yield "http://" + line.partition("http://")[2].split("/")[0].rstrip(") \n") + "/"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def address(explorer):
    with serve(explorer) as address:
        yield address


@pytest.fixture(scope="session")
def large_address(large_explorer):
    with serve(large_explorer) as address:
        yield address


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(downloads):
    driver = chromium.start(downloads)
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, address):
    yield from watched(driver, address)


@pytest.fixture
def large(driver, large_address):
    yield from watched(driver, large_address)


def watched(driver, address):
    """A page of which no message of error and no request elsewhere passes unseen.

    A test that provokes some clears `page.console`.
    """
    page = Page(driver, address)
    page.resize(1280)
    page.media()
    yield page
    page.collect()
    assert [line for line in page.console if line.startswith(("SEVERE", "WARNING"))] == []
    assert page.foreign() == []
